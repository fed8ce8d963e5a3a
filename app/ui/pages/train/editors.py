"""One editor a kind of field, made from the field's metadata; it tells its value, or what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QLocale, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from app.services.training_values import FieldInfo
from app.ui.texts import tr
from app.ui.widgets.basics import label, row
from app.ui.widgets.wheel import spare_from_wheel

_INT_MAX = 2_000_000_000
_CONTROL_PX = 150
_UNIT_PX = 56


def number_text(value: float) -> str:
    """Return a number as a person would type it."""
    return f"{value:.10g}"


def value_text(info: FieldInfo, value: Any) -> str:
    """Return a value as the form shows it in words."""
    if isinstance(value, bool):
        return tr("on") if value else tr("off")
    if isinstance(value, list | tuple):
        return ", ".join(number_text(v) if isinstance(v, int | float) else str(v) for v in value) or tr(
            "none"
        )
    text = number_text(value) if isinstance(value, int | float) else str(value)
    return f"{text} {info.unit}".strip()


def parsed_number(info: FieldInfo, text: str, *, whole: bool) -> float | int:
    """Return the number in a text.

    Raises:
        ValueError: It is none, or it is out of the field's range; the message says what to do.
    """
    try:
        value = float(text.replace(" ", "").replace("_", ""))
    except ValueError:
        raise ValueError(tr("“{typed}” is no number.", typed=text.strip())) from None
    low, high = info.low, info.high
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(range_text(info))
    if whole:
        if value != int(value):
            raise ValueError(tr("Whole numbers only."))
        return int(value)
    return value


def range_text(info: FieldInfo) -> str:
    """Return what a number may be, in words."""
    low, high = info.low, info.high
    if low is not None and high is not None:
        return tr("From {low} to {high}.", low=number_text(low), high=number_text(high))
    if low is not None:
        return tr("{low} or more.", low=number_text(low))
    return tr("{high} or less.", high=number_text(high)) if high is not None else ""


class FieldEditor(QWidget):
    """The editor of one field: `edited` tells a valid value, `wrong` a sentence about an invalid one."""

    edited = Signal(str, object)
    wrong = Signal(str, str)

    def __init__(self, info: FieldInfo) -> None:
        super().__init__()
        self.info = info
        self._layout: QHBoxLayout = row(spacing=6)
        self.setLayout(self._layout)
        self._show: Callable[[Any], None] = lambda _value: None
        makers: dict[str, Callable[[], QWidget]] = {
            "int": self._make_int,
            "float": self._make_text,
            "list": self._make_text,
            "bool": self._make_bool,
            "choice": self._make_choice,
            "choices": self._make_choices,
        }
        self.control = makers.get(info.kind, self._make_text)()
        self.control.setAccessibleName(info.label)
        self.control.setAccessibleDescription(info.help)
        spare_from_wheel(self.control)
        self._layout.addWidget(self.control)
        if info.unit:
            self._layout.addWidget(label(info.unit, "muted"))
        self._layout.addStretch(1)
        self.setFixedWidth(_CONTROL_PX + _UNIT_PX + self._layout.spacing())

    def show_value(self, value: Any) -> None:
        """Show a value without telling anybody."""
        self.control.blockSignals(True)  # noqa: FBT003
        self._show(value)
        self.control.blockSignals(False)  # noqa: FBT003

    def _tell(self, value: Any) -> None:
        self.edited.emit(self.info.key, value)

    def _make_int(self) -> QWidget:
        spin, info = QSpinBox(), self.info
        spin.setRange(
            int(info.low) if info.low is not None else -_INT_MAX,
            int(info.high) if info.high is not None else _INT_MAX,
        )
        spin.setGroupSeparatorShown(True)
        spin.setLocale(QLocale.c() if spin.maximum() < 10_000 else QLocale(QLocale.Language.English))
        spin.setKeyboardTracking(False)
        spin.lineEdit().setTextMargins(10, 0, 4, 0)
        spin.setFixedWidth(_CONTROL_PX)
        self._show = lambda value: spin.setValue(int(value))
        spin.valueChanged.connect(self._tell)
        return spin

    def _make_text(self) -> QWidget:
        field, info = QLineEdit(), self.info
        field.setFixedWidth(
            _CONTROL_PX + (_UNIT_PX if not info.unit and info.kind in ("list", "text") else 0)
        )
        if info.kind == "list":
            field.setPlaceholderText(tr("numbers with commas between"))

        def show(value: Any) -> None:
            field.setText(value_text(info, value).removesuffix(info.unit).strip() if value != () else "")

        self._show = show
        field.editingFinished.connect(lambda: self._read(field))
        return field

    def _read(self, field: QLineEdit) -> None:
        try:
            value = self._parsed(field.text().strip())
        except ValueError as error:
            self.wrong.emit(self.info.key, str(error))
        else:
            self._tell(value)

    def _parsed(self, text: str) -> Any:
        info = self.info
        if info.kind == "float":
            return parsed_number(info, text, whole=False)
        if info.kind != "list":
            return text
        whole = all(isinstance(each, int) for each in info.default) and bool(info.default)
        whole = whole or "px" in info.key or "channels" in info.key or "nimg" in info.key
        parts = [part for part in text.split(",") if part.strip()]
        if info.length and len(parts) != info.length:
            raise ValueError(tr("{n} numbers, with commas between.", n=info.length))
        return tuple(parsed_number(info, part, whole=whole) for part in parts)

    def _make_bool(self) -> QWidget:
        check = QCheckBox()
        self._show = lambda value: check.setChecked(bool(value))
        check.toggled.connect(self._tell)
        return check

    def _make_choice(self) -> QWidget:
        box, values = QComboBox(), self.info.choices  # numbers too, whatever their declared type
        for value in values:
            text = str(value)
            box.addItem(text[:1].upper() + text[1:].replace("-", " "))
        box.setFixedWidth(_CONTROL_PX)
        self._show = lambda value: box.setCurrentIndex(values.index(value) if value in values else -1)
        box.currentIndexChanged.connect(lambda place: self._tell(values[place]))
        return box

    def _make_choices(self) -> QWidget:
        holder, checks = QWidget(), {}
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for place, choice in enumerate(self.info.choices):
            checks[choice] = QCheckBox(choice)
            grid.addWidget(checks[choice], place // 2, place % 2)
        holder.setLayout(grid)

        def show(value: Any) -> None:
            for choice, check in checks.items():
                check.blockSignals(True)  # noqa: FBT003
                check.setChecked(choice in value)
                check.blockSignals(False)  # noqa: FBT003

        def tell() -> None:
            self._tell(tuple(choice for choice in self.info.choices if checks[choice].isChecked()))

        for check in checks.values():
            check.toggled.connect(lambda _on: tell())
        self._show = show
        return holder

"""Rows of fields with their explanation, what is wrong, and a way back to the preset."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.services.training_values import FieldInfo
from app.ui.pages.train.editors import FieldEditor, value_text
from app.ui.texts import tr
from app.ui.widgets.basics import column, icon_button, label, row


class Fields(QObject):
    """The fields of a preset and what was changed; several views may show the same ones."""

    changed = Signal(str)  # key; "" for all

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.infos: tuple[FieldInfo, ...] = ()
        self.changes: dict[str, Any] = {}
        self.wrong: dict[str, str] = {}

    def take(self, infos: tuple[FieldInfo, ...], changes: dict[str, Any]) -> None:
        """Show the fields of a preset with these changes."""
        self.infos, self.changes, self.wrong = infos, dict(changes), {}
        self.changed.emit("")

    def info(self, key: str) -> FieldInfo:
        """Return a field by its key."""
        return next(info for info in self.infos if info.key == key)

    def value(self, info: FieldInfo) -> Any:
        """Return the value that holds: the changed one, or the preset's."""
        return self.changes.get(info.key, info.default)

    def set(self, key: str, value: Any) -> None:
        """Change a field; the preset's own value is no change."""
        default = self.info(key).default
        self.wrong.pop(key, None)
        if value == default and type(value) is type(default):
            self.changes.pop(key, None)
        else:
            self.changes[key] = value
        self.changed.emit(key)

    def set_wrong(self, key: str, sentence: str) -> None:
        """Remember that what stands in a field cannot be used."""
        self.wrong[key] = sentence
        self.changed.emit(key)

    def reset(self, key: str = "") -> None:
        """Go back to the preset with one field, or with all."""
        keys = [key] if key else list({*self.changes, *self.wrong})
        for each in keys:
            self.changes.pop(each, None)
            self.wrong.pop(each, None)
        self.changed.emit(key)


class FieldRow(QWidget):
    """One field: name and explanation at the left, editor and reset at the right."""

    def __init__(self, fields: Fields, info: FieldInfo, *, compact: bool = False) -> None:
        super().__init__()
        self._fields, self.info = fields, info
        self.editor = FieldEditor(info)
        self.editor.edited.connect(fields.set)
        self.editor.wrong.connect(fields.set_wrong)
        self.reset = icon_button("mdi6.restore", tr("Back to the preset"), lambda: fields.reset(info.key))
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.problem = label("", "bad", wrap=True)
        name = label(info.label)
        texts = column(name, spacing=1)
        if compact:
            self.setToolTip(info.help)
        if not compact or info.kind == "bool":  # a box to tick says less than a number with its unit
            texts.addWidget(label(self._explained(), "muted", wrap=True))
        texts.addWidget(self.problem)
        layout = row(texts, self.editor, self.reset, spacing=12)
        layout.setStretch(0, 1)
        layout.setContentsMargins(0, 2 if compact else 8, 0, 2 if compact else 8)
        self.setLayout(layout)
        fields.changed.connect(self._changed)
        self._refresh()

    def _explained(self) -> str:
        text = self.info.help.rstrip(".") + "."
        if not self.info.used:
            text += " " + tr("This preset does not train it.")
        return text

    def _changed(self, key: str) -> None:
        if key in ("", self.info.key):
            self._refresh()

    def _refresh(self) -> None:
        fields, info = self._fields, self.info
        wrong = fields.wrong.get(info.key, "")
        if not wrong:
            self.editor.show_value(fields.value(info))
        self.problem.setText(wrong)
        self.problem.setVisible(bool(wrong))
        differs = info.key in fields.changes or bool(wrong)
        self.reset.setVisible(differs)
        self.reset.setToolTip(tr("Back to the preset: {value}", value=value_text(info, info.default)))

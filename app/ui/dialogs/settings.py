"""The settings dialog, made from the table of settings; a change holds at once."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.services.settings import SECTIONS, SETTINGS, Setting, Settings
from app.services.translations import translated
from app.ui.dialogs.base import Dialog
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import Notice, column, icon_button, label, line, row

_ICONS = {
    "general": "mdi6.tune-variant",
    "canvas": "mdi6.draw",
    "browser": "mdi6.image-multiple-outline",
    "saving": "mdi6.content-save-outline",
    "engine": "mdi6.chip",
    "review": "mdi6.clipboard-check-outline",
    "keys": "mdi6.keyboard-outline",
    "training": "mdi6.school-outline",
}


class SettingsDialog(Dialog):
    """One page a section, one row a setting, each with its own way back to the default."""

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(tr("Settings"), parent=parent)
        self._settings = settings
        self.editors: dict[str, QWidget] = {}
        self._resets: dict[str, QWidget] = {}
        self._show: dict[str, Callable[[], None]] = {}
        self._pages = QStackedWidget()
        self._names = QListWidget()
        self._names.setStyleSheet("background: transparent;")
        self._names.setFixedWidth(170)
        self._names.setIconSize(QSize(18, 18))
        self._names.setAccessibleName(tr("Sections"))
        for section, title in SECTIONS.items():
            rows = [setting for setting in SETTINGS if setting.section == section]
            if rows:
                item = QListWidgetItem(
                    icon(_ICONS.get(section, "mdi6.cog-outline"), "muted"), translated(title)
                )
                item.setSizeHint(QSize(150, 36))
                self._names.addItem(item)
                self._pages.addWidget(self._page(translated(title), rows))
        self._names.currentRowChanged.connect(self._pages.setCurrentIndex)
        self._names.setCurrentRow(0)
        self._restart = Notice(tr("Some changes hold from the next start on."), "info")
        self._restart.hide()
        body = row(self._names, self._pages, spacing=20)
        body.setStretch(1, 1)
        layout = column(body, self._restart)
        layout.setStretch(0, 1)
        self.finish(layout, tr("Close"), cancel=False)
        settings.changed.connect(self._changed)
        self.resize(880, 640)

    def _page(self, title: str, rows: list[Setting]) -> QWidget:
        inside = QWidget()
        inside.setObjectName("page")
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 8, 0)
        layout.setSpacing(0)
        layout.addWidget(label(title, "section"))
        layout.addSpacing(8)
        for place, setting in enumerate(rows):
            if place:
                layout.addWidget(line())
            layout.addLayout(self._row(setting))
        layout.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(inside)
        return scroll

    def _row(self, setting: Setting) -> QVBoxLayout:
        editor = self._editor(setting)
        editor.setAccessibleName(translated(setting.title))
        self.editors[setting.key] = editor
        reset = icon_button(
            "mdi6.restore", tr("Back to the default"), lambda: self._settings.reset(setting.key)
        )
        policy = reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        reset.setSizePolicy(policy)
        self._resets[setting.key] = reset
        text = translated(setting.text)
        if setting.restart:
            text += " " + tr("Holds from the next start on.")
        texts = column(label(translated(setting.title)), label(text, "muted", wrap=True), spacing=1)
        line_layout = row(texts, editor, reset, spacing=12)
        line_layout.setStretch(0, 1)
        line_layout.setContentsMargins(0, 9, 0, 9)
        self._show[setting.key]()
        self._show_reset(setting)
        return column(line_layout)

    def _editor(self, setting: Setting) -> QWidget:
        if setting.choices is not None:
            return self._choice(setting)
        if isinstance(setting.default, bool):
            return self._check(setting)
        if isinstance(setting.default, int | float):
            return self._number(setting)
        return self._text(setting)

    def _choice(self, setting: Setting) -> QWidget:
        box = QComboBox()
        for value, title in (setting.choices or {}).items():
            box.addItem(translated(title), value)
        box.setFixedWidth(180)
        self._show[setting.key] = lambda: box.setCurrentIndex(box.findData(self._settings.get(setting.key)))
        self._show[setting.key]()
        box.currentIndexChanged.connect(lambda _index: self._settings.set(setting.key, box.currentData()))
        return box

    def _check(self, setting: Setting) -> QWidget:
        check = QCheckBox()
        self._show[setting.key] = lambda: check.setChecked(self._settings.get(setting.key))
        check.toggled.connect(lambda on: self._settings.set(setting.key, on))
        return check

    def _number(self, setting: Setting) -> QWidget:
        low = setting.low if setting.low is not None else -1e9
        high = setting.high if setting.high is not None else 1e9
        spin: QSpinBox | QDoubleSpinBox
        if isinstance(setting.default, int):
            spin = QSpinBox()
            spin.setRange(int(low), int(high))
        else:
            spin = QDoubleSpinBox()
            spin.setRange(low, high)
            spin.setDecimals(2 if high - low <= 2 else 1)
            spin.setSingleStep(0.05 if high - low <= 2 else 1.0)
        spin.setSuffix(f" {setting.unit}" if setting.unit else "")
        spin.setKeyboardTracking(False)
        spin.lineEdit().setTextMargins(6, 0, 6, 0)
        spin.setFixedWidth(120)
        self._show[setting.key] = lambda: spin.setValue(self._settings.get(setting.key))
        self._show[setting.key]()
        spin.valueChanged.connect(lambda value: self._settings.set(setting.key, value))
        return spin

    def _text(self, setting: Setting) -> QWidget:
        field = QLineEdit()
        field.setFixedWidth(240)
        self._show[setting.key] = lambda: field.setText(str(self._settings.get(setting.key)))
        field.editingFinished.connect(lambda: self._settings.set(setting.key, field.text()))
        return field

    def _changed(self, key: str) -> None:
        if key not in self._show:
            return
        self._show[key]()
        setting = next(each for each in SETTINGS if each.key == key)
        self._show_reset(setting)
        if setting.restart:
            self._restart.show()

    def _show_reset(self, setting: Setting) -> None:
        self._resets[setting.key].setVisible(self._settings.get(setting.key) != setting.default)

    def show_section(self, section: str) -> None:
        """Open a section by its key."""
        self._names.setCurrentRow(
            [s for s in SECTIONS if any(t.section == s for t in SETTINGS)].index(section)
        )

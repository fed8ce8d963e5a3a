"""The shortcut sheet and the shortcut editor."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QKeySequenceEdit,
    QLineEdit,
    QScrollArea,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.ui.actions import ACTION_BY_ID, ACTIONS
from app.ui.actions.keys import Conflict, KeyMap, conflicts, keymap
from app.ui.actions.layout import GESTURES, SECTIONS
from app.ui.actions.spec import PRESETS
from app.ui.dialogs.base import Dialog
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import Notice, button, column, label, line, row

_PRESET_TITLES = {"own": "CoordLabel", "labelme": "labelme", "cvat": "CVAT"}


def native(key: str) -> str:
    """Return a shortcut as this platform writes it."""
    return QKeySequence.fromString(key).toString(QKeySequence.SequenceFormat.NativeText)


class ShortcutSheet(Dialog):
    """All shortcuts on one page, in three columns."""

    def __init__(self, keys: Mapping[str, tuple[str, ...]], parent: QWidget | None = None) -> None:
        super().__init__(tr("Keyboard shortcuts"), parent=parent)
        columns = [QVBoxLayout() for _ in range(3)]
        lengths = [0, 0, 0]
        blocks = [
            (
                tr(title),
                [
                    (tr(s.text).rstrip("…"), keys.get(s.id, ()))
                    for s in ACTIONS
                    if s.id.startswith(f"{area}.")
                ],
            )
            for area, title in SECTIONS.items()
        ]
        for title, entries in sorted(blocks, key=lambda block: -len(block[1])):
            shown = [(text, own) for text, own in entries if own and not text.startswith(tr("Class") + " ")]
            if title == tr("Classes"):
                shown.insert(0, (tr("Choose a class"), ("1 … 9, 0",)))
            target = lengths.index(min(lengths))
            lengths[target] += len(shown) + 2
            self._add_block(columns[target], title, shown)
        target = lengths.index(min(lengths))
        self._add_block(
            columns[target], tr("Mouse and held keys"), [(tr(what), (how,)) for how, what in GESTURES]
        )
        inside = QWidget()
        inside.setObjectName("page")
        all_columns = QHBoxLayout(inside)
        all_columns.setSpacing(36)
        for each in columns:
            each.setSpacing(6)
            each.addStretch(1)
            all_columns.addLayout(each, 1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(inside)
        self.edit_button = button(
            tr("Change shortcuts…"), kind="quiet", icon_name="mdi6.keyboard-settings-outline"
        )
        self.finish(column(scroll, row(self.edit_button, None)), cancel=False)
        self.resize(1080, 780)

    def _add_block(self, layout: QVBoxLayout, title: str, entries: list[tuple[str, tuple[str, ...]]]) -> None:
        layout.addWidget(label(title, "section"))
        layout.addWidget(line())
        for text, own in entries:
            caps = [label(key if "…" in key or " " in key else native(key), "key") for key in own[:2]]
            layout.addLayout(row(label(text, "muted"), None, *caps, spacing=4))
        layout.addSpacing(16)


class ShortcutEditor(Dialog):
    """Choose a preset, change single shortcuts; conflicts are shown and prevent saving."""

    def __init__(
        self, preset: str, changes: Mapping[str, tuple[str, ...]], parent: QWidget | None = None
    ) -> None:
        super().__init__(tr("Change shortcuts"), parent=parent)
        self._changes = dict(changes)
        self.preset = QComboBox()
        for name in PRESETS:
            self.preset.addItem(_PRESET_TITLES[name], name)
        self.preset.setCurrentIndex(PRESETS.index(preset) if preset in PRESETS else 0)
        self.preset.currentIndexChanged.connect(self._preset_chosen)
        self.search = QLineEdit(placeholderText=tr("Search"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.tree = self._make_tree()
        self.editor = QKeySequenceEdit()
        self.editor.setMaximumSequenceLength(1)
        self.editor.editingFinished.connect(self._edited)
        self._reset = button(tr("Reset"), self._reset_one)
        self._clear = button(tr("None"), self._clear_one)
        self._notice = Notice(level="warn")
        edit_row = row(label(tr("Press the new keys"), "muted"), self.editor, self._reset, self._clear)
        head = row(label(tr("Preset"), "muted"), self.preset, None, self.search)
        self.finish(column(head, self.tree, edit_row, self._notice), tr("Save"))
        self._fill()
        self.resize(640, 640)

    def _make_tree(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setProperty("kind", "boxed")
        tree.setHeaderLabels([tr("Command"), tr("Shortcut")])
        tree.setColumnWidth(0, 340)
        tree.setRootIsDecorated(False)
        tree.currentItemChanged.connect(self._selected)
        return tree

    @property
    def preset_name(self) -> str:
        """The chosen preset."""
        return str(self.preset.currentData())

    @property
    def changes(self) -> dict[str, tuple[str, ...]]:
        """The shortcuts that differ from the preset."""
        base = keymap(self.preset_name)
        return {i: keys for i, keys in self._changes.items() if base.get(i) != keys}

    def keys(self) -> KeyMap:
        """Return the shortcuts as they would be saved."""
        return keymap(self.preset_name, self._changes)

    def conflicts(self) -> list[Conflict]:
        """Return the keys that two commands claim."""
        return conflicts(self.keys())

    def _fill(self) -> None:
        self.tree.clear()
        keys = self.keys()
        for area, title in SECTIONS.items():
            for spec in ACTIONS:
                if not spec.id.startswith(f"{area}."):
                    continue
                own = ", ".join(native(key) for key in keys[spec.id])
                item = QTreeWidgetItem([f"{tr(title)}: {tr(spec.text).rstrip('…')}", own])
                item.setData(0, Qt.ItemDataRole.UserRole, spec.id)
                item.setIcon(0, icon(spec.icon or "mdi6.circle-small", "muted"))
                self.tree.addTopLevelItem(item)
        self._filter(self.search.text())
        self._show_conflicts()

    def _filter(self, text: str) -> None:
        for item in self._items():
            content = f"{item.text(0)} {item.text(1)}".lower()
            item.setHidden(any(word not in content for word in text.lower().split()))

    def _items(self) -> list[QTreeWidgetItem]:
        found = (self.tree.topLevelItem(place) for place in range(self.tree.topLevelItemCount()))
        return [item for item in found if item is not None]

    def _current(self) -> str | None:
        item = self.tree.currentItem()
        return None if item is None else str(item.data(0, Qt.ItemDataRole.UserRole))

    def select(self, action_id: str) -> None:
        """Choose a command to change."""
        for item in self._items():
            if item.data(0, Qt.ItemDataRole.UserRole) == action_id:
                self.tree.setCurrentItem(item)

    def _selected(self) -> None:
        action_id = self._current()
        own = self.keys()[action_id] if action_id else ()
        self.editor.setKeySequence(QKeySequence.fromString(own[0] if own else ""))

    def assign(self, action_id: str, keys: tuple[str, ...]) -> None:
        """Give a command other shortcuts."""
        self._changes[action_id] = keys
        self._fill()
        self.select(action_id)

    def _edited(self) -> None:
        action_id = self._current()
        text = self.editor.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        if action_id and text and (text,) != self.keys()[action_id][:1]:
            self.assign(action_id, (text,))

    def _reset_one(self) -> None:
        action_id = self._current()
        if action_id:
            self.assign(action_id, ACTION_BY_ID[action_id].keys_in(self.preset_name))

    def _clear_one(self) -> None:
        action_id = self._current()
        if action_id:
            self.assign(action_id, ())

    def _preset_chosen(self) -> None:
        self._changes.clear()
        self._fill()

    def _show_conflicts(self) -> None:
        found = self.conflicts()
        self._notice.setVisible(bool(found))
        self.primary.setEnabled(not found)
        if found:
            first = found[0]
            self._notice.show_text(
                tr(
                    "{key} belongs to both “{a}” and “{b}”. Change one of them.",
                    key=native(first.key),
                    a=tr(ACTION_BY_ID[first.first].text).rstrip("…"),
                    b=tr(ACTION_BY_ID[first.second].text).rstrip("…"),
                ),
                "warn",
            )

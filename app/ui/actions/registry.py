"""Turn the table of actions into `QAction` objects and give them hands."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QToolBar, QWidget

from app.ui.actions.keys import KeyMap, keymap
from app.ui.actions.layout import MENUS
from app.ui.actions.spec import ActionSpec
from app.ui.actions.table import ACTIONS
from app.ui.texts import tr
from app.ui.theme import icon


class ActionRegistry(QObject):
    """All actions of a window by id; shortcuts follow the chosen preset and the user's changes."""

    keys_changed = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.actions: dict[str, QAction] = {}
        self.keys: KeyMap = keymap("own")
        self._groups: dict[str, QActionGroup] = {}
        for spec in ACTIONS:
            self._create(spec)
        self.set_keys(self.keys)

    def __getitem__(self, action_id: str) -> QAction:
        return self.actions[action_id]

    def _create(self, spec: ActionSpec) -> None:
        action = QAction(tr(spec.text), self._window)
        action.setObjectName(spec.id)
        action.setCheckable(spec.checkable)
        if spec.group:
            group = self._groups.setdefault(spec.group, QActionGroup(self))
            group.addAction(action)
        self._window.addAction(action)
        self.actions[spec.id] = action

    def bind(self, action_id: str, handler: Callable[[], object]) -> None:
        """Call `handler` whenever the action is triggered."""
        self.actions[action_id].triggered.connect(lambda _checked=False: handler())

    def bind_toggle(self, action_id: str, handler: Callable[[bool], object]) -> None:
        """Call `handler` with the new state whenever a checkable action is triggered by the user."""
        self.actions[action_id].triggered.connect(handler)

    def set_keys(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        """Use these shortcuts from now on and say them in the tooltips."""
        self.keys = dict(keys)
        for spec in ACTIONS:
            action = self.actions[spec.id]
            sequences = [QKeySequence.fromString(key) for key in keys.get(spec.id, ())]
            action.setShortcuts(sequences)
            shown = sequences[0].toString(QKeySequence.SequenceFormat.NativeText) if sequences else ""
            title = tr(spec.text).rstrip("…")
            head = f"<b>{title}</b>" + (f"&nbsp;&nbsp;<code>{shown}</code>" if shown else "")
            action.setToolTip(f"{head}<br>{tr(spec.tip)}" if spec.tip else head)
        self.keys_changed.emit()

    def refresh_icons(self) -> None:
        """Tint all icons anew after the theme changed."""
        for spec in ACTIONS:
            if spec.icon:
                self.actions[spec.id].setIcon(icon(spec.icon))

    def fill_menu_bar(self, bar: QMenuBar) -> dict[str, QMenu]:
        """Build the menus of the table; return the submenus of `@` entries by their name."""
        special: dict[str, QMenu] = {}
        for title, entries in MENUS:
            menu = bar.addMenu(tr(title))
            for entry in entries:
                if entry == "-":
                    menu.addSeparator()
                elif entry.startswith("@"):
                    special[entry[1:]] = menu.addMenu(tr("Recent projects"))
                else:
                    menu.addAction(self.actions[entry])
        return special

    def fill_toolbar(self, bar: QToolBar, entries: tuple[str, ...]) -> None:
        """Put the actions on a toolbar."""
        for entry in entries:
            if entry == "-":
                bar.addSeparator()
            else:
                bar.addAction(self.actions[entry])

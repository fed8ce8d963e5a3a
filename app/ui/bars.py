"""The menu bar and the tool bars of the window, filled from the table of actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QPushButton, QSizePolicy, QToolBar, QToolButton, QWidget

from app.services.recent import RecentProject
from app.ui.actions import ActionRegistry
from app.ui.actions.layout import TOOL_STRIP, TOOLBAR
from app.ui.pages.host import page_bar
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import button

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

_ICON = QSize(20, 20)


@dataclass(frozen=True)
class Bars:
    """The bars of the window.

    Attributes:
        pages: The switcher of pages.
        top: Common actions, review and export, and the button that propagates.
        tools: The tools of the canvas.
        propagate: That button; its icon has a colour of its own.
    """

    pages: QToolBar
    top: QToolBar
    tools: QToolBar
    propagate: QPushButton

    def placed(self) -> tuple[tuple[Qt.ToolBarArea, QToolBar], ...]:
        """Return where each bar goes, in their order."""
        top, left = Qt.ToolBarArea.TopToolBarArea, Qt.ToolBarArea.LeftToolBarArea
        return (top, self.pages), (top, self.top), (left, self.tools)


def make_bars(window: MainWindow) -> Bars:
    """Fill the menu bar of the window, and make its tool bars."""
    actions = window.actions_by_id
    recent = actions.fill_menu_bar(window.menuBar())["recent"]
    recent.aboutToShow.connect(lambda: _fill_recent(recent, window))
    bars = Bars(
        page_bar(window, window.host),
        QToolBar(tr("Main toolbar")),
        QToolBar(tr("Tools")),
        _propagate(actions),
    )
    bars.top.setObjectName("top")
    bars.tools.setObjectName("tools")
    for _, bar in bars.placed():
        bar.setMovable(False)
        bar.setIconSize(_ICON)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    actions.fill_toolbar(bars.top, TOOLBAR)
    spacer = QWidget()
    spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    bars.top.addWidget(spacer)
    for action_id in ("review.toggle", "file.export"):
        bars.top.addWidget(_text_button(actions[action_id]))
    bars.top.addWidget(bars.propagate)
    actions.fill_toolbar(bars.tools, TOOL_STRIP)
    return bars


def _propagate(actions: ActionRegistry) -> QPushButton:
    action = actions["label.propagate"]
    made = button(tr("Propagate"), action.trigger, kind="primary", icon_name="mdi6.creation")
    made.setToolTip(action.toolTip())
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return made


def _text_button(action: QAction) -> QToolButton:
    made = QToolButton()
    made.setDefaultAction(action)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return made


def _fill_recent(menu: QMenu, window: MainWindow) -> None:
    menu.clear()
    items: list[RecentProject] = window.context.recent.items()
    for found in items:
        action = QAction(icon("mdi6.folder-image"), found.name, menu)
        action.setToolTip(str(found.path))
        action.setEnabled(found.exists)
        action.triggered.connect(lambda _checked=False, path=found.path: window.open_project(path))
        menu.addAction(action)
    if not items:
        menu.addAction(tr("None yet")).setEnabled(False)

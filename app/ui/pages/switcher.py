"""The switch between the pages: one slim control at the beginning of the top bar."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QToolButton

from app.ui.actions import ActionRegistry
from app.ui.texts import tr
from app.ui.widgets.basics import row


class Switcher(QFrame):
    """One button a page, joined; the action of the page that is shown is checked."""

    def __init__(self, actions: ActionRegistry, pages: tuple[str, ...]) -> None:
        super().__init__()
        self.setObjectName("switcher")
        self.setAccessibleName(tr("Pages"))
        self.buttons: dict[str, QToolButton] = {}
        layout = row(spacing=2)
        layout.setContentsMargins(3, 3, 3, 3)
        for page in pages:
            made = QToolButton()
            made.setDefaultAction(actions[f"page.{page}"])
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setIconSize(QSize(16, 16))
            made.setAccessibleName(actions[f"page.{page}"].text())
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            layout.addWidget(made)
            self.buttons[page] = made
        self.setLayout(layout)

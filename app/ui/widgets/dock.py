"""Dock widgets with a quiet title."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.ui.texts import tr
from app.ui.widgets.basics import icon_button, label


class Dock(QDockWidget):
    """A panel with a one-line title; more buttons may stand in the title."""

    def __init__(self, name: str, title: str, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setObjectName(name)
        self._bar = QWidget()
        self._bar_layout = QHBoxLayout(self._bar)
        self._bar_layout.setContentsMargins(10, 4, 4, 2)
        self._bar_layout.setSpacing(2)
        self.title = label(title, "section")
        self._bar_layout.addWidget(self.title)
        self._bar_layout.addStretch(1)
        close = icon_button("mdi6.close", tr("Hide this panel"), self.close)
        self._bar_layout.addWidget(close)
        self.setTitleBarWidget(self._bar)
        frame = QFrame()
        frame.setObjectName("panel")
        self._inside = QVBoxLayout(frame)
        self._inside.setContentsMargins(0, 0, 0, 0)
        self._content = content
        self._inside.addWidget(content)
        self._buttons: list[QWidget] = []
        self.setWidget(frame)
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetClosable | QDockWidget.DockWidgetFeature.DockWidgetMovable
        )
        self.setAllowedAreas(Qt.DockWidgetArea.AllDockWidgetAreas)

    def set_content(self, content: QWidget) -> None:
        """Show something else; what was there before is deleted."""
        before, self._content = self._content, content
        self._inside.replaceWidget(before, content)
        before.hide()
        before.deleteLater()

    def set_buttons(self, buttons: list[QWidget]) -> None:
        """Put buttons into the title, left of the closing one; those before are deleted."""
        for made in self._buttons:
            self._bar_layout.removeWidget(made)
            made.hide()
            made.deleteLater()
        self._buttons = buttons
        for made in buttons:
            self._bar_layout.insertWidget(self._bar_layout.count() - 1, made)

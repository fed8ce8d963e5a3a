"""The frame all dialogs share: title, body, buttons at the bottom right."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QLayout, QVBoxLayout, QWidget

from app.ui.texts import tr
from app.ui.widgets.basics import button, label, row


class Dialog(QDialog):
    """A dialog with a heading and one primary button."""

    def __init__(self, title: str, explanation: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(24, 20, 24, 20)
        self._layout.setSpacing(12)
        self._layout.addWidget(label(title, "heading"))
        if explanation:
            self._layout.addWidget(label(explanation, "muted", wrap=True))
        self.primary = button("", self.accept, kind="primary")
        self.primary.setDefault(True)
        self.cancel = button(tr("Cancel"), self.reject)

    def finish(self, body: QLayout | QWidget, primary: str = "", *, cancel: bool = True) -> None:
        """Put the body in and the buttons below it."""
        if isinstance(body, QWidget):
            self._layout.addWidget(body, 1)
        else:
            self._layout.addLayout(body, 1)
        self._layout.addSpacing(4)
        self.cancel.setVisible(cancel)
        self.primary.setText(primary or tr("Close"))
        self._layout.addLayout(row(None, self.cancel, self.primary))

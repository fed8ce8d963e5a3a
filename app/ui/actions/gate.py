"""Bare keys do nothing while a text field has the focus."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QKeySequenceEdit,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

_TYPING = (QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QKeySequenceEdit)


def takes_typing(widget: QWidget | None) -> bool:
    """Return whether keys typed into `widget` become text."""
    if isinstance(widget, QComboBox):
        return widget.isEditable()
    return isinstance(widget, _TYPING)


class BareKeyGate(QObject):
    """Claim every plain key for the text field that has the focus, before shortcuts see it."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._app = app
        app.installEventFilter(self)

    def remove(self) -> None:
        """Stop filtering."""
        self._app.removeEventFilter(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802, ARG002
        """Accept the override of plain keys, which hands them to the field as text."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        if not takes_typing(QApplication.focusWidget()):
            return False
        control = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        control |= Qt.KeyboardModifier.MetaModifier
        is_function = Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35
        if event.modifiers() & control or is_function:
            return False
        event.accept()
        return False

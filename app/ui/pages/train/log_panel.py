"""What happened in a run: notes with their time, and the words of its process."""

from __future__ import annotations

from PySide6.QtGui import QFont, QFontDatabase
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QPlainTextEdit, QTabWidget, QWidget

from app.services.training_values import Note
from app.ui.pages.train.words import clock_text
from app.ui.texts import tr
from app.ui.theme import icon
from app.ui.widgets.basics import column

_LEVELS = {
    "info": ("mdi6.circle-small", "muted"),
    "warning": ("mdi6.alert-outline", "warn"),
    "error": ("mdi6.alert-circle-outline", "bad"),
}


class LogPanel(QWidget):
    """Notes and log in two tabs."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = QListWidget()
        self.notes.setAccessibleName(tr("What happened"))
        self.notes.setWordWrap(True)
        self.notes.setStyleSheet("QListWidget::item { padding: 1px 4px; }")
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(2000)
        self.text.setAccessibleName(tr("Log of the process"))
        font = QFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        font.setPixelSize(12)
        self.text.setFont(font)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.notes, tr("What happened"))
        self.tabs.addTab(self.text, tr("Log"))
        self._shown: tuple[Note, ...] = ()
        self.setLayout(column(self.tabs))

    def show_notes(self, notes: tuple[Note, ...]) -> None:
        """Show notes, oldest first; the newest is in view."""
        if notes == self._shown:
            return
        if notes[: len(self._shown)] != self._shown:
            self.notes.clear()
            self._shown = ()
        for note in notes[len(self._shown) :]:
            name, token = _LEVELS.get(note.level, _LEVELS["info"])
            self.notes.addItem(QListWidgetItem(icon(name, token), f"{clock_text(note.time)}   {note.text}"))
        self._shown = notes
        self.notes.scrollToBottom()

    def show_log(self, text: str) -> None:
        """Show the end of the log; the view stays at the end if it is there."""
        if text == self.text.toPlainText():
            return
        bar = self.text.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        place = bar.value()
        self.text.setPlainText(text)
        bar.setValue(bar.maximum() if at_end else place)

    @property
    def shows_log(self) -> bool:
        """Whether the log is in view."""
        return self.tabs.currentWidget() is self.text

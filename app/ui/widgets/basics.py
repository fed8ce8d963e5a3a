"""Labels, buttons, cards and notices in the house style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.ui.theme import icon

Role = Literal["title", "heading", "section", "muted", "faint", "key", "bad", "warn", "good", ""]
Kind = Literal["primary", "quiet", ""]
Level = Literal["info", "warn", "bad", "good"]

_LEVELS: dict[str, tuple[str, str]] = {
    "info": ("mdi6.information-outline", "accent"),
    "warn": ("mdi6.alert-outline", "warn"),
    "bad": ("mdi6.alert-circle-outline", "bad"),
    "good": ("mdi6.check-circle-outline", "good"),
}


def label(text: str = "", role: Role = "", *, wrap: bool = False) -> QLabel:
    """Return a label in one of the text styles."""
    made = QLabel(text)
    made.setProperty("role", role)
    made.setWordWrap(wrap)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if wrap:
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return made


def set_role(widget: QLabel, role: Role) -> None:
    """Change the text style of a label."""
    set_property(widget, "role", role)


def set_property(widget: QWidget, name: str, value: object) -> None:
    """Change a property that the stylesheet looks at."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def button(
    text: str, handler: Callable[[], object] | None = None, *, kind: Kind = "", icon_name: str = ""
) -> QPushButton:
    """Return a push button; `primary` for the one thing a person came for."""
    made = QPushButton(f" {text}" if icon_name else text)
    made.setProperty("kind", kind)
    if icon_name:
        made.setIcon(icon(icon_name, "on_accent" if kind == "primary" else "text"))
    if handler is not None:
        made.clicked.connect(lambda _checked=False: handler())
    return made


def icon_button(icon_name: str, tip: str, handler: Callable[[], object] | None = None) -> QToolButton:
    """Return a small button with an icon; the tip is its accessible name too."""
    made = QToolButton()
    made.setIcon(icon(icon_name, "muted"))
    made.setIconSize(QSize(16, 16))
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setAutoRaise(True)
    if handler is not None:
        made.clicked.connect(lambda _checked=False: handler())
    return made


def row(*items: QWidget | QLayout | int | None, spacing: int = 8) -> QHBoxLayout:
    """Return a row of widgets and layouts; None stretches, a number is a gap."""
    layout = QHBoxLayout()
    return _fill(layout, items, spacing)  # type: ignore[return-value]


def column(*items: QWidget | QLayout | int | None, spacing: int = 8) -> QVBoxLayout:
    """Return a column of widgets and layouts; None stretches, a number is a gap."""
    layout = QVBoxLayout()
    return _fill(layout, items, spacing)  # type: ignore[return-value]


def _fill(
    layout: QHBoxLayout | QVBoxLayout, items: tuple[QWidget | QLayout | int | None, ...], spacing: int
) -> QLayout:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, int):
            layout.addSpacing(item)
        elif isinstance(item, QWidget):
            layout.addWidget(item)
        else:
            layout.addLayout(item)
    return layout


def slider(low: int, high: int, name: str) -> QSlider:
    """Return a horizontal slider with an accessible name."""
    made = QSlider(Qt.Orientation.Horizontal)
    made.setRange(low, high)
    made.setAccessibleName(name)
    return made


def line() -> QFrame:
    """Return a thin rule."""
    made = QFrame()
    made.setObjectName("line")
    return made


def clear(layout: QLayout) -> None:
    """Remove and delete everything in a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear(inner)


class ElidedLabel(QLabel):
    """A line of text that gives way: too long a text ends in dots and is shown whole as a tooltip."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text."""
        super().setText(text)
        self.setToolTip(text)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        """Draw as much as fits."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), self.alignment(), text)
        painter.end()


class Card(QFrame):
    """A raised box that can be chosen."""

    clicked = Signal()

    def __init__(self, content: QLayout, *, hoverable: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setProperty("hoverable", "true" if hoverable else "false")
        content.setContentsMargins(14, 12, 14, 12)
        self.setLayout(content)
        self._hoverable = hoverable
        if hoverable:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def set_selected(self, selected: bool) -> None:
        """Show whether this card is the chosen one."""
        set_property(self, "selected", "true" if selected else "false")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Be clicked."""
        if self._hoverable and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Be chosen with Space or Enter."""
        if self._hoverable and event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)


class Notice(QFrame):
    """A coloured line that says something and may offer something to do."""

    def __init__(self, text: str = "", level: Level = "info", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._level: Level = level
        self._icon = QLabel()
        self._text = label(text, wrap=True)
        self._buttons = QHBoxLayout()
        layout = row(self._icon, self._text, self._buttons, spacing=10)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.show_text(text, level)

    def show_text(self, text: str, level: Level = "info") -> None:
        """Say something else."""
        set_property(self, "level", level)
        self._level = level
        self._tint()
        self._text.setText(text)

    def _tint(self) -> None:
        name, token = _LEVELS[self._level]
        self._icon.setPixmap(icon(name, token).pixmap(18, 18))

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Tint the icon anew after the theme changed."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def add_button(self, made: QWidget) -> None:
        """Offer something to do."""
        self._buttons.addWidget(made)


class EmptyState(QWidget):
    """What a panel shows when it has nothing: an icon, a sentence, and what to do."""

    def __init__(
        self,
        icon_name: str,
        title: str,
        text: str = "",
        action: QPushButton | None = None,
        *,
        compact: bool = False,
    ) -> None:
        super().__init__()
        self._icon_name = icon_name
        self._picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._size = 28 if compact else 44
        self.title = label(title, "section" if compact else "heading", wrap=True)
        self.text = label(text, "muted", wrap=True)
        for each in (self.title, self.text):
            each.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.text.setVisible(bool(text))
        layout = column(None, self._picture, self.title, self.text, spacing=6)
        if action is not None:
            layout.addSpacing(8)
            layout.addWidget(action, alignment=Qt.AlignmentFlag.AlignCenter)
        layout.addStretch(1)
        layout.setContentsMargins(20, 16, 20, 16)
        self.setLayout(layout)
        self.refresh_icons()

    def refresh_icons(self) -> None:
        """Tint the picture anew after the theme changed."""
        self._picture.setPixmap(icon(self._icon_name, "faint").pixmap(self._size, self._size))

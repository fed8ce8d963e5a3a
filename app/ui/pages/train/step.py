"""The frame of one step of the setup: a number that becomes a tick, a title, and the content."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLayout, QWidget

from app.ui.theme import colour, icon
from app.ui.widgets.basics import column, label, row


class StepNumber(QWidget):
    """A number in a circle; done, it is a tick."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.state = ""
        self.setFixedSize(QSize(24, 24))

    def set_state(self, state: str) -> None:
        """Show ``done``, ``bad`` or just the number."""
        self.state = state
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        """Draw the circle."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill, ink = {"done": ("good_soft", "good"), "bad": ("bad_soft", "bad")}.get(
            self.state, ("accent_soft", "accent")
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(fill))
        circle = QRectF(0.5, 0.5, 23, 23)
        painter.drawEllipse(circle)
        if self.state:
            name = "mdi6.check-bold" if self.state == "done" else "mdi6.exclamation-thick"
            icon(name, ink).paint(painter, self.rect().adjusted(5, 5, -5, -5))
        else:
            font = painter.font()
            font.setBold(True)
            painter.setFont(font)
            painter.setPen(colour(ink))
            painter.drawText(circle, Qt.AlignmentFlag.AlignCenter, str(self._number))
        painter.end()


class StepCard(QFrame):
    """One step.

    Args:
        number: Its place, from 1.
        title: What is chosen here.
        content: The controls.
        extra: A control at the right of the title.
    """

    def __init__(self, number: int, title: str, content: QLayout, extra: QWidget | None = None) -> None:
        super().__init__()
        self.setObjectName("step")
        self.setAccessibleName(title)
        self.number = StepNumber(number)
        self.title = label(title, "section")
        self.summary = label("", "muted")
        head = row(self.number, self.title, self.summary, None, spacing=10)
        if extra is not None:
            head.addWidget(extra)
        layout = column(head, content, spacing=12)
        layout.setContentsMargins(16, 14, 16, 16)
        self.setLayout(layout)

    def set_state(self, state: str, summary: str = "") -> None:
        """Show whether the step is ``done`` or ``bad``, and what was chosen."""
        self.number.set_state(state)
        self.summary.setText(summary)

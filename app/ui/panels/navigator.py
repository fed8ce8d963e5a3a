"""A small picture of the whole image with the part in view."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui.canvas.image_view import ImageView
from app.ui.theme import colour


class Navigator(QWidget):
    """Shows where the canvas looks; click or drag to look elsewhere."""

    def __init__(self, view: ImageView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        view.viewChanged.connect(self.update)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("navigator")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for a small square."""
        return QSize(220, 170)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Stay visible."""
        return QSize(120, 90)

    def _picture_rect(self) -> QRectF:
        view = self._view.viewport
        room = QRectF(self.rect()).adjusted(10, 4, -10, -10)
        scale = min(room.width() / view.width, room.height() / view.height)
        wide, high = view.width * scale, view.height * scale
        return QRectF(room.center().x() - wide / 2, room.center().y() - high / 2, wide, high)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        """Draw the smallest level of the image and a frame around what is in view."""
        pyramid = self._view.compositor.pyramid
        if pyramid is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self._picture_rect()
        view = self._view.viewport
        scale = box.width() / view.width * self.devicePixelRatioF()
        pyramid.draw(painter, box, QRectF(0, 0, view.width, view.height), scale)
        x0, y0, x1, y1 = view.visible()
        part = QRectF(
            box.left() + x0 / view.width * box.width(),
            box.top() + y0 / view.height * box.height(),
            max((x1 - x0) / view.width * box.width(), 4),
            max((y1 - y0) / view.height * box.height(), 4),
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 90))
        for shade in (
            QRectF(box.left(), box.top(), box.width(), part.top() - box.top()),
            QRectF(box.left(), part.bottom(), box.width(), box.bottom() - part.bottom()),
            QRectF(box.left(), part.top(), part.left() - box.left(), part.height()),
            QRectF(part.right(), part.top(), box.right() - part.right(), part.height()),
        ):
            painter.drawRect(shade)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour("accent"), 2))
        painter.drawRect(part)
        painter.end()

    def _go(self, event: QMouseEvent) -> None:
        box = self._picture_rect()
        view = self._view.viewport
        x = (event.position().x() - box.left()) / box.width() * view.width
        y = (event.position().y() - box.top()) / box.height() * view.height
        self._view.centre_on(x, y)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Look there."""
        self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Follow the mouse."""
        self._go(event)

"""Show one image with its labels: zoom, pan, peek, markers. What the canvas and the reference view share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QRadialGradient,
    QRegion,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui.actions.gate import takes_typing
from app.ui.canvas.compositor import Compositor
from app.ui.canvas.pyramid import Pyramid
from app.ui.canvas.viewport import Viewport
from app.ui.theme import colour

WHEEL_FACTOR = 1.2
"""Zoom of one notch of the wheel."""


@dataclass(frozen=True)
class Marker:
    """A glowing spot on the image: where another view's cursor points to.

    Args:
        x: Image coordinate of the spot.
        y: Image coordinate of the spot.
        certainty: 0 to 1; a doubtful match glows wider and paler.
    """

    x: float
    y: float
    certainty: float


class ImageView(QWidget):
    """An image with label overlay and heat map that can be moved and zoomed."""

    hovered = Signal(int, int)
    """Image pixel under the cursor."""
    left = Signal()
    """The cursor left the image."""
    viewChanged = Signal()  # noqa: N815
    """Another part of the image is in view."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewport = Viewport()
        self.compositor = Compositor(self.viewport)
        self.message = ""
        self._pending = QRegion()
        self._marker: Marker | None = None
        self._pan_from: QPointF | None = None
        self._space = False
        self._peek = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("image")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for a useful size."""
        return QSize(640, 480)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Stay usable when docks are wide."""
        return QSize(160, 120)

    # -- what is shown -----------------------------------------------------------------------------

    @property
    def has_image(self) -> bool:
        """Whether there is an image to look at."""
        return self.compositor.pyramid is not None

    def set_image(self, pyramid: Pyramid | None, message: str = "") -> None:
        """Show an image, or `message` in its place."""
        same_picture = (
            pyramid is not None
            and self.compositor.pyramid is not None
            and pyramid.image is self.compositor.pyramid.image
        )
        self.compositor.pyramid = pyramid
        self.message = message
        if pyramid is not None and not same_picture:
            self.viewport.set_image(pyramid.image.shape[1], pyramid.image.shape[0])
        self.refresh()
        self.viewChanged.emit()

    def set_labels(self, labels: NDArray[np.uint8] | None) -> None:
        """Show a label map; the array may change later, `invalidate` says where."""
        self.compositor.labels = labels
        self.refresh()

    def set_confidence(self, confidence: NDArray[np.uint8] | None) -> None:
        """Have `uint8 [H, W]` confidences ready for the heat map."""
        self.compositor.confidence = confidence
        if self.compositor.look.heat:
            self.refresh()

    def set_palette(self, palette: NDArray[np.uint8], hidden: frozenset[int] = frozenset()) -> None:
        """Use the classes' colours."""
        self.compositor.set_palette(palette, hidden)
        self.refresh()

    def set_look(self, **changes: object) -> None:
        """Change opacity, contours, heat map, brightness or contrast (fields of `Look`)."""
        self.compositor.set_look(**changes)
        self.refresh()

    def set_marker(self, marker: Marker | None) -> None:
        """Move, show or hide the glowing spot; repaints only around it."""
        for spot in (self._marker, marker):
            if spot is not None:
                x, y = self.viewport.to_widget(spot.x, spot.y)
                self.update(QRect(int(x) - 70, int(y) - 70, 140, 140))
        self._marker = marker

    @property
    def marker(self) -> Marker | None:
        """The glowing spot."""
        return self._marker

    # -- navigation --------------------------------------------------------------------------------

    def fit(self) -> None:
        """Show the whole image."""
        self.viewport.fit()
        self._moved()

    def zoom_to(self, scale: float) -> None:
        """Show `scale` device pixels an image pixel; 1.0 is "100 %" on every screen."""
        self.viewport.zoom_to(scale / self.devicePixelRatioF())
        self._moved()

    def zoom_step(self, direction: int) -> None:
        """Go to the next round scale: 1 in, -1 out."""
        view = self.viewport
        view.zoom_at(view.view_width / 2, view.view_height / 2, view.step(direction))
        self._moved()

    def centre_on(self, x: float, y: float) -> None:
        """Bring an image point into the middle."""
        self.viewport.centre_on(x, y)
        self._moved()

    def _moved(self) -> None:
        self.refresh()
        self.viewChanged.emit()

    # -- painting ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Paint everything anew at the next paint event."""
        self._pending = QRegion(self.compositor.backing.rect())
        self.update()

    def invalidate(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Paint a box of image coordinates anew: what a brush event calls."""
        rect = self.compositor.device_rect(x0, y0, x1, y1)
        if not rect.isEmpty():
            self._pending = self._pending.united(rect)
            self.update(self._to_logical(rect))

    def _to_logical(self, rect: QRect) -> QRect:
        ratio = self.devicePixelRatioF()
        exact = QRectF(rect.x() / ratio, rect.y() / ratio, rect.width() / ratio, rect.height() / ratio)
        return exact.toAlignedRect()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802, ARG002
        """Keep the centre in the centre."""
        self.viewport.set_view(self.width(), self.height())
        self.compositor.resize(self.size(), self.devicePixelRatioF())
        self._moved()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Bring the backing picture up to date and copy the exposed part of it."""
        ratio = self.devicePixelRatioF()
        wanted = QSize(round(self.width() * ratio), round(self.height() * ratio))
        if self.compositor.backing.size() != wanted:
            self.compositor.resize(self.size(), ratio)
            self._pending = QRegion(self.compositor.backing.rect())
        self.compositor.set_background(colour("canvas"))
        for rect in cast(Iterable[QRect], self._pending):
            self.compositor.render(rect)
        self._pending = QRegion()
        painter = QPainter(self)
        try:
            self._paint(painter, event.rect(), ratio)
        finally:
            painter.end()  # a painter left open by an error would take the process down

    def _paint(self, painter: QPainter, rect: QRect, ratio: float) -> None:
        part = QRectF(rect.x() * ratio, rect.y() * ratio, rect.width() * ratio, rect.height() * ratio)
        painter.drawImage(QRectF(rect), self.compositor.backing, part)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._marker is not None:
            self._draw_marker(painter, self._marker)
        self.draw_over(painter)
        if not self.has_image and self.message:
            painter.setPen(colour("muted"))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(32, 32, -32, -32), flags, self.message)

    def draw_over(self, painter: QPainter) -> None:
        """Draw what belongs above the image, in widget coordinates; for subclasses."""

    def _draw_marker(self, painter: QPainter, spot: Marker) -> None:
        centre = QPointF(*self.viewport.to_widget(spot.x, spot.y))
        reach = 22 + 34 * (1 - spot.certainty)
        glow = QRadialGradient(centre, reach)
        warm = QColor(255, 208, 70)
        warm.setAlphaF(0.35 + 0.5 * spot.certainty)
        glow.setColorAt(0.0, warm)
        warm.setAlphaF(0.0)
        glow.setColorAt(1.0, warm)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QBrush(glow))
        painter.drawEllipse(centre, reach, reach)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for width, tint in ((4.0, QColor(20, 20, 20, 160)), (2.0, QColor(255, 222, 110))):
            painter.setPen(QPen(tint, width))
            painter.drawEllipse(centre, 7, 7)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(255, 222, 110))
        painter.drawEllipse(centre, 2, 2)

    # -- mouse and keys ----------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zoom at the cursor; a touchpad's sideways motion moves the image."""
        if event.pixelDelta().x() and not event.modifiers():
            self.viewport.pan(event.pixelDelta().x(), event.pixelDelta().y())
        else:
            notches = event.angleDelta().y() / 120
            where = event.position()
            self.viewport.zoom_at(where.x(), where.y(), WHEEL_FACTOR**notches)
        self._moved()
        event.accept()

    @property
    def is_panning(self) -> bool:
        """Whether the image moves with the mouse, or would at a press."""
        return self._pan_from is not None or self._space

    def wants_pan(self, event: QMouseEvent) -> bool:
        """Return whether a press starts moving the image."""
        left = event.button() == Qt.MouseButton.LeftButton
        return event.button() == Qt.MouseButton.MiddleButton or (left and self._space) or left

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Start moving the image."""
        if self.wants_pan(event):
            self._pan_from = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Move the image, or report what is under the cursor."""
        where = event.position()
        if self._pan_from is not None:
            self.viewport.pan(where.x() - self._pan_from.x(), where.y() - self._pan_from.y())
            self._pan_from = where
            self._moved()
            return
        pixel = self.viewport.pixel_at(where.x(), where.y()) if self.has_image else None
        if pixel is None:
            self.left.emit()
        else:
            self.hovered.emit(*pixel)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802, ARG002
        """Stop moving the image."""
        if self._pan_from is not None:
            self._pan_from = None
            self.update_cursor()

    def update_cursor(self) -> None:
        """Show the shape of the mouse cursor that fits the state."""
        self.setCursor(Qt.CursorShape.OpenHandCursor if self._space else Qt.CursorShape.ArrowCursor)

    def enterEvent(self, event: QEvent) -> None:  # noqa: N802, ARG002
        """Take the keys when the mouse comes, unless someone is typing."""
        window = self.window()
        if window.isActiveWindow() and not takes_typing(window.focusWidget()):
            self.setFocus(Qt.FocusReason.MouseFocusReason)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802, ARG002
        """Report that nothing is under the cursor."""
        self.left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Hold Space to move, hold ` to peek under the labels."""
        if event.key() == Qt.Key.Key_Space:
            self._space = True
            self.update_cursor()
        elif event.key() == Qt.Key.Key_QuoteLeft:
            self.set_peek(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Let go of Space or `."""
        if event.isAutoRepeat():
            return
        if event.key() == Qt.Key.Key_Space:
            self._space = False
            self.update_cursor()
        elif event.key() == Qt.Key.Key_QuoteLeft:
            self.set_peek(False)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QEvent) -> None:  # noqa: N802, ARG002
        """Forget held keys: their release goes to someone else."""
        self._space = False
        self.set_peek(False)
        self.update_cursor()

    def set_peek(self, on: bool) -> None:
        """Hide the labels while `on`, whatever the look says."""
        if on != self._peek:
            self._peek = on
            self.compositor.peek = on
            self.refresh()

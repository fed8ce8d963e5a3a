"""The template box of the crop mode `box`: dragged over one of the images, or moved with the arrow keys."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPen

from app.services.tasks import Worker
from app.ui.pages.train.picture import Picture
from app.ui.texts import tr
from app.ui.theme import colour

Box = tuple[float, float, float, float]
_REACH_PX = 10.0
_LEAST = 0.05
_STEP = 0.01
_ARROWS = {
    Qt.Key.Key_Left: (-_STEP, 0.0),
    Qt.Key.Key_Right: (_STEP, 0.0),
    Qt.Key.Key_Up: (0.0, -_STEP),
    Qt.Key.Key_Down: (0.0, _STEP),
}


def moved(box: Box, dx: float, dy: float) -> Box:
    """Return the box shifted, kept inside the image."""
    left, top, right, bottom = box
    dx = min(max(dx, -left), 1 - right)
    dy = min(max(dy, -top), 1 - bottom)
    return rounded((left + dx, top + dy, right + dx, bottom + dy))


def resized(box: Box, sides: str, x: float, y: float) -> Box:
    """Return the box with the named sides (of ``ltrb``) at a place, never smaller than a twentieth."""
    left, top, right, bottom = box
    x, y = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
    if "l" in sides:
        left = min(x, right - _LEAST)
    if "r" in sides:
        right = max(x, left + _LEAST)
    if "t" in sides:
        top = min(y, bottom - _LEAST)
    if "b" in sides:
        bottom = max(y, top + _LEAST)
    return rounded((left, top, right, bottom))


def rounded(box: Box) -> Box:
    """Return the box in thousandths of the image, inside of it."""
    left, top, right, bottom = (min(max(round(value, 3), 0.0), 1.0) for value in box)
    return (left, top, right, bottom)


class CropBox(Picture):
    """Shows an image and the box; emits `boxChanged` when a drag ends or a key moves it."""

    boxChanged = Signal(object)  # noqa: N815

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, tr("Crop template"), least=QSize(160, 160))
        self.box: Box = (0.0, 0.0, 1.0, 1.0)
        self._drag: tuple[str, QPointF, Box] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setToolTip(tr("Drag the box or its edges. Arrow keys move it, with Shift they change its size."))
        self.setAccessibleDescription(self.toolTip())

    def set_box(self, box: Box) -> None:
        """Show a box."""
        self.box = rounded(box)
        self.update()

    def _place(self, at: QPointF) -> QPointF:
        area = self.area()
        return QPointF((at.x() - area.x()) / area.width(), (at.y() - area.y()) / area.height())

    def _shown_box(self) -> QRectF:
        area, (left, top, right, bottom) = self.area(), self.box
        return QRectF(
            area.x() + left * area.width(),
            area.y() + top * area.height(),
            (right - left) * area.width(),
            (bottom - top) * area.height(),
        )

    def sides_at(self, at: QPointF) -> str:
        """Return which sides a press at this place grabs: of ``ltrb``, ``move`` inside, "" outside."""
        shown = self._shown_box()
        if not shown.adjusted(-_REACH_PX, -_REACH_PX, _REACH_PX, _REACH_PX).contains(at):
            return ""
        near = {
            "l": abs(at.x() - shown.left()),
            "r": abs(at.x() - shown.right()),
            "t": abs(at.y() - shown.top()),
            "b": abs(at.y() - shown.bottom()),
        }
        return "".join(side for side, far in near.items() if far <= _REACH_PX) or "move"

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Grab the box, or begin a new one outside of it."""
        if event.button() != Qt.MouseButton.LeftButton or self.image.isNull():
            return
        at = self._place(event.position())
        sides = self.sides_at(event.position())
        if not sides:
            x, y = min(max(at.x(), 0.0), 1 - _LEAST), min(max(at.y(), 0.0), 1 - _LEAST)
            self.box, sides = (x, y, x + _LEAST, y + _LEAST), "rb"
        self._drag = (sides, at, self.box)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Move or resize."""
        if self._drag is None:
            self._show_cursor(self.sides_at(event.position()))
            return
        sides, start, before = self._drag
        at = self._place(event.position())
        if sides == "move":
            self.box = moved(before, at.x() - start.x(), at.y() - start.y())
        else:
            self.box = resized(before, sides, at.x(), at.y())
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802, ARG002
        """Keep what was drawn."""
        if self._drag is not None:
            self._drag = None
            self.boxChanged.emit(self.box)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Move with the arrows, with Shift change the size."""
        step = _ARROWS.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.box = resized(self.box, "rb", self.box[2] + step[0], self.box[3] + step[1])
        else:
            self.box = moved(self.box, *step)
        self.update()
        self.boxChanged.emit(self.box)

    def _show_cursor(self, sides: str) -> None:
        shapes = {
            "": Qt.CursorShape.CrossCursor,
            "move": Qt.CursorShape.SizeAllCursor,
            "l": Qt.CursorShape.SizeHorCursor,
            "r": Qt.CursorShape.SizeHorCursor,
            "t": Qt.CursorShape.SizeVerCursor,
            "b": Qt.CursorShape.SizeVerCursor,
            "lt": Qt.CursorShape.SizeFDiagCursor,
            "rb": Qt.CursorShape.SizeFDiagCursor,
        }
        self.setCursor(shapes.get(sides, Qt.CursorShape.SizeBDiagCursor))

    def paint_over(self, painter: QPainter, area: QRectF) -> None:
        """Dim what is cut away and draw the box with its corners."""
        if self.image.isNull():
            return
        shown, outside = self._shown_box(), QPainterPath()
        outside.addRect(area)
        outside.addRect(shown)
        painter.fillPath(outside, QColor(10, 12, 18, 140))
        painter.setPen(QPen(colour("accent"), 2))
        painter.drawRect(shown)
        painter.setBrush(colour("accent"))
        painter.setPen(QPen(QColor("white"), 1))
        for corner in (shown.topLeft(), shown.topRight(), shown.bottomLeft(), shown.bottomRight()):
            painter.drawEllipse(corner, 5, 5)

"""Outline an area by its corners; adjustable until it is closed."""

from __future__ import annotations

from math import hypot
from typing import ClassVar

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPainterPath, QPen

from app.ui.canvas.tools.base import Pointer, Tool, ToolHost
from app.ui.texts import tr

GRAB_PX = 9.0
"""Widget pixels within which a corner is taken hold of."""


class PolygonTool(Tool):
    """Click adds a corner, dragging moves one, Enter or a double click fills; Shift or right subtracts."""

    name: ClassVar[str] = "polygon"

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self.points: list[tuple[float, float]] = []
        self._held: int | None = None
        self._moved = False

    @property
    def is_busy(self) -> bool:
        """Whether corners are waiting."""
        return bool(self.points)

    def _corner_at(self, pointer: Pointer) -> int | None:
        for index, point in enumerate(self.points):
            x, y = self.host.viewport.to_widget(*point)
            if hypot(x - pointer.widget.x(), y - pointer.widget.y()) <= GRAB_PX:
                return index
        return None

    def press(self, pointer: Pointer) -> None:
        """Take hold of a corner or add one; the right button closes and subtracts."""
        document = self.host.document
        if document is None or not document.is_editable:
            return
        if pointer.button == Qt.MouseButton.RightButton:
            self.close(subtract=True)
            return
        self._held = self._corner_at(pointer)
        self._moved = False
        if self._held is None:
            self.points.append((pointer.x, pointer.y))
            self._held = len(self.points) - 1
            self._moved = True
        self.host.repaint_over()

    def drag(self, pointer: Pointer) -> None:
        """Move the corner that is held."""
        if self._held is not None and self._held < len(self.points):
            self.points[self._held] = (pointer.x, pointer.y)
            self._moved = True
            self.host.repaint_over()

    def release(self, pointer: Pointer) -> None:
        """Close the polygon when the first corner was clicked without moving it."""
        if self._held == 0 and not self._moved and len(self.points) > 2:
            self.close(subtract=pointer.shift)
        self._held = None

    def hover(self, pointer: Pointer) -> None:  # noqa: ARG002
        """Follow the mouse with the open side."""
        if self.points:
            self.host.repaint_over()

    def double_click(self, pointer: Pointer) -> None:
        """Fill; the two clicks of a double click made one corner only, being in one place."""
        self.close(subtract=pointer.shift)

    def key(self, event: QKeyEvent) -> bool:
        """Enter closes, Backspace takes back a corner, Esc drops all."""
        if not self.points:
            return False
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close(subtract=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif event.key() == Qt.Key.Key_Backspace:
            self.points.pop()
        elif event.key() == Qt.Key.Key_Escape:
            self.points.clear()
        else:
            return False
        self.host.repaint_over()
        return True

    def close(self, *, subtract: bool = False) -> None:
        """Fill the polygon with the current class, or take the current class out of it."""
        from app.domain.label_map import Region, polygon_region

        document = self.host.document
        points, self.points = self.points, []
        self.host.repaint_over()
        if document is None or len(points) < 3:
            return
        region = polygon_region([(x - 0.5, y - 0.5) for x, y in points], document.labels.shape)
        if region is None:
            return
        if subtract:
            own = document.labels[region.box.slices] == self.options.class_id
            document.paint_region(Region(region.box, region.mask & own), 0, tr("Subtract polygon"))
        else:
            document.paint_region(region, self.options.class_id, tr("Polygon"))

    def deactivate(self) -> None:
        """Drop an open polygon."""
        self.points.clear()
        self._held = None

    def draw(self, painter: QPainter, cursor: QPointF | None) -> None:
        """Show corners, sides and the open side to the mouse."""
        if not self.points:
            return
        corners = [QPointF(*self.host.viewport.to_widget(*point)) for point in self.points]
        path = QPainterPath(corners[0])
        for corner in corners[1:]:
            path.lineTo(corner)
        if cursor is not None and self._held is None:
            path.lineTo(cursor)
        tint = self.host.class_colour(self.options.class_id)
        inside = QColor(tint)
        inside.setAlpha(60)
        painter.setBrush(inside)
        for colour, width in ((QColor(0, 0, 0, 140), 3.5), (tint, 1.75)):
            painter.setPen(QPen(colour, width))
            painter.drawPath(path)
            painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(0, 0, 0, 160), 1.0))
        for index, corner in enumerate(corners):
            painter.setBrush(tint if index == 0 else QColor("white"))
            painter.drawEllipse(corner, 4.5, 4.5)

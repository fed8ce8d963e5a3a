"""Paint the current class, or background."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter

from app.ui.canvas.tools.base import Pointer, Tool, ToolHost, draw_circle
from app.ui.texts import tr


class BrushTool(Tool):
    """Paint along the mouse's way; the right button, and Alt, erase."""

    name: ClassVar[str] = "brush"
    cursor: ClassVar[Qt.CursorShape] = Qt.CursorShape.BlankCursor
    has_radius: ClassVar[bool] = True

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._last: tuple[float, float] | None = None
        self._value = 0

    @property
    def is_busy(self) -> bool:
        """Whether a stroke is being painted."""
        return self._last is not None

    @property
    def radius(self) -> float:
        """Radius in image pixels; a brush of one pixel paints exactly one."""
        return self.options.brush_px / 2

    def value(self, pointer: Pointer) -> int:
        """Return the class that a press paints."""
        erases = pointer.alt or pointer.button == Qt.MouseButton.RightButton
        return 0 if erases else self.options.class_id

    def press(self, pointer: Pointer) -> None:
        """Begin a stroke with a dot; Shift draws a straight line from the end of the last one."""
        document = self.host.document
        if document is None or not document.is_editable:
            return
        self._value = self.value(pointer)
        text = tr("Erase") if self._value == 0 else tr("Brush stroke")
        if not document.begin_stroke(self._value, text):
            return
        straight = [self._end] if pointer.shift and self._end is not None else []
        self._last = pointer.centre
        document.extend_stroke([*straight, pointer.centre], self.radius)

    _end: tuple[float, float] | None = None

    def drag(self, pointer: Pointer) -> None:
        """Paint on to where the mouse is."""
        document = self.host.document
        if self._last is None or document is None:
            return
        document.extend_stroke([pointer.centre], self.radius)
        self._last = pointer.centre

    def release(self, pointer: Pointer) -> None:  # noqa: ARG002
        """End the stroke: one step of undo."""
        document = self.host.document
        if self._last is not None and document is not None:
            self._end, self._last = self._last, None
            document.end_stroke()

    def deactivate(self) -> None:
        """Keep what was painted so far."""
        document = self.host.document
        if self._last is not None and document is not None:
            document.end_stroke()
        self._last = self._end = None

    def draw(self, painter: QPainter, cursor: QPointF | None) -> None:
        """Show the size of the brush in the colour that it paints."""
        if cursor is not None:
            radius = max(self.radius * self.host.viewport.scale, 1.5)
            draw_circle(painter, cursor, radius, self.tint())

    def tint(self) -> QColor:
        """Return the colour of the circle."""
        if self._last is not None and self._value == 0:
            return QColor("white")
        return self.host.class_colour(self.options.class_id)


class EraserTool(BrushTool):
    """Paint background."""

    name: ClassVar[str] = "eraser"

    def value(self, pointer: Pointer) -> int:  # noqa: ARG002
        """Return background, whatever the button."""
        return 0

    def tint(self) -> QColor:
        """Return white: erasing has no class."""
        return QColor("white")

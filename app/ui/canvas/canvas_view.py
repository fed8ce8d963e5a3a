"""The canvas: an image view whose label map the tools change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from app.domain.classes import ClassTable
from app.domain.edits import Box
from app.services.document import Document
from app.services.tasks import Worker
from app.ui.canvas.image_view import ImageView
from app.ui.canvas.options import ToolOptions
from app.ui.canvas.tools import TOOLS, Pointer, Tool

_TOOL_KEYS = {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape, Qt.Key.Key_Backspace}


class CanvasView(ImageView):
    """Shows the open document and lets the current tool change it."""

    said = Signal(str)
    """Something for the status bar."""
    toolChanged = Signal(str)  # noqa: N815
    classNeeded = Signal()  # noqa: N815
    """Someone wants to paint, and there is no class yet."""

    def __init__(self, options: ToolOptions, worker: Worker, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.options = options
        self._worker = worker
        self.document: Document | None = None
        self._classes: ClassTable | None = None
        self._tools: dict[str, Tool] = {tool.name: tool(self) for tool in TOOLS}
        self.tool: Tool = self._tools["brush"]
        self._button: Qt.MouseButton | None = None
        self._sizing: tuple[QPointF, int] | None = None
        self._cursor: QPointF | None = None
        self.setAccessibleName("canvas")
        options.changed.connect(self._option_changed)
        self.update_cursor()

    # -- what is edited ----------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        """Edit another document; a tool in the middle of something keeps or drops it first."""
        self.tool.deactivate()
        if self.document is not None:
            self.document.changed.disconnect(self._document_changed)
            self.document.reloaded.disconnect(self._document_reloaded)
        self.document = document
        self._button = None
        if document is not None:
            document.changed.connect(self._document_changed)
            document.reloaded.connect(self._document_reloaded)
        self.set_labels(None if document is None else document.labels)

    def _document_changed(self, _image_id: int, box: Box) -> None:
        self.invalidate(box.x0, box.y0, box.x1, box.y1)

    def _document_reloaded(self, _image_id: int) -> None:
        if self.document is not None:
            self.set_labels(self.document.labels)

    def set_classes(self, classes: ClassTable) -> None:
        """Use the classes' colours."""
        self._classes = classes
        hidden = frozenset(c.id for c in classes.classes if not c.visible)
        self.set_palette(classes.palette(), hidden)

    def class_colour(self, class_id: int) -> QColor:
        """Return the colour of a class; white for background."""
        found = self._classes.get(class_id) if self._classes is not None and class_id else None
        return QColor(*found.color) if found is not None else QColor("white")

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """The pixels of the image in view."""
        return self.compositor.pyramid.image if self.compositor.pyramid is not None else None

    # -- tools -------------------------------------------------------------------------------------

    def set_tool(self, name: str) -> None:
        """Take another tool in the hand."""
        if name == self.tool.name:
            return
        self.tool.deactivate()
        self.tool = self._tools[name]
        self._button = None
        self.tool.activate()
        self.update_cursor()
        self.update()
        self.toolChanged.emit(name)

    def say(self, text: str) -> None:
        """Tell the status bar something."""
        self.said.emit(text)

    def in_worker(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        """Run `work` off the window's thread and bring its result back."""
        self._worker.run(work, done, self.say)

    def contains(self, pointer: Pointer) -> bool:
        """Return whether the pointer is on the image."""
        return 0 <= pointer.x < self.viewport.width and 0 <= pointer.y < self.viewport.height

    def repaint_over(self) -> None:
        """Draw the tool's marks anew; the picture below is only copied."""
        self.update()

    def _option_changed(self, name: str) -> None:
        if name == "superpixel_px" and self.tool.name == "superpixels":
            self.tool.activate()
        self.update()

    # -- painting ----------------------------------------------------------------------------------

    def draw_over(self, painter: QPainter) -> None:
        """Let the tool draw its cursor and its unfinished work."""
        if self.has_image and not self.is_panning:
            self.tool.draw(painter, self._cursor)

    def _move_cursor(self, where: QPointF | None) -> None:
        """Repaint around the old and the new place of the brush circle only."""
        for spot in (self._cursor, where):
            if spot is not None and self.tool.has_radius:
                radius = int(self.options.brush_px / 2 * self.viewport.scale) + 5
                self.update(
                    QRect(int(spot.x()) - radius, int(spot.y()) - radius, 2 * radius + 2, 2 * radius + 2)
                )
        self._cursor = where

    def update_cursor(self) -> None:
        """Show the tool's mouse cursor, unless the image is being moved."""
        if self._space or self._pan_from is not None:
            super().update_cursor()
        else:
            self.setCursor(self.tool.cursor if self.has_image else Qt.CursorShape.ArrowCursor)

    # -- mouse and keys ----------------------------------------------------------------------------

    def _pointer(self, event: QMouseEvent, button: Qt.MouseButton) -> Pointer:
        where = event.position()
        x, y = self.viewport.to_image(where.x(), where.y())
        return Pointer(x, y, where, button, event.modifiers())

    def wants_pan(self, event: QMouseEvent) -> bool:
        """Move with the middle button, with Space held, or with the hand tool."""
        if event.button() == Qt.MouseButton.MiddleButton:
            return True
        left = event.button() == Qt.MouseButton.LeftButton
        return left and (self._space or self.tool.name == "pan")

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Start moving, sizing the brush, or the tool's work."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if not self.has_image or self._button is not None:
            return
        if self.wants_pan(event):
            super().mousePressEvent(event)
            return
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        if event.button() == Qt.MouseButton.RightButton and alt:
            self._sizing = (event.position(), self.options.brush_px)
        elif self._classes is not None and len(self._classes.ids) < 2 and self.tool.name != "pick":
            self.classNeeded.emit()
        elif event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            self._button = event.button()
            self.tool.press(self._pointer(event, self._button))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Follow the mouse."""
        if self._sizing is not None:
            start, size = self._sizing
            grown = size + (event.position().x() - start.x()) * 2 / max(self.viewport.scale, 1e-6)
            self.options.set("brush_px", round(grown))
            return
        super().mouseMoveEvent(event)
        if self._pan_from is not None:
            self._cursor = event.position()
            return
        self._move_cursor(event.position())
        pointer = self._pointer(event, self._button or Qt.MouseButton.NoButton)
        if self._button is not None:
            self.tool.drag(pointer)
        else:
            self.tool.hover(pointer)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End moving, sizing, or the tool's work."""
        if self._sizing is not None:
            self._sizing = None
        elif self._pan_from is not None:
            super().mouseReleaseEvent(event)
        elif event.button() == self._button:
            self._button = None
            self.tool.release(self._pointer(event, event.button()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Pass a double click to the tool."""
        if self.has_image and not self.wants_pan(event) and event.button() == Qt.MouseButton.LeftButton:
            self.tool.double_click(self._pointer(event, event.button()))

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Hide the brush circle."""
        self._move_cursor(None)
        super().leaveEvent(event)
        self.update()

    def event(self, event: QEvent) -> bool:
        """Claim Enter, Esc and Backspace for a busy tool before shortcuts take them."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            wanted = self.tool.is_busy and event.key() in _TOOL_KEYS
            event.setAccepted(wanted)
            return wanted
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Ask the tool first."""
        if not self.tool.key(event):
            super().keyPressEvent(event)

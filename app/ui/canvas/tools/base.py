"""What a tool is, and what the canvas offers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen

from app.services.document import Document
from app.ui.canvas.options import ToolOptions
from app.ui.canvas.viewport import Viewport


@dataclass(frozen=True)
class Pointer:
    """Where the mouse is.

    Args:
        x: Image coordinate; pixel `i` covers `[i, i + 1)`.
        y: Image coordinate.
        widget: The same place in widget coordinates.
        button: The button that went down or up; the one held, for moves.
        modifiers: Held modifier keys.
    """

    x: float
    y: float
    widget: QPointF
    button: Qt.MouseButton
    modifiers: Qt.KeyboardModifier

    @property
    def column(self) -> int:
        """Column of the pixel below."""
        return int(np.floor(self.x))

    @property
    def row(self) -> int:
        """Row of the pixel below."""
        return int(np.floor(self.y))

    @property
    def centre(self) -> tuple[float, float]:
        """The place in the pixel coordinates of the label map, where 0.0 is the centre of the first pixel."""
        return self.x - 0.5, self.y - 0.5

    @property
    def shift(self) -> bool:
        """Whether Shift is held."""
        return bool(self.modifiers & Qt.KeyboardModifier.ShiftModifier)

    @property
    def alt(self) -> bool:
        """Whether Alt is held."""
        return bool(self.modifiers & Qt.KeyboardModifier.AltModifier)


class ToolHost(Protocol):
    """What the canvas offers a tool."""

    options: ToolOptions
    viewport: Viewport

    @property
    def document(self) -> Document | None: ...  # noqa: D102
    @property
    def image(self) -> NDArray[np.uint8] | None: ...  # noqa: D102
    def class_colour(self, class_id: int) -> QColor: ...  # noqa: D102
    def repaint_over(self) -> None: ...  # noqa: D102
    def say(self, text: str) -> None: ...  # noqa: D102
    def in_worker(self, work: Callable[[], object], done: Callable[[object], None]) -> None: ...  # noqa: D102
    def contains(self, pointer: Pointer) -> bool: ...  # noqa: D102


class Tool:
    """One way of changing a label map; the canvas sends it the mouse in image coordinates."""

    name: ClassVar[str] = ""
    cursor: ClassVar[Qt.CursorShape] = Qt.CursorShape.CrossCursor
    has_radius: ClassVar[bool] = False

    def __init__(self, host: ToolHost) -> None:
        self.host = host

    @property
    def options(self) -> ToolOptions:
        """What the tools are set to."""
        return self.host.options

    @property
    def is_busy(self) -> bool:
        """Whether something is unfinished, so that Enter, Esc and Backspace belong to the tool."""
        return False

    def activate(self) -> None:
        """Get ready; called when the tool is chosen and when another image is shown."""

    def deactivate(self) -> None:
        """Drop what is unfinished; called when another tool or image comes."""

    def press(self, pointer: Pointer) -> None:
        """Answer a mouse button."""

    def drag(self, pointer: Pointer) -> None:
        """Follow the mouse with the button held."""

    def release(self, pointer: Pointer) -> None:
        """Answer the button's release."""

    def hover(self, pointer: Pointer) -> None:
        """Follow the mouse with no button held."""

    def double_click(self, pointer: Pointer) -> None:
        """Answer a double click; by default like a click."""
        self.press(pointer)

    def key(self, event: QKeyEvent) -> bool:  # noqa: ARG002
        """Return whether the key was meant for the tool."""
        return False

    def draw(self, painter: QPainter, cursor: QPointF | None) -> None:
        """Draw above the image, in widget coordinates; `cursor` is where the mouse is."""


def draw_circle(painter: QPainter, centre: QPointF, radius: float, tint: QColor) -> None:
    """Draw the brush's outline so that it can be seen on any image."""
    box = QRectF(centre.x() - radius, centre.y() - radius, 2 * radius, 2 * radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(0, 0, 0, 150), 3.0))
    painter.drawEllipse(box)
    painter.setPen(QPen(tint, 1.5))
    painter.drawEllipse(box)

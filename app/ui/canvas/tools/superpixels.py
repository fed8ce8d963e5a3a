"""Paint whole regions of similar colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter

from app.ui.canvas.tools.base import Pointer, Tool, ToolHost
from app.ui.canvas.tools.preview import draw_region
from app.ui.texts import tr

if TYPE_CHECKING:
    from app.domain.label_map import Region


@dataclass(frozen=True)
class _Segments:
    """Superpixels of one image: their ids and where each one lies (ids start at 1)."""

    ids: NDArray[np.int32]
    places: list[tuple[slice, slice] | None]

    def region(self, column: int, row: int) -> Region | None:
        from app.domain.edits import Box
        from app.domain.label_map import Region

        number = int(self.ids[row, column])
        place = self.places[number - 1]
        if place is None:
            return None
        down, across = place
        box = Box(across.start, down.start, across.stop, down.stop)
        return Region(box, self.ids[place] == number)


def _segment(image: NDArray[np.uint8], size_px: int) -> _Segments:
    """Return the superpixels of an image; slow, for a worker."""
    from scipy.ndimage import find_objects

    from app.domain.assist import superpixels

    ids = superpixels(image, size_px=size_px).astype(np.int32)
    ids = ids - int(ids.min()) + 1
    return _Segments(ids, find_objects(ids))


class SuperpixelTool(Tool):
    """Hover shows the superpixel, click or drag paints it; the right button erases it."""

    name: ClassVar[str] = "superpixels"

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._segments: _Segments | None = None
        self._key: tuple[int, int] | None = None
        self._hovered: Region | None = None
        self._painted: set[int] = set()
        self._value: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the superpixels of this image are computed."""
        return self._segments is not None

    def activate(self) -> None:
        """Compute the superpixels, unless they are known."""
        image = self.host.image
        if image is None:
            return
        key = (id(image), self.options.superpixel_px)
        if key == self._key:
            return
        self._key, self._segments, self._hovered = key, None, None
        self.host.say(tr("Finding superpixels…"))
        size = self.options.superpixel_px
        self.host.in_worker(lambda: _segment(image, size), lambda found: self._found(key, found))

    def _found(self, key: tuple[int, int], segments: object) -> None:
        if key == self._key and isinstance(segments, _Segments):
            self._segments = segments
            self.host.say(tr("Superpixels are ready"))

    def _under(self, pointer: Pointer) -> Region | None:
        if self._segments is None or not self.host.contains(pointer):
            return None
        return self._segments.region(pointer.column, pointer.row)

    def hover(self, pointer: Pointer) -> None:
        """Show the superpixel below."""
        self._hovered = self._under(pointer)
        self.host.repaint_over()

    def press(self, pointer: Pointer) -> None:
        """Paint the superpixel below."""
        document = self.host.document
        if document is None or not document.is_editable:
            return
        if self._segments is None:
            self.activate()
            return
        self._value = 0 if pointer.button == Qt.MouseButton.RightButton else self.options.class_id
        self._painted.clear()
        self.drag(pointer)

    def drag(self, pointer: Pointer) -> None:
        """Paint every superpixel on the way once."""
        region = self._under(pointer)
        if region is None or self._value is None or self._segments is None:
            return
        number = int(self._segments.ids[pointer.row, pointer.column])
        document = self.host.document
        if number not in self._painted and document is not None:
            self._painted.add(number)
            document.paint_region(region, self._value, tr("Superpixel"))

    def release(self, pointer: Pointer) -> None:  # noqa: ARG002
        """Stop painting."""
        self._value = None

    def deactivate(self) -> None:
        """Forget the highlight; superpixels stay known for when the tool comes back."""
        self._hovered = self._value = None

    def draw(self, painter: QPainter, cursor: QPointF | None) -> None:
        """Tint the superpixel below the mouse."""
        if self._hovered is not None and cursor is not None:
            tint = QColor(self.host.class_colour(self.options.class_id))
            draw_region(painter, self.host.viewport, self._hovered, tint, 110)

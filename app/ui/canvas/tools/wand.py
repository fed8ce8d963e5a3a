"""Select similar colours, with the tolerance under the hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter

from app.ui.canvas.tools.base import Pointer, Tool, ToolHost
from app.ui.canvas.tools.preview import draw_region
from app.ui.texts import tr

if TYPE_CHECKING:
    from app.domain.label_map import Region

PX_PER_STEP = 3.0
"""Widget pixels of sideways dragging for one step of tolerance."""


class WandTool(Tool):
    """Press shows what would be taken, dragging sideways changes the tolerance, release fills it."""

    name: ClassVar[str] = "wand"

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._start: Pointer | None = None
        self._base = 0
        self._region: Region | None = None
        self._computing = False
        self._wanted: int | None = None
        self._released = False
        self._generation = 0

    @property
    def is_busy(self) -> bool:
        """Whether a selection is shown."""
        return self._start is not None

    def press(self, pointer: Pointer) -> None:
        """Start a selection at the pixel below."""
        document = self.host.document
        if document is None or not document.is_editable or not self.host.contains(pointer):
            return
        self._start, self._base = pointer, self.options.tolerance
        self._released = False
        self._want(self._base)

    def drag(self, pointer: Pointer) -> None:
        """Change the tolerance by the way gone sideways."""
        if self._start is not None and not self._released:
            step = (pointer.widget.x() - self._start.widget.x()) / PX_PER_STEP
            tolerance = int(np.clip(self._base + step, 0, 255))
            self.options.set("tolerance", tolerance)
            self.host.say(tr("Tolerance {n}", n=tolerance))
            self._want(tolerance)

    def release(self, pointer: Pointer) -> None:  # noqa: ARG002
        """Fill the selection, as soon as it is computed for the last tolerance."""
        if self._start is not None:
            self._released = True
            self._finish()

    def _want(self, tolerance: int) -> None:
        """Compute for the newest tolerance only; older wishes are skipped while the worker is busy."""
        self._wanted = tolerance
        image = self.host.image
        if self._computing or self._start is None or image is None:
            return
        from app.domain.label_map import wand_region

        self._computing, self._wanted = True, None
        generation, x, y = self._generation, self._start.column, self._start.row
        contiguous = self.options.contiguous and not self._start.shift

        def work() -> object:
            return wand_region(image, x, y, tolerance=tolerance, contiguous=contiguous)

        self.host.in_worker(work, lambda region: self._computed(generation, region))

    def _computed(self, generation: int, region: object) -> None:
        self._computing = False
        if generation != self._generation:
            if self._start is not None and self._wanted is not None:
                self._want(self._wanted)
            return
        self._region = region  # type: ignore[assignment]
        self.host.repaint_over()
        if self._wanted is not None:
            self._want(self._wanted)
        else:
            self._finish()

    def _finish(self) -> None:
        if not self._released or self._computing or self._start is None:
            return
        start, region = self._start, self._region
        self.deactivate()
        document = self.host.document
        if document is not None and region is not None:
            value = 0 if start.button == Qt.MouseButton.RightButton else self.options.class_id
            document.paint_region(region, value, tr("Magic wand"))

    def deactivate(self) -> None:
        """Drop the selection; an answer on its way is ignored."""
        self._generation += 1
        self._start = self._region = self._wanted = None
        self._released = False
        self.host.repaint_over()

    def draw(self, painter: QPainter, cursor: QPointF | None) -> None:  # noqa: ARG002
        """Show the selection."""
        if self._region is not None:
            tint = QColor(self.host.class_colour(self.options.class_id))
            draw_region(painter, self.host.viewport, self._region, tint)

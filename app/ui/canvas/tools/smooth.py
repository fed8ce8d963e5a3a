"""Let the outline of a part snap to the edges in the image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from PySide6.QtCore import Qt

from app.ui.canvas.tools.base import Pointer, Tool, ToolHost
from app.ui.texts import tr


class SmoothTool(Tool):
    """Click a part: a worker moves its outline to the edges nearby (GrabCut in a band around it)."""

    name: ClassVar[str] = "smooth"
    cursor: ClassVar[Qt.CursorShape] = Qt.CursorShape.PointingHandCursor

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._running = False

    def press(self, pointer: Pointer) -> None:
        """Smooth the part below; background is no part."""
        document, image = self.host.document, self.host.image
        if document is None or image is None or not document.is_editable or self._running:
            return
        if not self.host.contains(pointer):
            return
        class_id = int(document.labels[pointer.row, pointer.column]) or self.options.class_id
        self.run(class_id)

    def run(self, class_id: int) -> None:
        """Smooth the part `class_id` of the open image; changes made meanwhile win over the result."""
        from app.domain.assist import smooth_to_edges

        document, image = self.host.document, self.host.image
        if document is None or image is None or not (document.labels == class_id).any():
            self.host.say(tr("There is nothing of this class to smooth"))
            return
        before = document.labels.copy()
        radius = self.options.smooth_px
        self._running = True
        self.host.say(tr("Smoothing to edges…"))

        def done(mask: object) -> None:
            self._running = False
            if self.host.document is document and isinstance(mask, np.ndarray):
                self._apply(class_id, before, mask)

        self.host.in_worker(lambda: smooth_to_edges(image, before, class_id, radius_px=radius), done)

    def _apply(self, class_id: int, before: np.ndarray, mask: np.ndarray) -> None:
        document = self.host.document
        if document is None:
            return
        if not np.array_equal(before, document.labels):
            self.host.say(tr("The part was changed meanwhile; nothing was smoothed"))
            return
        after = before.copy()
        after[(before == class_id) & ~mask] = 0
        after[mask & (before != class_id)] = class_id
        allowed = document.rules.allowed(before)
        if allowed is not None:
            after = np.where(allowed, after, before)
        document.set_labels(after, tr("Smooth to edges"))
        self.host.say(tr("Smoothed to edges"))

    def deactivate(self) -> None:
        """Let a running computation end unheard: it belongs to another image then."""
        self._running = False

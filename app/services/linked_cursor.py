"""The linked cursor: what lies under the cursor, shown on the reference, through the engine's maps."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.services.engine import Arrays, EngineClient
from coordgan_core.data.images import image_size as header_size
from coordgan_core.engine.protocol import Reply
from coordgan_core.errors import CoordError
from coordgan_core.tracking import Located, track


class LinkedCursor(QObject):
    """Shows on the reference what lies under the cursor: the nearest position in the canonical frame."""

    ready = Signal(bool)
    """Whether `hover` can answer now."""
    matched = Signal(float, float, float)
    """x and y in the reference's pixels, and how certain that is, 0 to 1."""
    failed = Signal(str)

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._request: int | None = None
        self._matcher: Matcher | None = None

    def prepare(
        self,
        model: str,
        image: Path,
        reference: Path,
        *,
        image_size: tuple[int, int] | None = None,
        reference_size: tuple[int, int] | None = None,
    ) -> None:
        """Have the maps of an image and a reference computed.

        Sizes are ``(width, height)`` in pixels; those not given are read from the files.
        """
        self.clear()

        def done(reply: Reply) -> None:
            self._request = None
            try:
                sizes = image_size or header_size(image), reference_size or header_size(reference)
                self._matcher = Matcher(reply.arrays, *sizes)
            except (KeyError, ValueError, CoordError) as error:
                self.failed.emit(f"the engine sent no maps ({error})")
                return
            self.ready.emit(True)

        self._request = self._engine.link(model, image, reference, done, self.failed.emit)

    def clear(self) -> None:
        """Forget the maps and the request for them."""
        if self._request is not None:
            self._engine.cancel(self._request)
            self._request = None
        if self._matcher is not None:
            self._matcher = None
            self.ready.emit(False)

    def hover(self, x: float, y: float) -> tuple[float, float, float] | None:
        """Return and tell the match of a position in the image's pixels, None without maps."""
        found = None if self._matcher is None else self._matcher.match(x, y)
        if found is not None:
            self.matched.emit(*found)
        return found


class Matcher:
    """From positions in an image to positions in a reference through their correspondence maps.

    Args:
        arrays: ``image_map``, ``reference_map`` (``[2, h, w]``), ``image_reliability``,
            ``reference_reliability`` (``[h, w]``).
        image_size: ``(width, height)`` in pixels.
        reference_size: ``(width, height)`` in pixels.
    """

    def __init__(self, arrays: Arrays, image_size: tuple[int, int], reference_size: tuple[int, int]) -> None:
        self._image = Located(arrays["image_map"], arrays["image_reliability"])
        self._reference = Located(arrays["reference_map"], arrays["reference_reliability"])
        self._size, self._reference_size = image_size, reference_size

    def match(self, x: float, y: float) -> tuple[float, float, float] | None:
        """Return x, y in the reference's pixels and the certainty, None outside of the image."""
        width, height = self._size
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            return None
        point = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
        found = track(self._image, self._reference, [point])
        reference_width, reference_height = self._reference_size
        u, v = (float(value) for value in found.points[0])
        x, y = ((u + 1) * reference_width - 1) / 2, ((v + 1) * reference_height - 1) / 2
        return x, y, float(found.certainty[0])

"""The linked cursor: what lies under the cursor, shown on the reference, through the engine's maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from app.services.engine import Arrays, EngineClient
from coordgan_core.data.images import image_size as header_size
from coordgan_core.engine.protocol import Reply
from coordgan_core.errors import CoordError


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
        self._map = arrays["image_map"].astype(np.float32)
        self._certain = arrays["image_reliability"].astype(np.float32)
        self._reference = arrays["reference_map"].astype(np.float32)
        if self._map.ndim != 3 or self._reference.ndim != 3:
            raise ValueError("maps of a wrong shape")
        self._reference_certain = arrays["reference_reliability"].astype(np.float32)
        self._size, self._reference_size = image_size, reference_size
        self._pitch = 2.0 / self._reference.shape[2]

    def match(self, x: float, y: float) -> tuple[float, float, float] | None:
        """Return x, y in the reference's pixels and the certainty, None outside of the image."""
        width, height = self._size
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            return None
        _, h, w = self._map.shape
        u, v = (x + 0.5) * w / width - 0.5, (y + 0.5) * h / height - 0.5
        position = np.array([bilinear(plane, u, v) for plane in self._map], np.float32)
        distance = ((self._reference - position[:, None, None]) ** 2).sum(0)
        best = int(distance.argmin())
        row, column = divmod(best, distance.shape[1])
        du, dv = self._shift(position, row, column)
        rw, rh = self._reference_size
        _, reference_h, reference_w = self._reference.shape
        found_x = (column + du + 0.5) * rw / reference_w - 0.5
        found_y = (row + dv + 0.5) * rh / reference_h - 0.5
        near = float(np.exp(-0.5 * distance[row, column] / (2 * self._pitch) ** 2))
        certain = min(bilinear(self._certain, u, v), float(self._reference_certain[row, column]))
        return found_x, found_y, max(0.0, min(1.0, near * certain))

    def _shift(self, position: npt.NDArray[np.float32], row: int, column: int) -> tuple[float, float]:
        """Return the step within the nearest cell, by one Newton step on the map's own differences."""
        _, h, w = self._reference.shape
        if not (0 < row < h - 1 and 0 < column < w - 1):
            return 0.0, 0.0
        reference = self._reference
        along_x = (reference[:, row, column + 1] - reference[:, row, column - 1]) / 2
        along_y = (reference[:, row + 1, column] - reference[:, row - 1, column]) / 2
        matrix = np.stack([along_x, along_y], 1)
        if abs(np.linalg.det(matrix)) < 1e-9:
            return 0.0, 0.0
        step = np.linalg.solve(matrix, position - reference[:, row, column])
        return float(np.clip(step[0], -0.5, 0.5)), float(np.clip(step[1], -0.5, 0.5))


def bilinear(plane: npt.NDArray[np.float32], u: float, v: float) -> float:
    """Return the value of ``plane`` at column ``u`` and row ``v``, clamped to its border."""
    height, width = plane.shape
    u, v = min(max(u, 0.0), width - 1.0), min(max(v, 0.0), height - 1.0)
    x0, y0 = int(u), int(v)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    fx, fy = u - x0, v - y0
    top = plane[y0, x0] * (1 - fx) + plane[y0, x1] * fx
    bottom = plane[y1, x0] * (1 - fx) + plane[y1, x1] * fx
    return float(top * (1 - fy) + bottom * fy)

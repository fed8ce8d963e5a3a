"""Point tracking: a point of one image found in others, through their correspondence maps.

Arrays of numpy, no PyTorch: the window follows the cursor with it. Points are normalised ``(x, y)`` of the
image frame, places are ``(x, y)`` of the canonical frame (docs/conventions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordgan_core.errors import ShapeError

Floats = npt.NDArray[np.float32]

CANDIDATES = 9
"""Pixels from which a place is looked for."""

FAR = 2.0
"""Distance from the wanted place, in cells of the map, at which the certainty has fallen to exp(-1/2)."""


@dataclass(frozen=True)
class Found:
    """Where places lie in an image.

    Args:
        points: Normalised ``(x, y)``, ``float32 [N, 2]``.
        certainty: 0 to 1, ``float32 [N]``: the model's own opinion, not calibrated.
    """

    points: Floats
    certainty: Floats


class Located:
    """An image with its correspondence map.

    Args:
        correspondence: ``[2, h, w]``, any float type; values outside of the frame match nothing.
        reliability: ``[h, w]``, 0 to 1; None trusts every pixel.

    Raises:
        ShapeError: Arrays of other shapes.
    """

    def __init__(self, correspondence: npt.ArrayLike, reliability: npt.ArrayLike | None = None) -> None:
        self.map = np.nan_to_num(np.asarray(correspondence, np.float32), nan=9.0)
        if self.map.ndim != 3 or len(self.map) != 2 or 0 in self.map.shape:
            raise ShapeError(f"the map has shape {list(self.map.shape)}", expected="[2, h, w]")
        self.height, self.width = self.map.shape[1:]
        given = np.ones(self.map.shape[1:]) if reliability is None else reliability
        self.reliability = np.asarray(given, np.float32)
        if self.reliability.shape != self.map.shape[1:]:
            raise ShapeError(
                f"the reliability has shape {list(self.reliability.shape)}",
                expected=f"[{self.height}, {self.width}], as its map",
            )
        self._flat = self.map.reshape(2, -1)
        self._norms = (self._flat**2).sum(0)

    def places(self, points: npt.ArrayLike) -> Found:
        """Return where points ``[N, 2]`` of this image lie in the canonical frame, and how sure that is.

        Between pixel centres the map is interpolated; beyond the outermost it goes on with the offset there.
        """
        given = np.asarray(points, np.float32).reshape(-1, 2)
        sizes = np.array([self.width, self.height], np.float32)
        pixels = np.clip(((given + 1) * sizes - 1) / 2, 0, sizes - 1).astype(np.float32)
        beyond = given - ((2 * pixels + 1) / sizes - 1)
        values = np.concatenate([self.map, self.reliability[None]])
        sampled = _bilinear(values, pixels)
        return Found((sampled[:2].T + beyond).astype(np.float32), np.clip(sampled[2], 0.0, 1.0))

    def find(self, places: npt.ArrayLike, certainty: npt.ArrayLike | None = None) -> Found:
        """Return where canonical ``places [N, 2]`` lie in this image, between pixels.

        Of the pixels nearest to a place the one from which a step comes closest: where a map is much
        stretched, the nearest of all may lie beside the right cell.

        Args:
            places: As `places` of another image returns them.
            certainty: How sure they are, ``[N]``; None is entirely.
        """
        wanted = np.asarray(places, np.float32).reshape(-1, 2)
        distance = self._norms - 2 * wanted @ self._flat  # squared, without what is the same for all pixels
        count = min(CANDIDATES, distance.shape[1])
        nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
        rows, columns = np.divmod(nearest.ravel(), self.width)
        steps, rest = self._refined(wanted.repeat(count, axis=0), rows, columns)
        best = rest.reshape(-1, count).argmin(1) + np.arange(len(wanted)) * count
        rows, columns, steps, rest = rows[best], columns[best], steps[best], rest[best]
        x = (2 * (columns + steps[:, 0]) + 1) / self.width - 1
        y = (2 * (rows + steps[:, 1]) + 1) / self.height - 1
        cell = 2.0 / max(self.width, self.height)
        near = np.exp(-0.5 * (rest / (FAR * cell)) ** 2)
        known = np.ones(len(wanted)) if certainty is None else np.asarray(certainty)
        sure = near * np.minimum(known, np.clip(self.reliability[rows, columns], 0.0, 1.0))
        return Found(np.stack([x, y], 1).astype(np.float32), sure.astype(np.float32))

    def _refined(
        self, wanted: Floats, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> tuple[Floats, Floats]:
        """Return the step within each cell, one of Newton's on the map's differences, and what is left."""
        left, right = np.maximum(columns - 1, 0), np.minimum(columns + 1, self.width - 1)
        above, below = np.maximum(rows - 1, 0), np.minimum(rows + 1, self.height - 1)
        along_x = (self.map[:, rows, right] - self.map[:, rows, left]) / np.maximum(right - left, 1)
        along_y = (self.map[:, below, columns] - self.map[:, above, columns]) / np.maximum(below - above, 1)
        gap = wanted.T - self.map[:, rows, columns]
        determinant = along_x[0] * along_y[1] - along_x[1] * along_y[0]
        safe = np.abs(determinant) > 1e-9
        divisor = np.where(safe, determinant, 1.0)
        x = (gap[0] * along_y[1] - gap[1] * along_y[0]) / divisor
        y = (along_x[0] * gap[1] - along_x[1] * gap[0]) / divisor
        steps = np.where(safe, np.clip(np.stack([x, y]), -0.5, 0.5), 0.0).astype(np.float32)
        left_over = gap - along_x * steps[0] - along_y * steps[1]
        return steps.T, np.sqrt((left_over**2).sum(0)).astype(np.float32)


def track(source: Located, target: Located, points: npt.ArrayLike) -> Found:
    """Find points ``[N, 2]`` of one image in another."""
    places = source.places(points)
    return target.find(places.points, places.certainty)


def _bilinear(values: Floats, pixels: Floats) -> Floats:  # [C, h, w], [N, 2] -> [C, N]
    height, width = values.shape[1:]
    first = np.floor(pixels).astype(int)
    x0, y0 = first[:, 0], first[:, 1]
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (pixels - first).T
    top = values[:, y0, x0] * (1 - fx) + values[:, y0, x1] * fx
    bottom = values[:, y1, x0] * (1 - fx) + values[:, y1, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)

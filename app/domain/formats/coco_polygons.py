"""Filling polygons as the tools of COCO do, so that everybody sees the same pixels.

The outline is drawn on a grid five times as fine. Where it steps from one column of that grid to the next,
and the step lies on the line through the centres of a column of pixels, it flips all pixels of that column
below.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.domain.formats import polygons

_SCALE = 5
_MOST_POINTS = 20_000_000
Numbers = npt.NDArray[np.float64]


def paint(labels: npt.NDArray[np.uint8], ring: npt.ArrayLike, value: int) -> None:
    """Set the pixels of one polygon; only its columns are looked at.

    Args:
        labels: ``uint8 [H, W]``.
        ring: Corners ``[N, 2]``, ``(x, y)``, finite.
        value: What to set.
    """
    points = np.asarray(ring, np.float64)
    height, width = labels.shape
    outline = _outline(np.trunc(points * _SCALE + 0.5))
    if outline is None:  # nobody draws such an outline: it lies far outside
        polygons.paint(labels, points, value)
        return
    u, v = outline
    steps = np.flatnonzero(u[1:] != u[:-1])
    column = (np.where(u[steps + 1] < u[steps], u[steps + 1], u[steps + 1] - 1) + 0.5) / _SCALE - 0.5
    on_centre = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    if not on_centre.any():
        return
    steps, column = steps[on_centre], column[on_centre].astype(np.int64)
    row = np.ceil(np.clip((np.minimum(v[steps + 1], v[steps]) + 0.5) / _SCALE - 0.5, 0, height))
    first, last = int(column.min()), int(column.max())
    size = (last - first + 1) * height
    flips = np.bincount((column - first) * height + row.astype(np.int64), minlength=size)[:size]
    inside = np.bitwise_xor.accumulate((flips & 1).astype(np.uint8)).astype(bool)
    labels[:, first : last + 1][inside.reshape(-1, height).T] = value


def _outline(corners: Numbers) -> tuple[Numbers, Numbers] | None:
    """Return the points of the outline on the fine grid, each edge from end to end; None where too many."""
    after = np.roll(corners, -1, axis=0)
    reach = np.abs(after - corners)
    counts = reach.max(axis=1) + 1
    if counts.sum() > _MOST_POINTS:
        return None
    counts = counts.astype(np.int64)
    edge = np.repeat(np.arange(len(corners)), counts)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    flat = reach[:, 0] >= reach[:, 1]
    main, other = np.where(flat, 0, 1), np.where(flat, 1, 0)
    every = np.arange(len(corners))
    back = corners[every, main] > after[every, main]
    low, high = np.where(back[:, None], after, corners), np.where(back[:, None], corners, after)
    length = np.maximum(reach.max(axis=1), 1)
    slope = (high[every, other] - low[every, other]) / length
    along = np.where(back[edge], length[edge] * (reach.max(axis=1)[edge] > 0) - step, step)
    on_main = along + low[every, main][edge]
    on_other = np.trunc(low[every, other][edge] + slope[edge] * along + 0.5)
    return np.where(flat[edge], on_main, on_other), np.where(flat[edge], on_other, on_main)

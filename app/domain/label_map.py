"""Painting on label maps: regions (masks in a box) and the rules by which they are filled.

Positions are pixels, 0.0 being the centre of the first one. Nothing here costs more than the box that it
changes, apart from the functions that must look at the whole label map or image (flood, wand, class).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from app.domain.edits import NOWHERE, Box, Edit, LabelMap, Recorder, bounding_box

Mask = npt.NDArray[np.bool_]
Points = Sequence[tuple[float, float]]
_FIRST_REACH_PX = 128


class Region(NamedTuple):
    """Pixels of a label map: ``mask``, ``bool [box.height, box.width]``, placed at ``box``."""

    box: Box
    mask: Mask

    @property
    def area(self) -> int:
        """Pixels in the region."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True)
class PaintRules:
    """What painting may not touch.

    Args:
        locked: Classes whose pixels stay.
        only_background: Paint on background only.
        only_over: Paint on pixels of this class only.
    """

    locked: frozenset[int] = frozenset()
    only_background: bool = False
    only_over: int | None = None

    def allowed(self, values: LabelMap) -> Mask | None:
        """Return which of ``values`` may change, None for all."""
        if self.only_background:
            return np.zeros(values.shape, bool) if 0 in self.locked else values == 0
        if self.only_over is not None:
            free = values == self.only_over
            return free if self.only_over not in self.locked else np.zeros(values.shape, bool)
        if not self.locked:
            return None
        table = np.ones(256, bool)
        table[list(self.locked)] = False
        return table[values]


def region_of(mask: Mask, origin: Box | None = None) -> Region | None:
    """Return the region of the true pixels of ``mask``, cut to its bounding box; None without any."""
    box = bounding_box(mask)
    if box.is_empty:
        return None
    x, y = (origin.x0, origin.y0) if origin else (0, 0)
    return Region(Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y), mask[box.slices])


def stroke_region(points: Points, radius: float, shape: tuple[int, ...]) -> Region | None:
    """Return the pixels within ``radius`` of the line through ``points`` (one point: a disk).

    Args:
        points: ``(x, y)`` in pixels.
        radius: In pixels; 0.5 paints single pixels.
        shape: ``[H, W]`` of the label map; what lies outside is cut off.
    """
    ends = list(points) if len(points) > 1 else [*points, *points]
    whole = Box.of(shape)
    capsules = []
    for (ax, ay), (bx, by) in zip(ends[:-1], ends[1:], strict=True):
        box = _around(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by), radius).intersect(whole)
        if not box.is_empty:
            capsules.append((box, _capsule((ax, ay), (bx, by), radius, box)))
    around = NOWHERE
    for box, _ in capsules:
        around = around.union(box)
    if around.is_empty:
        return None
    mask = np.zeros((around.height, around.width), bool)
    for box, part in capsules:
        mask[box.y0 - around.y0 : box.y1 - around.y0, box.x0 - around.x0 : box.x1 - around.x0] |= part
    return region_of(mask, around)


def _around(x0: float, y0: float, x1: float, y1: float, radius: float) -> Box:
    return Box(
        math.floor(x0 - radius),
        math.floor(y0 - radius),
        math.ceil(x1 + radius) + 1,
        math.ceil(y1 + radius) + 1,
    )


def _capsule(a: tuple[float, float], b: tuple[float, float], radius: float, box: Box) -> Mask:
    """Return the pixels of ``box`` within ``radius`` of the segment: convex, so one interval a row."""
    rows = np.arange(box.y0, box.y1, dtype=np.float64)
    left, right = np.full(rows.shape, np.inf), np.full(rows.shape, -np.inf)
    for x, y in (a, b):
        square = radius * radius - (rows - y) ** 2
        half = np.sqrt(np.maximum(square, 0.0))
        left = np.where(square >= 0, np.minimum(left, x - half), left)
        right = np.where(square >= 0, np.maximum(right, x + half), right)
    length = math.hypot(b[0] - a[0], b[1] - a[1])
    if length > 0:
        nx, ny = -(b[1] - a[1]) / length * radius, (b[0] - a[0]) / length * radius
        corners = [
            (a[0] + nx, a[1] + ny),
            (b[0] + nx, b[1] + ny),
            (b[0] - nx, b[1] - ny),
            (a[0] - nx, a[1] - ny),
        ]
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            low, high = min(y0, y1), max(y0, y1)
            crossed = (rows >= low) & (rows <= high) & (y0 != y1)
            at = x0 + (rows - y0) * ((x1 - x0) / ((y1 - y0) or 1.0))
            left = np.where(crossed, np.minimum(left, at), left)
            right = np.where(crossed, np.maximum(right, at), right)
    columns = np.arange(box.x0, box.x1, dtype=np.float64)
    inside: Mask = (columns >= left[:, None]) & (columns <= right[:, None])
    return inside


def polygon_region(points: Points, shape: tuple[int, ...]) -> Region | None:
    """Return the pixels whose centre lies in the polygon (even-odd) or under its outline.

    Args:
        points: ``(x, y)`` of the corners in pixels.
        shape: ``[H, W]`` of the label map.
    """
    if len(points) < 3:
        return stroke_region(points, 0.5, shape) if points else None
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    box = _around(min(xs), min(ys), max(xs), max(ys), 1.0).intersect(Box.of(shape))
    if box.is_empty:
        return None
    image = Image.new("1", (box.width, box.height))
    moved = [(round(x) - box.x0, round(y) - box.y0) for x, y in points]
    ImageDraw.Draw(image).polygon(moved, fill=1, outline=1)
    return region_of(np.asarray(image, bool), box)


def rectangle_region(x0: float, y0: float, x1: float, y1: float, shape: tuple[int, ...]) -> Region | None:
    """Return the pixels whose centres lie in the rectangle between two corners, borders included."""
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    box = Box(math.ceil(left), math.ceil(top), math.floor(right) + 1, math.floor(bottom) + 1)
    box = box.intersect(Box.of(shape))
    return None if box.is_empty else Region(box, np.ones((box.height, box.width), bool))


def flood_region(labels: LabelMap, x: int, y: int, *, contiguous: bool = True) -> Region | None:
    """Return the 4-connected pixels of the class at ``(x, y)``, or all pixels of that class."""
    if not _is_inside(x, y, labels.shape):
        return None
    value = labels[y, x]
    if not contiguous:
        return region_of(labels == value)
    return _grown(x, y, labels.shape, lambda box: labels[box.slices] == value)


def wand_region(
    image: npt.NDArray[np.uint8], x: int, y: int, *, tolerance: int, contiguous: bool = True
) -> Region | None:
    """Return the pixels whose colour is within ``tolerance`` of that at ``(x, y)`` in every channel.

    Args:
        image: ``uint8 [H, W, 3]``.
        x: Column of the clicked pixel.
        y: Row of the clicked pixel.
        tolerance: 0 to 255.
        contiguous: Only what hangs together with the clicked pixel (4 neighbours).
    """
    if not _is_inside(x, y, image.shape):
        return None
    colour = image[y, x].astype(np.int16)
    low = np.clip(colour - tolerance, 0, 255).astype(np.uint8)
    high = np.clip(colour + tolerance, 0, 255).astype(np.uint8)

    def alike(box: Box) -> Mask:
        part = image[box.slices]
        found = np.ones(part.shape[:2], bool)
        for channel in range(part.shape[2]):
            values = part[..., channel]
            found &= (values >= low[channel]) & (values <= high[channel])
        return found

    if not contiguous:
        return region_of(alike(Box.of(image.shape)))
    return _grown(x, y, image.shape, alike)


def class_region(labels: LabelMap, class_id: int) -> Region | None:
    """Return all pixels of a class."""
    return region_of(labels == class_id)


def _is_inside(x: int, y: int, shape: tuple[int, ...]) -> bool:
    return 0 <= x < shape[1] and 0 <= y < shape[0]


def _grown(x: int, y: int, shape: tuple[int, ...], mask_of: Callable[[Box], Mask]) -> Region | None:
    """Return the 4-connected piece that holds ``(x, y)``, looking no further than it reaches.

    A piece that does not touch the border of the window in which it was searched is whole.
    """
    whole, reach = Box.of(shape), _FIRST_REACH_PX
    while True:
        window = Box(x - reach, y - reach, x + reach + 1, y + reach + 1).intersect(whole)
        found = _connected(mask_of(window), x - window.x0, y - window.y0)
        if found is None:
            return None
        box = found.box.moved(window.x0, window.y0)
        cut = (
            (box.x0 == window.x0 > 0)
            or (box.y0 == window.y0 > 0)
            or (box.x1 == window.x1 < whole.x1)
            or (box.y1 == window.y1 < whole.y1)
        )
        if not cut:
            return Region(box, found.mask)
        reach *= 4


def _connected(mask: Mask, x: int, y: int) -> Region | None:
    """Return the 4-connected piece of ``mask`` that holds ``(x, y)``."""
    import cv2

    bordered = np.ones((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)  # ones are walls to the flood
    np.logical_not(mask, out=bordered[1:-1, 1:-1].view(bool))
    flat = np.zeros(mask.shape, np.uint8)
    _, _, _, (left, top, width, height) = cv2.floodFill(
        flat, bordered, (x, y), 0, flags=4 | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
    )
    box = Box(left, top, left + width, top + height)
    inner = bordered[box.y0 + 1 : box.y1 + 1, box.x0 + 1 : box.x1 + 1] == 2
    return region_of(inner, box)


def paint_values(
    labels: LabelMap, region: Region, value: int, rules: PaintRules, *, before: LabelMap | None = None
) -> Box:
    """Write ``value`` into the region where the rules allow it and return the box.

    Args:
        labels: Changed in place.
        region: Where.
        value: The class id.
        rules: What must stay.
        before: Values in the box by which the rules decide (those before the stroke); the present ones by
            default.
    """
    target = labels[region.box.slices]
    free = rules.allowed(target if before is None else before)
    target[region.mask if free is None else region.mask & free] = value
    return region.box


def paint(
    labels: LabelMap, region: Region | None, value: int, rules: PaintRules | None = None
) -> Edit | None:
    """Write ``value`` into the region where the rules allow it; return the edit, None for no change."""
    if region is None:
        return None
    recorder = Recorder(labels)
    recorder.touch(region.box)
    paint_values(labels, region, value, rules or PaintRules())
    return recorder.finish()


def replace_class(labels: LabelMap, old: int, new: int, rules: PaintRules | None = None) -> Edit | None:
    """Turn all pixels of one class into another; return the edit, None where nothing changed."""
    return paint(labels, class_region(labels, old), new, rules)


def boundaries(labels: LabelMap, box: Box | None = None) -> Mask:
    """Return the pixels of ``box`` that have a right or lower neighbour of another class, ``bool [h, w]``.

    Neighbours outside of the box count, so that boxes can be drawn one by one.
    """
    box = box or Box.of(labels.shape)
    wide = Box(box.x0, box.y0, box.x1 + 1, box.y1 + 1).intersect(Box.of(labels.shape))
    values = labels[wide.slices]
    edge = np.zeros(values.shape, bool)
    edge[:, :-1] |= values[:, :-1] != values[:, 1:]
    edge[:-1] |= values[:-1] != values[1:]
    return edge[: box.height, : box.width]


def histogram(labels: LabelMap) -> npt.NDArray[np.int64]:
    """Return the pixels of each class id, ``int64 [256]``."""
    return np.bincount(labels.ravel(), minlength=256)

"""The shapes of CVAT that have an inside, and painting them into a label map."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.edits import LabelMap
from app.domain.formats.polygons import Mask, paint
from app.domain.formats.sources import unreadable
from coordgan_core.data.images import MAX_PIXELS

_LARGEST_COORDINATE = 1e9
SHAPES = frozenset({"mask", "polygon", "box", "ellipse"})


@dataclass(frozen=True)
class Shape:
    """One shape: its kind, class id and attributes as they are written."""

    kind: str
    class_id: int
    attributes: dict[str, str]

    @property
    def order(self) -> int:
        """What is painted later: the higher number."""
        return int(self.attributes.get("z_order", "0") or 0)


def paint_shapes(shapes: Iterable[Shape], shape: tuple[int, int], name: str) -> LabelMap:
    """Paint shapes into a label map of ``(height, width)``, the highest last.

    Raises:
        LabelError: A shape is malformed.
    """
    if min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS:
        raise unreadable(name, f"a size of {shape[1]} x {shape[0]} pixels")
    labels = np.zeros(shape, np.uint8)
    try:
        for each in sorted(shapes, key=lambda s: s.order):
            if each.kind == "mask":
                _paint_mask(labels, each)
            else:
                corners = _corners(each)
                if len(corners):
                    paint(labels, corners, each.class_id)  # only its box: there may be thousands of shapes
    except (KeyError, ValueError, OverflowError) as error:
        raise unreadable(name, f"a malformed shape: {error}") from error
    return labels


def _paint_mask(labels: LabelMap, shape: Shape) -> None:
    left, top, width, height = (int(float(shape.attributes[k])) for k in ("left", "top", "width", "height"))
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"a mask of {width} x {height} pixels")
    mask = runs_mask([int(n) for n in shape.attributes["rle"].split(",") if n.strip()], height, width)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, labels.shape[1]), min(top + height, labels.shape[0])
    if x0 < x1 and y0 < y1:
        labels[y0:y1, x0:x1][mask[y0 - top : y1 - top, x0 - left : x1 - left]] = shape.class_id


def mask_runs(mask: Mask) -> list[int]:
    """Return the lengths of runs of a mask row by row, beginning with one of zeros (maybe of length 0)."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0] if flat[0] else [], changes, [flat.size]]).astype(np.int64)
    lengths: list[int] = np.diff(ends, prepend=0).tolist()
    return lengths


def runs_mask(runs: list[int], height: int, width: int) -> Mask:
    """Return the mask ``bool [height, width]`` of `mask_runs`; missing pixels at the end are zeros.

    Raises:
        ValueError: A run is negative, or there are more pixels than the box has.
    """
    lengths: npt.NDArray[np.int64] = np.array(runs, np.int64)
    # each by itself first: the sum of numbers that large would wrap around
    if ((lengths < 0) | (lengths > height * width)).any() or lengths.sum() > height * width:
        raise ValueError(f"runs that do not fit {width} x {height} pixels")
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    mask = np.zeros(height * width, bool)
    mask[: len(values)] = values
    return mask.reshape(height, width)


def _corners(shape: Shape) -> npt.NDArray[np.float64]:
    known = shape.attributes
    if shape.kind == "polygon":
        points = [
            [float(v) for v in point.split(",")] for point in known["points"].split(";") if point.strip()
        ]
        corners = np.array(points, np.float64).reshape(-1, 2)
    elif shape.kind == "box":
        x0, y0, x1, y1 = (float(known[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    else:
        cx, cy, rx, ry = (float(known[k]) for k in ("cx", "cy", "rx", "ry"))
        angles = np.linspace(0, 2 * np.pi, 181)[:-1]
        corners = np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)
    angle = math.radians(float(known.get("rotation", "0") or 0))
    if not (np.abs(corners) < _LARGEST_COORDINATE).all() or not math.isfinite(angle):
        raise ValueError("corners that are no numbers, or far outside of every image")
    return _turned(corners, angle)


def _turned(corners: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    if angle == 0 or not len(corners):
        return corners
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned: npt.NDArray[np.float64] = (corners - centre) @ turn + centre
    return turned

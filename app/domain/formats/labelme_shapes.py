"""Shapes of labelme and X-AnyLabeling: painted as labelme paints them, and made from label maps."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from app.domain.edits import LabelMap, bounding_box
from app.domain.formats import json_files, polygons
from app.domain.formats.rle import damaged
from coordgan_core.errors import LabelError

Shape = Mapping[str, Any]
Points = list[tuple[float, float]]
REGIONS = {"polygon", "rectangle", "circle", "mask", "oriented_rectangle", "rotation"}
"""Kinds of shapes that cover pixels; points and lines do not."""

_KNOWN = ("label", "points", "group_id", "description", "shape_type", "flags", "mask")
_COUNTS = {"rectangle": (2, 4), "circle": (2,), "mask": (2,), "oriented_rectangle": (4,), "rotation": (4,)}
_LARGEST_COORDINATE = 1e6


def is_region(shape: Any) -> bool:
    """Return whether a shape covers pixels."""
    return isinstance(shape, Mapping) and str(shape.get("shape_type") or "polygon") in REGIONS


def paint_shapes(
    shapes: Iterable[Shape], ids: Mapping[str, int], size: tuple[int, int], where: str
) -> LabelMap:
    """Return the label map of shapes, later ones over earlier ones, ``uint8 [H, W]``.

    Coordinates are cut to whole pixels and the outline belongs to the region, as labelme does it.

    Args:
        shapes: Those of a file; points and lines, and labels that are not in ``ids``, are left out.
        ids: Label -> class id.
        size: ``(height, width)``.
        where: The file, for errors.

    Raises:
        LabelError: A shape is damaged.
    """
    canvas = Image.new("L", size[::-1], 0)
    for number, shape in enumerate(shapes, 1):
        place = f"{where}, shape {number}"
        label = json_files.member(shape, "label", str, place)
        if shape.get("shape_type") is not None:
            json_files.member(shape, "shape_type", str, place)
        if is_region(shape) and label in ids:
            _paint(canvas, shape, ids[label], place)
    return np.array(canvas)


def _paint(canvas: Image.Image, shape: Shape, value: int, place: str) -> None:
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape, kind, place)
    draw = ImageDraw.Draw(canvas)
    if kind == "mask":
        x, y, mask = _mask(shape, points, place)
        canvas.paste(value, (x, y), Image.fromarray(mask))
    elif kind == "circle":
        (cx, cy), rim = points
        radius = math.dist((cx, cy), rim)
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=value, outline=value)
    elif kind == "rectangle" and len(points) == 2:
        xs, ys = sorted(p[0] for p in points), sorted(p[1] for p in points)
        draw.rectangle((xs[0], ys[0], xs[1], ys[1]), fill=value, outline=value)
    else:
        draw.polygon(points, fill=value, outline=value)


def _points(shape: Shape, kind: str, place: str) -> Points:
    points: Points = []
    for point in json_files.member(shape, "points", list, place):
        numbers = isinstance(point, list) and len(point) == 2
        if not numbers or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in point):
            raise damaged(place, "a point that is no pair of numbers")
        if not all(math.isfinite(v) and abs(v) <= _LARGEST_COORDINATE for v in point):
            raise damaged(place, "a point that is not finite, or far outside of every image")
        points.append((float(point[0]), float(point[1])))
    allowed = _COUNTS.get(kind)
    if len(points) not in allowed if allowed else len(points) < 3:
        raise damaged(place, f"a {kind} of {len(points)} points")
    return points


def _mask(shape: Shape, points: Points, place: str) -> tuple[int, int, npt.NDArray[np.uint8]]:
    (x0, y0), (x1, y1) = ((int(x), int(y)) for x, y in points)
    try:
        data = base64.b64decode(json_files.member(shape, "mask", str, place), validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size != (x1 - x0 + 1, y1 - y0 + 1):
                raise damaged(
                    place, f"a mask of {image.width} x {image.height} pixels, which is not that of its box"
                )
            values: npt.NDArray[Any] = np.asarray(image)
    except LabelError:
        raise
    except Exception as error:  # Pillow's decoders fail on damaged files with a dozen unrelated types
        raise damaged(place, f"a mask that is no PNG ({error})") from error
    if values.ndim == 3:
        values = np.any(values, axis=2)
    return x0, y0, np.where(values, np.uint8(255), np.uint8(0))


def mask_shape(labels: LabelMap, class_id: int, label: str) -> dict[str, Any]:
    """Return one `mask` shape for all pixels of a class that occurs."""
    mask = labels == class_id
    box = bounding_box(mask)
    buffer = io.BytesIO()
    Image.fromarray(mask[box.slices].astype(np.uint8)).save(buffer, format="PNG")
    corners = [[float(box.x0), float(box.y0)], [float(box.x1 - 1), float(box.y1 - 1)]]
    return _shape(label, corners, "mask", base64.b64encode(buffer.getvalue()).decode("ascii"))


def polygon_shapes(labels: LabelMap, class_id: int, label: str) -> list[dict[str, Any]]:
    """Return a polygon for each region of a class, holes joined to it."""
    return [_shape(label, ring.tolist(), "polygon", None) for ring in polygons.trace(labels == class_id)]


def _shape(label: str, points: list[Any], kind: str, mask: str | None) -> dict[str, Any]:
    values: tuple[Any, ...] = (label, points, None, "", kind, {}, mask)
    return dict(zip(_KNOWN, values, strict=True))


def with_kept(shape: dict[str, Any], kept: Shape) -> dict[str, Any]:
    """Return a new shape with what an earlier one of its label carried: unknown keys, group, text, flags."""
    own = {key: value for key, value in shape.items() if key in (*_KNOWN, "score")}
    return {
        **{key: value for key, value in shape.items() if key not in own},
        **{key: value for key, value in kept.items() if key not in _KNOWN},
        **own,
        **{key: kept[key] for key in ("group_id", "description", "flags") if key in kept},
    }


def merged(
    labels: LabelMap, new: Mapping[int, list[dict[str, Any]]], before: list[Any], names: Mapping[str, int]
) -> list[Any]:
    """Return the shapes of a file that was there before, brought up to a label map.

    Shapes of classes whose pixels did not change stay as they are, to the last key; so do points and lines.
    Those of other classes are replaced and hand on what they carried.

    Args:
        labels: The label map that the file must hold.
        new: Class id -> shapes that hold it.
        before: The shapes of the file.
        names: Name of a class in small letters -> its id.
    """
    size = (labels.shape[0], labels.shape[1])
    fresh = [shape for each in new.values() for shape in each]
    try:
        known = {str(s["label"]): names[str(s["label"]).casefold()] for s in before if _named(s, names)}
        old = paint_shapes(before, known, size, "the file")
    except LabelError:
        return fresh
    differs = old != labels
    changed = {int(i) for i in np.unique(np.concatenate([old[differs], labels[differs]]))}
    regions = [s for s in before if is_region(s) and s["label"] in known]
    first = {known[s["label"]]: s for s in reversed(regions)}
    handed = {c: [with_kept(s, first[c]) if c in first else s for s in each] for c, each in new.items()}
    same = [
        s for s in before if not is_region(s) or known.get(s["label"], -1) in set(known.values()) - changed
    ]
    result = same + [s for c, each in handed.items() if c in changed for s in each]
    if np.array_equal(paint_shapes(result, known | _labels(fresh, names), size, "the file"), labels):
        return result
    # something lay under what changed
    return [s for s in before if not is_region(s)] + [s for each in handed.values() for s in each]


def _named(shape: Any, names: Mapping[str, int]) -> bool:
    return isinstance(shape, Mapping) and str(shape.get("label")).casefold() in names


def _labels(shapes: Iterable[Shape], names: Mapping[str, int]) -> dict[str, int]:
    return {str(s["label"]): names[str(s["label"]).casefold()] for s in shapes}

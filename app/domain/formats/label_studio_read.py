"""Results of Label Studio painted into a label map, and the labels of a labeling configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.edits import LabelMap
from app.domain.formats import brush, json_files, polygons
from app.domain.formats.rle import damaged
from app.domain.formats.sources import Tree, xml_elements
from app.domain.palette import Color, parse_color

_LABEL_KEYS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels", "labels")
_LIST_TAGS = {"BrushLabels", "PolygonLabels", "RectangleLabels", "EllipseLabels", "Labels"}


def label_of(result: Any) -> str:
    """Return the label of a result, empty if it has none."""
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(value, dict):
        return ""
    labels = next((value[key] for key in _LABEL_KEYS if value.get(key)), None)
    return str(labels[0]) if isinstance(labels, list) else ""


def labels_of_config(file: Path) -> dict[str, Color | None]:
    """Return the labels of a labeling configuration with their colours; empty without a file.

    Raises:
        LabelError: It is no XML.
    """
    labels: dict[str, Color | None] = {}
    if not file.is_file():
        return labels
    with Tree(file.parent).open(file.name) as stream:
        for element in xml_elements(stream, file.name):
            if element.opens and element.name == "Label" and _LIST_TAGS & set(element.path):
                color = element.attributes.get("background", "")
                try:
                    labels[element.attributes.get("value", "")] = parse_color(color)
                except ValueError:
                    labels[element.attributes.get("value", "")] = None  # a colour by name
    return labels


def paint_results(
    results: Iterable[Any], ids: Mapping[str, int], where: str, size: Callable[[], tuple[int, int] | None]
) -> LabelMap:
    """Return the label map of results, later ones over earlier ones, ``uint8 [H, W]``.

    Args:
        results: The regions of a task; choices and relations are left out.
        ids: Label -> class id.
        where: The task, for errors.
        size: Returns ``(width, height)`` where no region tells it.

    Raises:
        LabelError: A result is damaged, turned, or of another size than the first one, or no size is known.
    """
    labels: LabelMap | None = None
    for number, result in enumerate(results, 1):
        place = f"{where}, result {number}"
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict) or "original_width" not in result:
            continue  # choices, relations
        shape = json_files.image_shape(result, "original_width", "original_height", place)
        if labels is None:
            labels = np.zeros(shape, np.uint8)
        if labels.shape != shape:
            raise damaged(place, f"a result of an image of {shape[1]} x {shape[0]} pixels")
        if result.get("image_rotation") not in (None, 0):
            raise damaged(place, f"an image turned by {result['image_rotation']!r:.20} degrees")
        class_id = ids.get(label_of(result), 0)
        if "rle" in value:
            labels[brush.decode(value["rle"], shape, place)] = class_id
        elif class_id:
            ring = _outline(value, shape, place)
            if ring is not None:
                polygons.paint(labels, ring, class_id)
    if labels is None:
        known = size()
        if known is None:
            raise damaged(where, "no region, and so no size of the image")
        return np.zeros(known[::-1], np.uint8)
    return labels


def _outline(value: Mapping[str, Any], shape: tuple[int, int], place: str) -> npt.NDArray[np.float64] | None:
    """Return the polygon of a polygon, rectangle or ellipse in pixels, None for anything else."""
    if "points" in value:
        points = json_files.member(value, "points", list, place)
        if len(points) < 3 or not all(isinstance(p, list) and len(p) == 2 for p in points):
            raise damaged(place, "a polygon that is no list of three or more points")
        numbers = [_number(v, place) for point in points for v in point]
        percent = np.array(numbers).reshape(-1, 2)
    elif {"x", "y", "width", "height"} <= set(value):
        x, y, width, height = (_number(value[key], place) for key in ("x", "y", "width", "height"))
        percent = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    elif {"x", "y", "radiusX", "radiusY"} <= set(value):
        x, y, across, down = (_number(value[key], place) for key in ("x", "y", "radiusX", "radiusY"))
        angle = np.linspace(0, 2 * math.pi, 180, endpoint=False)
        percent = np.stack([x + across * np.cos(angle), y + down * np.sin(angle)], axis=1)
    else:
        return None
    ring = percent / 100 * (shape[1], shape[0])
    turn = math.radians(_number(value.get("rotation") or 0, place))
    pivot = ring[0] if "width" in value else np.array([_number(value.get(k, 0), place) for k in "xy"]) / 100
    if turn and "points" not in value:
        pivot = pivot if "width" in value else pivot * (shape[1], shape[0])
        cos, sin = math.cos(turn), math.sin(turn)
        ring = (ring - pivot) @ np.array([[cos, sin], [-sin, cos]]) + pivot
    return ring


def _number(value: Any, place: str) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or abs(value) > 1e6:
        raise damaged(place, f"the coordinate {value!r:.40}")
    return float(value)

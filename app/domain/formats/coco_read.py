"""Reading COCO instances: categories become classes, annotations are painted in their order."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.classes import MAX_CLASSES
from app.domain.edits import LabelMap
from app.domain.formats import coco_polygons, json_files, rle
from app.domain.formats.base import Extras, ImportItem, Source
from app.domain.palette import Color

_IMAGE_KEYS = {"id", "file_name", "width", "height"}
_LARGEST_COORDINATE = 1e9


@dataclass
class Categories:
    """The classes of all files that are read together: one class id a name."""

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, value: Any, where: str) -> dict[int, int]:
        """Take the categories of a file and return category id -> class id, 0 for those left out.

        Ids from 1 to 255 are kept as long as no other name has them; others get the next free one.

        Raises:
            LabelError: An entry has no id or no name.
        """
        mapping: dict[int, int] = {}
        entries = [
            (json_files.member(c, "id", int, where), json_files.member(c, "name", str, where), c)
            for c in value
        ]
        keep = all(0 < i < MAX_CLASSES for i, _, _ in entries)
        for category, name, entry in entries:
            known = next((i for i, n in self.names.items() if n.casefold() == name.casefold()), None)
            wanted = category if keep and category not in self.names else None
            class_id = (
                known or wanted or next((i for i in range(1, MAX_CLASSES) if i not in self.names), None)
            )
            if class_id is None:
                self.warnings.append(f"{where}: {name} is left out: more than {MAX_CLASSES - 1} classes")
                mapping[category] = 0
                continue
            mapping[category] = class_id
            self.names.setdefault(class_id, name)
            color = _color(entry.get("color"))
            if color is not None:
                self.colors.setdefault(class_id, color)
        return mapping


def _color(value: Any) -> Color | None:
    if (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(v, int) and 0 <= v <= 255 for v in value)
    ):
        return value[0], value[1], value[2]
    return None


def source_of(files: Iterable[Path], read: Callable[[Path, Categories], Iterable[ImportItem]]) -> Source:
    """Return what ``read`` finds in each of these files, whose classes become one list.

    Raises:
        LabelError: A file is damaged.
    """
    categories = Categories()
    items = [item for file in files for item in read(file, categories)]
    return Source(tuple(items), categories.names, tuple(categories.warnings), categories.colors)


def read_file(file: Path, categories: Categories) -> Iterator[ImportItem]:
    """Yield the images of one file; its categories are added to ``categories``.

    Raises:
        LabelError: The file is damaged.
    """
    where = file.name
    content = json_files.load(file)
    mapping = categories.add(json_files.member(content, "categories", list, where), where)
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in json_files.member(content, "annotations", list, where):
        by_image.setdefault(json_files.member(annotation, "image_id", int, where), []).append(annotation)
    for image in json_files.member(content, "images", list, where):
        name = json_files.clean_name(json_files.member(image, "file_name", str, where))
        found = by_image.get(json_files.member(image, "id", int, where), [])
        yield ImportItem(
            str(PurePosixPath(name).with_suffix("")) if name else where,
            functools.partial(_load, f"{where}, {name}", image, found, mapping),
            name,
            functools.partial(extras_of_image, image),
        )


def extras_of_image(image: Mapping[str, Any]) -> Extras:
    """Return what is not understood of the entry of an image."""
    kept = {key: value for key, value in image.items() if key not in _IMAGE_KEYS}
    return {"image": kept} if kept else {}


def _load(where: str, image: Any, annotations: list[dict[str, Any]], mapping: Mapping[int, int]) -> LabelMap:
    height, width = json_files.image_shape(image, "width", "height", where)
    flat = np.zeros(height * width, np.uint8)
    for annotation in annotations:
        class_id = class_of(json_files.member(annotation, "category_id", int, where), mapping, where)
        segmentation = annotation.get("segmentation") if class_id else None
        if isinstance(segmentation, dict):
            rle.paint(flat, rle.parse(segmentation, (height, width), where), class_id)
        elif segmentation:
            columns_first = flat.reshape(width, height)
            for ring in rings_of(segmentation, where):
                coco_polygons.paint(columns_first.T, ring, class_id)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def class_of(category: int, mapping: Mapping[int, int], where: str) -> int:
    """Return the class id of a category.

    Raises:
        LabelError: The file does not name it.
    """
    if category not in mapping:
        raise rle.damaged(where, f"the category {category}, which its categories do not name")
    return mapping[category]


def rings_of(value: Any, where: str) -> list[npt.NDArray[np.float64]]:
    """Return the polygons of ``[[x, y, x, y, ...], ...]`` as ``float64 [N, 2]`` each.

    Raises:
        LabelError: A polygon has no three points, an odd number of values, or one that is no finite number.
    """
    rings = []
    for flat in value if isinstance(value, list) else [value]:
        if not isinstance(flat, list) or not all(isinstance(v, int | float) for v in flat):
            raise rle.damaged(where, "a polygon that is no list of numbers")
        if len(flat) < 6 or len(flat) % 2:
            raise rle.damaged(where, "a polygon that is no list of three or more points")
        if not all(math.isfinite(v) and abs(v) < _LARGEST_COORDINATE for v in flat):
            raise rle.damaged(where, "a polygon with coordinates that are no finite numbers")
        rings.append(np.array(flat, np.float64).reshape(-1, 2))
    return rings

"""Cityscapes: class ids, colours, objects and polygons of each image in ``gtFine/<split>/<city>``.

Facts: ``*_gtFine_labelIds.png`` (8 bit), ``_color.png``, ``_instanceIds.png`` (16 bit: class times 1000 plus
the number of the object, or the class alone for what is not counted), ``_polygons.json`` (later objects paint
over earlier ones, corners are centres of pixels). Parts are not counted here. The class ids are the
project's, with ``classes.json``; without it the lines of ``label_colors.txt``, else those of the data set.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats import json_files
from app.domain.formats.base import (
    CLASSES_FILE,
    NO_IMAGES,
    BaseFormat,
    ExportItem,
    ExportOptions,
    ImportItem,
    KnownImages,
    Source,
    Written,
    copy_image,
)
from app.domain.formats.class_list import write_classes
from app.domain.formats.color_png import read_label_colors
from app.domain.formats.colors import distinct_colors, paint, write_picture
from app.domain.formats.names import split_of
from app.domain.formats.outlines import centred, fill_centred, painted
from app.domain.formats.sources import Tree, open_tree, read_png, unreadable
from coordgan_core.errors import LabelError
from coordgan_core.files import write_bytes
from coordgan_core.labels import LabelClasses

LABELS = "gtFine"
IMAGES = "leftImg8bit"
COLORS_FILE = "label_colors.txt"
IDS = f"_{LABELS}_labelIds.png"
POLYGONS = f"_{LABELS}_polygons.json"
PARTS = (IDS, f"_{LABELS}_color.png", f"_{LABELS}_instanceIds.png", POLYGONS)
UNLABELLED = "unlabeled"
# the ids of the data set, 0 to 33
_TEXT = """unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup, traffic light,
traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan, trailer, train, motorcycle,
bicycle"""
NAMES = tuple(name.strip() for name in _TEXT.split(","))
_VOID = frozenset(range(1, 4))
_NAMED = re.compile(r"^([^_]+)_\d+_\d+$")


class Cityscapes(BaseFormat):
    """Class ids and polygons in the folder layout of Cityscapes."""

    name = "cityscapes"
    title = "Cityscapes"
    common = (CLASSES_FILE,)
    splits = True

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1; raises nothing."""
        if not path.is_dir():
            return 0.0
        folder = path / LABELS if (path / LABELS).is_dir() else path
        return 0.95 if next(folder.rglob(f"*_{LABELS}_*"), None) is not None else 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find class ids (or polygons where there are none) below ``path``, without decoding them.

        Raises:
            LabelError: There are none.
        """
        del images
        tree = open_tree(path)
        names = tree.names()
        maps = {_key(n, IDS): n for n in names if n.endswith(IDS)}
        drawn = {_key(n, POLYGONS): n for n in names if n.endswith(POLYGONS)}
        drawn = {key: n for key, n in drawn.items() if key not in maps}
        if not maps and not drawn:
            raise LabelError(
                f"{path} holds no *{IDS}",
                expected="the layout of Cityscapes",
                remedy=f"choose the folder that holds {LABELS}",
            )
        own = next((n for n in names if PurePosixPath(n).name == CLASSES_FILE), None)
        listed = next((n for n in names if PurePosixPath(n).name == COLORS_FILE), None)
        if own:
            classes = _own_classes(tree, own)
        elif listed:
            classes = dict(enumerate(name for name, _ in read_label_colors(tree.text(listed), listed)))
        else:
            classes = dict(enumerate(NAMES))
        numbers = {name: i for i, name in classes.items()} | {UNLABELLED: 0}
        if drawn:
            _add_drawn(tree, drawn.values(), numbers)
        items = [ImportItem(key, functools.partial(_load, tree, n)) for key, n in maps.items()]
        items += [ImportItem(key, functools.partial(_draw, tree, n, numbers)) for key, n in drawn.items()]
        named = {i: name for i, name in [*((i, n) for n, i in numbers.items()), *classes.items()] if i}
        return Source(tuple(items), named, void=frozenset() if own or listed else _VOID)

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        named = _NAMED.match(item.stem)
        city = named.group(1) if named else "images"
        below = f"{split_of(item.stem, options.validation_share)}/{city}/{item.stem}"
        ending = PurePosixPath(item.image_name).suffix
        copies = (f"{IMAGES}/{below}_{IMAGES}{ending}",) if options.copy_images else ()
        return (*(f"{LABELS}/{below}{part}" for part in PARTS), *copies)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write the four files of each image, then ``classes.json``."""
        colors = distinct_colors(table)
        names = {c.id: c.name for c in table.classes} | {0: UNLABELLED}
        for item in items:
            written = self.image_files(item, options)
            labels = item.load()
            write_picture(out / written[0], labels)
            write_picture(out / written[1], paint(labels, colors))
            write_picture(out / written[2], labels.astype(np.uint16))
            write_bytes(
                out / written[3], json.dumps(_polygons(labels, names), ensure_ascii=False, indent=4).encode()
            )
            for copy in written[4:]:
                copy_image(item, out / copy)
            yield Written(item, written)
        write_classes(out, table)


def _polygons(labels: LabelMap, names: dict[int, str]) -> dict[str, Any]:
    objects = [
        {"label": names.get(class_id, f"class {class_id}"), "polygon": centred(ring).astype(int).tolist()}
        for class_id, ring in painted(labels)
    ]
    return {"imgHeight": labels.shape[0], "imgWidth": labels.shape[1], "objects": objects}


def _key(name: str, ending: str) -> str:
    return PurePosixPath(name).name.removesuffix(ending)


def _own_classes(tree: Tree, name: str) -> dict[int, str]:
    return {c.id: c.name for c in LabelClasses.from_json(json_files.parsed(tree.text(name), name)).classes}


def _add_drawn(tree: Tree, names: Iterable[str], numbers: dict[str, int]) -> None:
    """Give numbers to labels of polygons that have none yet."""
    for name in names:
        for label, _ in _objects(tree, name)[1]:
            if label not in numbers:
                free = next((i for i in range(1, 256) if i not in set(numbers.values())), None)
                if free is None:
                    raise LabelError("the polygons have more than 255 labels", expected="at most 255")
                numbers[label] = free


def _objects(tree: Tree, name: str) -> tuple[tuple[int, int], list[tuple[str, Any]]]:
    data = json_files.parsed(tree.text(name), name)
    shape = json_files.image_shape(data, "imgWidth", "imgHeight", name)
    found = []
    for each in json_files.member(data, "objects", list, name):
        label = json_files.member(each, "label", str, name)
        if not each.get("deleted"):
            found.append((label, json_files.member(each, "polygon", list, name)))
    return shape, found


def _load(tree: Tree, name: str) -> LabelMap:
    labels = read_png(tree, name)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise unreadable(name, "class ids of 8 bits were expected")
    return labels


def _draw(tree: Tree, name: str, numbers: dict[str, int]) -> LabelMap:
    shape, objects = _objects(tree, name)
    labels = np.zeros(shape, np.uint8)
    for label, polygon in objects:
        try:
            mask = fill_centred(polygon, shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise unreadable(name, error) from error
        labels[mask] = numbers.get(label, 0)
    return labels

"""CVAT "Segmentation mask 1.1": RGB PNGs of classes and of objects, ``labelmap.txt``; a folder or a zip file.

Facts: the label map has a header line and ``name:r,g,b::`` sorted by name; black is background and must be
declared. Class masks are RGB in these colours; object masks are RGB in the colour map of Pascal VOC by the
number of the object. Class masks of one channel count the lines of the label map from 0. CVAT takes a zip.
"""

from __future__ import annotations

import functools
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats.base import (
    NO_IMAGES,
    BaseFormat,
    Choice,
    ExportItem,
    ExportOptions,
    ImportItem,
    KnownImages,
    Source,
    Written,
    objects,
)
from app.domain.formats.color_png import numbered, read_label_map_text
from app.domain.formats.colors import Picture, distinct_colors, paint, recolored, unpaint
from app.domain.formats.names import renamed, unique_names
from app.domain.formats.sources import Tree, holds, open_tree, read_png
from app.domain.palette import Color, to_color, voc_palette
from coordgan_core.errors import LabelError
from coordgan_core.files import atomic_path, write_bytes

MAP_FILE = "labelmap.txt"
CLASS_FOLDER = "SegmentationClass"
OBJECT_FOLDER = "SegmentationObject"
LIST_FILE = "ImageSets/Segmentation/default.txt"
ARCHIVE = "segmentation-mask.zip"
HEADER = "# label:color_rgb:parts:actions"
VOID = 255
PACK = Choice("pack", "As", {"zip": "one zip file, as CVAT takes it", "folder": "a folder"})


class CvatMask(BaseFormat):
    """Masks in colours, for CVAT."""

    name = "cvat-mask"
    title = "CVAT segmentation mask 1.1"
    suffix = ".zip"
    choices = (PACK,)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say which names and colours change, and what CVAT must know."""
        del options
        found = renamed(table, map_names(table), "class")
        return found + [f"{name} gets another colour: its own is taken" for name in recolored(table)]

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1; raises nothing."""
        return 0.95 if holds(path, MAP_FILE) or (path / ARCHIVE).is_file() else 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the class masks below ``path``, a folder or zip file, without decoding them.

        Raises:
            LabelError: There is no label map or no class mask.
        """
        del images
        tree = open_tree(path / ARCHIVE if (path / ARCHIVE).is_file() else path)
        names = tree.names()
        place = next((n for n in names if PurePosixPath(n).name == MAP_FILE), None)
        root = str(PurePosixPath(place).parent / CLASS_FOLDER) + "/" if place else ""
        masks = [n for n in names if n.startswith(root) and n.lower().endswith(".png")]
        if place is None or not masks:
            raise LabelError(
                f"{path} holds no {MAP_FILE} with {CLASS_FOLDER}/*.png",
                expected='what CVAT exports as "Segmentation mask 1.1"',
                remedy="choose its zip file, or the folder with labelmap.txt",
            )
        pairs = read_label_map_text(tree.text(place), place)
        classes = numbered(pairs, place)
        ids: dict[Color, int] = {}
        for each in classes:
            ids.setdefault(each.color, each.id)
        by_name = {c.name: c.id for c in classes}
        lines = [by_name[name] for name, _ in pairs]
        items = [ImportItem(n[len(root) : -4], functools.partial(_load, tree, n, ids, lines)) for n in masks]
        return Source(
            tuple(items),
            {c.id: c.name for c in classes if c.id},
            tuple(_doubled([c.color for c in classes])),
            {c.id: c.color for c in classes if c.id},
        )

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        return () if PACK.of(options) == "zip" else _members(item)

    def common_files(self, options: ExportOptions | None = None) -> tuple[str, ...]:
        """Return the files that are written once."""
        return (ARCHIVE,) if PACK.of(options) == "zip" else (MAP_FILE, LIST_FILE)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write class and object masks one by one, then the label map and the list."""
        colors = distinct_colors(table)
        if PACK.of(options) == "folder":
            stems = []
            for item in items:
                for name, content in zip(_members(item), _masks(item.load(), colors), strict=True):
                    write_bytes(out / name, content)
                stems.append(item.stem)
                yield Written(item, _members(item))
            for name, content in _texts(table, colors, stems):
                write_bytes(out / name, content)
            return
        with (
            atomic_path(out / ARCHIVE) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            stems = []
            for item in items:
                for name, content in zip(_members(item), _masks(item.load(), colors), strict=True):
                    archive.writestr(name, content)
                stems.append(item.stem)
                yield Written(item, ())
            for name, content in _texts(table, colors, stems):
                archive.writestr(name, content)


def map_names(table: ClassTable) -> dict[int, str]:
    """Return a name for each class that survives the label map: no colon, no line break, no # in front."""
    classes = table.classes[1:]
    plain = [re.sub(r"[:\r\n]+", "_", c.name).strip().lstrip("#").strip() for c in classes]
    plain = [name or f"class {c.id}" for name, c in zip(plain, classes, strict=True)]
    return dict(zip([c.id for c in classes], unique_names(["background", *plain])[1:], strict=True))


def _members(item: ExportItem) -> tuple[str, str]:
    return f"{CLASS_FOLDER}/{item.stem}.png", f"{OBJECT_FOLDER}/{item.stem}.png"


def _masks(labels: LabelMap, colors: dict[int, Color]) -> tuple[bytes, bytes]:
    return _png(paint(labels, colors)), _png(voc_palette()[objects(labels)])


def _png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def _texts(table: ClassTable, colors: dict[int, Color], stems: Sequence[str]) -> list[tuple[str, bytes]]:
    named = [("background", colors[0]), *((name, colors[i]) for i, name in map_names(table).items())]
    lines = [HEADER, *(f"{name}:{r},{g},{b}::" for name, (r, g, b) in sorted(named))]
    return [
        (MAP_FILE, "".join(f"{line}\n" for line in lines).encode()),
        (LIST_FILE, "".join(f"{stem}\n" for stem in stems).encode()),
    ]


def _load(tree: Tree, name: str, ids: dict[Color, int], lines: list[int]) -> LabelMap:
    picture = read_png(tree, name)
    if picture.ndim == 3:
        # programs that came by VOC draw borders in its colour of "do not care"
        return unpaint(picture, {to_color(voc_palette()[VOID]): 0, **ids}, name)
    table = np.zeros(256, np.uint8)
    table[: len(lines)] = lines[:256]
    highest = int(picture[picture != VOID].max(initial=0))
    if picture.dtype != np.uint8 or highest >= len(lines):
        raise LabelError(
            f"{name} holds the number {highest}, the label map has {len(lines)} lines",
            expected="the number of a line, from 0",
            remedy="add the missing classes to labelmap.txt",
        )
    if len(lines) <= VOID:
        table[VOID] = 0
    labels: LabelMap = table[picture]
    return labels


def _doubled(colors: Sequence[Color]) -> list[str]:
    twice = len(colors) - len(set(colors))
    return [f"{twice} classes share the colour of another: the first of them is read"] if twice else []

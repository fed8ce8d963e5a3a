"""Colour PNG: one RGB PNG an image in the colours of the classes, and a map from colours to names.

Written with ``classes.json``; read with that, with ``labelmap.txt`` (``name:r,g,b``), ``label_colors.txt``
(``r g b name``), or ``class_dict.csv`` (``name,r,g,b`` under a header line).
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from app.domain.classes import ClassTable, LabelClass
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
)
from app.domain.formats.class_list import write_classes
from app.domain.formats.colors import BLACK, distinct_colors, paint, recolored, unpaint, write_picture
from app.domain.formats.sources import Tree, open_tree, read_png, unreadable
from app.domain.palette import Color, to_color, voc_palette
from coordgan_core.errors import LabelError
from coordgan_core.labels import LabelClasses

MAPS = (CLASSES_FILE, "labelmap.txt", "label_colors.txt", "class_dict.csv")


class ColorPng(BaseFormat):
    """Colours in an RGB PNG of the image's name."""

    name = "color-png"
    title = "Colour PNG with a map"
    common = (CLASSES_FILE,)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say which classes get another colour, as two would look alike."""
        del options
        return [f"{name} gets another colour: its own is taken" for name in recolored(table)]

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1; raises nothing."""
        if not path.is_dir() or not any((path / each).exists() for each in MAPS):
            return 0.0
        tree = Tree(path)
        for file in sorted(path.glob("*.png"))[:3]:
            try:
                if read_png(tree, file.name).ndim == 3:
                    return 0.8
            except LabelError:
                continue
        return 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the pictures and the map, without decoding the pictures.

        Raises:
            LabelError: There is no PNG, or no map.
        """
        del images
        tree = open_tree(path)
        names = tree.names()
        pictures = [n for n in names if n.lower().endswith(".png")]
        found = next((n for each in MAPS for n in names if PurePosixPath(n).name == each), None)
        if not pictures or found is None:
            raise LabelError(
                f"{path} holds no colour PNG with a map",
                expected="RGB PNG files beside " + ", ".join(MAPS),
                remedy="put a map of the colours beside them",
            )
        classes = read_map(tree, found)
        root = PurePosixPath(found).parent
        ids = {c.color: c.id for c in classes}
        items = [
            ImportItem(_below(PurePosixPath(n).with_suffix(""), root), functools.partial(_load, tree, n, ids))
            for n in pictures
        ]
        named = {c.id: c.name for c in classes if c.id}
        return Source(tuple(items), named, colors={c.id: c.color for c in classes if c.id})

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write pictures one by one, then ``classes.json`` with the colours that were used."""
        colors = distinct_colors(table)
        for item in items:
            files = self.image_files(item, options)
            write_picture(out / files[0], paint(item.load(), colors))
            yield Written(item, files)
        write_classes(out, ClassTable(tuple(LabelClass(c.id, c.name, colors[c.id]) for c in table.classes)))


def _load(tree: Tree, name: str, ids: dict[Color, int]) -> LabelMap:
    picture = read_png(tree, name)
    if picture.ndim != 3:
        raise LabelError(
            f"{name} holds numbers, not colours",
            expected="an RGB PNG",
            remedy="import it as index PNG",
        )
    return unpaint(picture, ids, name)


def _below(path: PurePosixPath, root: PurePosixPath) -> str:
    return str(path.relative_to(root) if root in path.parents else path)


def read_map(tree: Tree, name: str) -> list[LabelClass]:
    """Read a map of colours; ids are those of ``classes.json``, else the order of the lines.

    Raises:
        LabelError: It cannot be understood, or two classes have one colour.
    """
    kind = PurePosixPath(name).name
    text = tree.text(name)
    if kind == CLASSES_FILE:
        known = LabelClasses.from_json(json_files.parsed(text, name))
        classes = [LabelClass(c.id, c.name, c.color) for c in known.classes]
    else:
        reader = {"labelmap.txt": read_label_map_text, "label_colors.txt": read_label_colors}.get(kind, _csv)
        classes = numbered(reader(text, name), name)
    colors = [c.color for c in classes]
    if len(set(colors)) < len(colors):
        twice = next(c.name for i, c in enumerate(classes) if c.color in colors[:i])
        raise LabelError(
            f"{name} gives {twice} a colour that another class has",
            expected="one colour a class",
            remedy="give it another colour in both the map and the pictures",
        )
    return classes


def numbered(pairs: list[tuple[str, Color]], name: str) -> list[LabelClass]:
    """Return classes with ids from 1 in the order given; the black or so named one is background.

    Raises:
        LabelError: There are more than 255.
    """
    background = next((p for p in pairs if p[1] == BLACK), None) or next(
        (p for p in pairs if p[0].casefold() == "background"), None
    )
    others = [p for p in pairs if p is not background]
    if len(others) > 255:
        raise LabelError(f"{name} names {len(others)} classes", expected="at most 255")
    first = [LabelClass(0, *background)] if background else []
    return [*first, *(LabelClass(i, *pair) for i, pair in enumerate(others, 1))]


def read_label_map_text(text: str, name: str) -> list[tuple[str, Color]]:
    """Read the lines ``name:r,g,b:parts:actions`` of a ``labelmap.txt``; # begins a comment.

    Raises:
        LabelError: A line is malformed.
    """
    pairs: list[tuple[str, Color]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = line.strip().split(":")
        if len(fields) > 1 and not fields[1].strip():  # no colour: that of VOC for this line
            color = to_color(voc_palette()[len(pairs) % 256])
        else:
            color = _color(fields[1].split(",") if len(fields) > 1 else [], f"{name}, line {number}")
        pairs.append((fields[0].strip(), color))
    return pairs


def read_label_colors(text: str, name: str) -> list[tuple[str, Color]]:
    """Read the lines ``r g b name`` of a ``label_colors.txt``; lines without a colour have that of VOC.

    Raises:
        LabelError: A line is malformed.
    """
    pairs: list[tuple[str, Color]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split(maxsplit=3)
        if len(fields) == 4 and fields[0].isdecimal():
            pairs.append((fields[3].strip(), _color(fields[:3], f"{name}, line {number}")))
        elif line.strip():
            pairs.append((line.strip(), to_color(voc_palette()[len(pairs) % 256])))
    return pairs


def _csv(text: str, name: str) -> list[tuple[str, Color]]:
    try:
        rows = list(csv.reader(io.StringIO(text)))[1:]
    except csv.Error as error:
        raise unreadable(name, error) from error
    return [(row[0].strip(), _color(row[1:4], f"{name}, line {i}")) for i, row in enumerate(rows, 2) if row]


def _color(values: Sequence[str], where: str) -> Color:
    try:
        red, green, blue = (int(v) for v in values)
        if not all(0 <= v <= 255 for v in (red, green, blue)):
            raise ValueError
    except ValueError:
        raise LabelError(
            f"{where} gives the colour {','.join(values)!r}",
            expected="three numbers from 0 to 255",
            remedy="correct the map",
        ) from None
    return red, green, blue

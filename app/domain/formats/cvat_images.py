"""CVAT for images 1.1: one XML file, with masks as runs or polygons.

Facts: ``<mask rle="n, n" left top width height>``: runs row by row inside of the box, zeros first;
``<polygon points="x,y;x,y">`` with two decimals, corners between pixels; shapes are painted by ``z_order``.
Polygons have no holes: here parts are painted from the outside in, background too, which loses nothing.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape, quoteattr

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap, bounding_box
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
    copy_image,
    present,
)
from app.domain.formats.cvat_shapes import SHAPES, Shape, mask_runs, paint_shapes
from app.domain.formats.names import file_path, label_names
from app.domain.formats.outlines import painted
from app.domain.formats.sources import Tree, holds, open_tree, unreadable, xml_elements
from app.domain.palette import Color, hex_color, parse_color
from coordgan_core.errors import LabelError
from coordgan_core.files import atomic_path

FILE = "annotations.xml"
IMAGE_FOLDER = "images"
BACKGROUND = "background"
SHAPE = Choice("shape", "Shapes", {"mask": "masks", "polygon": "polygons"})


class CvatImages(BaseFormat):
    """Shapes of all images in one XML file, for CVAT."""

    name = "cvat-images"
    title = "CVAT for images 1.1"
    suffix = ".xml"
    choices = (SHAPE,)
    common = (FILE,)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what CVAT must know for polygons."""
        del table
        if SHAPE.of(options) == "polygon":
            return ["polygons have no holes: what lies in one is painted over it, background too, as a class"]
        return []

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1; raises nothing."""
        if path.is_file() and path.suffix.lower() == ".xml":
            try:
                with path.open("rb") as stream:
                    return 0.95 if b"<annotations" in stream.read(4096) else 0.1
            except OSError:
                return 0.0
        return 0.9 if holds(path, FILE) else 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the images in the XML file at ``path`` (or in a folder or zip file), without shapes.

        Raises:
            LabelError: There is no such file, or it is damaged, or is of a video.
        """
        del images
        tree, name = _locate(path)
        found = _Listing()
        with tree.open(name) as stream:
            for element in xml_elements(stream, name):
                found.take(
                    element.name,
                    element.attributes,
                    element.text,
                    element.path,
                    at=element.at,
                    opens=element.opens,
                )
        if not found.images:
            what = "tracks of a video" if found.tracks else "no images"
            raise LabelError(
                f"{name} holds {what}",
                expected='"CVAT for images 1.1"',
                remedy="export it from CVAT in that format",
            )
        ids = found.ids(name)
        # a member of a zip file cannot be entered in the middle: it is kept
        content = tree.read(name) if type(tree) is not Tree else None
        items = [
            ImportItem(_key(i.name), functools.partial(_load, tree, name, content, i, ids), i.name)
            for i in found.images
        ]
        colors = {ids[n]: c for n, c in found.colors.items() if ids.get(n)}
        return Source(tuple(items), {i: n for n, i in ids.items() if i}, tuple(found.warnings()), colors)

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        return (f"{IMAGE_FOLDER}/{file_path(item.path)}",) if options.copy_images else ()

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write the shapes of one image after the other."""
        names = label_names(table)
        with (
            atomic_path(out / FILE) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as stream,
        ):
            stream.write(_head(table))
            for number, item in enumerate(items):
                labels = item.load()
                height, width = labels.shape
                name = quoteattr(item.path)
                stream.write(f'  <image id="{number}" name={name} width="{width}" height="{height}">\n')
                stream.writelines(_shapes(labels, names, SHAPE.of(options)))
                stream.write("  </image>\n")
                written = self.image_files(item, options)
                for copy in written:
                    copy_image(item, out / copy)
                yield Written(item, written)
            stream.write("</annotations>\n")


_LABEL = """        <label>
          <name>{name}</name>
          <color>{color}</color>
          <type>any</type>
          <attributes>
          </attributes>
        </label>
"""
_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <mode>annotation</mode>
      <overlap>0</overlap>
      <flipped>False</flipped>
      <labels>
{labels}      </labels>
    </task>
  </meta>
"""


def _head(table: ClassTable) -> str:
    names = label_names(table)
    labels = (_LABEL.format(name=escape(names[c.id]), color=hex_color(c.color)) for c in table.classes)
    return _HEAD.format(labels="".join(labels))


def _shapes(labels: LabelMap, names: dict[int, str], shape: str) -> Iterator[str]:
    def begin(kind: str, class_id: int) -> str:
        label = quoteattr(names.get(class_id, f"class {class_id}"))
        return f'    <{kind} label={label} source="manual" occluded="0" '

    if shape == "polygon":
        for order, (class_id, ring) in enumerate(painted(labels)):
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)
            yield begin("polygon", class_id) + f'points="{points}" z_order="{order}">\n    </polygon>\n'
        return
    for class_id in present(labels):
        mask = labels == class_id
        box = bounding_box(mask)
        runs = ", ".join(map(str, mask_runs(mask[box.slices])))
        place = f'left="{box.x0}" top="{box.y0}" width="{box.width}" height="{box.height}"'
        yield begin("mask", class_id) + f'rle="{runs}" {place} z_order="0">\n    </mask>\n'


def _locate(path: Path) -> tuple[Tree, str]:
    if path.is_file() and path.suffix.lower() == ".xml":
        return Tree(path.parent), path.name
    tree = open_tree(path)
    names = tree.names()
    found = [n for n in names if PurePosixPath(n).name == FILE] or [
        n for n in names if n.lower().endswith(".xml")
    ]
    if not found:
        raise LabelError(
            f"{path} holds no {FILE}",
            expected='what CVAT exports as "CVAT for images 1.1"',
            remedy="choose its XML file",
        )
    return tree, found[0]


def _key(name: str) -> str:
    return name.replace("\\", "/")


@dataclass(frozen=True)
class _Image:
    """One image of the file: where its tag begins and its end tag begins, and its size."""

    name: str
    width: int
    height: int
    begin: int
    end: int


@dataclass
class _Listing:
    """What a first walk through the file finds."""

    images: list[_Image] = field(default_factory=list)
    labels: dict[str, None] = field(default_factory=dict)
    colors: dict[str, Color] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    tracks: int = 0
    _open: tuple[dict[str, str], int] | None = None
    _label: str = ""

    def take(
        self, name: str, attributes: dict[str, str], text: str, path: tuple[str, ...], *, at: int, opens: bool
    ) -> None:
        if name == "image":
            self._image(attributes, at, opens=opens)
        elif name == "track" and opens:
            self.tracks += 1
        elif path[-1:] == ("label",) and path[-2:-1] == ("labels",) and not opens:
            self._described(name, text.strip())
        elif opens and path[-1:] == ("image",):
            if name in SHAPES:
                self.labels.setdefault(attributes.get("label", ""))
            else:
                self.skipped[name] = self.skipped.get(name, 0) + 1

    def _image(self, attributes: dict[str, str], at: int, *, opens: bool) -> None:
        if opens:
            self._open = (attributes, at)
            return
        if self._open is None:
            return
        known, begin = self._open
        try:
            self.images.append(_Image(known["name"], int(known["width"]), int(known["height"]), begin, at))
        except (KeyError, ValueError) as error:
            raise unreadable(FILE, f"an image without name or size: {error}") from error

    def _described(self, name: str, text: str) -> None:
        if name == "name":
            self._label = text
            self.labels.setdefault(text)
        elif name == "color":
            try:
                self.colors[self._label] = parse_color(text)
            except ValueError:
                return

    def ids(self, name: str) -> dict[str, int]:
        """Return class ids by the order of the labels; ``background`` is 0."""
        named = [n for n in self.labels if n.casefold() != BACKGROUND]
        if len(named) > 255:
            raise LabelError(
                f"{name} names {len(named)} classes", expected="at most 255", remedy="split the task"
            )
        return {n: i for i, n in enumerate(named, 1)} | {
            n: 0 for n in self.labels if n.casefold() == BACKGROUND
        }

    def warnings(self) -> list[str]:
        found = [f"{count} shapes of the kind {kind!r} are left out" for kind, count in self.skipped.items()]
        if self.tracks:
            found.append(f"{self.tracks} tracks of a video are left out")
        return found


def _load(tree: Tree, name: str, content: bytes | None, image: _Image, ids: dict[str, int]) -> LabelMap:
    if content is not None:
        part = content[image.begin : image.end]
    else:
        with tree.open(name) as stream:
            stream.seek(image.begin)
            part = stream.read(image.end - image.begin)
    shapes = []
    for element in xml_elements(io.BytesIO(part + b"</image>"), f"{name}, image {image.name}"):
        if element.opens and element.path == ("image",) and element.name in SHAPES:
            known = element.attributes
            shapes.append(Shape(element.name, ids.get(known.get("label", ""), 0), known))
    return paint_shapes(shapes, (image.height, image.width), f"{name}, image {image.name}")

"""YOLO-seg: one text file an image, one outline a line, and ``data.yaml``.

Facts: ``labels/<split>/<stem>.txt``, lines ``class x1 y1 x2 y2 ...`` with corners from 0 to 1 of width and
height, at least three; classes count from 0. A line has no holes and one piece: here a hole is joined to the
outline by a cut of no width, and outlines run so that readers that cut decimals and draw the border, as
Ultralytics does, fill the same pixels (`polygons`). Sizes are not stored; they come from the image.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats import polygons
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
from app.domain.formats.names import split_of
from app.domain.formats.outlines import Ring, area, trace
from app.domain.formats.sources import (
    IMAGE_ENDINGS,
    Tree,
    holds,
    image_size,
    open_tree,
    read_yaml,
    unreadable,
)
from coordgan_core.errors import LabelError
from coordgan_core.files import write_bytes

DATA_FILE = "data.yaml"
IMAGE_FOLDER = "images"
LABEL_FOLDER = "labels"
SPLITS = ("train", "val", "test")
HOLES = Choice("holes", "Holes", {"cut": "cut open: nothing is lost", "fill": "filled: simpler outlines"})
Size = tuple[int, int]
_FARTHEST = 1e4
"""Of a corner, in widths and heights of the image."""


class YoloSeg(BaseFormat):
    """Outlines in text files, for training YOLO."""

    name = "yolo-seg"
    title = "YOLO-seg"
    splits = True
    suffix = ".txt"
    choices = (HOLES,)
    common = (DATA_FILE,)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what readers of this format make of holes, and of outlines."""
        del table
        found = ["programs that round corners, as supervision does, add up to a pixel to the right and below"]
        if HOLES.of(options) == "fill":
            found.append("holes are filled: smaller parts in them stay, background in them is lost")
        return found

    def held(self, labels: LabelMap, table: ClassTable, options: ExportOptions | None = None) -> LabelMap:
        """Return what a round trip gives back: all of it, or without holes."""
        if HOLES.of(options) == "cut":
            return labels
        return _fill_lines(list(_outlines(labels, _indices(table), HOLES.of(options))), labels.shape, table)

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1; raises nothing."""
        if holds(path, DATA_FILE):
            return 0.9
        folder = path / LABEL_FOLDER
        return 0.6 if folder.is_dir() and next(folder.rglob("*.txt"), None) else 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the text files below ``path``, a folder or zip file, without reading them.

        Raises:
            LabelError: There is none.
        """
        tree = open_tree(path)
        names = tree.names()
        place = next((n for n in names if PurePosixPath(n).name == DATA_FILE), None)
        root = PurePosixPath(place).parent if place else PurePosixPath()
        texts = [n for n in names if n.endswith(".txt") and f"/{LABEL_FOLDER}/" in f"/{n}"]
        if not texts:
            raise LabelError(
                f"{path} holds no {LABEL_FOLDER}/*.txt",
                expected="the layout of YOLO: data.yaml, images, labels",
                remedy="choose the folder with data.yaml",
            )
        classes = _names(read_yaml(tree.text(place), place)) if place else {}
        beside = {
            str(PurePosixPath(n).with_suffix("")): n for n in names if n.lower().endswith(IMAGE_ENDINGS)
        }
        items = []
        for text in texts:
            key = _key(text, root)
            picture = beside.get(_beside(text), "")
            size = functools.partial(_size, tree, picture, key, images)
            items.append(
                ImportItem(key, functools.partial(_load, tree, text, size), PurePosixPath(picture).name)
            )
        warnings = () if classes else ("there is no data.yaml: classes are named by their numbers",)
        return Source(tuple(items), {i + 1: name for i, name in classes.items()}, warnings)

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        split = split_of(item.stem, options.validation_share)
        copies = (f"{IMAGE_FOLDER}/{split}/{item.image_name}",) if options.copy_images else ()
        return (f"{LABEL_FOLDER}/{split}/{item.stem}.txt", *copies)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write outlines image by image, then ``data.yaml``."""
        indices = _indices(table)
        for item in items:
            written = self.image_files(item, options)
            labels = item.load()
            lines = (
                _line(index, ring, labels.shape)
                for index, ring in _outlines(labels, indices, HOLES.of(options))
            )
            write_bytes(out / written[0], "".join(lines).encode())
            for copy in written[1:]:
                copy_image(item, out / copy)
            yield Written(item, written)
        write_bytes(out / DATA_FILE, _data_file(table, options).encode())


def _indices(table: ClassTable) -> dict[int, int]:
    """Return the number from 0 under which each class is written, by class id."""
    return {c.id: i for i, c in enumerate(sorted(table.classes[1:], key=lambda c: c.id))}


def _outlines(labels: LabelMap, indices: dict[int, int], holes: str) -> Iterator[tuple[int, Ring]]:
    """Yield number and outline of all pieces; with filled holes the larger ones first."""
    classes = [class_id for class_id in present(labels) if class_id in indices]
    if holes == "cut":
        for class_id in classes:
            yield from ((indices[class_id], ring) for ring in polygons.trace(labels == class_id))
        return
    found = [(indices[class_id], piece.outer) for class_id in classes for piece in trace(labels == class_id)]
    for index, outer in sorted(found, key=lambda each: -area(each[1])):
        filled = polygons.fill([outer], (labels.shape[0], labels.shape[1]))
        yield from ((index, ring) for ring in polygons.trace(filled))


def _line(index: int, ring: Ring, shape: tuple[int, ...]) -> str:
    values = (ring / (shape[1], shape[0])).ravel()
    return f"{index} {' '.join(f'{value:.8g}' for value in values)}\n"


def _fill_lines(lines: list[tuple[int, Ring]], shape: tuple[int, ...], table: ClassTable) -> LabelMap:
    ids = {index: class_id for class_id, index in _indices(table).items()}
    labels = np.zeros(shape, np.uint8)
    for index, ring in lines:
        labels[polygons.fill([ring], (shape[0], shape[1]))] = ids[index]
    return labels


def _data_file(table: ClassTable, options: ExportOptions) -> str:
    import yaml

    validation = "val" if options.validation_share > 0 else "train"
    names = {index: table.by_id(class_id).name for class_id, index in _indices(table).items()}
    head = "# paths count from the folder of this file\n"
    head += f"train: {IMAGE_FOLDER}/train\nval: {IMAGE_FOLDER}/{validation}\n"
    body: str = yaml.safe_dump({"names": names}, allow_unicode=True, sort_keys=True, width=4096)
    return head + body


def _names(data: dict[str, object]) -> dict[int, str]:
    """Return the names by number, which a list or a mapping gives."""
    names = data.get("names")
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    try:
        found = {int(number): str(name) for number, name in pairs}
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise unreadable(DATA_FILE, f"its names: {error}") from error
    if any(not 0 <= number < 255 for number in found):
        raise LabelError(f"{DATA_FILE} names {len(found)} classes", expected="numbers from 0 to 254")
    return found


def _key(text: str, root: PurePosixPath) -> str:
    """Return the name of the image: what follows ``labels`` and the split."""
    path = PurePosixPath(text).with_suffix("")
    parts = list(path.relative_to(root).parts if root in path.parents else path.parts)
    # where the list of classes lies in that folder itself, all that is left of the path follows it
    below = parts[len(parts) - parts[::-1].index(LABEL_FOLDER) :] if LABEL_FOLDER in parts else parts
    return "/".join(below[1:] if len(below) > 1 and below[0] in SPLITS else below)


def _beside(text: str) -> str:
    """Return where the image of a text file lies, without its ending: ``images`` in place of ``labels``."""
    parts = list(PurePosixPath(text).with_suffix("").parts)
    parts[len(parts) - 1 - parts[::-1].index(LABEL_FOLDER)] = IMAGE_FOLDER
    return "/".join(parts)


def _size(tree: Tree, picture: str, key: str, images: KnownImages) -> Size:
    found = images.size(PurePosixPath(picture).name) if picture else None
    found = found or images.size(key) or images.size(PurePosixPath(key).name)
    if found is None and picture:
        with tree.open(picture) as stream:
            found = image_size(stream)
    if found is None:
        raise LabelError(
            f"the size of the image {key} is not known",
            expected="the images in the folder images, or a project that has them",
            remedy="put the images beside the labels, or name their folder (convert: --images)",
        )
    return found


def _load(tree: Tree, name: str, size: Callable[[], Size]) -> LabelMap:
    width, height = size()
    labels = np.zeros((height, width), np.uint8)
    for number, line in enumerate(tree.text(name).splitlines(), 1):
        if line.strip():
            index, ring = _parsed(line.split(), f"{name}, line {number}")
            polygons.paint(labels, ring * (width, height), index + 1)
    return labels


def _parsed(fields: Sequence[str], where: str) -> tuple[int, npt.NDArray[np.float64]]:
    try:
        index = int(fields[0])
        values = np.array([float(v) for v in fields[1:]])
        far = not (np.abs(values) <= _FARTHEST).all()
        if not 0 <= index < 255 or far or len(values) < 4 or len(values) % 2:
            raise ValueError(f"class {index} with {len(values)} numbers")
    except ValueError as error:
        raise unreadable(where, error) from error
    if len(values) == 4:  # a box: centre and size
        x, y, w, h = values / (1, 1, 2, 2)
        return index, np.array([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]])
    return index, values.reshape(-1, 2)

"""labelme: one JSON an image, the classes as masks or as polygons; what it does not know stays in it."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.classes import ClassTable, read_label_list
from app.domain.edits import LabelMap
from app.domain.formats import json_files
from app.domain.formats.base import (
    CLASSES_FILE,
    NO_IMAGES,
    BaseFormat,
    Choice,
    ExportItem,
    ExportOptions,
    Extras,
    ImportItem,
    KnownImages,
    Source,
    Written,
    copy_image,
)
from app.domain.formats.class_list import class_names, number_labels, write_classes
from app.domain.formats.labelme_shapes import is_region, mask_shape, merged, paint_shapes, polygon_shapes
from coordgan_core.errors import LabelError
from coordgan_core.files import write_bytes

LABELS_FILE = "labels.txt"
SHAPES = Choice(
    "shapes", "Shapes", {"mask": "Masks", "polygon": "Polygons, holes joined by bridges of no width"}
)

_OWN = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")


class Labelme(BaseFormat):
    """The JSON of labelme."""

    name = "labelme"
    title = "labelme"
    suffix = ".json"
    extras_of = "labelme"
    choices: tuple[Choice, ...] = (SHAPES,)
    common = (LABELS_FILE, CLASSES_FILE)
    version = "7.0.0"

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold."""
        del options
        found = ["class ids and colours are in classes.json; the files themselves hold names only"]
        lines = [c.name for c in table.classes[1:] if c.name != " ".join(c.name.split())]
        if lines:
            found.append(f"{LABELS_FILE} cannot hold the spaces of {', '.join(map(repr, lines))}")
        return found

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        texts = [json_files.sniff(f) for f, _ in zip(_candidates(path), range(4), strict=False)]
        return max((self.likeness(text) for text in texts), default=0.0)

    def likeness(self, text: str) -> float:
        """Return how much the beginning and end of a file look like this format, 0 to 1."""
        return 0.85 if '"shapes"' in text and '"imagePath"' in text else 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the JSON files at ``path`` and the labels in them, without painting them.

        Raises:
            LabelError: There is none.
        """
        root = path if path.is_dir() else path.parent
        found, labels, others = [], dict[str, None](), 0
        for file in _candidates(path):
            try:
                content = _shapes_of(file)
            except LabelError:
                found.append(file)  # told when it is loaded
                continue
            if content is not None:
                found.append(file)
                labels |= dict.fromkeys(
                    str(s["label"]) for s in content["shapes"] if is_region(s) and "label" in s
                )
                others += sum(not is_region(s) for s in content["shapes"])
        if not found:
            raise LabelError(
                f"{path} holds no file of {self.title}",
                expected="JSON files with shapes",
                remedy="choose the folder in which they are saved",
            )
        names, warnings = _numbered(root, labels, self.title)
        if others:
            warnings.append(f"{others} shapes are left out: points, lines and others that are no regions")
        ids = {name: number for number, name in names.items()}
        items = [_item(file, root, ids, images) for file in found]
        return Source(tuple(items), names, tuple(warnings))

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        copies = (item.image_name,) if options.copy_images else ()
        return (f"{item.stem}.json", *copies)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write label maps one by one, then the list of labels and ``classes.json``.

        Unknown keys come from the import, else from the file that is replaced.
        """
        for item in items:
            files = self.image_files(item, options)
            before = item.extras() or _before(out / files[0])
            image = item.image_name if options.copy_images else _image_path(item, out, before)
            content = self.content(item, item.load(), table, options, before) | {"imagePath": image}
            text = json.dumps(content, ensure_ascii=False, indent=2)
            write_bytes(out / files[0], text.encode())
            for file in files[1:]:
                copy_image(item, out / file)
            yield Written(item, files)
        lines = ["__ignore__", "_background_", *(" ".join(c.name.split()) for c in table.classes[1:])]
        write_bytes(out / LABELS_FILE, "".join(f"{line}\n" for line in lines).encode())
        write_classes(out, table)

    def content(
        self, item: ExportItem, labels: LabelMap, table: ClassTable, options: ExportOptions, before: Extras
    ) -> dict[str, Any]:
        """Return the file of an image; ``before`` is the file that an import kept, empty without one."""
        names = {int(i): f"class {i}" for i in np.flatnonzero(np.bincount(labels.ravel())) if i}
        order = {c.id: c.name for c in table.classes if c.id in names}
        names = order | {i: n for i, n in names.items() if i not in order}
        shapes: Any = {i: self.shapes(item, labels, i, name, options) for i, name in names.items()}
        old = before.get("shapes")
        if isinstance(old, list) and old:
            ids = {c.name.casefold(): c.id for c in table.classes[1:]}
            ids |= {name.casefold(): i for i, name in names.items()}
            shapes = merged(labels, shapes, [s for s in map(self.adapted, old) if s is not None], ids)
        else:
            shapes = [shape for each in shapes.values() for shape in each]
        own = {
            "version": self.version,
            "flags": before.get("flags", {}),
            "shapes": shapes,
            "imagePath": "",
            "imageData": None,
            "imageHeight": int(labels.shape[0]),
            "imageWidth": int(labels.shape[1]),
        }
        return own | {key: value for key, value in before.items() if key not in _OWN}

    def adapted(self, shape: Any) -> Any:
        """Return a shape of the family as this tool takes it, None where it cannot."""
        if not isinstance(shape, dict):
            return None
        points, kind = shape.get("points"), shape.get("shape_type")
        if kind == "rectangle" and isinstance(points, list) and len(points) == 4:
            level = len({str(p) for p in points}) == 4 and points[0][1:] == points[1][1:] != points[2][1:]
            upright = level and points[0][:1] == points[3][:1] and points[1][:1] == points[2][:1]
            return shape | ({"points": [points[0], points[2]]} if upright else {"shape_type": "polygon"})
        return shape | {"shape_type": "polygon"} if kind == "rotation" else shape

    def shapes(
        self, item: ExportItem, labels: LabelMap, class_id: int, name: str, options: ExportOptions
    ) -> list[dict[str, Any]]:
        """Return the shapes that hold one class."""
        del item
        if SHAPES.of(options) == "mask":
            return [mask_shape(labels, class_id, name)]
        return polygon_shapes(labels, class_id, name)


def _candidates(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*.json")) if path.is_dir() else ():
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.name != CLASSES_FILE and file.is_file() and not hidden:
            yield file


def _shapes_of(file: Path) -> dict[str, Any] | None:
    """Return a file that has shapes, None for other JSON."""
    content = json_files.load(file)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        return None
    return content


def _numbered(root: Path, labels: Iterable[str], title: str) -> tuple[dict[int, str], list[str]]:
    """Return class id -> label: of ``classes.json``, else of ``labels.txt``, then those of the files."""
    known = {i: name for i, name in class_names(root).items() if i}
    listed = read_label_list(root / LABELS_FILE) if not known and (root / LABELS_FILE).is_file() else ()
    named = [label for label in (*listed, *labels) if label not in ("__ignore__", "_background_")]
    return number_labels(named, known, title)


def _item(file: Path, root: Path, ids: Mapping[str, int], images: KnownImages) -> ImportItem:
    key = file.relative_to(root).as_posix().removesuffix(".json")
    load = functools.partial(_load, file, ids, functools.partial(images.size, key))
    return ImportItem(key, load, "", functools.partial(_before, file))


def _load(file: Path, ids: Mapping[str, int], known: Callable[[], tuple[int, int] | None]) -> LabelMap:
    content = json_files.load(file)
    found = None
    if isinstance(content, dict) and content.get("imageWidth") is None:  # old files do not tell
        found = known()
    size = found[::-1] if found else json_files.image_shape(content, "imageWidth", "imageHeight", file.name)
    return paint_shapes(json_files.member(content, "shapes", list, file.name), ids, size, file.name)


def _before(file: Path) -> Extras:
    """Return what a file holds beside its picture, empty where there is none or it is damaged."""
    if not file.is_file():
        return {}
    try:
        content = _shapes_of(file)
    except LabelError:
        return {}
    return {key: value for key, value in (content or {}).items() if key != "imageData"}


def _image_path(item: ExportItem, out: Path, before: Extras) -> str:
    """Return where the image is from the labels on; where nobody knows, what they have said."""
    if item.source == Path(item.path):
        return str(before.get("imagePath") or item.path)
    return _relative(item.source, out)


def _relative(source: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(source, out)).as_posix()
    except ValueError:  # another drive
        return source.as_posix()

"""Pascal VOC segmentation: palette PNGs of classes and of objects, lists in ``ImageSets/Segmentation``.

Facts: 8-bit palette PNG with the VOC colour map; 0 is background, 255 void. Objects are numbered from 1 in
each image; a part is one object. ``class_names.txt`` holds one name a line in the order of the ids, as
scripts for this layout write it; unused ids get a line too, so that the line is the id.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.domain.classes import ClassTable
from app.domain.formats.base import (
    NO_IMAGES,
    BaseFormat,
    ExportItem,
    ExportOptions,
    ImportItem,
    KnownImages,
    Source,
    Written,
    copy_image,
    objects,
)
from app.domain.formats.names import split_of
from app.domain.palette import voc_palette
from coordgan_core.errors import LabelError
from coordgan_core.files import plain_file, write_bytes
from coordgan_core.labels import read_label_map, write_label_map

CLASS_FOLDER = "SegmentationClass"
OBJECT_FOLDER = "SegmentationObject"
IMAGE_FOLDER = "JPEGImages"
LIST_FOLDER = "ImageSets/Segmentation"
LISTS = ("train", "val", "trainval")
NAMES_FILE = "class_names.txt"
VOID = 255


class PascalVoc(BaseFormat):
    """Semantic segmentation in the folder layout of Pascal VOC."""

    name = "pascal-voc"
    title = "Pascal VOC"
    splits = True
    own_colors = True
    common = (*(f"{LIST_FOLDER}/{name}.txt" for name in LISTS), NAMES_FILE)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold."""
        del options
        found = []
        if VOID in table.ids:
            found.append(
                f"{table.by_id(VOID).name} has the id 255, which VOC readers ignore as void: merge it"
            )
        if any("\n" in name for name in table.names):
            found.append("class names with line breaks are cut")
        return found

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        if (path / "labelmap.txt").exists():  # CVAT's relative, in colours
            return 0.5 if (path / CLASS_FOLDER).is_dir() else 0.0
        return (0.7 if (path / CLASS_FOLDER).is_dir() else 0.0) + (
            0.3 if (path / LIST_FOLDER).is_dir() else 0.0
        )

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the label maps below ``path``, without reading them.

        Raises:
            LabelError: There is no ``SegmentationClass``, or nothing in it.
        """
        del images
        files = sorted((path / CLASS_FOLDER).glob("*.png"))
        if not files:
            raise LabelError(
                f"{path} holds no {CLASS_FOLDER}/*.png",
                expected="the layout of Pascal VOC",
                remedy="choose the folder that holds SegmentationClass",
            )
        items = [ImportItem(file.stem, functools.partial(read_label_map, file)) for file in files]
        names = read_names(path)
        return Source(tuple(items), names, void=frozenset({VOID} - set(names)))

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        copies = (f"{IMAGE_FOLDER}/{item.stem}{item.source.suffix}",) if options.copy_images else ()
        return (f"{CLASS_FOLDER}/{item.stem}.png", f"{OBJECT_FOLDER}/{item.stem}.png", *copies)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write label maps one by one, then the lists and the names."""
        palette = table.palette() if options.project_colors else voc_palette()
        lists: dict[str, list[str]] = {name: [] for name in LISTS}
        for item in items:
            written = self.image_files(item, options)
            labels = item.load()
            write_label_map(out / written[0], labels, palette)
            write_label_map(out / written[1], objects(labels), voc_palette())
            for copy in written[2:]:
                copy_image(item, out / copy)
            lists[split_of(item.stem, options.validation_share)].append(item.stem)
            lists["trainval"].append(item.stem)
            yield Written(item, written)
        for name, names in lists.items():
            write_bytes(out / LIST_FOLDER / f"{name}.txt", "".join(f"{n}\n" for n in names).encode())
        write_names(out, table)


def write_names(out: Path, table: ClassTable) -> None:
    """Write ``class_names.txt``: the line number is the id."""
    lines = ["_background_"]
    for class_id in range(1, max(table.ids) + 1):
        found = table.get(class_id)
        lines.append(found.name.replace("\n", " ") if found else f"_unused_{class_id}_")
    write_bytes(out / NAMES_FILE, "".join(f"{line}\n" for line in lines).encode())


def read_names(path: Path) -> dict[int, str]:
    """Read ``class_names.txt``, empty without one."""
    try:
        lines = plain_file(path / NAMES_FILE).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    names = [line.strip() for line in lines]
    names = [n for n in names if n != "__ignore__"]
    return {i: n for i, n in enumerate(names) if n and not n.startswith("_unused_")}

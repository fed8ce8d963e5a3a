"""Plain index PNG: one palette PNG an image, the class ids as they are, and ``classes.json``."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.domain.classes import ClassTable
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
from app.domain.formats.class_list import class_names, write_classes
from coordgan_core.errors import LabelError
from coordgan_core.labels import read_label_map, write_label_map


class IndexPng(BaseFormat):
    """Class ids in a palette PNG of the image's name."""

    name = "index-png"
    title = "Index PNG"
    common = (CLASSES_FILE,)

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        if not path.is_dir():
            return 0.0
        files = sum(1 for _, _ in zip(range(3), path.glob("*.png"), strict=False))
        return min(0.5, 0.2 * files) + (0.3 if (path / CLASSES_FILE).exists() and files else 0.0)

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the label maps below ``path``, without reading them.

        Raises:
            LabelError: There is no PNG.
        """
        del images
        return find_pngs(path, class_names(path), "index PNG")

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write label maps one by one, then ``classes.json``."""
        for item in items:
            files = self.image_files(item, options)
            write_label_map(out / files[0], item.load(), table.palette())
            yield Written(item, files)
        write_classes(out, table)


def find_pngs(folder: Path, names: dict[int, str], what: str) -> Source:
    """Return the PNGs of a folder and those below it as label maps.

    Raises:
        LabelError: There is none.
    """
    items = [
        ImportItem(
            file.relative_to(folder).as_posix().removesuffix(".png"), functools.partial(read_label_map, file)
        )
        for file in sorted(folder.rglob("*.png"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if not items:
        raise LabelError(
            f"{folder} holds no {what}", expected="PNG files with class ids", remedy="choose another folder"
        )
    return Source(tuple(items), names)

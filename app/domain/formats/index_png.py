"""Plain index PNG: one palette PNG an image, the class ids as they are, and ``classes.json``."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
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
from app.domain.palette import hex_color
from coordgan_core.errors import LabelError
from coordgan_core.files import write_json
from coordgan_core.labels import LabelClasses, read_label_map, write_label_map


class IndexPng(BaseFormat):
    """Class ids in a palette PNG of the image's name."""

    name = "index-png"
    title = "Index PNG"

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

    def files(
        self,
        item: ExportItem,
        class_ids: Sequence[int],
        table: ClassTable,
        options: ExportOptions | None = None,
    ) -> tuple[str, ...]:
        """Return the files that `write` would make for an image with these classes."""
        del class_ids, table, options
        return (f"{item.stem}.png",)

    def common_files(self, options: ExportOptions | None = None) -> tuple[str, ...]:
        """Return the files that are written once."""
        del options
        return (CLASSES_FILE,)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write label maps one by one, then ``classes.json``."""
        del options
        for item in items:
            write_label_map(out / f"{item.stem}.png", item.load(), table.palette())
            yield Written(item, (f"{item.stem}.png",))
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


def class_names(folder: Path) -> dict[int, str]:
    """Return the names in the ``classes.json`` of a folder or the one above, empty without one."""
    for place in (folder, folder.parent):
        file = place / CLASSES_FILE
        if file.exists():
            return {c.id: c.name for c in LabelClasses.load(file).classes}
    return {}


def write_classes(out: Path, table: ClassTable) -> None:
    """Write ``classes.json``."""
    items = [{"id": c.id, "name": c.name, "color": hex_color(c.color)} for c in table.classes]
    write_json(out / CLASSES_FILE, items)

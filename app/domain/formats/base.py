"""What a format of label maps is: how it is recognised, read and written, and what it cannot hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap

CLASSES_FILE = "classes.json"


@dataclass(frozen=True)
class ExportItem:
    """One image to export.

    Args:
        id: The image.
        path: Relative to the images folder, with slashes.
        stem: Under what name it is written: unique, a plain file name.
        source: The image file.
        load: Returns its label map, ``uint8 [H, W]``.
    """

    id: int
    path: str
    stem: str
    source: Path
    load: Callable[[], LabelMap]


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Args:
        copy_images: Put copies of the images beside the labels where the format has a place for them.
        project_colors: Use the project's colours instead of those that the format is known by.
        validation_share: Part of the images that goes to the validation list, where the format has one.
    """

    copy_images: bool = False
    project_colors: bool = False
    validation_share: float = 0.0


@dataclass(frozen=True)
class Written:
    """The files of one image, relative to the folder of the export."""

    item: ExportItem
    files: tuple[str, ...]


@dataclass(frozen=True)
class ImportItem:
    """One label map that was found.

    Args:
        key: Its relative path or name, by which the image is looked for.
        load: Returns the label map in the class ids of the source, ``uint8 [H, W]``.
    """

    key: str
    load: Callable[[], LabelMap]


@dataclass(frozen=True)
class Source:
    """What a reader has found: label maps, and the names of their class ids if the source gives them."""

    items: tuple[ImportItem, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Format(Protocol):
    """One format; formats keep no state."""

    name: str
    title: str
    suffix: str

    def limits(self, table: ClassTable) -> list[str]:
        """Say what of these classes the format cannot hold; empty if it holds everything."""

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""

    def read(self, path: Path, known_stems: Collection[str] = ()) -> Source:
        """Find the label maps below ``path``, without reading them.

        Raises:
            LabelError: There is nothing of this format.
        """

    def files(
        self,
        item: ExportItem,
        class_ids: Sequence[int],
        table: ClassTable,
        options: ExportOptions | None = None,
    ) -> tuple[str, ...]:
        """Return the files that `write` would make for an image with these classes."""

    @property
    def common_files(self) -> tuple[str, ...]:
        """Lists and class files, which are written once."""

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write label maps one by one; lists and class files come with the last one."""


def plain_name(text: str) -> str:
    """Return ``text`` as a file name that every system takes: no slashes, controls, reserved signs."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', "_", text).strip(" .")
    while len(text.encode()) > 200:
        text = text[:-1]
    return text or "_"


def stems(paths: Sequence[str]) -> list[str]:
    """Return one plain, unique name for each relative path.

    The name without folder and ending where that is unique; else with its folders, then with its ending too
    (``a.jpg`` and ``a.png`` become ``a_jpg`` and ``a_png``).
    """
    levels: tuple[Callable[[str], str], ...] = (
        lambda p: PurePosixPath(p).stem,
        lambda p: "__".join([*PurePosixPath(p).parent.parts, PurePosixPath(p).stem]),
        lambda p: (
            "__".join([*PurePosixPath(p).parent.parts, PurePosixPath(p).stem])
            + PurePosixPath(p).suffix.replace(".", "_")
        ),
    )
    chosen = [""] * len(paths)
    left = list(range(len(paths)))
    taken: set[str] = set()
    for level in levels:
        names = {i: plain_name(level(paths[i])) for i in left}
        counts: dict[str, int] = {}
        for name in names.values():
            counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
        for i, name in names.items():
            if counts[name.casefold()] == 1 and name.casefold() not in taken:
                chosen[i] = name
        taken |= {chosen[i].casefold() for i in left if chosen[i]}
        left = [i for i in left if not chosen[i]]
    for i in left:
        base, number = plain_name(levels[2](paths[i])), 2
        while f"{base}_{number}".casefold() in taken:
            number += 1
        chosen[i] = f"{base}_{number}"
        taken.add(chosen[i].casefold())
    return chosen


def file_names(table: ClassTable) -> dict[int, str]:
    """Return one plain, unique file name part for each class but background."""
    classes = table.classes[1:]
    return dict(zip([c.id for c in classes], _unique([plain_name(c.name) for c in classes]), strict=True))


def _unique(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    result = []
    for name in names:
        unique, number = name, 2
        while unique.casefold() in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique.casefold())
        result.append(unique)
    return result

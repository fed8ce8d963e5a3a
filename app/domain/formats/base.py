"""What a format of label maps is: how it is recognised, read and written, and what it cannot hold.

A format is one small class without state: `Format.probe`, `Format.read`, `Format.write`, `Format.limits`.

* **Per image or one file for all**: `write` takes the images one by one and yields after each, so that
  memory does not grow with their number. A format of one file streams it into a temporary file
  (`coordgan_core.files.atomic_path`) that takes its place after the last image; closing the generator early
  leaves no half-written common file. `Format.files` names the files of one image, `Format.common_files`
  those for all.
* **Reading** lists label maps without decoding them; `ImportItem.load` decodes one. Class ids of a source
  are 1 to 255, 0 is background: a reader whose classes have other ids numbers them and gives their names.
* **Loss**: `Format.held` says, in memory and without files, what a round trip gives back of one label map.
  Formats that hold every pixel return it as it is; a test compares it with real files.
* **Unknown keys**: a format with `extras_of` set gives what it does not understand in `ImportItem.extras`,
  a JSON object; the project keeps it beside the image and hands it to `write` of any format with the same
  `extras_of` in `ExportItem.extras`. What a format writes itself wins over what was kept.
* **Choices** (`Choice`) are what a person may decide about one format; see `ExportOptions.choices`.
* **Outlines**: `app.domain.formats.polygons` traces masks so that every usual tool fills the same pixels;
  `app.domain.formats.outlines` traces and fills along the edges between pixels.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.palette import Color
from coordgan_core.files import atomic_path

CLASSES_FILE = "classes.json"
Extras = Mapping[str, Any]


def no_extras() -> Extras:
    """Return no unknown keys."""
    return {}


def whole_text(text: str) -> str:
    """Return ``text`` with halves of characters replaced: neither a database nor a file takes them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class ExportItem:
    """One image to export.

    Args:
        id: The image.
        path: Relative to the images folder, with slashes.
        stem: Under what name it is written: unique, a plain file name.
        source: The image file; it need not exist unless images are copied.
        load: Returns its label map, ``uint8 [H, W]``.
        score: Confidence of a propagated label map, 0 to 1; None for a person's work.
        extras: Returns the unknown keys that an import of the same family kept.
    """

    id: int
    path: str
    stem: str
    source: Path
    load: Callable[[], LabelMap]
    score: float | None = None
    extras: Callable[[], Extras] = no_extras

    @property
    def image_name(self) -> str:
        """The file name under which the image is known beside its labels: stem and its own ending."""
        return self.stem + PurePosixPath(self.path).suffix


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Args:
        copy_images: Put copies of the images beside the labels where the format has a place for them.
        project_colors: Use the project's colours instead of those that the format is known by.
        validation_share: Part of the images that goes to the validation list, where the format has one.
        choices: Values of the format's own choices by their key.
    """

    copy_images: bool = False
    project_colors: bool = False
    validation_share: float = 0.0
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What a person may decide about one format.

    Args:
        key: Its name in `ExportOptions.choices`.
        title: What a dialog calls it.
        values: Value -> its title; the first is the default.
    """

    key: str
    title: str
    values: Mapping[str, str]

    def of(self, options: ExportOptions | None) -> str:
        """Return the chosen value, the default where nothing (or nothing known) is chosen."""
        value = options.choices.get(self.key, "") if options else ""
        return value if value in self.values else next(iter(self.values))


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
        image: The name of the image file where the source tells it.
        extras: Returns what the format does not understand of this image, as a JSON object.
    """

    key: str
    load: Callable[[], LabelMap]
    image: str = ""
    extras: Callable[[], Extras] = no_extras

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", whole_text(self.key))
        object.__setattr__(self, "image", whole_text(self.image))


@dataclass(frozen=True)
class Source:
    """What a reader has found.

    Args:
        items: The label maps.
        names: Class id -> name, if the source gives names.
        warnings: What a person should know.
        colors: Class id -> colour, if the source gives colours.
        void: Class ids that mean "not labelled"; they become background without a question.
    """

    items: tuple[ImportItem, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    colors: Mapping[int, Color] = field(default_factory=dict)
    void: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {i: whole_text(name) for i, name in self.names.items()})


@dataclass(frozen=True)
class KnownImages:
    """The images to which label maps may belong.

    Args:
        stems: Their names without folder and ending.
        size: Returns ``(width, height)`` in pixels of the upright image by path, file name or stem, None
            where it is not known; for formats that do not store the size.
    """

    stems: Collection[str] = ()
    size: Callable[[str], tuple[int, int] | None] = lambda _: None


NO_IMAGES = KnownImages()


class Format(Protocol):
    """One format; formats keep no state."""

    name: str
    title: str
    suffix: str
    extras_of: str
    splits: bool
    own_colors: bool

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What a person may decide."""

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold; empty if it holds everything."""

    def held(self, labels: LabelMap, table: ClassTable, options: ExportOptions | None = None) -> LabelMap:
        """Return what a round trip gives back of a label map, in the project's class ids.

        The very array where, with these options, the format holds every pixel of any label map.
        """

    def probe(self, path: Path) -> float:
        """Return how much ``path`` (a folder or a file) looks like this format, 0 to 1; raises nothing."""

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the label maps at ``path``, a folder or a file, without decoding them.

        Raises:
            LabelError: There is nothing of this format, or it is damaged.
        """

    def files(
        self,
        item: ExportItem,
        class_ids: Sequence[int],
        table: ClassTable,
        options: ExportOptions | None = None,
    ) -> tuple[str, ...]:
        """Return the files that `write` would make for an image with these classes."""

    def common_files(self, options: ExportOptions | None = None) -> tuple[str, ...]:
        """Return the files that are written once: lists, classes, the one file of all images."""

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write label maps into the folder ``out`` one by one; common files come with the last one."""


class BaseFormat:
    """What most formats share: no choices, nothing lost, no unknown keys, files whatever the classes.

    ``splits``: it tells images for training from those for validation; ``own_colors``: it is known by colours
    of its own, in place of which those of the project may be written; ``common``: the files that are written
    once.
    """

    suffix = ".png"
    extras_of = ""
    splits = False
    own_colors = False
    choices: tuple[Choice, ...] = ()
    common: tuple[str, ...] = ()

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold: nothing."""
        del table, options
        return []

    def held(self, labels: LabelMap, table: ClassTable, options: ExportOptions | None = None) -> LabelMap:
        """Return what a round trip gives back of a label map: all of it."""
        del table, options
        return labels

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image: one, under its name."""
        del options
        return (item.stem + self.suffix,)

    def files(
        self,
        item: ExportItem,
        class_ids: Sequence[int],
        table: ClassTable,
        options: ExportOptions | None = None,
    ) -> tuple[str, ...]:
        """Return the files that `write` would make for an image with these classes."""
        del class_ids, table
        return self.image_files(item, options or ExportOptions())

    def common_files(self, options: ExportOptions | None = None) -> tuple[str, ...]:
        """Return the files that are written once."""
        del options
        return self.common


def present(labels: LabelMap) -> list[int]:
    """Return the class ids of a label map but background, ascending."""
    found: list[int] = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()
    return [i for i in found if i]


def objects(labels: LabelMap) -> LabelMap:
    """Number the classes of a label map from 1 in the order of their ids: a part is one object."""
    kept = present(labels)
    table = np.zeros(256, np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[labels]


def copy_image(item: ExportItem, target: Path) -> None:
    """Copy the image file to ``target``, atomically.

    Raises:
        DiskFullError: It cannot be written.
    """
    with atomic_path(target) as temporary:
        shutil.copyfile(item.source, temporary)

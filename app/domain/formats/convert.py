"""From one format into another without a project: look, write, read back and compare."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from app.domain.classes import BACKGROUND, ClassTable, LabelClass
from app.domain.edits import LabelMap
from app.domain.formats.base import (
    ExportItem,
    ExportOptions,
    Format,
    ImportItem,
    KnownImages,
    Source,
    no_extras,
)
from app.domain.formats.exports import check_folder, complete, write_items
from app.domain.formats.matching import agreement, check_extras, format_of, loaded, match, same_classes
from app.domain.formats.names import file_path, stems, unique_names
from app.domain.formats.sources import IMAGE_ENDINGS, image_size
from app.domain.palette import default_color
from coordgan_core.errors import CoordError, LabelError

Phase = Literal["look", "write", "check"]
SURE = 0.5


@dataclass(frozen=True)
class ConvertEvent:
    """One step of a conversion.

    Args:
        phase: ``look`` (a label map of the source was read), ``write`` (one was written), ``check`` (one was
            read back from the target and compared).
        done: Images of this phase so far.
        total: Images of this phase.
        key: The image.
        files: What was written for it, relative to the target.
        iou: In ``check``, the mean intersection over union with the source.
        error: Why this image could not be converted.
        warnings: With the first event: what the format cannot hold.
    """

    phase: Phase
    done: int
    total: int
    key: str
    files: tuple[str, ...] = ()
    iou: float | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Image:
    id: int
    path: str
    file: Path | None


@dataclass(frozen=True)
class _Plan:
    """What is converted: the source, the images, the classes."""

    items: list[ExportItem]
    known: KnownImages
    table: ClassTable
    void: frozenset[int] = frozenset()
    warnings: tuple[str, ...] = field(default_factory=tuple)


def guess(path: Path) -> str:
    """Return the name of the format that ``path`` looks like.

    Raises:
        LabelError: It looks like none.
    """
    from app.domain.formats import FORMATS

    name, sure = max(((name, each.probe(path)) for name, each in FORMATS.items()), key=lambda pair: pair[1])
    if sure < SURE:
        raise LabelError(
            f"{path} looks like no format that is known",
            expected="label maps of one of " + ", ".join(FORMATS),
            remedy="say which format it is",
        )
    return name


def convert(
    source: Path,
    from_format: str,
    target: Path,
    to_format: str,
    *,
    images: Path | None = None,
    options: ExportOptions | None = None,
    verify: bool = True,
) -> Iterator[ConvertEvent]:
    """Write the label maps of one format in another; class ids stay, unknown keys within a family too.

    Args:
        source: A folder or file; never changed.
        from_format: Its format; empty to find out.
        target: A folder, made if need be; not the source.
        to_format: The format to write.
        images: Folder of the images: for their file names, for formats without sizes, and for copies.
        options: How to write.
        verify: Read the target again and compare every image with the source.

    Yields:
        Events; the last phase is ``check`` with ``verify``, else ``write``. Closing the generator stops.

    Raises:
        LabelError: A format is unknown, the source holds nothing, or the target is the source.
        DiskFullError: The target cannot be written.
    """
    reader, writer = format_of(from_format or guess(source)), format_of(to_format)
    options = options or ExportOptions()
    _check_target(source, target, images)
    found = _images(images.absolute()) if images else []
    known = _known(found)
    read = reader.read(source, known)
    plan = _plan(read, found, same_family=bool(reader.extras_of) and reader.extras_of == writer.extras_of)
    if options.copy_images and images is None:
        raise LabelError("there are no images to copy", remedy="name the folder of the images")
    plan, looks = _looked(plan, read, known)
    warnings = (*read.warnings, *plan.warnings, *writer.limits(plan.table, options))
    for done, look in enumerate(looks, 1):
        yield ConvertEvent(
            "look", done, len(looks), look[0], error=look[1], warnings=warnings if done == 1 else ()
        )
    good = [item for item, (_, error) in zip(plan.items, looks, strict=True) if not error]
    for event in write_items(writer, good, plan.table, target, options):
        yield ConvertEvent("write", event.done, event.total, event.path, event.files, error=event.error)
    if verify and good:
        yield from _checked(writer, target, good, plan)


def _check_target(source: Path, target: Path, images: Path | None) -> None:
    check_folder(target)
    place = target.expanduser().absolute()
    for folder, what in ((source, "source"), (images, "images")):
        if folder is None:
            continue
        other = folder.expanduser().absolute()
        if place == other or other in place.parents or (other.is_file() and place == other.parent):
            raise LabelError(
                f"{target} lies in the {what}", expected="a folder of its own", remedy="choose another target"
            )


def _images(folder: Path) -> list[_Image]:
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_ENDINGS and f.is_file())
    kept = [f for f in files if not any(part.startswith(".") for part in f.relative_to(folder).parts)]
    return [_Image(i, f.relative_to(folder).as_posix(), f) for i, f in enumerate(kept, 1)]


def _known(found: Sequence[_Image]) -> KnownImages:
    exported = stems([image.path for image in found])
    files: dict[str, Path | None] = {}
    for image in found:
        for name in {PurePosixPath(image.path).name, PurePosixPath(image.path).stem}:
            files[name] = None if name in files else image.file
    for image, stem in zip(found, exported, strict=True):
        files |= dict.fromkeys((image.path, stem), image.file)

    @functools.lru_cache(maxsize=4096)
    def size(name: str) -> tuple[int, int] | None:
        file = files.get(name)
        if file is None:
            return None
        with file.open("rb") as stream:
            return image_size(stream)

    return KnownImages({PurePosixPath(i.path).stem for i in found} | set(exported), size)


def _plan(read: Source, found: Sequence[_Image], *, same_family: bool) -> _Plan:
    """Decide paths and names of all images, and the classes that have names."""
    warnings = []
    if found:
        matched, extra, twice = match(read.items, found)
        by_id = {image.id: image for image in found}
        pairs = [(item, by_id[i]) for i, item in matched.items()]
        if extra or twice:
            warnings.append(
                f"{len(extra) + len(twice)} label maps fit no image, or several, and are left out"
            )
    else:
        pairs = [(item, _Image(i, _path(item), None)) for i, item in enumerate(read.items, 1)]
    names = stems([image.path for _, image in pairs])
    items = [
        ExportItem(
            image.id,
            image.path,
            stem,
            image.file or Path(image.path),
            item.load,
            extras=functools.partial(check_extras, item) if same_family else no_extras,
        )
        for (item, image), stem in zip(pairs, names, strict=True)
    ]
    return _Plan(items, _known(found), _classes(read), read.void, tuple(warnings))


def _path(item: ImportItem) -> str:
    """Return under what path an image is known of which only the labels are there."""
    path = file_path(item.image or item.key)
    return path if path.lower().endswith(IMAGE_ENDINGS) else f"{path}.jpg"


def _classes(read: Source) -> ClassTable:
    named = {i: name for i, name in sorted(read.names.items()) if i and i not in read.void}
    names = unique_names([BACKGROUND.name, *named.values()])[1:]
    classes = [
        LabelClass(i, name.strip() or f"class {i}", read.colors.get(i, default_color(i)))
        for i, name in zip(named, names, strict=True)
    ]
    return ClassTable((BACKGROUND, *classes))


def _looked(plan: _Plan, read: Source, known: KnownImages) -> tuple[_Plan, list[tuple[str, str]]]:
    """Decode everything once: which classes occur, and which label maps are damaged."""
    ids: set[int] = set()
    looks: list[tuple[str, str]] = []
    items = []
    for item in plan.items:
        load = functools.partial(_voided, item, known.size(item.path), read.void)
        item = ExportItem(item.id, item.path, item.stem, item.source, load, item.score, item.extras)
        items.append(item)
        try:
            item.extras()
            ids |= set(np.flatnonzero(np.bincount(item.load().ravel(), minlength=256)).tolist())
            looks.append((item.path, ""))
        except CoordError as error:
            looks.append((item.path, str(error)))
    return _Plan(items, plan.known, complete(plan.table, ids - {0}), plan.void, plan.warnings), looks


def _voided(item: ExportItem, size: tuple[int, int] | None, void: frozenset[int]) -> LabelMap:
    labels = loaded(ImportItem(item.path, item.load), size)
    if void:
        table = np.arange(256, dtype=np.uint8)
        table[list(void)] = 0
        labels = table[labels]
    return labels


def _checked(
    writer: Format, target: Path, items: Sequence[ExportItem], plan: _Plan
) -> Iterator[ConvertEvent]:
    """Read the target again and compare every image, classes found by their names."""
    sizes: dict[str, tuple[int, int]] = {}

    def size(name: str) -> tuple[int, int] | None:
        return sizes.get(PurePosixPath(name).stem) or plan.known.size(name)

    back = writer.read(target, KnownImages({item.stem for item in items}, size))
    by_key = {PurePosixPath(i.key).name.casefold(): i for i in back.items}
    by_key |= {i.key.casefold(): i for i in back.items}
    same = same_classes(back.names, {c.id: c.name for c in plan.table.classes[1:]}) if back.names else None
    for done, item in enumerate(items, 1):
        labels = item.load()
        sizes = {item.stem: (labels.shape[1], labels.shape[0])}
        found = next((by_key[k] for k in _keys(item) if k in by_key), None)
        try:
            if found is None:
                raise LabelError(f"{item.path} is not in what was written", remedy="report this as an error")
            iou = agreement(labels, _renumbered(found.load(), same))
            yield ConvertEvent("check", done, len(items), item.path, iou=iou)
        except CoordError as error:
            yield ConvertEvent("check", done, len(items), item.path, iou=0.0, error=str(error))


def _keys(item: ExportItem) -> list[str]:
    names = (item.stem, item.image_name, item.path, str(PurePosixPath(item.path).with_suffix("")))
    return [name.casefold() for name in names]


def _renumbered(labels: LabelMap, same: Mapping[int, int] | None) -> LabelMap:
    """Return the label map in the ids of the source; classes that the source does not have are background."""
    if same is None:
        return labels
    table = np.arange(256, dtype=np.uint8)
    for class_id in range(1, 256):
        table[class_id] = same.get(class_id, 0)
    return table[labels]

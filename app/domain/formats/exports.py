"""Export over any format: first a report of what would be written and lost, then the work, as events."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from app.domain.classes import ClassTable, LabelClass
from app.domain.edits import LabelMap
from app.domain.formats.base import ExportItem, ExportOptions, Format
from app.domain.formats.matching import agreement, format_of, kept_extras
from app.domain.formats.names import stems, unique_names
from app.domain.palette import default_color
from app.domain.project import ImageRow, Project
from app.domain.status import Status
from coordgan_core.errors import CoordError, LabelError

_SHOWN = 3
MEASURED = 200


@dataclass(frozen=True)
class ExportReport:
    """What an export would write.

    Args:
        files: All files, relative to the folder; lists and class names last.
        images: How many images are written.
        skipped: Images without labels, or with some that cannot be read.
        warnings: What the format cannot hold, and names that change.
        iou: Image id -> what share of its labels a round trip gives back (mean intersection over union), of
            the images that were measured; empty where the format holds every pixel.
        lossless: Whether the format holds every pixel.
    """

    files: tuple[str, ...]
    images: int
    skipped: tuple[int, ...]
    warnings: tuple[str, ...]
    iou: Mapping[int, float] = field(default_factory=dict)
    lossless: bool = True


@dataclass(frozen=True)
class ExportEvent:
    """One image is written, or could not be: ``error`` says why; ``iou`` is what a round trip gives back."""

    done: int
    total: int
    image_id: int
    path: str
    files: tuple[str, ...] = ()
    error: str = ""
    iou: float = 1.0


def export_report(
    project: Project,
    ids: Sequence[int],
    format_name: str,
    out: Path,
    options: ExportOptions | None = None,
    *,
    measured: int | None = MEASURED,
) -> ExportReport:
    """Say what `export` would write and lose; nothing is written.

    Args:
        project: The project.
        ids: Images to export.
        format_name: The format.
        out: Where to.
        options: How.
        measured: How many images, evenly spread, are measured for what they lose; None for all.

    Raises:
        LabelError: There is no such format, or the folder would be written into the images or the project.
    """
    chosen = format_of(format_name)
    options = options or ExportOptions()
    _check_place(project, out)
    items, skipped = _items(project, ids, chosen)
    classes = project.index.class_sets()
    used = {c for item in items for c in classes.get(item.id, [])}
    unnamed = sorted(used - set(project.classes.ids) - {0})
    table = complete(project.classes, unnamed)
    files = [file for item in items for file in chosen.files(item, classes.get(item.id, []), table, options)]
    files += chosen.common_files(options) if items else ()
    warnings = list(chosen.limits(table, options))
    renamed = [i for i in items if i.stem != PurePosixPath(i.path).stem]
    if renamed:
        names = ", ".join(f"{i.path} as {i.stem}" for i in renamed[:_SHOWN])
        warnings.append(f"{len(renamed)} images are renamed to be unique ({names})")
    if unnamed:
        warnings.append(f"the class ids {', '.join(map(str, unnamed))} have no name")
    there = [f for f in files if (out / f).exists()] if out.exists() else []
    if there:
        what = "file is there already and would" if len(there) == 1 else "files are there already and would"
        warnings.append(f"{len(there)} {what} be replaced")
    iou, lossless = _measured(chosen, items, table, options, measured)
    warnings += _losses(iou, {item.id: item.path for item in items})
    return ExportReport(tuple(files), len(items), tuple(skipped), tuple(warnings), iou, lossless)


def export(
    project: Project,
    ids: Sequence[int],
    format_name: str,
    out: Path,
    options: ExportOptions | None = None,
) -> Iterator[ExportEvent]:
    """Write the label maps of images in a format.

    Every file is written atomically; an image whose label map cannot be read is told and left out.

    Raises:
        LabelError: There is no such format, or the place is not allowed.
        DiskFullError: The folder cannot be written.
    """
    chosen = format_of(format_name)
    _check_place(project, out)
    items, _ = _items(project, ids, chosen)
    classes = project.index.class_sets()
    used = {c for item in items for c in classes.get(item.id, [])}
    table = complete(project.classes, used - {0})
    yield from write_items(chosen, items, table, out, options or ExportOptions())


def write_items(
    chosen: Format, items: Sequence[ExportItem], table: ClassTable, out: Path, options: ExportOptions
) -> Generator[ExportEvent]:
    """Write items in a format; those that cannot be loaded are told and left out."""
    failed: list[ExportEvent] = []
    kept: dict[int, float] = {}

    def readable() -> Iterator[ExportItem]:
        for item in items:
            try:
                labels = item.load()
                if _copies(chosen, item, table, options):
                    _check_image(item)
            except CoordError as error:
                failed.append(ExportEvent(0, len(items), item.id, item.path, error=str(error)))
                continue
            held = chosen.held(labels, table, options)
            kept[item.id] = 1.0 if held is labels else agreement(labels, held)
            yield ExportItem(
                item.id, item.path, item.stem, item.source, _given(labels), item.score, item.extras
            )

    done = 0
    work = chosen.write(out, readable(), table, options)
    with contextlib.closing(work) if isinstance(work, Generator) else contextlib.nullcontext():
        for written in work:
            done += 1
            item = written.item
            yield ExportEvent(done, len(items), item.id, item.path, written.files, iou=kept.pop(item.id, 1.0))
    for event in failed:
        done += 1
        yield ExportEvent(done, len(items), event.image_id, event.path, error=event.error)


def _copies(chosen: Format, item: ExportItem, table: ClassTable, options: ExportOptions) -> bool:
    """Return whether a copy of the image would be written: not every format has a place for one."""
    without = replace(options, copy_images=False)
    return chosen.files(item, [], table, options) != chosen.files(item, [], table, without)


def _check_image(item: ExportItem) -> None:
    if not item.source.is_file():
        raise LabelError(
            f"the image {item.path} has gone",
            expected="the image file, to be copied",
            remedy="bring it back, or export without copies of the images",
        )


def complete(table: ClassTable, ids: Sequence[int] | set[int]) -> ClassTable:
    """Return the table with classes called ``class 9`` for ids that have none."""
    unnamed = [i for i in sorted(ids) if table.get(i) is None]
    names = unique_names([*table.names, *(f"class {i}" for i in unnamed)])[len(table.names) :]
    added = [LabelClass(i, name, default_color(i)) for i, name in zip(unnamed, names, strict=True)]
    return ClassTable((*table.classes, *added))


def spread(count: int, wanted: int | None) -> list[int]:
    """Return at most ``wanted`` numbers below ``count``, evenly spread; None for all."""
    if wanted is None or count <= wanted:
        return list(range(count))
    return [i * count // wanted for i in range(wanted)]


def _given(labels: LabelMap) -> Callable[[], LabelMap]:
    return lambda: labels


def _measured(
    chosen: Format, items: Sequence[ExportItem], table: ClassTable, options: ExportOptions, wanted: int | None
) -> tuple[dict[int, float], bool]:
    """Return what a round trip gives back of some images, and whether the format holds every pixel."""
    iou: dict[int, float] = {}
    for place in spread(len(items), wanted):
        item = items[place]
        try:
            labels = item.load()
        except CoordError:
            continue  # told when it is exported
        held = chosen.held(labels, table, options)
        if held is labels:  # by contract: the very array where nothing can be lost
            return {}, True
        iou[item.id] = agreement(labels, held)
    return iou, not iou


def _losses(iou: Mapping[int, float], paths: Mapping[int, str]) -> list[str]:
    lossy = sorted((value, paths[i]) for i, value in iou.items() if value < 1.0)
    if not lossy:
        return []
    names = ", ".join(f"{path} keeps an IoU of {value:.3f}" for value, path in lossy[:_SHOWN])
    return [f"{len(lossy)} of {len(iou)} images that were measured lose pixels ({names})"]


def _items(project: Project, ids: Sequence[int], chosen: Format) -> tuple[list[ExportItem], list[int]]:
    rows = project.rows(ids)
    kept = [row for row in rows if row.has_labels]
    names = stems([row.path for row in kept])
    items = [_item(project, chosen, row, stem) for row, stem in zip(kept, names, strict=True)]
    return items, [row.id for row in rows if not row.has_labels]


def _item(project: Project, chosen: Format, row: ImageRow, stem: str) -> ExportItem:
    item = ExportItem(
        row.id,
        row.path,
        stem,
        project.images_folder / row.path,
        functools.partial(project.labels, row.id),
        score=row.confidence if row.status is Status.PROPAGATED else None,
    )
    if not chosen.extras_of:
        return item
    extras = functools.partial(kept_extras, project, chosen, row.path)
    return ExportItem(item.id, item.path, item.stem, item.source, item.load, item.score, extras)


def check_folder(out: Path) -> None:
    """Refuse a place in which no folder can be made, before anything is written.

    Raises:
        LabelError: It is a file or lies below one, or may not be written to.
    """
    place = out.expanduser().absolute()
    found = next((p for p in (place, *place.parents) if p.exists() or p.is_symlink()), place)
    if not found.is_dir():
        what = "is a file" if found == place else f"lies below {found}, which is a file"
        raise LabelError(f"{out} {what}", expected="a folder", remedy="choose another place")
    if not os.access(found, os.W_OK | os.X_OK):
        raise LabelError(
            f"{found} may not be written to",
            expected="a folder that may be written to",
            remedy="change its permissions or choose another one",
        )


def _check_place(project: Project, out: Path) -> None:
    check_folder(out)
    place = out.expanduser().absolute()
    for folder, what in ((project.images_folder, "images"), (project.folder, "project")):
        if place == folder or folder in place.parents:
            raise LabelError(
                f"{out} lies in the folder of the {what}",
                expected="a folder of its own",
                remedy="choose a folder outside of it: exported labels would be taken for images",
            )

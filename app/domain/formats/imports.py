"""Import over any format: first a report with the classes to confirm, then the work as one undoable batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.domain.classes import ClassTable, ImportClasses
from app.domain.formats.base import Format, ImportItem, Source
from app.domain.formats.exports import spread
from app.domain.formats.matching import check_extras, format_of, keep_extras, known_images, loaded, match
from app.domain.palette import Color
from app.domain.project import ImageRow, Project
from app.domain.storage.class_rows import table_to_json
from coordgan_core.errors import CoordError

_SHOWN = 3
LOOKED = 300


@dataclass(frozen=True)
class ImportReport:
    """What an import would do.

    Args:
        matched: Image id -> key of its label map.
        missing: Images of the project for which there is none.
        extra: Label maps that fit no image.
        mapping: Class id of the source -> name of the class it becomes; change it and hand it to
            `import_labels`.
        new_classes: Names that the project does not have yet.
        protected: Images in which a person has worked; they stay unless overwriting is asked for.
        warnings: What a person should know before.
        names: Class id of the source -> its name there; empty for those that have only a number.
        images: Class id of the source -> in how many of the label maps that were looked at it occurs.
        looked: How many label maps were looked at.
        unfit: Image id -> why its label map cannot be taken, among those that were looked at.
    """

    matched: Mapping[int, str]
    missing: tuple[int, ...]
    extra: tuple[str, ...]
    mapping: Mapping[int, str] = field(default_factory=dict)
    new_classes: tuple[str, ...] = ()
    protected: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    images: Mapping[int, int] = field(default_factory=dict)
    looked: int = 0
    unfit: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportEvent:
    """One label map was taken, or refused for a person's work, or could not be read: ``error`` says why."""

    done: int
    total: int
    image_id: int
    path: str
    taken: bool = True
    error: str = ""
    batch: int = 0


@dataclass(frozen=True)
class _Look:
    """What a look at some label maps found: class id -> images with it, and what is wrong with others."""

    images: dict[int, int]
    unfit: dict[int, str]
    looked: int


def import_report(
    project: Project, format_name: str, path: Path, *, looked: int | None = LOOKED
) -> ImportReport:
    """Say what `import_labels` would do; nothing is changed.

    Args:
        project: The project.
        format_name: The format.
        path: Where the label maps are.
        looked: How many label maps, evenly spread, are decoded to see what is in them; None for all.

    Raises:
        LabelError: There is no such format, or nothing of it at ``path``.
    """
    rows = project.rows(project.ids())
    source = format_of(format_name).read(path, known_images(project, rows))
    matched, extra, twice = match(source.items, rows)
    look = _look(project, matched, looked)
    mapping = _mapping(project.classes, source, look.images)
    new = new_classes(project.classes, mapping.values())
    human = {int(i) for i in project.ids("is:human")}
    protected = tuple(i for i in matched if i in human)
    warnings = [*source.warnings, *_warnings(extra, twice, protected, new, look)]
    unnamed = [i for i in look.images if source.names and i not in source.names and i not in source.void]
    if unnamed:
        warnings.append(f"the class ids {', '.join(map(str, sorted(unnamed)))} have no name in the source")
    if len(project.classes.classes) + len(new) > 256:
        warnings.append(f"{len(new)} new classes are more than there is room for: map some onto others")
    return ImportReport(
        {i: item.key for i, item in matched.items()},
        tuple(row.id for row in rows if row.id not in matched),
        tuple(extra),
        mapping,
        new,
        protected,
        tuple(warnings),
        {i: n for i, n in source.names.items() if i},
        look.images,
        look.looked,
        look.unfit,
    )


def import_labels(
    project: Project,
    format_name: str,
    path: Path,
    mapping: Mapping[int, str] | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[ImportEvent]:
    """Bring label maps into the project as one undoable batch.

    Args:
        project: The project.
        format_name: The format.
        path: Where the label maps are.
        mapping: Class id of the source -> class name; that of `import_report` by default. Ids that are not
            in it become background.
        overwrite: Also replace what a person has made in this project.

    Raises:
        LabelError: There is no such format, nothing of it at ``path``, or no room for more classes.
    """
    rows = project.rows(project.ids())
    chosen = format_of(format_name)
    source = chosen.read(path, known_images(project, rows))
    matched, _, _ = match(source.items, rows)
    if mapping is None:
        mapping = _mapping(project.classes, source, _look(project, matched, None).images)
    before = project.classes
    after = _with_classes(before, mapping, source.colors)
    batch = project.batches.begin("import", "Import labels", {"format": format_name, "path": str(path)})
    try:
        project.remember_classes(batch, table_to_json(before), table_to_json(after))
        project.set_classes(after)
        table = _table(mapping, after)
        by_id = {row.id: row for row in rows}
        for done, (image_id, item) in enumerate(matched.items(), 1):
            taken, message = _take(project, chosen, batch, by_id[image_id], item, table, overwrite=overwrite)
            yield ImportEvent(done, len(matched), image_id, by_id[image_id].path, taken, message, batch)
    finally:  # also when it is cancelled: what was taken can be taken back
        project.batches.finish(batch)


def new_classes(table: ClassTable, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``names`` that the table does not have, each once; background is none."""
    known = {name.casefold() for name in table.names} | {"background"}
    found: dict[str, str] = {}
    for name in names:
        if name.strip() and name.casefold() not in known:
            found.setdefault(name.casefold(), name)
    return tuple(found.values())


def _take(
    project: Project,
    chosen: Format,
    batch: int,
    row: ImageRow,
    item: ImportItem,
    table: npt.NDArray[np.uint8],
    *,
    overwrite: bool,
) -> tuple[bool, str]:
    """Take one label map; return whether it was taken, and why it could not be."""
    try:
        row = project.measure(row.id)
        labels = loaded(item, (row.width, row.height) if row.width else None)
        extras = check_extras(item) if chosen.extras_of else {}
        taken = project.batches.write_labels(batch, row.id, table[labels], overwrite=overwrite)
        if taken and chosen.extras_of:
            keep_extras(project, chosen, row.path, extras)
    except CoordError as error:
        return False, str(error)
    return taken, ""


def _look(project: Project, matched: Mapping[int, ImportItem], wanted: int | None) -> _Look:
    images: dict[int, int] = {}
    unfit: dict[int, str] = {}
    ids = list(matched)
    places = spread(len(ids), wanted)
    for place in places:
        image_id = ids[place]
        row = project.measure(image_id)
        try:
            labels = loaded(matched[image_id], (row.width, row.height) if row.width else None)
        except CoordError as error:
            unfit[image_id] = str(error)
            continue
        for class_id in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist():
            if class_id:
                images[class_id] = images.get(class_id, 0) + 1
    return _Look(dict(sorted(images.items())), unfit, len(places))


def _mapping(classes: ClassTable, source: Source, found: Mapping[int, int]) -> dict[int, str]:
    """Return a class name for every id of the source: its own, else that of the project, else one made up."""
    mapping = {i: name for i, name in source.names.items() if i and i not in source.void}
    for class_id in found:
        if class_id not in mapping and class_id not in source.void:
            known = None if source.names else classes.get(class_id)
            mapping[class_id] = known.name if known else f"class {class_id}"
    return dict(sorted(mapping.items()))


def _with_classes(before: ClassTable, mapping: Mapping[int, str], colors: Mapping[int, Color]) -> ClassTable:
    """Return the table with the new classes, in the colours of the source where these are free."""
    after = ImportClasses(tuple(dict.fromkeys(mapping.values()))).apply(before)
    for source_id, name in mapping.items():
        color, added = colors.get(source_id), after.by_name(name)
        taken = {c.color for c in after.classes}
        if added and color and before.by_name(name) is None and color not in taken:
            after = after.replaced(replace(added, color=color))
    return after


def _table(mapping: Mapping[int, str], classes: ClassTable) -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for source_id, name in mapping.items():
        found = classes.by_name(name.strip())
        if 0 < source_id < 256 and found is not None:
            table[source_id] = found.id
    return table


def _warnings(
    extra: Sequence[str],
    twice: Sequence[str],
    protected: Sequence[int],
    new: Sequence[str],
    look: _Look,
) -> list[str]:
    found = []
    if look.unfit:
        first = next(iter(look.unfit.values()))
        found.append(
            f"{len(look.unfit)} of {look.looked} label maps that were looked at cannot be taken: {first}"
        )
    if extra:
        what = "label map fits" if len(extra) == 1 else "label maps fit"
        found.append(f"{len(extra)} {what} no image ({', '.join(extra[:_SHOWN])})")
    if twice:
        found.append(f"{len(twice)} names fit several images and are left out ({', '.join(twice[:_SHOWN])})")
    if protected:
        found.append(f"{len(protected)} images stay as they are: a person has worked on them")
    if new:
        found.append(f"{len(new)} classes are added ({', '.join(new[:_SHOWN])})")
    return found

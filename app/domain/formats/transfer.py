"""Export and import over any format: first a report of what would happen, then the work, as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from app.domain.classes import ImportClasses
from app.domain.formats.base import ExportItem, ExportOptions, Format, ImportItem, KnownImages, Source, stems
from app.domain.project import ImageRow, Project, table_to_json
from coordgan_core.errors import CoordError, LabelError

_SHOWN = 3


@dataclass(frozen=True)
class ExportReport:
    """What an export would write.

    Args:
        files: All files, relative to the folder; lists and class names last.
        images: How many images are written.
        skipped: Images without labels, or with some that cannot be read.
        warnings: What the format cannot hold, and names that change.
    """

    files: tuple[str, ...]
    images: int
    skipped: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ExportEvent:
    """One image is written, or could not be: ``error`` says why."""

    done: int
    total: int
    image_id: int
    path: str
    files: tuple[str, ...] = ()
    error: str = ""


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
    """

    matched: Mapping[int, str]
    missing: tuple[int, ...]
    extra: tuple[str, ...]
    mapping: Mapping[int, str] = field(default_factory=dict)
    new_classes: tuple[str, ...] = ()
    protected: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


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


def export_report(
    project: Project,
    ids: Sequence[int],
    format_name: str,
    out: Path,
    options: ExportOptions | None = None,
) -> ExportReport:
    """Say what `export` would write; nothing is written.

    Raises:
        LabelError: There is no such format, or the folder would be written into the images or the project.
    """
    chosen = _format(format_name)
    options = options or ExportOptions()
    _check_place(project, out)
    items, skipped = _items(project, ids)
    classes, table = project.index.class_sets(), project.classes
    files = [file for item in items for file in chosen.files(item, classes.get(item.id, []), table, options)]
    files += chosen.common_files(options) if items else ()
    warnings = list(chosen.limits(project.classes, options))
    renamed = [i for i in items if i.stem != PurePosixPath(i.path).stem]
    if renamed:
        names = ", ".join(f"{i.path} as {i.stem}" for i in renamed[:_SHOWN])
        warnings.append(f"{len(renamed)} images are renamed to be unique ({names})")
    unknown = sorted({c for item in items for c in classes.get(item.id, [])} - set(table.ids))
    if unknown:
        warnings.append(f"the class ids {', '.join(map(str, unknown))} have no name")
    present = [f for f in files if (out / f).exists()] if out.exists() else []
    if present:
        warnings.append(f"{len(present)} files are there already and would be replaced")
    return ExportReport(tuple(files), len(items), tuple(skipped), tuple(warnings))


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
    chosen = _format(format_name)
    _check_place(project, out)
    items, _ = _items(project, ids)
    failed: list[ExportEvent] = []

    def readable() -> Iterator[ExportItem]:
        for item in items:
            try:
                labels = item.load()
            except CoordError as error:
                failed.append(ExportEvent(0, len(items), item.id, item.path, error=str(error)))
                continue
            yield ExportItem(item.id, item.path, item.stem, item.source, lambda labels=labels: labels)  # type: ignore[misc]

    work = chosen.write(out, readable(), project.classes, options or ExportOptions())
    for done, written in enumerate(work, 1):
        yield ExportEvent(done, len(items), written.item.id, written.item.path, written.files)
    yield from failed


def import_report(project: Project, format_name: str, path: Path) -> ImportReport:
    """Say what `import_labels` would do; nothing is changed.

    Raises:
        LabelError: There is no such format, or nothing of it at ``path``.
    """
    rows = project.rows(project.ids())
    source = _format(format_name).read(path, _known(project, rows))
    matched, extra, twice = _match(source.items, rows)
    mapping = _names(project, source, matched)
    known = {name.casefold() for name in project.classes.names}
    new = tuple(dict.fromkeys(n for n in mapping.values() if n.casefold() not in known))
    human = {int(i) for i in project.ids("is:human")}
    protected = tuple(i for i in matched if i in human)
    warnings = list(source.warnings)
    if extra:
        warnings.append(f"{len(extra)} label maps fit no image ({', '.join(extra[:_SHOWN])})")
    if twice:
        warnings.append(
            f"{len(twice)} names fit several images and are left out ({', '.join(twice[:_SHOWN])})"
        )
    if protected:
        warnings.append(f"{len(protected)} images stay as they are: a person has worked on them")
    if new:
        warnings.append(f"{len(new)} classes are added ({', '.join(new[:_SHOWN])})")
    missing = tuple(row.id for row in rows if row.id not in matched)
    return ImportReport(
        {i: item.key for i, item in matched.items()},
        missing,
        tuple(extra),
        mapping,
        new,
        protected,
        tuple(warnings),
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
        LabelError: There is no such format, or nothing of it at ``path``.
    """
    rows = project.rows(project.ids())
    source = _format(format_name).read(path, _known(project, rows))
    matched, _, _ = _match(source.items, rows)
    names = dict(mapping) if mapping is not None else _names(project, source, matched)
    before = project.classes
    after = ImportClasses(tuple(dict.fromkeys(names.values()))).apply(before)
    batch = project.batches.begin("import", "Import labels", {"format": format_name, "path": str(path)})
    project.remember_classes(batch, table_to_json(before), table_to_json(after))
    project.set_classes(after)
    table = _table(names, {c.name.casefold(): c.id for c in after.classes})
    by_id = {row.id: row for row in rows}
    for done, (image_id, item) in enumerate(matched.items(), 1):
        row, taken, message = by_id[image_id], False, ""
        try:
            labels = _fitting(item, project.measure(image_id))
            taken = project.batches.write_labels(batch, image_id, table[labels], overwrite=overwrite)
        except CoordError as error:
            message = str(error)
        yield ImportEvent(done, len(matched), image_id, row.path, taken, message, batch)
    project.batches.finish(batch)


def _fitting(item: ImportItem, row: ImageRow) -> npt.NDArray[np.uint8]:
    labels = item.load()
    if row.width and labels.shape != (row.height, row.width):
        raise LabelError(
            f"the labels for {row.path} have {labels.shape[1]} x {labels.shape[0]} pixels, "
            f"the image {row.width} x {row.height}",
            expected="labels of the size of the image",
            remedy="export them again at that size",
        )
    return labels


def _table(names: Mapping[int, str], ids: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for source, name in names.items():
        if 0 < source < 256:
            table[source] = ids.get(name.casefold(), 0)
    return table


def _names(project: Project, source: Source, matched: Mapping[int, ImportItem]) -> dict[int, str]:
    """Return a class name for every id of the source: its own, else that of the project, else one made up."""
    if source.names:
        return {i: name for i, name in source.names.items() if i != 0}
    found: set[int] = set()
    for item in matched.values():
        try:
            found |= {int(i) for i in np.flatnonzero(np.bincount(item.load().ravel(), minlength=256))}
        except CoordError:
            continue  # told when it is imported
    named = {i: project.classes.get(i) for i in sorted(found - {0})}
    return {i: known.name if known else f"class {i}" for i, known in named.items()}


def _items(project: Project, ids: Sequence[int]) -> tuple[list[ExportItem], list[int]]:
    rows = project.rows(ids)
    kept = [row for row in rows if row.has_labels]
    names = stems([row.path for row in kept])
    items = [
        ExportItem(
            row.id,
            row.path,
            stem,
            project.images_folder / row.path,
            lambda i=row.id: project.labels(i),  # type: ignore[misc]
        )
        for row, stem in zip(kept, names, strict=True)
    ]
    return items, [row.id for row in rows if not row.has_labels]


def _known(project: Project, rows: Sequence[ImageRow]) -> KnownImages:
    """Return names and sizes of the images of a project, by every name under which they may be looked for."""
    exported = stems([row.path for row in rows])
    names: dict[str, int | None] = {}
    for row in rows:
        path = PurePosixPath(row.path)
        for name in {path.name, path.stem}:
            names[name] = None if name in names else row.id  # None: several images have it
    for row, stem in zip(rows, exported, strict=True):
        names |= dict.fromkeys((row.path, stem), row.id)

    def size(name: str) -> tuple[int, int] | None:
        found = names.get(name)
        if found is None:
            return None
        row = project.measure(found)
        return (row.width, row.height) if row.width else None

    return KnownImages({PurePosixPath(row.path).stem for row in rows} | set(exported), size)


def _match(
    items: Iterable[ImportItem], rows: Sequence[ImageRow]
) -> tuple[dict[int, ImportItem], list[str], list[str]]:
    """Find the image of each label map: by its path, the name it is exported under, or a unique stem."""
    by_key: dict[str, list[int]] = {}
    for row, exported in zip(rows, stems([row.path for row in rows]), strict=True):
        path = PurePosixPath(row.path)
        keys = {row.path, str(path.with_suffix("")), exported, path.name, path.stem}
        for key in {k.casefold() for k in keys}:
            by_key.setdefault(key, []).append(row.id)
    exact = {row.path.casefold(): row.id for row in rows}
    exact |= {s.casefold(): row.id for row, s in zip(rows, stems([row.path for row in rows]), strict=True)}
    matched: dict[int, ImportItem] = {}
    extra, twice = [], []
    for item in items:
        key = item.key.casefold()
        found = [exact[key]] if key in exact else by_key.get(key) or by_key.get(PurePosixPath(key).name, [])
        if not found:
            extra.append(item.key)
        elif len(found) > 1 or found[0] in matched:
            twice.append(item.key)
        else:
            matched[found[0]] = item
    return matched, extra, twice


def _format(name: str) -> Format:
    from app.domain.formats import FORMATS

    if name not in FORMATS:
        raise LabelError(f"there is no format {name}", expected="one of " + ", ".join(FORMATS))
    return FORMATS[name]


def _check_place(project: Project, out: Path) -> None:
    place = out.expanduser().absolute()
    for folder, what in ((project.images_folder, "images"), (project.folder, "project")):
        if place == folder or folder in place.parents:
            raise LabelError(
                f"{out} lies in the folder of the {what}",
                expected="a folder of its own",
                remedy="choose a folder outside of it: exported labels would be taken for images",
            )

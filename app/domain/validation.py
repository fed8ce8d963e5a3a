"""Checking a project or a folder of label maps: what is wrong, what to do, and what can be mended safely."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from app.domain.classes import AddClass, ClassTable
from app.domain.edits import LabelMap
from app.domain.label_map import histogram
from app.domain.project import DATABASE, ImageRow, Project
from app.domain.scan import walk
from app.domain.status import Status
from coordgan_core.data.images import image_size, is_image
from coordgan_core.errors import CoordError, LabelError
from coordgan_core.labels import LabelClasses, read_label_map

SET_ASIDE = "set-aside"
"""Folder of a project for label maps that could not be read; nothing is ever deleted."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Args:
        kind: ``database``, ``image``, ``failed``, ``damaged``, ``size``, ``ids``, ``missing``, ``orphan``,
            ``count``, ``journal``, ``batch`` or ``leftover``.
        path: What it is about, relative to the folder that is checked where it lies in it.
        problem: What is wrong, in words.
        remedy: What to do about it.
        repairable: Whether `check_project` can mend it without losing anything.
        repaired: Whether it has.
    """

    kind: str
    path: str
    problem: str
    remedy: str
    repairable: bool = False
    repaired: bool = False


@dataclass(frozen=True)
class Checked:
    """Progress: how many label maps have been looked at, of how many."""

    done: int
    total: int


def check_database(folder: Path) -> list[Finding]:
    """Return what SQLite itself finds wrong with the database of a project folder, without opening it."""
    path = folder / DATABASE
    if not path.is_file():
        return [
            Finding("database", DATABASE, "there is no project database", "open the folder once: it is made")
        ]
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    except sqlite3.Error as error:
        lines = [str(error)]
    remedy = f"rename {path} and open the folder again: the label maps beside it are kept"
    return [Finding("database", DATABASE, line, remedy) for line in lines if line != "ok"]


def check_project(project: Project, *, repair: bool = False) -> Iterator[Finding | Checked]:
    """Check the images, label maps and index of a project.

    Args:
        project: The project; opened for writing if it is to be repaired.
        repair: Mend what can be mended without losing anything: label maps that cannot be read are set
            aside, classes without a name get one, counts are made anew.

    Yields:
        Findings as they come, and progress.
    """
    mend = repair and not project.read_only
    yield from cut_off(project)
    rows = project.rows(project.ids())
    named = set(project.classes.ids)
    unsaved = set(project.store.unflushed())
    with_labels = [row for row in rows if row.has_labels]
    yield from _image_files(rows)
    for done, row in enumerate(with_labels, 1):
        yield from _label_map(project, row, named, unsaved, mend=mend)
        yield Checked(done, len(with_labels))
    yield from _label_files(project, {row.path: row for row in rows}, mend=mend)


def check_labels_folder(
    labels: Path, *, images: Path | None = None, classes: Path | None = None
) -> Iterator[Finding | Checked]:
    """Check a folder of label maps, alone or against its images.

    Args:
        labels: The folder, sub-folders included.
        images: The images; sizes are compared, and what is missing on either side is told.
        classes: A ``classes.json`` whose ids alone may occur; one in or above the folder by default.

    Yields:
        Findings as they come, and progress.

    Raises:
        LabelError: There is no label map, or the classes cannot be read.
        DataError: A folder cannot be read.
    """
    found = sorted(path for path, _ in walk(labels) if path.lower().endswith(".png"))
    if not found:
        raise LabelError(
            f"{labels} holds no label map",
            expected="a project, or a folder of PNG files",
            remedy="labels in another format are checked by `coordlabel convert`, which reads them back",
        )
    known = _known_ids(labels, classes)
    sources = None if images is None else _images_by_name(images, skip=labels)
    seen: set[Path] = set()
    for done, path in enumerate(found, 1):
        source = None if sources is None else _source_of(path, sources)
        if sources is not None and source is None:
            yield Finding("orphan", path, "there is no image of this name", "move the label map away")
        seen |= {source} if source else set()
        yield from _label_file(labels / path, path, source, known)
        yield Checked(done, len(found))
    for name, source in sorted((sources or {}).items()):
        if source not in seen and PurePosixPath(name).suffix:
            seen.add(source)
            yield Finding("missing", name, "the image has no label map", "label it, or leave it out")


def cut_off(project: Project) -> Iterator[Finding]:
    """Yield what the journal and the history say was cut off; opening for writing mends both."""
    waiting = len(project.store.unflushed())
    if waiting:
        yield Finding(
            "journal",
            DATABASE,
            f"{waiting} label files are behind the journal",
            "open the project once, or repair: they are written",
            repairable=True,
        )
    for run in project.runs():
        if run.finished is None:
            text = f"“{run.text}” was cut off after {run.images} images"
            yield Finding("batch", DATABASE, text, "run it again, or take it back", repairable=True)


def _image_files(rows: Collection[ImageRow]) -> Iterator[Finding]:
    for row in rows:
        if row.missing:
            yield Finding("image", row.path, "the image file has gone", "bring it back; its labels are kept")
        elif row.problem:
            yield Finding("image", row.path, row.problem, "convert the file, or take it out of the folder")
        elif row.status is Status.FAILED and row.note:
            yield Finding("failed", row.path, row.note, "mend the image, then propagate again; or label it")


def _label_map(
    project: Project, row: ImageRow, named: set[int], unsaved: Collection[int], *, mend: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the label map of one image."""
    file = project.store.files.path(row.path)
    place = file.relative_to(project.folder).as_posix()
    if not file.is_file() and row.id not in unsaved:
        found = Finding("missing", place, "the label file has gone", "bring it back from a copy, or repair")
        yield _mended(found, lambda: project.store.forget(row.id), mend=mend)
        return
    try:
        labels = project.labels(row.id)
    except LabelError as error:
        yield _unreadable(project, row, file, error, mend=mend, unsaved=row.id in unsaved)
        return
    counts = histogram(labels)
    unknown = [int(i) for i in np.flatnonzero(counts) if int(i) not in named]
    if unknown:
        text = f"it holds the class ids {', '.join(map(str, unknown))}, which have no name"
        found = Finding("ids", place, text, "add classes with these ids, or repair: they are named by number")
        yield _mended(found, lambda: _name_classes(project, unknown), mend=mend)
        named |= set(unknown) if mend else set()
    stored = project.class_counts(row.id)
    if not row.missing and stored != {int(c): int(counts[c]) for c in np.flatnonzero(counts) if c}:
        found = Finding("count", place, "the pixels of its classes are counted wrongly", "repair")
        yield _mended(found, lambda: project.store.recount(row.id), mend=mend)


def _unreadable(
    project: Project, row: ImageRow, file: Path, error: LabelError, *, mend: bool, unsaved: bool
) -> Finding:
    place = file.relative_to(project.folder).as_posix()
    try:
        shape = read_label_map(file).shape
    except LabelError:
        if unsaved:  # strokes wait for it in the journal
            return Finding("damaged", place, error.found, "bring it back from a copy: strokes wait for it")
        remedy = f"bring it back from a copy, or repair: it is moved to {SET_ASIDE} and the image unlabelled"

        def set_aside() -> None:
            target = project.folder / SET_ASIDE / f"{row.path}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise error
            file.rename(target)
            project.store.forget(row.id)

        return _mended(Finding("damaged", place, error.found, remedy), set_aside, mend=mend)
    if row.width and shape != (row.height, row.width):
        return Finding("size", place, error.found, error.remedy)
    return Finding("damaged", place, error.found, error.remedy)


def _label_files(project: Project, rows: Mapping[str, ImageRow], *, mend: bool) -> Iterator[Finding]:
    """Yield label files that belong to no image, and what crashes have left behind."""
    folder = project.folder / "labels"
    for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
        place = file.relative_to(project.folder).as_posix()
        if file.name.startswith(".") and file.suffix == ".part":
            found = Finding("leftover", place, "a file that was never finished", "delete it, or repair")
            yield _mended(found, file.unlink, mend=mend)
        elif file.is_file() and file.suffix == ".png":
            row = rows.get(file.relative_to(folder).as_posix().removesuffix(".png"))
            if row is None:
                yield Finding(
                    "orphan", place, "there is no image of this name", "bring the image back, or move it away"
                )
            elif not row.has_labels:
                remedy = "move it away, or bring it in with `coordlabel import`"
                yield Finding("orphan", place, "the project says that its image has no labels", remedy)


def _mended(finding: Finding, repair: Callable[[], object], *, mend: bool) -> Finding:
    if not mend:
        return replace(finding, repairable=True)
    try:
        repair()
    except (CoordError, OSError) as error:
        return replace(finding, repairable=True, remedy=f"{finding.remedy} (the repair failed: {error})")
    return replace(finding, repairable=True, repaired=True)


def _name_classes(project: Project, ids: Collection[int]) -> None:
    for class_id in ids:
        for _ in project.change_classes(AddClass(_free_name(project.classes, class_id), id=class_id)):
            pass


def _free_name(table: ClassTable, class_id: int) -> str:
    name = f"class {class_id}"
    while table.by_name(name) is not None:
        name += "'"
    return name


def _known_ids(labels: Path, classes: Path | None) -> tuple[int, ...] | None:
    places = [classes] if classes else [labels / "classes.json", labels.parent / "classes.json"]
    file = next((place for place in places if place.is_file()), classes)
    if file is None:
        return None
    try:
        return LabelClasses.load(file).ids
    except json.JSONDecodeError as error:
        raise LabelError(f"{file} cannot be read ({error})", remedy="correct it") from error


def _images_by_name(images: Path, *, skip: Path) -> dict[str, Path]:
    """Return the images of a folder by relative path, and by what label maps may be called after them."""
    found: dict[str, Path] = {}
    for path, entry in walk(images, skip=skip):
        if Path(entry.path).parent == skip:
            continue
        found[path] = images / path
        found.setdefault(str(PurePosixPath(path).with_suffix("")), images / path)
    return found


def _source_of(path: str, sources: Mapping[str, Path]) -> Path | None:
    stem = str(PurePosixPath(path).with_suffix(""))
    return sources.get(stem) or (None if is_image(Path(stem)) else sources.get(PurePosixPath(stem).name))


def _label_file(
    file: Path, place: str, source: Path | None, known: tuple[int, ...] | None
) -> Iterator[Finding]:
    try:
        labels: LabelMap = read_label_map(file)
        size = image_size(source) if source else None
    except LabelError as error:
        yield Finding("damaged", place, error.found, error.remedy)
        return
    except CoordError as error:
        yield Finding("image", str(source), error.found, error.remedy)
        return
    if size is not None and labels.shape != (size[1], size[0]):
        text = f"it has {labels.shape[1]} x {labels.shape[0]} pixels, its image {size[0]} x {size[1]}"
        yield Finding("size", place, text, "export it again at the size of its image")
    unknown = [int(i) for i in np.flatnonzero(histogram(labels)) if i and known and int(i) not in known]
    if unknown:
        text = f"it holds the class ids {', '.join(map(str, unknown))}, which classes.json does not name"
        yield Finding("ids", place, text, "add them to classes.json, or correct the label map")

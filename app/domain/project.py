"""A project: a folder of images and, in a folder of its own, everything that is known about them.

``project.sqlite`` (index, classes, journal), ``labels/<image path>.png`` (palette PNG, class ids),
``confidence/<run>/<image path>.png`` and ``classes.json``. The label file carries the whole name of its
image (``labels/cat.jpg.png``), so that two images of one stem keep two label maps. Images are never written
to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain import scan as scanning
from app.domain.classes import ClassChange, ClassTable
from app.domain.edits import Edit, LabelMap
from app.domain.place import FOLDER, OPENER, find_project, images_of, relative, sweep, why_not_ours
from app.domain.search import Query, parse
from app.domain.status import Origin, Status
from app.domain.storage.batch_rows import Exchange, Result, RunRow, damaged
from app.domain.storage.batches import Batches
from app.domain.storage.class_store import ChangePreview, ClassStore
from app.domain.storage.database import Database
from app.domain.storage.index import ImageIndex, ImageRow, Sort
from app.domain.storage.label_store import Commit, LabelStore
from app.domain.storage.lock import ProjectLock
from app.domain.storage.soundness import unsound
from coordgan_core.errors import CoordError, DataError, LabelError
from coordgan_core.files import write_json

DATABASE = "project.sqlite"

__all__ = [
    "ChangePreview",
    "Commit",
    "ImageRow",
    "Origin",
    "Project",
    "Result",
    "RunRow",
    "ScanProgress",
    "Sort",
    "Status",
]
ScanProgress = scanning.ScanProgress


class Project:
    """An open project; every method may be called from any thread.

    Make one with `open`, `create` or `open_or_create`, and `close` it. A second opening of the same project
    is read-only.
    """

    def __init__(self, images: Path, folder: Path, *, read_only: bool = False) -> None:
        self.images_folder = images
        self.folder = folder
        self.read_only_reason = ""
        self.recovered = 0
        self.note = ""
        self._lock = ProjectLock(folder / "project.lock")
        if read_only:
            self.read_only_reason = "opened for reading only"
        elif not self._lock.acquire():
            self.read_only_reason = why_not_ours(self._lock, folder)
        try:
            self.database = Database(folder / DATABASE, read_only=self.read_only)
            if problem := unsound(self.database):
                raise damaged(problem)
            self.index = ImageIndex(self.database)
            self.store = LabelStore(self.database, folder, lambda: self.classes.palette())
            self.batches = Batches(self.database, self.store)
            self.class_store = ClassStore(
                self.database, folder, self.index, self.batches, read_only=self.read_only
            )
            if not self.read_only:
                self._recover()
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def create(cls, images: str | Path, folder: str | Path | None = None) -> Project:
        """Make a project for a folder of images and open it.

        Args:
            images: The images folder.
            folder: The project folder; ``.coordlabel`` in the images folder by default.

        Raises:
            DataError: There is no such images folder, or the project folder belongs to other images.
            DiskFullError: The project folder cannot be written.
        """
        images = Path(images).expanduser().absolute()
        if not images.is_dir():
            found = f"{images} is a file" if images.is_file() else f"there is no folder {images}"
            raise DataError(found, expected="a folder of images", remedy="choose another one")
        place = Path(folder).expanduser().absolute() if folder else images / FOLDER
        if not (place / "project.json").exists():
            inside = place.parent == images and place.name == FOLDER
            write_json(
                place / "project.json", {"format": 1, "images": ".." if inside else relative(images, place)}
            )
            write_json(place / OPENER, {"coordlabel": "open this project"})
        return cls(images_of(place), place)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Project:
        """Open the project at ``path``: its images folder or its own folder.

        Raises:
            DataError: There is no project, or it is damaged or of a newer version.
        """
        place = find_project(path)
        if place is None:
            raise DataError(f"there is no project in {path}", remedy="create one for this folder of images")
        return cls(images_of(place), place, read_only=read_only)

    @classmethod
    def open_or_create(cls, path: str | Path) -> Project:
        """Open the project of an images folder or project folder, making it where there is none yet."""
        return cls.open(path) if find_project(path) else cls.create(path)

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed; `read_only_reason` says why."""
        return bool(self.read_only_reason)

    @property
    def name(self) -> str:
        """What to call the project in a title."""
        return self.images_folder.name or str(self.images_folder)

    def close(self) -> None:
        """Write what is not yet in the PNGs and let go of everything; more than once is harmless."""
        with contextlib.suppress(CoordError):
            self.flush()
        self.database.close()
        self._lock.release()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- images

    def scan(self) -> Iterator[ScanProgress]:
        """List the images folder into the index, in batches; see `app.domain.scan.scan`."""
        if self.read_only:
            yield ScanProgress(found=self.count(), finished=True)
            return
        yield from scanning.scan(self.index, self.images_folder, self.folder, self._count_classes)

    def _count_classes(self) -> Iterator[int]:
        """Count the classes of label maps that came with the folder: otherwise no merge would find them."""
        for done, image_id in enumerate(self.index.uncounted(), 1):
            with contextlib.suppress(LabelError):  # opening the image says what is wrong with it
                self.store.count_classes(image_id)
            yield done

    def count(self) -> int:
        """Return how many images there are."""
        return self.index.count()

    def counts(self) -> dict[Status, int]:
        """Return how many images there are of each status."""
        return self.index.counts()

    def ids(
        self, query: str | Query = "", sort: Sort = Sort.NAME, *, descending: bool = False
    ) -> npt.NDArray[np.int64]:
        """Return the ids of the images that fit a search, sorted.

        Raises:
            SearchError: The search cannot be understood.
        """
        parsed = parse(query) if isinstance(query, str) else query
        names = {c.name.casefold(): c.id for c in self.classes.classes}
        return self.index.ids(parsed, names, sort, descending=descending)

    def rows(self, ids: Iterable[int]) -> list[ImageRow]:
        """Return the rows of ``ids`` in that order; unknown ids are left out."""
        return self.index.rows(ids)

    def row(self, image_id: int) -> ImageRow:
        """Return the row of an image.

        Raises:
            LabelError: There is no such image.
        """
        rows = self.rows([image_id])
        if not rows:
            raise LabelError(f"no image {image_id} in the project", remedy="open the folder again")
        return rows[0]

    def find(self, relative: str) -> int | None:
        """Return the id of a path relative to the images folder (slashes), None if it is unknown."""
        return self.index.find(relative)

    def image_path(self, image_id: int) -> Path:
        """Return the image file."""
        return self.images_folder / self.row(image_id).path

    def label_path(self, image_id: int) -> Path:
        """Return the file of the label map, whether or not it exists."""
        return self.store.files.path(self.row(image_id).path)

    def measure(self, image_id: int) -> ImageRow:
        """Read the size of an image now, if the scan has not come to it yet, and return its row."""
        row = self.row(image_id)
        if row.width == 0 and not self.read_only:
            self.index.set_sizes([scanning.measured(self.images_folder, image_id, row.path)])
        return self.row(image_id)

    # --- label maps

    def labels(self, image_id: int) -> LabelMap:
        """Return the label map of an image, ``uint8 [H, W]``; zeros while it is unlabelled.

        Raises:
            LabelError: The label map is damaged, or has another size than its image.
        """
        return self.store.read(image_id)

    def confidence(self, image_id: int) -> npt.NDArray[np.float32] | None:
        """Return the confidence of a propagated label map, ``float32 [H, W]`` in [0, 1], or None."""
        return self.store.files.confidence(image_id)

    def provenance(self, image_id: int) -> npt.NDArray[np.uint8]:
        """Return who made each pixel, ``uint8 [H, W]``: 0 nobody, 1 a machine, 2 a person."""
        return self.store.provenance(image_id)

    def class_counts(self, image_id: int) -> dict[int, int]:
        """Return the pixels of each class but background."""
        return {c: pixels for c, (pixels, _) in self.index.class_table(image_id).items()}

    def class_confidence(self, image_id: int) -> dict[int, float]:
        """Return the confidence of each class that a propagation found."""
        return {c: s for c, (_, s) in self.index.class_table(image_id).items() if s is not None}

    def commit(self, commits: Iterable[Commit]) -> None:
        """Write strokes to the journal; they are on disk when this returns."""
        self.store.commit(commits)

    def edit(self, sequence: int) -> Edit:
        """Return a stroke of the journal."""
        return self.store.edit(sequence)

    def flush(self, image_id: int | None = None) -> int:
        """Bring the PNG of one image (or of all) up to the journal; return how many were written.

        Raises:
            DiskFullError: A PNG cannot be written; the journal still holds everything.
        """
        if self.read_only:
            return 0
        ids = self.store.unflushed() if image_id is None else [image_id]
        return sum(self.store.files.flush(i) for i in ids)

    def references(self) -> list[int]:
        """Return the images that are references, by name."""
        return [int(i) for i in self.ids("status:reference")]

    # --- batches

    def runs(self) -> list[RunRow]:
        """Return past propagations, imports and other batches, newest first."""
        return self.batches.runs()

    def set_status(self, ids: Iterable[int], status: Status) -> tuple[int, list[int]]:
        """Give images a status as one undoable batch; return the batch and the images that changed."""
        batch = self.batches.begin("status", f"Mark as {status.value}")
        changed = self.batches.set_status(batch, ids, status)
        self.batches.finish(batch)
        return batch, changed

    def exchange(self, batch: int) -> Iterator[Exchange]:
        """Undo a batch, or redo one that was undone; restores the classes where the batch changed them."""
        return self.class_store.exchange(batch)

    # --- classes

    @property
    def classes(self) -> ClassTable:
        """The label classes."""
        return self.class_store.table

    def preview(self, change: ClassChange) -> ChangePreview:
        """Say what a change of the classes would do.

        Raises:
            LabelError: The change is impossible.
        """
        return self.class_store.preview(change)

    def change_classes(self, change: ClassChange) -> Iterator[Exchange]:
        """Change the classes as one undoable batch; see `ClassStore.change`."""
        return self.class_store.change(change)

    def remember_classes(self, batch: int, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
        """Note how a batch changes the classes, so that undoing it brings them back."""
        self.class_store.remember(batch, before, after)

    def set_classes(self, table: ClassTable) -> None:
        """Put a whole table in place without a batch (a new project, a template)."""
        self.class_store.replace(table)

    # --- opening

    def _recover(self) -> None:
        """Write what a crash has left in the journal only; a label map that cannot be written stays there."""
        if self._lock.was_cut_off:
            sweep(self.folder)
        self.recovered = self.store.unflushed_strokes()
        problems = []
        for image_id in self.store.unflushed():
            try:
                self.store.files.flush(image_id)
            except CoordError as error:
                problems.append(str(error))
        if self.recovered:
            plural = "" if self.recovered == 1 else "s"
            self.note = f"{self.recovered} stroke{plural} recovered from the last session"
        notes = [self.note]
        for run in self.batches.close_cut_off():
            if run.images and run.kind != "status":
                plural = "" if run.images == 1 else "s"
                notes.append(f"“{run.text}” was cut off after {run.images} image{plural}")
        for run in self.batches.turn_back_cut_off():
            word = "redoing" if run.undone else "undoing"
            notes.append(f"{word} “{run.text}” was cut off: do it again to finish it")
        self.note = "; ".join(filter(None, [*notes, *problems[:3]]))
        self.store.prune()

"""The label classes of a project: in the database, in ``classes.json``, and changed in batches."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.classes import (
    BACKGROUND,
    ClassChange,
    ClassTable,
    LabelClass,
    RestoreClasses,
    bridge,
    changed_classes,
    pixel_mapping,
)
from app.domain.palette import hex_color
from app.domain.storage.batch_rows import Exchange
from app.domain.storage.batches import Batches
from app.domain.storage.class_rows import table_from_json, table_from_rows, table_to_json
from app.domain.storage.database import Database
from app.domain.storage.index import ImageIndex
from coordgan_core.errors import CoordError, LabelError
from coordgan_core.files import write_json
from coordgan_core.labels import LabelClasses


@dataclass(frozen=True)
class ChangePreview:
    """What a change of the classes would do: images and pixels that change, and the same in words."""

    images: int
    pixels: int
    text: str


class ClassStore:
    """Keeps the classes and changes them; methods may be called from any thread.

    Args:
        database: The project's database.
        folder: The project folder.
        index: Says which images have which classes.
        batches: Rewrites their label maps.
        read_only: Whether ``classes.json`` is not taken into the database.
    """

    def __init__(
        self, database: Database, folder: Path, index: ImageIndex, batches: Batches, *, read_only: bool
    ) -> None:
        self._db, self._folder, self._index, self._batches = database, folder, index, batches
        self._lock = threading.RLock()
        self._table = self._load(read_only=read_only)

    @property
    def table(self) -> ClassTable:
        """The label classes."""
        with self._lock:
            return self._table

    def preview(self, change: ClassChange) -> ChangePreview:
        """Say what a change of the classes would do.

        Raises:
            LabelError: The change is impossible.
        """
        change.apply(self.table)
        images = pixels = 0
        for class_id in changed_classes(change):
            used = self._index.class_use(class_id)
            images, pixels = images + used[0], pixels + used[1]
        rewritten = bool(pixel_mapping(change))
        what = "changes the pixels of" if rewritten else "changes how it looks in"
        text = f"{what} {images} image{'' if images == 1 else 's'}" if images else "changes no image"
        return ChangePreview(images, pixels if rewritten else 0, text)

    def change(self, change: ClassChange) -> Iterator[Exchange]:
        """Change the classes as one undoable batch, rewriting label maps where pixels change.

        Yields:
            Progress over the images; the new classes hold from the first on. The batch is the newest of
            `Batches.runs`.

        Raises:
            LabelError: The change is impossible; nothing was changed.
        """
        before = self.table
        after = change.apply(before)
        batch = self._batches.begin("classes", change.text)
        mapping = pixel_mapping(change)
        self.remember(batch, table_to_json(before), table_to_json(after))
        ids = sorted({i for source in mapping for i in self._index.with_class(source)})
        table = np.arange(256, dtype=np.uint8)
        for source, target in mapping.items():
            table[source] = target
        if not mapping:
            self._store(after)
        yield Exchange((), 0, 0, len(ids), batch)
        for done, image_id in enumerate(ids, 1):
            self._batches.write_mapping(batch, image_id, table)
            yield Exchange((image_id,), 0, done, len(ids), batch)
        if mapping:
            # last, so that a crash in between leaves no pixels of a class that is gone
            self._store(self._with_used(after))
        self._batches.finish(batch)

    def remember(self, batch: int, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
        """Note how a batch changes the classes, so that undoing it brings them back."""
        with self._db.write() as connection:
            connection.execute(
                "UPDATE batches SET classes_before = ?, classes_after = ? WHERE id = ?",
                (json.dumps(before), json.dumps(after), batch),
            )

    def replace(self, table: ClassTable) -> None:
        """Put a whole table in place without a batch (a new project, a template)."""
        self._store(RestoreClasses(table).apply(self.table))

    def _store(self, table: ClassTable) -> None:
        with self._lock:
            with self._db.write() as connection:
                connection.execute("DELETE FROM classes")
                connection.executemany(
                    "INSERT INTO classes (id, name, color, locked, visible, position) VALUES (?,?,?,?,?,?)",
                    [
                        (c.id, c.name, hex_color(c.color), c.locked, c.visible, position)
                        for position, c in enumerate(table.classes)
                    ],
                )
            self._table = table
        if not self._folder.is_dir():  # taken away: none must be made in its place
            return
        with contextlib.suppress(CoordError):  # a copy for other programs; the database is what counts
            write_json(self._folder / "classes.json", table_to_json(table))

    def exchange(self, batch: int) -> Iterator[Exchange]:
        """Undo a batch, or redo one that was undone; restores the classes where the batch changed them.

        Raises:
            LabelError: There is no such batch.
        """
        row = self._db.one("SELECT undone, classes_before, classes_after FROM batches WHERE id = ?", (batch,))
        if row is None:
            raise LabelError(f"there is no batch {batch}", remedy="open the folder again")
        text = row[2] if row[0] else row[1]
        table = None if text is None else table_from_json(text)
        if table is not None:  # first, so that no pixel is ever of a class that is not there
            self._store(bridge(self.table, table))
        yield from self._batches.exchange(batch)
        if table is not None:
            self._store(self._with_used(table))
        self._batches.finish_exchange(batch)

    def _with_used(self, table: ClassTable) -> ClassTable:
        """Return a table with the present classes added that images would otherwise lose the names of."""
        used = [c for c in self.table.classes if table.get(c.id) is None and self._index.class_use(c.id)[0]]
        return bridge(table, ClassTable((BACKGROUND, *used)))

    def _load(self, *, read_only: bool) -> ClassTable:
        rows = self._db.read("SELECT id, name, color, locked, visible FROM classes ORDER BY position")
        if rows:
            return table_from_rows(rows)
        file = self._folder / "classes.json"
        if not file.exists():
            return ClassTable()
        known = LabelClasses.load(file)
        table = ClassTable(tuple(LabelClass(c.id, c.name, c.color) for c in known.classes))
        if not read_only:
            self._store(table)
        return table

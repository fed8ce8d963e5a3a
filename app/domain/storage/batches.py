"""Batches: changes of many images that are one step of the history (propagation, import, merge, status).

A batch keeps, for each image, the *other* state: before it, while it is done; after it, while it is undone.
Undoing and redoing are the same exchange. An image that a person has worked on since is left as it is and
counted.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.edits import LabelMap, pack_labels, unpack_labels
from app.domain.status import Origin, Status
from app.domain.storage.batch_rows import (
    Exchange,
    Result,
    RunRow,
    around_corrections,
    class_scores,
    dumped,
    expect,
    loaded,
    machine_base,
    other_state,
    set_class_scores,
    set_machine_base,
    turn_over,
)
from app.domain.storage.claims import Claims
from app.domain.storage.database import Database
from app.domain.storage.label_store import LabelStore, is_protected, state_of
from coordgan_core.errors import CoordError, LabelError

_log = logging.getLogger(__name__)


class Batches:
    """Writes batches; methods may be called from any thread."""

    def __init__(self, database: Database, store: LabelStore) -> None:
        self._db = database
        self._store = store
        self._claims = Claims()

    def begin(self, kind: str, text: str, details: dict[str, Any] | None = None) -> int:
        """Open a batch and return its id."""
        with self._db.write() as connection:
            cursor = connection.execute(
                "INSERT INTO batches (kind, text, created, details) VALUES (?,?,?,?)",
                (kind, text, time.time(), dumped(details or {})),
            )
            return int(cursor.lastrowid or 0)

    def finish(self, batch: int, details: dict[str, Any] | None = None) -> None:
        """Close a batch, adding to its details."""
        with self._db.write() as connection:
            row = connection.execute("SELECT details FROM batches WHERE id = ?", (batch,)).fetchone()
            merged = {**loaded(row[0] if row else "{}"), **(details or {})}
            connection.execute(
                "UPDATE batches SET finished = ?, details = ? WHERE id = ?",
                (time.time(), dumped(merged), batch),
            )

    def close_cut_off(self) -> list[RunRow]:
        """Close the batches that a crash has cut off, so that they can be undone, and return them."""
        cut_off = [run for run in self.runs() if run.finished is None]
        for run in cut_off:
            self.finish(run.id, {"cut_off": True})
        return cut_off

    def turn_back_cut_off(self) -> list[RunRow]:
        """Count the undoing or redoing that was cut off as not done, and return whose it was.

        Doing it again goes on with the images that are left.
        """
        rows = self._db.read("SELECT id FROM batches WHERE exchanging = 1")
        if not rows:
            return []
        with self._db.write() as connection:
            connection.execute("UPDATE batches SET undone = 1 - undone, exchanging = 0 WHERE exchanging = 1")
        ids = {row[0] for row in rows}
        return [run for run in self.runs() if run.id in ids]

    def runs(self, limit: int = 200) -> list[RunRow]:
        """Return the latest batches, newest first."""
        rows = self._db.read(
            "SELECT b.id, b.kind, b.text, b.created, b.finished, b.undone, b.details, "
            "(SELECT count(*) FROM batch_items i WHERE i.batch_id = b.id) "
            "FROM batches b ORDER BY b.id DESC LIMIT ?",
            (limit,),
        )
        return [RunRow(r[0], r[1], r[2], r[3], r[4], bool(r[5]), r[7], loaded(r[6])) for r in rows]

    def claim(self, image_id: int, revision: int) -> bool:
        """Reserve an image for a person's stroke; False if its label map is no longer at ``revision``."""
        if not self._claims.claim(image_id):
            return False
        if self._store.revision(image_id) == revision:
            return True
        self.release(image_id)
        return False

    def release(self, image_id: int) -> None:
        """Give a claim back."""
        self._claims.release(image_id)

    def write_result(
        self, batch: int, image_id: int, result: Result, *, refresh_edited: bool = False
    ) -> bool:
        """Give an image the machine's label map, unless a person's work is in it; see `write_results`."""
        found = self.write_results(batch, [(image_id, result)], refresh_edited=refresh_edited)[0]
        if isinstance(found, CoordError):
            raise found
        return found

    def write_results(
        self, batch: int, results: Sequence[tuple[int, Result]], *, refresh_edited: bool = False
    ) -> list[bool | CoordError]:
        """Give images the machine's label maps, in one transaction, unless a person's work is in them.

        Args:
            batch: The batch.
            results: Images, each at most once, and what the machine found.
            refresh_edited: Where a person has corrected an earlier result, exchange the machine's pixels
                around the corrections.

        Returns:
            For each image whether its result was taken, or why it could not be.
        """
        entered = [self._claims.enter(image_id) for image_id, _ in results]
        outcomes: list[bool | CoordError] = []
        try:
            with self._db.write() as connection:
                for (image_id, result), free in zip(results, entered, strict=True):
                    if not free:
                        outcomes.append(False)
                        continue
                    connection.execute("SAVEPOINT one_result")
                    try:
                        taken = self._write_result(batch, image_id, result, refresh_edited=refresh_edited)
                        outcomes.append(taken)
                    except LabelError as error:
                        connection.execute("ROLLBACK TO one_result")
                        outcomes.append(error)
                    connection.execute("RELEASE one_result")
        finally:
            for (image_id, _), free in zip(results, entered, strict=True):
                if free:
                    self._claims.leave(image_id)
        self._flush([i for (i, _), taken in zip(results, outcomes, strict=True) if taken is True])
        return outcomes

    def _write_result(self, batch: int, image_id: int, result: Result, *, refresh_edited: bool) -> bool:
        if result.confidence is not None:  # before the row that names it
            self._save_confidence(batch, image_id, result.confidence)
        with self._db.write() as connection:
            state = state_of(connection, image_id)
            labels, status, depth = result.labels, Status.PROPAGATED, 0
            if is_protected(Status(state["status"]), state["depth"]):
                base = machine_base(connection, image_id)
                if not refresh_edited or base is None or state["status"] != Status.EDITED:
                    return False
                labels = around_corrections(self._store.read(image_id), unpack_labels(base), labels)
                status, depth = Status.EDITED, state["depth"]
            self._keep(connection, batch, image_id, state)
            sequence = self._store.replace(
                connection,
                image_id,
                labels,
                "propagation",
                status=status.value,
                origin=Origin.MACHINE.value,
                note=result.note,
                confidence=result.score,
                run_id=batch,
                depth=depth,
            )
            set_machine_base(connection, image_id, pack_labels(result.labels) if depth else None)
            connection.executemany(
                "UPDATE image_classes SET confidence = ? WHERE image_id = ? AND class_id = ?",
                [(score, image_id, c) for c, score in result.class_scores.items()],
            )
            expect(connection, batch, image_id, status.value, sequence, depth)
        return True

    def write_failure(self, batch: int, image_id: int, message: str) -> bool:
        """Note that a machine failed on an image; a person's work and older label maps stay."""
        with self._db.write() as connection:
            state = state_of(connection, image_id)
            if is_protected(Status(state["status"]), state["depth"]):
                return False
            self._keep(connection, batch, image_id, state, replaces=False)
            connection.execute(
                "UPDATE images SET status = ?, note = ? WHERE id = ?",
                (Status.FAILED.value, message, image_id),
            )
            expect(connection, batch, image_id, Status.FAILED.value, state["history_from"], state["depth"])
        return True

    def write_labels(
        self,
        batch: int,
        image_id: int,
        labels: LabelMap,
        *,
        status: Status = Status.EDITED,
        overwrite: bool = False,
    ) -> bool:
        """Give an image an imported label map; a person's own work only goes with ``overwrite``."""
        if not self._claims.enter(image_id):
            return False
        try:
            with self._db.write() as connection:
                state = state_of(connection, image_id)
                if not overwrite and is_protected(Status(state["status"]), state["depth"]):
                    return False
                self._keep(connection, batch, image_id, state)
                changes: dict[str, Any] = {
                    "status": status.value,
                    "origin": Origin.IMPORT.value,
                    "note": "",
                    "confidence": None,
                    "run_id": batch,
                }
                sequence = self._store.replace(connection, image_id, labels, "import", **changes)
                set_machine_base(connection, image_id, None)
                expect(connection, batch, image_id, status.value, sequence, 0)
        finally:
            self._claims.leave(image_id)
        self._flush([image_id])
        return True

    def write_mapping(self, batch: int, image_id: int, table: npt.NDArray[np.uint8]) -> bool:
        """Send the class ids of an image through ``table`` (``uint8 [256]``); status and provenance stay.

        Raises:
            LabelError: A stroke on the image does not end.
        """
        self._claims.enter_soon(image_id, 60.0)
        try:
            changed = self._write_mapping(batch, image_id, table)
        finally:
            self._claims.leave(image_id)
        if changed:
            self._flush([image_id])
        return changed

    def _write_mapping(self, batch: int, image_id: int, table: npt.NDArray[np.uint8]) -> bool:
        with self._db.write() as connection:
            old = self._store.read(image_id)
            new = table[old]
            if np.array_equal(old, new):
                return False
            state = state_of(connection, image_id)
            self._keep(connection, batch, image_id, state)
            base = machine_base(connection, image_id)
            scores = class_scores(connection, image_id)
            sequence = self._store.replace(connection, image_id, new, "classes", depth=state["depth"])
            set_class_scores(connection, image_id, scores)
            if base is not None:
                set_machine_base(connection, image_id, pack_labels(table[unpack_labels(base)]))
            expect(connection, batch, image_id, state["status"], sequence, state["depth"])
        return True

    def set_status(self, batch: int, ids: Iterable[int], status: Status) -> list[int]:
        """Give images a status, in one transaction; return those that changed."""
        changed = []
        with self._db.write() as connection:
            for image_id in ids:
                state = state_of(connection, image_id)
                if state["status"] == status:
                    continue
                self._keep(connection, batch, image_id, state, replaces=False)
                connection.execute("UPDATE images SET status = ? WHERE id = ?", (status.value, image_id))
                expect(connection, batch, image_id, status.value, state["history_from"], state["depth"])
                changed.append(image_id)
        return changed

    def exchange(self, batch: int, *, chunk: int = 20) -> Iterator[Exchange]:
        """Undo a batch that is done, or redo one that is undone, image by image.

        Yields:
            Progress; closing the iterator leaves every image in one of the two states.
        """
        with self._db.write() as connection:
            connection.execute(
                "UPDATE batches SET undone = 1 - undone, exchanging = 1 WHERE id = ?", (batch,)
            )
            # an exchange that was cut off has left some images where this one leads
            ids = [
                r[0]
                for r in connection.execute(
                    "SELECT image_id FROM batch_items i JOIN batches b ON b.id = i.batch_id "
                    "WHERE b.id = ? AND i.undone <> b.undone",
                    (batch,),
                )
            ]
        kept = done = 0
        for start in range(0, len(ids), chunk):
            part = ids[start : start + chunk]
            exchanged = [i for i in part if self._exchange_one(batch, i)]
            done, kept = done + len(part), kept + len(part) - len(exchanged)
            yield Exchange(tuple(exchanged), kept, done, len(ids), batch)
        if not ids:
            yield Exchange((), 0, 0, 0, batch)

    def finish_exchange(self, batch: int) -> None:
        """Note that an exchange has come to its end, classes included."""
        with self._db.write() as connection:
            connection.execute("UPDATE batches SET exchanging = 0 WHERE id = ?", (batch,))

    def _exchange_one(self, batch: int, image_id: int) -> bool:
        try:
            self._claims.enter_soon(image_id, 2.0)
        except LabelError:
            return False
        try:
            with self._db.write() as connection:
                replaces = self._exchange(connection, batch, image_id)
        finally:
            self._claims.leave(image_id)
        if replaces:
            self._flush([image_id])
        return replaces is not None

    def _exchange(self, connection: sqlite3.Connection, batch: int, image_id: int) -> bool | None:
        """Return whether the label map was exchanged too, None if the image has been worked on since."""
        item = connection.execute(
            "SELECT replaces, labels, base, state, expected FROM batch_items "
            "WHERE batch_id = ? AND image_id = ?",
            (batch, image_id),
        ).fetchone()
        replaces, labels, base, other = bool(item[0]), item[1], item[2], other_state(item[3])
        present = state_of(connection, image_id)
        if loaded(item[4]) != [present["status"], present["history_from"], present["depth"]]:
            return None
        scores = other.pop("class_scores", {})
        self._keep(connection, batch, image_id, present, replaces=replaces, anew=True)
        turn_over(connection, batch, image_id)
        history = other["history_from"]
        if replaces:
            # strokes painted and taken back in between belong to the state that goes
            connection.execute(
                "DELETE FROM journal WHERE image_id = ? AND seq > ? AND action IN ('do','undo','redo')",
                (image_id, max(history, present["history_from"])),
            )
            map_ = None if labels is None else unpack_labels(labels)
            state = {k: v for k, v in other.items() if k != "has_labels"}
            self._store.replace(connection, image_id, map_, "exchange", **state)
            set_class_scores(connection, image_id, scores)
            set_machine_base(connection, image_id, base)
        else:
            names = ", ".join(f"{k} = ?" for k in other)
            connection.execute(f"UPDATE images SET {names} WHERE id = ?", (*other.values(), image_id))
        expect(connection, batch, image_id, other["status"], history, other["depth"])
        return replaces

    def _keep(
        self,
        connection: sqlite3.Connection,
        batch: int,
        image_id: int,
        state: dict[str, Any],
        *,
        replaces: bool = True,
        anew: bool = False,
    ) -> None:
        """Store the present state of an image as the batch's other state; the first one unless anew."""
        labels = base = None
        if replaces:
            labels = pack_labels(self._store.read(image_id)) if state["has_labels"] else None
            base = machine_base(connection, image_id)
            state = {**state, "class_scores": class_scores(connection, image_id)}
        connection.execute(
            "INSERT INTO batch_items (batch_id, image_id, replaces, labels, base, state, expected) "
            "VALUES (?,?,?,?,?,?,'') ON CONFLICT DO UPDATE SET "
            "replaces=excluded.replaces, labels=excluded.labels, base=excluded.base, "
            "state=CASE WHEN ? THEN excluded.state ELSE state END WHERE ? OR replaces < excluded.replaces",
            (batch, image_id, int(replaces), labels, base, json.dumps(state), anew, anew),
        )

    def _save_confidence(self, batch: int, image_id: int, confidence: npt.NDArray[np.float32]) -> None:
        row = self._db.one("SELECT path FROM images WHERE id = ?", (image_id,))
        if row is not None:
            self._store.files.save_confidence(row[0], batch, confidence)

    def _flush(self, ids: Sequence[int]) -> None:
        for error in self._store.files.flush_many(ids):
            # the journal holds the label map, and the PNG follows at the next opening at the latest
            _log.warning("a label file could not be written: %s", error)

"""The journal of label maps: it is the truth until the PNG has caught up.

Every change is one row in the journal, written in one transaction together with the row of the image; only
then is it acknowledged. The PNG is written later (`app.domain.storage.label_files`), atomically, and
``images.label_seq`` then says how far it goes. After a crash the rows beyond ``label_seq`` are applied to the
PNG; applying a row twice changes nothing, because rows hold values, not differences.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from app.domain.edits import Edit, LabelMap, pack_labels, unpack_labels
from app.domain.label_map import histogram
from app.domain.status import HUMAN, Origin, Status, after_edit
from app.domain.storage.database import Database
from app.domain.storage.label_files import LabelFiles
from coordgan_core.data.images import MAX_PIXELS
from coordgan_core.errors import LabelError
from coordgan_core.labels import read_label_map

Action = Literal["do", "undo", "redo"]
STATE_COLUMNS = ("status", "origin", "note", "confidence", "run_id", "has_labels", "history_from", "depth")
_HEAD = "SELECT path, width, height, label_seq, has_labels FROM images WHERE id = ?"
_MOST_PIXELS = 2 * MAX_PIXELS  # of an image of which at least the size can be read


@dataclass(frozen=True)
class Commit:
    """One stroke, or the undoing or redoing of one, for the journal.

    Args:
        sequence: Its journal sequence, from `LabelStore.next_sequence`.
        image_id: The image.
        action: What it is.
        text: Its name in the history.
        edit: What it changes.
        refers: For ``undo`` and ``redo`` the sequence of the stroke that moves.
    """

    sequence: int
    image_id: int
    action: Action
    text: str
    edit: Edit
    refers: int = 0


class LabelStore:
    """Reads and writes label maps through the journal; methods may be called from any thread.

    Args:
        database: The project's database.
        folder: The project folder.
        palette: Returns the colours of all 256 ids for the PNGs.
    """

    def __init__(
        self, database: Database, folder: Path, palette: Callable[[], npt.NDArray[np.uint8]]
    ) -> None:
        self._db = database
        self.files = LabelFiles(database, folder, palette, self._read)
        row = database.one("SELECT coalesce(max(seq), 0) FROM journal")
        images = database.one("SELECT coalesce(max(max(label_seq, history_from)), 0) FROM images")
        self._sequence = max(int(row[0]) if row else 0, int(images[0]) if images else 0)
        self._sequence_lock = threading.Lock()

    def next_sequence(self) -> int:
        """Return the next number of the journal."""
        with self._sequence_lock:
            self._sequence += 1
            return self._sequence

    def read(self, image_id: int) -> LabelMap:
        """Return the present label map, ``uint8 [H, W]``; zeros where there is none yet.

        Raises:
            LabelError: The PNG is damaged or has another size than its image, or the size is not known.
        """
        return self._read(image_id)[0]

    def _read(self, image_id: int) -> tuple[LabelMap, int, bool]:
        """Return the label map, the sequence it stands at, and whether there is any label map."""
        while True:
            row = self._db.one(_HEAD, (image_id,))
            if row is None:
                raise LabelError(f"no image {image_id} in the project", remedy="open the folder again")
            path, width, height, saved, has_labels = row
            rows = self._db.read(
                "SELECT seq, action, payload FROM journal WHERE image_id = ? AND seq > ? ORDER BY seq",
                (image_id, saved),
            )
            whole = [i for i, (_, action, _) in enumerate(rows) if action in ("replace", "remove")]
            base = None if whole else self._base(path, width, height)
            again = self._db.one(_HEAD, (image_id,))
            if again is not None and again[3] == saved:
                break  # otherwise the PNG was exchanged while we looked
        labels = np.zeros((height, width), np.uint8) if base is None else base
        for _, action, payload in rows[whole[-1] :] if whole else rows:
            labels = _applied(labels, action, payload)
        _check_size(labels, width, height, path)
        return labels, rows[-1][0] if rows else saved, bool(again[4])

    def _base(self, path: str, width: int, height: int) -> LabelMap:
        file = self.files.path(path)
        if file.exists():
            return np.array(read_label_map(file))
        if width <= 0 or height <= 0:
            raise LabelError(
                f"the size of {path} is not known",
                expected="an image that can be read",
                remedy="check that the image file is there and whole",
            )
        if width * height > _MOST_PIXELS:
            raise LabelError(
                f"the project database gives {path} a size of {width} x {height} pixels",
                expected="that of an image",
                remedy="rename project.sqlite and open the folder again: the label maps beside it are kept",
            )
        return np.zeros((height, width), np.uint8)

    def commit(self, commits: Iterable[Commit]) -> None:
        """Write strokes of a person to the journal, in one transaction; they are on disk when this returns.

        Raises:
            DiskFullError: The disk is full; nothing was kept.
            DataError: The project is read-only or its database damaged.
        """
        with self._db.write() as connection:
            for commit in commits:
                self._commit(connection, commit)

    def _commit(self, connection: sqlite3.Connection, commit: Commit) -> None:
        row = connection.execute(
            "SELECT status, origin, depth FROM images WHERE id = ?", (commit.image_id,)
        ).fetchone()
        if row is None:
            raise LabelError(f"no image {commit.image_id} in the project", remedy="open the folder again")
        before, origin, depth = Status(row[0]), Origin(row[1]), int(row[2])
        if commit.action == "undo":
            depth, status = max(0, depth - 1), _status_before(connection, commit.refers)
        else:
            depth, status = depth + 1, after_edit(before)
        if origin is Origin.MACHINE and depth == 1 and commit.action != "undo":
            self._keep_base(connection, commit.image_id)
        _write_down(connection, commit, before)
        connection.execute(
            "UPDATE images SET status=?, origin=?, depth=?, has_labels=?, revision=revision+1 WHERE id=?",
            (
                status.value,
                _origin(origin, status).value,
                depth,
                status is not Status.UNLABELLED,
                commit.image_id,
            ),
        )
        _count_changes(connection, commit)

    def _keep_base(self, connection: sqlite3.Connection, image_id: int) -> None:
        # what the machine had drawn, so that human pixels can be told from machine pixels for ever
        row = connection.execute("SELECT 1 FROM machine_base WHERE image_id = ?", (image_id,)).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO machine_base VALUES (?,?)", (image_id, pack_labels(self.read(image_id)))
            )

    def edit(self, sequence: int) -> Edit:
        """Return a stroke of the journal.

        Raises:
            LabelError: It is no longer there.
        """
        row = self._db.one("SELECT payload FROM journal WHERE seq = ?", (sequence,))
        if row is None or row[0] is None:
            raise LabelError(f"step {sequence} is no longer in the history", remedy="paint it again")
        return Edit.from_bytes(row[0])

    def history(self, image_id: int) -> list[tuple[int, str, str, int]]:
        """Return the strokes that can be undone: ``(sequence, action, text, refers to)``, oldest first."""
        return self._db.read(
            "SELECT seq, action, text, refers FROM journal "
            "WHERE image_id = ? AND action IN ('do','undo','redo') "
            "AND seq > (SELECT history_from FROM images WHERE id = ?) ORDER BY seq",
            (image_id, image_id),
        )

    def count_classes(self, image_id: int) -> None:
        """Count the classes of a label map that came with the folder.

        Raises:
            LabelError: The label map is damaged.
        """
        counts = histogram(self.read(image_id))
        with self._db.write() as connection:
            # background too, so that an empty map counts as counted
            connection.executemany(
                "INSERT OR IGNORE INTO image_classes (image_id, class_id, pixels) VALUES (?,?,?)",
                [(image_id, int(c), int(counts[c]) if c else 0) for c in {0, *np.flatnonzero(counts)}],
            )

    def recount(self, image_id: int) -> None:
        """Count the classes of a label map anew; the confidences of classes stay.

        Raises:
            LabelError: The label map is damaged.
        """
        counts = histogram(self.read(image_id))
        found = [int(c) for c in np.flatnonzero(counts) if c]
        with self._db.write() as connection:
            connection.execute("UPDATE image_classes SET pixels = 0 WHERE image_id = ?", (image_id,))
            connection.executemany(
                "INSERT INTO image_classes (image_id, class_id, pixels) VALUES (?1,?2,?3) "
                "ON CONFLICT DO UPDATE SET pixels = ?3",
                [(image_id, c, int(counts[c])) for c in found],
            )

    def forget(self, image_id: int) -> None:
        """Take an image for unlabelled whose label file is no longer there; its file is not touched."""
        sequence = self.next_sequence()
        with self._db.write() as connection:
            connection.execute(
                "UPDATE images SET has_labels=0, status='unlabelled', origin='none', note='', "
                "confidence=NULL, run_id=NULL, depth=0, history_from=?1, label_seq=?1, "
                "revision=revision+1 WHERE id=?2",
                (sequence, image_id),
            )
            connection.execute("DELETE FROM image_classes WHERE image_id = ?", (image_id,))
            connection.execute("DELETE FROM machine_base WHERE image_id = ?", (image_id,))

    def revision(self, image_id: int) -> int:
        """Return how often the label map of an image has changed."""
        row = self._db.one("SELECT revision FROM images WHERE id = ?", (image_id,))
        return int(row[0]) if row else -1

    def replace(
        self, connection: sqlite3.Connection, image_id: int, labels: LabelMap | None, text: str, **state: Any
    ) -> int:
        """Put a whole label map (None: none) in place of the present one, inside the caller's transaction.

        Args:
            connection: The caller's transaction.
            image_id: The image.
            labels: ``uint8 [H, W]`` or None.
            text: Why, for the journal.
            **state: New values among `STATE_COLUMNS`.

        Returns:
            The journal sequence.
        """
        sequence = self.next_sequence()
        payload = None if labels is None else pack_labels(labels)
        connection.execute(
            "INSERT INTO journal (seq, image_id, action, text, payload, created) VALUES (?,?,?,?,?,?)",
            (sequence, image_id, "remove" if labels is None else "replace", text, payload, time.time()),
        )
        values = {"history_from": sequence, "depth": 0, **state, "has_labels": int(labels is not None)}
        names = ", ".join(f"{name} = ?" for name in values)
        connection.execute(
            f"UPDATE images SET {names}, revision = revision + 1 WHERE id = ?", (*values.values(), image_id)
        )
        connection.execute("DELETE FROM image_classes WHERE image_id = ?", (image_id,))
        counts = np.zeros(0, np.int64) if labels is None else histogram(labels)
        connection.executemany(
            "INSERT INTO image_classes (image_id, class_id, pixels) VALUES (?,?,?)",
            [(image_id, int(c), int(counts[c])) for c in np.flatnonzero(counts) if c],
        )
        return sequence

    def unflushed(self) -> list[int]:
        """Return the images whose PNG is behind the journal."""
        rows = self._db.read(
            "SELECT DISTINCT j.image_id FROM journal j JOIN images i ON i.id = j.image_id "
            "WHERE j.seq > i.label_seq"
        )
        return [int(row[0]) for row in rows]

    def unflushed_strokes(self) -> int:
        """Return how many strokes the PNGs do not hold yet."""
        row = self._db.one(
            "SELECT count(*) FROM journal j JOIN images i ON i.id = j.image_id "
            "WHERE j.seq > i.label_seq AND j.action IN ('do','undo','redo')"
        )
        return int(row[0]) if row else 0

    def prune(self, *, keep_bytes: int = 512 << 20) -> int:
        """Drop the oldest strokes that no PNG needs any more beyond ``keep_bytes``; return how many."""
        row = self._db.one("SELECT coalesce(sum(length(payload)), 0) FROM journal")
        total = int(row[0]) if row else 0
        if total <= keep_bytes:
            return 0
        doomed = []
        for sequence, size in self._db.read(
            "SELECT j.seq, length(j.payload) FROM journal j JOIN images i ON i.id = j.image_id "
            "WHERE j.seq <= i.label_seq ORDER BY j.seq"
        ):
            if total <= keep_bytes:
                break
            doomed.append((sequence,))
            total -= size or 0
        with self._db.write() as connection:
            connection.executemany("DELETE FROM journal WHERE seq = ?", doomed)
        return len(doomed)

    def provenance(self, image_id: int) -> npt.NDArray[np.uint8]:
        """Return who made each pixel, ``uint8 [H, W]``: 0 nobody, 1 a machine, 2 a person."""
        labels = self.read(image_id)
        row = self._db.one("SELECT status, origin, depth FROM images WHERE id = ?", (image_id,))
        status, origin, depth = (
            (Status(row[0]), Origin(row[1]), row[2]) if row else (Status.UNLABELLED, Origin.NONE, 0)
        )
        if origin is not Origin.MACHINE:
            return np.where(labels > 0, 2, 0).astype(np.uint8)
        if status in (Status.ACCEPTED, Status.REFERENCE):
            return np.full(labels.shape, 2, np.uint8)
        base = self._db.one("SELECT payload FROM machine_base WHERE image_id = ?", (image_id,))
        if base is None or depth == 0:
            return np.ones(labels.shape, np.uint8)
        return np.where(labels != unpack_labels(base[0]), 2, 1).astype(np.uint8)


def is_protected(status: Status, depth: int) -> bool:
    """Return whether a machine must leave an image alone: a person finished, confirmed or painted in it."""
    return status in HUMAN or depth > 0


def state_of(connection: sqlite3.Connection, image_id: int) -> dict[str, Any]:
    """Return the `STATE_COLUMNS` of an image."""
    row = connection.execute(
        f"SELECT {', '.join(STATE_COLUMNS)} FROM images WHERE id = ?", (image_id,)
    ).fetchone()
    if row is None:
        raise LabelError(f"no image {image_id} in the project", remedy="open the folder again")
    return dict(zip(STATE_COLUMNS, row, strict=True))


def _write_down(connection: sqlite3.Connection, commit: Commit, before: Status) -> None:
    connection.execute(
        "INSERT INTO journal (seq, image_id, action, refers, text, payload, status_before, created) "
        "VALUES (?,?,?,?,?,?,?,?)",
        (
            commit.sequence,
            commit.image_id,
            commit.action,
            commit.refers,
            commit.text,
            commit.edit.to_bytes(),
            before.value,
            time.time(),
        ),
    )


def _count_changes(connection: sqlite3.Connection, commit: Commit) -> None:
    for class_id, change in commit.edit.class_changes().items():
        if class_id == 0:
            continue  # background is what is left
        connection.execute(
            "INSERT INTO image_classes (image_id, class_id, pixels) VALUES (?,?,max(0,?)) "
            "ON CONFLICT DO UPDATE SET pixels = max(0, pixels + ?)",
            (commit.image_id, class_id, change, change),
        )


def _origin(origin: Origin, status: Status) -> Origin:
    if status is Status.UNLABELLED:
        return Origin.NONE
    return Origin.HUMAN if origin is Origin.NONE else origin


def _status_before(connection: sqlite3.Connection, sequence: int) -> Status:
    row = connection.execute("SELECT status_before FROM journal WHERE seq = ?", (sequence,)).fetchone()
    return Status(row[0]) if row and row[0] else Status.EDITED


def _applied(labels: LabelMap, action: str, payload: bytes | None) -> LabelMap:
    if action == "replace" and payload is not None:
        return unpack_labels(payload)
    if action == "remove" or payload is None:
        return np.zeros_like(labels)
    Edit.from_bytes(payload).apply(labels)
    return labels


def _check_size(labels: LabelMap, width: int, height: int, path: str) -> None:
    if width > 0 and labels.shape != (height, width):
        raise LabelError(
            f"the label map of {path} has {labels.shape[1]} x {labels.shape[0]} pixels, "
            f"its image {width} x {height}",
            expected="the size at which it was labelled",
            remedy="restore the image as it was, or move its label map away",
        )

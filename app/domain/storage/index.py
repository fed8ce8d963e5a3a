"""The index of images: what the list shows, searches and sorts, and how a folder scan fills it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.search import Query, Term
from app.domain.status import HUMAN, Origin, Status
from app.domain.storage.database import Database
from coordgan_core.errors import DataError

_COLUMNS = (
    "id, path, width, height, status, confidence, problem, note, origin, revision, missing, modified, "
    "has_labels, run_id"
)
_RANKS = [
    Status.FAILED,
    Status.REJECTED,
    Status.UNLABELLED,
    Status.PROPAGATED,
    Status.EDITED,
    Status.ACCEPTED,
    Status.REFERENCE,
]
_NUMBERS = re.compile(r"\d+")
_CHUNK = 500  # host variables a statement


class Sort(StrEnum):
    """What the image list is sorted by."""

    NAME = "name"
    CONFIDENCE = "confidence"
    STATUS = "status"
    DATE = "date"


@dataclass(frozen=True)
class ImageRow:
    """What the list knows of an image.

    Args:
        id: Its number in the project, which never changes.
        path: Relative to the images folder, with slashes.
        width: Upright, in pixels; 0 until the scan has looked.
        height: Upright, in pixels; 0 until the scan has looked.
        status: Where it stands.
        confidence: Of the machine's label map, 0 to 1; None where there is none.
        problem: Why the file cannot be shown; empty where it can.
        note: Why a propagation failed, and the like.
        origin: Who made the label map.
        revision: Counts changes of the label map.
        missing: Whether the file has gone.
        modified: Time of the file, seconds since 1970.
        has_labels: Whether there is a label map.
        run_id: The batch that made the label map.
    """

    id: int
    path: str
    width: int
    height: int
    status: Status
    confidence: float | None
    problem: str
    note: str
    origin: Origin
    revision: int
    missing: bool
    modified: float
    has_labels: bool
    run_id: int | None

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class FoundFile:
    """A file that a scan saw."""

    path: str
    bytes: int
    modified: float
    has_label_file: bool = False


def sort_key(path: str) -> str:
    """Return a key that puts ``img2`` before ``img10`` and ignores capitals."""
    return _NUMBERS.sub(lambda match: match.group().lstrip("0").rjust(12, "0"), path.casefold())


class ImageIndex:
    """Reading and filling the table of images."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def rows(self, ids: Iterable[int]) -> list[ImageRow]:
        """Return the rows of ``ids`` in that order; unknown ids are left out."""
        wanted = [int(i) for i in ids]
        found: dict[int, ImageRow] = {}
        for part in _chunks(wanted):
            marks = ",".join("?" * len(part))
            for row in self._db.read(f"SELECT {_COLUMNS} FROM images WHERE id IN ({marks})", part):
                try:
                    found[row[0]] = _to_row(row)
                except ValueError as error:
                    raise DataError(
                        f"the entry of image {row[0]} is damaged ({error})",
                        remedy="rename project.sqlite and open the folder again: the label maps are kept",
                    ) from error
        return [found[i] for i in wanted if i in found]

    def find(self, path: str) -> int | None:
        """Return the id of a relative path, None if it is not in the project."""
        row = self._db.one("SELECT id FROM images WHERE path = ?", (path,))
        return None if row is None else int(row[0])

    def count(self) -> int:
        """Return how many images there are."""
        row = self._db.one("SELECT count(*) FROM images")
        return int(row[0]) if row else 0

    def counts(self) -> dict[Status, int]:
        """Return how many images there are of each status."""
        found = dict(self._db.read("SELECT status, count(*) FROM images GROUP BY status"))
        return {status: int(found.get(status.value, 0)) for status in Status}

    def ids(
        self, query: Query, class_ids: dict[str, int], sort: Sort, *, descending: bool = False
    ) -> npt.NDArray[np.int64]:
        """Return the ids of the images that fit ``query``, sorted.

        Args:
            query: The search.
            class_ids: Class names without capitals -> id.
            sort: The order; equal ones by name.
            descending: Turn the order around; images without confidence stay last.
        """
        conditions, values = [], []
        for term in query.terms:
            sql, more = _condition(term, class_ids)
            conditions.append(f"NOT ({sql})" if term.negated else f"({sql})")
            values += more
        parts = [
            self._sorted([*conditions, *more], values, order) for more, order in _orders(sort, descending)
        ]
        return np.concatenate(parts)

    def _sorted(self, conditions: list[str], values: list[Any], order: str) -> npt.NDArray[np.int64]:
        where = " WHERE " + " AND ".join(conditions) if conditions else ""
        # one text instead of 100,000 rows: several times faster
        sql = f"SELECT group_concat(id) FROM (SELECT id FROM images{where} ORDER BY {order})"
        row = self._db.one(sql, values)
        if row is None or row[0] is None:
            return np.zeros(0, np.int64)
        return np.fromstring(str(row[0]), np.int64, sep=",")

    def with_class(self, class_id: int) -> list[int]:
        """Return the images whose label map holds a class."""
        rows = self._db.read(
            "SELECT image_id FROM image_classes WHERE class_id = ? AND pixels > 0 ORDER BY image_id",
            (class_id,),
        )
        return [int(row[0]) for row in rows]

    def class_use(self, class_id: int) -> tuple[int, int]:
        """Return how many images hold a class and how many pixels that is."""
        row = self._db.one(
            "SELECT count(*), coalesce(sum(pixels), 0) FROM image_classes WHERE class_id = ? AND pixels > 0",
            (class_id,),
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def class_table(self, image_id: int) -> dict[int, tuple[int, float | None]]:
        """Return the pixels and confidence of each class of an image."""
        rows = self._db.read(
            "SELECT class_id, pixels, confidence FROM image_classes WHERE image_id = ? AND pixels > 0",
            (image_id,),
        )
        return {int(c): (int(p), s) for c, p, s in rows}

    def class_tables(self, ids: Iterable[int]) -> dict[int, dict[int, int]]:
        """Return the pixels of each class but background of several images; those without are left out."""
        wanted = set(ids)
        found: dict[int, dict[int, int]] = {}
        for image_id, class_id, pixels in self._db.read(
            "SELECT image_id, class_id, pixels FROM image_classes WHERE pixels > 0 AND class_id > 0"
        ):
            if image_id in wanted:
                found.setdefault(image_id, {})[class_id] = pixels
        return found

    def class_scores(self, ids: Iterable[int]) -> dict[int, dict[int, float]]:
        """Return the confidence of each class of several images; those without are left out."""
        wanted = set(ids)
        found: dict[int, dict[int, float]] = {}
        for image_id, class_id, score in self._db.read(
            "SELECT image_id, class_id, confidence FROM image_classes "
            "WHERE pixels > 0 AND confidence IS NOT NULL ORDER BY image_id, class_id"
        ):
            if image_id in wanted:
                found.setdefault(image_id, {})[class_id] = score
        return found

    def class_sets(self) -> dict[int, list[int]]:
        """Return the classes of every image that has any but background."""
        found: dict[int, list[int]] = {}
        for image_id, class_id in self._db.read(
            "SELECT image_id, class_id FROM image_classes WHERE pixels > 0 ORDER BY image_id, class_id"
        ):
            found.setdefault(image_id, []).append(class_id)
        return found

    def uncounted(self) -> list[int]:
        """Return the images whose label map came with the folder, so that nobody has counted its classes."""
        rows = self._db.read(
            "SELECT id FROM images WHERE has_labels = 1 AND revision = 0 "
            "AND id NOT IN (SELECT image_id FROM image_classes) ORDER BY id"
        )
        return [int(row[0]) for row in rows]

    def add_files(self, files: Sequence[FoundFile]) -> tuple[int, int]:
        """Enter files that a scan saw; return how many are new and how many have changed on disk."""
        added = changed = 0
        with self._db.write() as connection:
            for part in _chunks(files):
                known = _known(connection, part)
                new = [f for f in part if f.path not in known]
                connection.executemany(_INSERT, [_inserted(f) for f in new])
                other = [f for f in part if f.path in known and known[f.path] != (f.bytes, f.modified, 0)]
                # the size is looked up again: the file may have been exchanged
                connection.executemany(
                    "UPDATE images SET bytes=?, modified=?, missing=0, problem='', width=0, height=0 "
                    "WHERE path=?",
                    [(f.bytes, f.modified, f.path) for f in other],
                )
                added, changed = added + len(new), changed + len(other)
        return added, changed

    def mark_missing(self, seen: set[str]) -> int:
        """Mark all images that a whole scan did not see as missing; return how many newly are."""
        rows = self._db.read("SELECT id, path FROM images WHERE missing = 0")
        gone = [(row[0],) for row in rows if row[1] not in seen]
        if gone:
            with self._db.write() as connection:
                connection.executemany("UPDATE images SET missing = 1 WHERE id = ?", gone)
        return len(gone)

    def unmeasured(self, limit: int) -> list[tuple[int, str]]:
        """Return ids and paths of images whose size is not known yet."""
        return self._db.read(
            "SELECT id, path FROM images WHERE width = 0 AND problem = '' AND missing = 0 "
            "ORDER BY sort_key LIMIT ?",
            (limit,),
        )

    def set_sizes(self, sizes: Sequence[tuple[int, int, int, str]]) -> None:
        """Enter ``(id, width, height, problem)``; a problem says why the file cannot be shown."""
        with self._db.write() as connection:
            connection.executemany(
                "UPDATE images SET width=?, height=?, problem=? WHERE id=?",
                [(w, h, problem, i) for i, w, h, problem in sizes],
            )


_INSERT = (
    "INSERT OR IGNORE INTO images "
    "(path, folded, sort_key, bytes, modified, has_labels, status, origin, label_seq) "
    "VALUES (?,?,?,?,?,?,?,?,0)"
)


def _inserted(file: FoundFile) -> tuple[Any, ...]:
    # a label map that is already there can only be somebody's work: it is treated as a person's
    status = Status.EDITED if file.has_label_file else Status.UNLABELLED
    origin = Origin.HUMAN if file.has_label_file else Origin.NONE
    folded = file.path.casefold()
    return (
        file.path,
        folded,
        sort_key(file.path),
        file.bytes,
        file.modified,
        int(file.has_label_file),
        status.value,
        origin.value,
    )


def _known(connection: sqlite3.Connection, files: Sequence[FoundFile]) -> dict[str, tuple[int, float, int]]:
    marks = ",".join("?" * len(files))
    rows = connection.execute(
        f"SELECT path, bytes, modified, missing FROM images WHERE path IN ({marks})", [f.path for f in files]
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _to_row(row: tuple[Any, ...]) -> ImageRow:
    return ImageRow(
        id=row[0],
        path=row[1],
        width=row[2],
        height=row[3],
        status=Status(row[4]),
        confidence=row[5],
        problem="the file has gone" if row[10] else row[6],
        note=row[7],
        origin=Origin(row[8]),
        revision=row[9],
        missing=bool(row[10]),
        modified=row[11],
        has_labels=bool(row[12]),
        run_id=row[13],
    )


def _orders(sort: Sort, descending: bool) -> list[tuple[list[str], str]]:  # noqa: FBT001
    """Return the parts of a sorted list, each a condition and an order that an index serves."""
    direction = "DESC" if descending else "ASC"
    if sort is Sort.CONFIDENCE:
        return [
            (["confidence IS NOT NULL"], f"confidence {direction}, sort_key, id"),
            (["confidence IS NULL"], "sort_key, id"),
        ]
    if sort is Sort.STATUS:
        ranks = reversed(_RANKS) if descending else _RANKS
        return [([f"status = '{status.value}'"], "sort_key, id") for status in ranks]
    if sort is Sort.DATE:
        return [([], f"modified {direction}, id {direction}")]
    return [([], f"sort_key {direction}, id {direction}")]


def _condition(term: Term, class_ids: dict[str, int]) -> tuple[str, list[Any]]:
    if term.field == "status":
        return f"status IN ({','.join('?' * len(term.values))})", list(term.values)
    if term.field == "score":
        parts = [f"confidence {sign} ?" for sign, _ in term.comparisons]
        # an image without a score fits no comparison, and therefore every negated one
        return "confidence IS NOT NULL AND " + " AND ".join(parts), [v for _, v in term.comparisons]
    if term.field == "label":
        known = [class_ids[v.casefold()] for v in term.values if v.casefold() in class_ids]
        marks = ",".join("?" * len(known))
        return (
            f"id IN (SELECT image_id FROM image_classes WHERE class_id IN ({marks}) AND pixels > 0)",
            list(known),
        )
    if term.field == "is":
        return " OR ".join(_FLAG_SQL[v] for v in term.values), []
    pattern = term.values[0].casefold()
    if term.field == "name" and any(c in pattern for c in "*?"):
        glob = pattern.replace("[", "[[]")
        return "folded GLOB ? OR folded GLOB ?", [glob, "*/" + glob]
    return "instr(folded, ?) > 0", [pattern]


_HUMAN_SQL = "status IN ({}) OR depth > 0".format(",".join(f"'{s.value}'" for s in sorted(HUMAN)))
_FLAG_SQL = {
    "human": f"({_HUMAN_SQL})",
    "machine": f"(origin = 'machine' AND NOT ({_HUMAN_SQL}))",
    "missing": "(missing = 1)",
    "labelled": "(has_labels = 1)",
    "failed": "(status = 'failed' OR problem <> '')",
}


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]

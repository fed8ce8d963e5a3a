"""Whether a database holds what this program writes: SQLite keeps any value in any column.

Looked at once, at opening, so that nothing behind it has to doubt a number. What only undoing a batch reads
(`batch_rows.other_state`, `class_rows.table_from_json`) is looked at when it is read: a project whose history
is spoilt still opens.
"""

from __future__ import annotations

import os

from app.domain.status import Origin, Status
from app.domain.storage.database import Database

_WHOLE = f"typeof({{0}}) <> 'integer' OR {{0}} NOT BETWEEN 0 AND {1 << 62}"  # there is always a next one
_WORDS = "typeof({0}) <> 'text'"
_NUMBER = "typeof({0}) NOT IN ('real', 'integer')"
_BYTES = "typeof({0}) NOT IN ('blob', 'null')"
_MAYBE_NUMBER = "typeof({0}) NOT IN ('real', 'integer', 'null')"
_MAYBE_WHOLE = "typeof({0}) NOT IN ('integer', 'null')"
_OBJECT = "NOT (json_valid({0}) AND json_type({0}) = 'object')"
_MAYBE_LIST = "NOT ({0} IS NULL OR (json_valid({0}) AND json_type({0}) = 'array'))"


def _one_of(words: type[Status] | type[Origin], *more: str) -> str:
    return "{0} NOT IN (" + ", ".join(f"'{word}'" for word in [*(w.value for w in words), *more]) + ")"


_EXPECTED: dict[str, dict[str, str]] = {
    "images": {
        _WHOLE: "bytes width height missing has_labels revision label_seq history_from depth",
        _WORDS: "path folded sort_key note problem",
        _NUMBER: "modified",
        _MAYBE_NUMBER: "confidence",
        _MAYBE_WHOLE: "run_id",
        _one_of(Status): "status",
        _one_of(Origin): "origin",
    },
    "journal": {
        _WHOLE: "seq image_id refers",
        _WORDS: "text action",
        _BYTES: "payload",
        _one_of(Status, ""): "status_before",
    },
    "batches": {
        _WHOLE: "id undone exchanging",
        _WORDS: "kind text",
        _NUMBER: "created",
        _MAYBE_NUMBER: "finished",
        _OBJECT: "details",
        _MAYBE_LIST: "classes_before classes_after",
    },
    "image_classes": {_WHOLE: "image_id class_id pixels", _MAYBE_NUMBER: "confidence"},
    "machine_base": {"typeof({0}) <> 'blob'": "payload"},
}


def unsound(database: Database) -> str:
    """Return what of a database cannot come from this program, nothing if it may."""
    outside = ["path GLOB '/*'", "'/' || path || '/' GLOB '*/../*'", "instr(path, char(0))"]
    if os.name == "nt":
        outside += [r"path GLOB '*\*'", "path GLOB '*:*'"]
    if _any(database, "images", outside):
        return "an image that lies outside of its folder"
    for table, columns in _EXPECTED.items():
        tests = [test.format(name) for test, names in columns.items() for name in names.split()]
        if _any(database, table, tests):
            guilty = (
                name
                for test, names in columns.items()
                for name in names.split()
                if _any(database, table, [test.format(name)])
            )
            found = next(guilty, "some column")  # pages that are damaged too may answer otherwise this time
            return f"a value of {found} in {table} that nothing writes"
    return ""


def _any(database: Database, table: str, tests: list[str]) -> bool:
    return database.one(f"SELECT 1 FROM {table} WHERE {' OR '.join(tests)} LIMIT 1") is not None

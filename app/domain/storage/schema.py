"""The tables of ``project.sqlite`` and how older files become newer ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

Migration = Callable[[sqlite3.Connection], None]

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,           -- relative to the images folder, with slashes
    folded TEXT NOT NULL,                -- path without capitals, for searching
    sort_key TEXT NOT NULL,              -- folded with padded numbers: img2 before img10
    bytes INTEGER NOT NULL DEFAULT 0,
    modified REAL NOT NULL DEFAULT 0,
    width INTEGER NOT NULL DEFAULT 0,    -- 0: not looked at yet
    height INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0,
    problem TEXT NOT NULL DEFAULT '',    -- why the file cannot be shown
    status TEXT NOT NULL DEFAULT 'unlabelled',
    origin TEXT NOT NULL DEFAULT 'none',
    note TEXT NOT NULL DEFAULT '',       -- why a propagation failed, and the like
    confidence REAL,
    run_id INTEGER,                      -- the batch that made the label map
    has_labels INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0, -- counts changes of the label map
    label_seq INTEGER NOT NULL DEFAULT 0,    -- journal sequence up to which the PNG holds everything
    history_from INTEGER NOT NULL DEFAULT 0, -- strokes after this sequence can be undone
    depth INTEGER NOT NULL DEFAULT 0         -- strokes done and not undone since the map was last replaced
);
CREATE INDEX images_by_name ON images (sort_key, id);
CREATE INDEX images_by_status ON images (status, sort_key, id);
CREATE INDEX images_by_confidence ON images (confidence, sort_key, id);
CREATE INDEX images_by_date ON images (modified, id);
CREATE TABLE image_classes (
    image_id INTEGER NOT NULL, class_id INTEGER NOT NULL, pixels INTEGER NOT NULL, confidence REAL,
    PRIMARY KEY (image_id, class_id)
) WITHOUT ROWID;
CREATE INDEX image_classes_by_class ON image_classes (class_id, image_id);
CREATE TABLE classes (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, color TEXT NOT NULL,
    locked INTEGER NOT NULL, visible INTEGER NOT NULL, position INTEGER NOT NULL
);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, image_id INTEGER NOT NULL, action TEXT NOT NULL, refers INTEGER NOT NULL
    DEFAULT 0, text TEXT NOT NULL DEFAULT '', payload BLOB, status_before TEXT NOT NULL DEFAULT '', created
    REAL NOT NULL
);
CREATE INDEX journal_by_image ON journal (image_id, seq);
CREATE TABLE machine_base (image_id INTEGER PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, created REAL NOT NULL, finished REAL,
    undone INTEGER NOT NULL DEFAULT 0, details TEXT NOT NULL DEFAULT '{}',
    classes_before TEXT, classes_after TEXT
);
CREATE TABLE batch_items (
    batch_id INTEGER NOT NULL, image_id INTEGER NOT NULL,
    replaces INTEGER NOT NULL,           -- whether the label map was changed too
    labels BLOB, base BLOB,              -- the other state's label map and machine base, NULL: none
    state TEXT NOT NULL,                 -- the other state's columns
    expected TEXT NOT NULL,              -- what the image must look like for the exchange
    PRIMARY KEY (batch_id, image_id)
) WITHOUT ROWID;
"""


def _create(connection: sqlite3.Connection) -> None:
    for statement in _FIRST.split(";\n"):
        if statement.strip():
            connection.execute(statement)


_SECOND = (
    # an exchange that was cut off goes on where it stopped, instead of turning back what it had done
    "ALTER TABLE batches ADD COLUMN exchanging INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE batch_items ADD COLUMN undone INTEGER NOT NULL DEFAULT 0",
    "UPDATE batch_items SET undone = coalesce((SELECT undone FROM batches WHERE id = batch_id), 0)",
)


def _follow_exchanges(connection: sqlite3.Connection) -> None:
    for statement in _SECOND:
        connection.execute(statement)


def _count_quickly(connection: sqlite3.Connection) -> None:
    # the table itself holds whole label maps: counting its rows would read them all
    connection.execute("CREATE INDEX IF NOT EXISTS batch_items_by_batch ON batch_items (batch_id)")


MIGRATIONS: Sequence[Migration] = (_create, _follow_exchanges, _count_quickly)
"""Migration ``i`` leads from version ``i`` to ``i + 1``; each runs inside one transaction."""

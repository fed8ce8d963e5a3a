"""What a batch is made of: the values that go in and out, and the rows that keep them."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.edits import LabelMap
from app.domain.status import Origin, Status
from app.domain.storage.label_store import STATE_COLUMNS
from coordgan_core.errors import DataError


@dataclass(frozen=True)
class RunRow:
    """One batch of the past.

    Args:
        id: Its number.
        kind: ``propagation``, ``import``, ``classes`` or ``status``.
        text: Its name in the history.
        created: Seconds since 1970.
        finished: Seconds since 1970; None while it goes on, or if it was cut off.
        undone: Whether it has been taken back.
        images: How many images it changed.
        details: What else is known: model, references, options, errors.
    """

    id: int
    kind: str
    text: str
    created: float
    finished: float | None
    undone: bool
    images: int
    details: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a machine found for one image.

    Args:
        labels: ``uint8 [H, W]``, in the image's size.
        confidence: ``float32 [H, W]`` in [0, 1], or None.
        score: Confidence of the whole image in [0, 1].
        class_scores: Confidence of each class.
        note: What a person should know.
    """

    labels: LabelMap
    confidence: npt.NDArray[np.float32] | None = None
    score: float | None = None
    class_scores: dict[int, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Exchange:
    """Progress of a batch: images changed, left alone because of later work, done and in all; which batch."""

    exchanged: tuple[int, ...]
    kept: int
    done: int
    total: int
    batch: int = 0


def loaded(text: str) -> Any:
    """Return what a column of JSON holds."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(str(error)) from error


def dumped(value: dict[str, Any]) -> str:
    """Return the JSON of a column; numbers that JSON does not have become null, or none would read it."""
    try:
        try:
            return json.dumps(value, allow_nan=False)
        except ValueError:
            return json.dumps(_finite(value))
    except RecursionError as error:
        raise damaged("values nested too deeply") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def other_state(text: str) -> dict[str, Any]:
    """Return the columns of an image's other state; they become part of a statement: no others are taken."""
    state = loaded(text)
    if not isinstance(state, dict) or not set(STATE_COLUMNS) <= set(state) <= {
        *STATE_COLUMNS,
        "class_scores",
    }:
        raise damaged("the other state of an image")
    scores = state.get("class_scores", {})
    if (
        not all(is_whole(state[name]) for name in ("has_labels", "history_from", "depth"))
        or not is_text(state["note"])
        or not (state["confidence"] is None or is_number(state["confidence"]))
        or not (state["run_id"] is None or is_whole(state["run_id"]))
        or not isinstance(scores, dict)
        or not all(c.isdecimal() and c.isascii() and len(c) <= 3 for c in scores)
        or not all(is_number(score) for score in scores.values())
        or state["status"] not in list(Status)  # a list: what is looked for may be one that has no hash
        or state["origin"] not in list(Origin)
    ):
        raise damaged("the other state of an image")
    return state


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number from 0 that SQLite can hold."""
    return isinstance(value, int) and 0 <= value < 1 << 63


def is_number(value: Any) -> bool:
    """Return whether a value is a number that SQLite can hold."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)


def is_text(value: Any) -> bool:
    """Return whether a value is text that SQLite can hold: JSON may hold halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def damaged(what: str) -> DataError:
    """Return the error of a project database that holds nonsense."""
    return DataError(
        f"the project database project.sqlite is damaged ({what})",
        expected="what this program has written",
        remedy="rename project.sqlite and open the folder again: the label maps beside it are kept",
    )


def expect(
    connection: sqlite3.Connection, batch: int, image_id: int, status: str, history_from: int, depth: int
) -> None:
    """Note in what state a batch leaves an image: an exchange later looks whether it is still in it."""
    connection.execute(
        "UPDATE batch_items SET expected = ? WHERE batch_id = ? AND image_id = ?",
        (json.dumps([status, history_from, depth]), batch, image_id),
    )


def machine_base(connection: sqlite3.Connection, image_id: int) -> bytes | None:
    """Return the machine's label map below a person's corrections, packed; None where there is none."""
    row = connection.execute("SELECT payload FROM machine_base WHERE image_id = ?", (image_id,)).fetchone()
    return row[0] if row else None


def set_machine_base(connection: sqlite3.Connection, image_id: int, payload: bytes | None) -> None:
    """Keep the machine's label map below a person's corrections; None removes it."""
    connection.execute("DELETE FROM machine_base WHERE image_id = ?", (image_id,))
    if payload is not None:
        connection.execute("INSERT INTO machine_base VALUES (?,?)", (image_id, payload))


def turn_over(connection: sqlite3.Connection, batch: int, image_id: int) -> None:
    """Note that an image went to the other state of a batch."""
    connection.execute(
        "UPDATE batch_items SET undone = 1 - undone WHERE batch_id = ? AND image_id = ?", (batch, image_id)
    )


def class_scores(connection: sqlite3.Connection, image_id: int) -> dict[str, float]:
    """Return the confidences of the classes of an image."""
    rows = connection.execute(
        "SELECT class_id, confidence FROM image_classes WHERE image_id = ? AND confidence IS NOT NULL",
        (image_id,),
    )
    return {str(c): s for c, s in rows}


def set_class_scores(connection: sqlite3.Connection, image_id: int, scores: dict[str, float]) -> None:
    """Put the confidences of the classes of an image in place."""
    connection.executemany(
        "UPDATE image_classes SET confidence = ? WHERE image_id = ? AND class_id = ?",
        [(s, image_id, int(c)) for c, s in scores.items()],
    )


def around_corrections(present: LabelMap, base: LabelMap, new: LabelMap) -> LabelMap:
    """Return ``new`` with the pixels that a person had changed in ``base`` kept as they are."""
    kept: LabelMap = np.where(present != base, present, new).astype(np.uint8)
    return kept

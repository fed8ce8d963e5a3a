"""Shortcuts: presets, the user's changes, and conflicts between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtGui import QKeySequence

from app.ui.actions.table import ACTIONS

KeyMap = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Conflict:
    """One key that two actions claim."""

    key: str
    first: str
    second: str


def keymap(preset: str, changes: Mapping[str, tuple[str, ...]] | None = None) -> KeyMap:
    """Return action id -> shortcuts of a preset with the user's changes on top."""
    keys = {spec.id: spec.keys_in(preset) for spec in ACTIONS}
    for action_id, own in (changes or {}).items():
        if action_id in keys:
            keys[action_id] = tuple(own)
    return keys


def normalise(key: str) -> str:
    """Return the portable spelling of a shortcut, "" for nonsense."""
    return QKeySequence.fromString(key).toString(QKeySequence.SequenceFormat.PortableText)


def conflicts(keys: Mapping[str, tuple[str, ...]]) -> list[Conflict]:
    """Return every key that more than one action claims.

    The scopes `window`, `canvas` and `review` are all live in review mode, so no key may serve twice in any.
    """
    owner: dict[str, str] = {}
    claims = [
        (key, action_id) for action_id, own in keys.items() for key in dict.fromkeys(map(normalise, own))
    ]
    return [
        Conflict(key, owner[key], action_id)
        for key, action_id in claims
        if key and owner.setdefault(key, action_id) != action_id
    ]

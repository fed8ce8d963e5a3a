"""What an action is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scope = Literal["window", "canvas", "review"]
Preset = Literal["own", "labelme", "cvat"]
PRESETS: tuple[Preset, ...] = ("own", "labelme", "cvat")


@dataclass(frozen=True)
class ActionSpec:
    """One thing the user can do.

    Args:
        id: Stable name, `area.verb`; settings and tests refer to it.
        text: What the menu says; English source text.
        icon: Name of the icon, or "".
        keys: Default shortcuts, portable text; the first is shown.
        scope: Where the shortcuts work: `window` always, `canvas` in an open project, `review` in review.
        tip: One sentence for the tooltip; empty where the text says it all.
        checkable: Whether it is on or off.
        presets: Other shortcuts for those who come from another tool.
        group: Actions of one group exclude each other (tools).
    """

    id: str
    text: str
    icon: str = ""
    keys: tuple[str, ...] = ()
    scope: Scope = "window"
    tip: str = ""
    checkable: bool = False
    presets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group: str = ""

    def keys_in(self, preset: str) -> tuple[str, ...]:
        """Return the shortcuts of a preset; a preset that does not name the action keeps the default."""
        return self.presets.get(preset, self.keys)

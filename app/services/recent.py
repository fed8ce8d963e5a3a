"""Recent projects, newest first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from app.services.settings import Settings

_LIMIT = 20
_KEY = "recent"


@dataclass(frozen=True)
class RecentProject:
    """A project that was open: its folder, name, when (seconds since 1970), and whether it is still there."""

    path: Path
    name: str
    opened: float
    exists: bool


class RecentProjects:
    """The list of recent projects, kept with the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def items(self) -> list[RecentProject]:
        """Return the projects, newest first."""
        found = []
        for item in self._settings.items(_KEY):
            if isinstance(item, dict) and isinstance(item.get("path"), str):
                path = Path(item["path"])
                found.append(RecentProject(path, path.name, float(item.get("opened", 0)), path.is_dir()))
        return found

    def add(self, path: Path) -> None:
        """Put a project on top of the list."""
        text = str(path.absolute())
        rest = [i for i in self._settings.items(_KEY) if isinstance(i, dict) and i.get("path") != text]
        self._settings.set_items(_KEY, [{"path": text, "opened": time.time()}, *rest][:_LIMIT])

    def remove(self, path: Path) -> None:
        """Take a project off the list."""
        text = str(path.absolute())
        rest = [i for i in self._settings.items(_KEY) if isinstance(i, dict) and i.get("path") != text]
        self._settings.set_items(_KEY, rest)

"""The manifest of a propagated folder: what was done from what, so that a second run does what is missing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordgan_core._version import __version__
from coordgan_core.files import write_json

NAME = "propagation.json"
FORMAT = 1
_FLUSH_SEC = 2.0


def stamp(path: Path) -> list[int]:
    """Return what changes when a file does: its length in bytes and its modification time in ns."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def digest(*parts: Any) -> str:
    """Return a short digest of JSON values and bytes."""
    hasher = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode()
        hasher.update(len(content).to_bytes(8, "little") + content)
    return hasher.hexdigest()[:32]


@dataclass
class Manifest:
    """What is known of the images of one output folder; several processes write one part each.

    Args:
        folder: The output folder.
        key: Digest of model, references and options.
        about: What ``key`` stands for, for people.
        rank: Of this process.
        world: Number of processes.
    """

    folder: Path
    key: str
    about: Mapping[str, Any]
    rank: int = 0
    world: int = 1
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _written: float = 0.0

    @property
    def path(self) -> Path:
        """The file of this process."""
        return self.folder / (NAME if self.world == 1 else f"propagation.{self.rank}.json")

    def load(self) -> None:
        """Read what earlier runs, of any number of processes, have left; damaged files count as absent."""
        for path in sorted(self.folder.glob("propagation*.json")):
            for name, entry in _entries(path).items():
                known = self.images.get(name)
                if known is None or (entry.get("key") == self.key and known.get("key") != self.key):
                    self.images[name] = entry

    def is_done(self, name: str, source: list[int], outputs: list[Path]) -> bool:
        """Tell whether an image was done with this key, has not changed since, and its results are there."""
        entry = self.images.get(name)
        same = entry is not None and entry.get("key") == self.key and entry.get("source") == source
        return same and all(path.is_file() for path in outputs)

    def is_edited(self, name: str, labels: Path) -> bool:
        """Tell whether someone changed a label map after it was written here."""
        written = self.images.get(name, {}).get("written")
        return written is not None and labels.is_file() and stamp(labels) != written

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Note that an image is done; written to disk now and then."""
        self.images[name] = {"key": self.key, **entry}
        self.failures.pop(name, None)
        self.flush()

    def fail(self, name: str, reason: str) -> None:
        """Note that an image could not be done."""
        self.images.pop(name, None)
        self.failures[name] = reason
        self.flush()

    def flush(self, *, now: bool = False) -> None:
        """Write the file if the last time is two seconds past, or ``now``."""
        if not now and time.monotonic() - self._written < _FLUSH_SEC:
            return
        write_json(
            self.path,
            {
                "format": FORMAT,
                "program": __version__,
                "key": self.key,
                **self.about,
                "images": self.images,
                "failures": self.failures,
            },
        )
        self._written = time.monotonic()


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if (
        not isinstance(value, dict)
        or value.get("format") != FORMAT
        or not isinstance(value.get("images"), dict)
    ):
        return {}
    return {name: entry for name, entry in value["images"].items() if isinstance(entry, dict)}

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
    _older: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _written: float = 0.0

    @property
    def path(self) -> Path:
        """The file of this process."""
        return self.folder / (NAME if self.world == 1 else f"propagation.{self.rank}.json")

    def load(self) -> None:
        """Read what earlier runs, of any number of processes, have left; damaged files count as absent."""
        for path in self._files():
            for name, entry in _entries(path).items():
                self._take(name, entry)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("propagation*.json"))

    def _take(self, name: str, entry: dict[str, Any]) -> None:
        """Keep an entry; parts may hold several for one image, of which the newest comes first."""
        known = self.images.get(name)
        if known == entry:
            return
        if known is not None and _time(known) >= _time(entry):
            known, entry = entry, known
        self.images[name] = entry
        if known is not None:
            self._older.setdefault(name, []).append(known)

    def _of_file(self, name: str, labels: Path) -> dict[str, Any] | None:
        """Return the entry that tells of the label map as it is now, None if there is none."""
        entries = [self.images[name], *self._older.get(name, [])] if name in self.images else []
        if not entries or not labels.is_file():
            return None
        now = stamp(labels)
        return next((entry for entry in entries if entry.get("written") == now), None)

    def is_done(self, name: str, source: list[int], outputs: list[Path]) -> bool:
        """Tell whether an image was done with this key, has not changed since, and its results are there.

        Args:
            name: The image.
            source: Its `stamp`.
            outputs: Its results, the label map first.
        """
        entry = self._of_file(name, outputs[0])
        same = entry is not None and entry.get("key") == self.key and entry.get("source") == source
        return same and all(path.is_file() for path in outputs)

    def is_edited(self, name: str, labels: Path) -> bool:
        """Tell whether someone changed a label map after it was written here."""
        known = name in self.images and labels.is_file()
        return known and self._of_file(name, labels) is None

    def whole(self) -> Manifest:
        """Return what all processes together have noted so far, as the manifest of a single one."""
        found = Manifest(self.folder, self.key, self.about)
        found.load()
        for path in self._files():
            content = _content(path)
            if content.get("key") == self.key and isinstance(content.get("failures"), dict):
                found.failures |= {n: str(r) for n, r in content["failures"].items()}
        return found

    def replace_parts(self) -> None:
        """Write this manifest of a single process, and remove those of several."""
        self.flush(now=True)
        for path in self._files():
            if path != self.path:
                path.unlink(missing_ok=True)

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Note that an image is done; written to disk now and then."""
        self.images[name] = {"key": self.key, **entry}
        self._older.pop(name, None)
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


def _content(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) and value.get("format") == FORMAT else {}


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    images = _content(path).get("images")
    if not isinstance(images, dict):
        return {}
    return {name: entry for name, entry in images.items() if isinstance(entry, dict)}


def _time(entry: Mapping[str, Any]) -> int:
    written = entry.get("written")
    return (
        written[1] if isinstance(written, list) and len(written) == 2 and isinstance(written[1], int) else 0
    )

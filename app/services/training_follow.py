"""Reads what a run writes, a little at a time: curves, sheets, notes. No Qt; used in a worker thread."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.services.training_values import Curve, Note, RunHistory, Sheet
from app.services.translations import mark, translated

MOST_POINTS = 6000
"""Points of a curve; where there are more, every second of the older ones goes."""

_SKIPPED_SHOWN = 20
_LOG_CHARS = 200_000
_TEXTS: dict[str, tuple[str, str]] = {
    "image_skipped": ("warning", mark("{path} is left out: {reason}")),
    "planned": ("info", mark("Stage {stage}: {total_nimg} images at {images_per_second:.1f} a second")),
    "stage_finished": ("info", mark("Stage {stage} is done after {nimg} images")),
    "batch_halved": (
        "warning",
        mark("Memory ran out: the batch goes from {before} to {after} images, and the training goes on"),
    ),
    "rolled_back": (
        "warning",
        mark("{reason}: back to the last good checkpoint at {to_nimg} images, on with other random draws"),
    ),
    "notice": ("info", "{message}"),
    "paused": ("info", mark("Paused at {nimg} images")),
    "finished": ("info", mark("Finished: {reason}")),
}


@dataclass
class _Points:
    nimg: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, nimg: float, seconds: float, value: float) -> None:
        for items, item in zip(self.all, (nimg, seconds, value), strict=True):
            items.append(item)
        if len(self.nimg) > MOST_POINTS:
            for items in self.all:
                del items[1 : MOST_POINTS // 2 : 2]

    def cut(self, nimg: float) -> None:
        """Forget what lies behind: the training went back."""
        while self.nimg and self.nimg[-1] > nimg:
            for items in self.all:
                items.pop()

    @property
    def all(self) -> tuple[list[float], list[float], list[float]]:
        return self.nimg, self.seconds, self.values


class RunReader:
    """The history of one run folder; call `read` now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reset()

    def _reset(self) -> None:
        self._offset = 0
        self._rest = b""
        self._points: dict[str, _Points] = {}
        self._sheets: dict[Path, Sheet] = {}
        self._notes: list[Note] = []
        self._base: dict[str, int] = {}
        self._seen = 0
        self._seconds = 0.0
        self._skipped = 0
        self._quality = ""

    def read(self) -> bool:
        """Read what was added since the last call; return whether there was anything."""
        log = self._path / "stats.jsonl"
        try:
            size = log.stat().st_size
            if size < self._offset:  # another training in the same folder
                self._reset()
            if size == self._offset:
                return False
            with log.open("rb") as stream:
                stream.seek(self._offset)
                content = stream.read()
        except OSError:
            return False
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue  # cut by a kill
            if isinstance(value, dict):
                self._take(value)
        return bool(lines)

    def history(self, run_id: str) -> RunHistory:
        """Return all that was read."""
        curves = {
            name: Curve(name, tuple(p.nimg), tuple(p.seconds), tuple(p.values))
            for name, p in self._points.items()
        }
        sheets = tuple(sorted(self._sheets.values(), key=lambda sheet: sheet.nimg))
        return RunHistory(run_id, curves, sheets, tuple(self._notes), self._quality)

    def log_text(self) -> str:
        """Return the notes as lines."""
        return "\n".join(note.text for note in self._notes)

    def _take(self, event: dict[str, Any]) -> None:
        kind = str(event.get("event"))
        try:
            handler = getattr(self, f"_on_{kind}", None)
            if handler is not None:
                handler(event)
            self._note(kind, event)
        except (KeyError, TypeError, ValueError):
            return  # of another version: what else is there is worth showing

    def _on_stage_started(self, event: dict[str, Any]) -> None:
        stage = str(event["stage"])
        base = self._base.setdefault(stage, self._seen)
        self._go_to(base + int(event["nimg"]))

    def _on_rolled_back(self, event: dict[str, Any]) -> None:
        self._go_to(self._base.get(str(event["stage"]), 0) + int(event["to_nimg"]))

    def _go_to(self, nimg: int) -> None:
        self._seen = nimg
        for points in self._points.values():
            points.cut(nimg)
        self._sheets = {path: sheet for path, sheet in self._sheets.items() if sheet.nimg <= nimg}

    def _on_progress(self, event: dict[str, Any]) -> None:
        self._seen = self._base.get(str(event["stage"]), 0) + int(event["nimg"])
        self._seconds = float(event["active_sec"])
        for name, value in {
            **event["scalars"],
            "images_per_second": event["images_per_second"],
        }.items():
            self._add(name, value)

    def _on_validated(self, event: dict[str, Any]) -> None:
        self._quality = str(event.get("kind", "labelled"))
        self._add("miou", event["miou"])
        self._add("foreground_iou", event["foreground_iou"])

    def _add(self, name: str, value: Any) -> None:
        if isinstance(value, (int, float)):  # not-a-number is null in JSON
            self._points.setdefault(name, _Points()).add(self._seen, self._seconds, float(value))

    def _on_stage_finished(self, event: dict[str, Any]) -> None:
        self._seen = self._base.get(str(event["stage"]), 0) + int(event["nimg"])

    def _on_sheet_written(self, event: dict[str, Any]) -> None:
        # the run folder may have been moved: only the name counts
        path = self._path / "sheets" / Path(str(event["path"])).name
        nimg = self._base.get(str(event["stage"]), 0) + int(event["nimg"])
        self._sheets[path] = Sheet(str(event.get("kind", "all")), path, str(event["stage"]), nimg)

    def _note(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "image_skipped":
            self._skipped += 1
            if self._skipped > _SKIPPED_SHOWN:
                return
        if kind == "started":
            text = translated("Resumed") if event.get("resumed") else translated("Started")
            text = translated("{what} on {device} with {images} images").format(what=text, **event)
            self._notes.append(Note("info", text, float(event.get("time") or 0.0)))
        elif kind in _TEXTS:
            level, template = _TEXTS[kind]
            self._notes.append(
                Note(level, translated(template).format(**event), float(event.get("time") or 0.0))
            )


class Follower:
    """Reads the runs that somebody looks at: their histories, and the words of their processes.

    Args:
        log_path: Says where the words of a run's process are.
    """

    def __init__(self, log_path: Callable[[Path], Path]) -> None:
        self._log_path = log_path
        self._readers: dict[Path, RunReader] = {}
        self._log_sizes: dict[Path, int] = {}

    def attach(self, run: Path) -> None:
        """Read a run from now on."""
        self._readers.setdefault(run, RunReader(run))
        self._log_sizes.pop(run, None)

    def detach(self, run: Path) -> None:
        """Read it no more."""
        self._readers.pop(run, None)

    def look(self) -> tuple[dict[str, RunHistory], dict[str, str]]:
        """Return the histories and the logs that have grown since the last look, by id of the run."""
        histories, logs = {}, {}
        for path, reader in self._readers.items():
            first = path not in self._log_sizes
            if reader.read() or first:
                histories[str(path)] = reader.history(str(path))
            log = self._log_path(path)
            size = log.stat().st_size if log.exists() else -1
            if size != self._log_sizes.get(path) or (size < 0 and str(path) in histories):
                self._log_sizes[path] = size
                logs[str(path)] = _end_of(log) if size >= 0 else reader.log_text()
        return histories, logs


def _end_of(path: Path) -> str:
    with contextlib.suppress(OSError), path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _LOG_CHARS))
        return stream.read().decode("utf-8", errors="replace")
    return ""

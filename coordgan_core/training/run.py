"""The run folder: everything of one training, readable by people and by other programs.

```
config.json        what is trained, on which images (format version inside); never changes
plan.json          lengths of stages fixed from a time budget, and the budget where it was raised
stats.jsonl        every event, one JSON object a line
status.json        what it is doing now
model.safetensors  the newest usable model
checkpoints/ snapshots/ sheets/
cache/             the decoded images
lock, request      one trainer at a time; what somebody asks of it
labels/            label maps of references, laid down before the start so that later strokes change nothing
```
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from coordgan_core._version import __version__
from coordgan_core.config import Config, from_dict, to_dict
from coordgan_core.errors import CheckpointError
from coordgan_core.files import atomic_path, write_json
from coordgan_core.training import events, locking
from coordgan_core.training.pace import Budget
from coordgan_core.training.stats import JsonLines, read_lines

FORMAT = 1
"""Version of the run folder's layout and of its checkpoints."""

KEEP_SNAPSHOTS = 5
"""Snapshots that stay in a run folder, newest first; the very newest is also ``model.safetensors``."""

LAID_DOWN = frozenset({"labels"})
"""What may lie in a folder before a training begins there."""

Request = Literal["pause", "stop", "discard"]
State = Literal["new", "running", "paused", "finished", "failed", "interrupted"]


@dataclass(frozen=True)
class RunSettings:
    """What a training was asked to do."""

    config: Config
    images: str
    labels: str | None = None
    device: str = "auto"
    start: str | None = None
    recursive: bool = True
    name: str = ""
    """What the model is called; the folder's name where empty."""
    category: str = ""
    licence: str = ""


@dataclass(frozen=True)
class RunStatus:
    """What a training is doing, as its run folder tells."""

    state: State
    stage: str = ""
    nimg: int = 0
    total_nimg: int = 0
    images_per_second: float = 0.0
    seconds_left: float = 0.0
    message: str = ""


class RunFolder:
    """One training's folder."""

    def __init__(self, path: Path, settings: RunSettings) -> None:
        self.path = path
        self.settings = settings
        self._log: JsonLines | None = None

    @classmethod
    def create(cls, path: str | Path, settings: RunSettings) -> RunFolder:
        """Make the folder of a new training.

        Raises:
            CheckpointError: The folder holds a training already, or other files.
            DiskFullError: It cannot be written.
        """
        path = Path(path)
        if is_run(path):
            raise CheckpointError(
                f"{path} holds a training already",
                expected="a new or empty folder",
                remedy="resume that training, or choose another folder",
            )
        if path.is_file() or (path.is_dir() and {item.name for item in path.iterdir()} - LAID_DOWN):
            raise CheckpointError(
                f"{path} is not empty", expected="a new or empty folder", remedy="choose another folder"
            )
        document = {
            "format": FORMAT,
            "program": __version__,
            "images": _absolute(settings.images),
            "labels": _absolute(settings.labels),
            "start": _absolute(settings.start),
            "device": settings.device,
            "recursive": settings.recursive,
            "name": settings.name,
            "category": settings.category,
            "licence": settings.licence,
            "config": to_dict(settings.config),
        }
        write_json(path / "config.json", document)
        return cls(path, settings)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open the folder of an existing training.

        Raises:
            CheckpointError: There is none, it is damaged, or it comes from a newer version of the program.
            ConfigError: Its configuration is not valid.
        """
        path = Path(path)
        document = _read_document(path)
        if document.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} has run format {document.get('format')}, "
                f"written by version {document.get('program')}",
                expected=f"run format {FORMAT}, which version {__version__} reads",
                remedy="resume it with the version of the program that wrote it, or update the program",
            )
        paths = [document.get("images"), document.get("labels") or "", document.get("start") or ""]
        if not isinstance(document.get("config"), dict) or not all(isinstance(each, str) for each in paths):
            raise CheckpointError(
                f"{path / 'config.json'} lacks the configuration or the folder of images",
                expected="what this program has written",
                remedy="restore it, or begin another training",
            )
        settings = RunSettings(
            config=from_dict(Config, document["config"]),
            images=str(document["images"]),
            labels=document.get("labels"),
            device=str(document.get("device", "auto")),
            start=document.get("start"),
            recursive=bool(document.get("recursive", True)),
            name=str(document.get("name", "")),
            category=str(document.get("category", "")),
            licence=str(document.get("licence", "")),
        )
        return cls(path, settings)

    @property
    def model_path(self) -> Path:
        """The newest usable model."""
        return self.path / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def sheet_path(self, stage: int, name: str, nimg: int, kind: str = "") -> Path:
        """Return where a sample sheet of that moment lies: that of everything, or one kind."""
        ending = f"-{kind}" if kind else ""
        return self.path / "sheets" / f"{stage}-{name}-{nimg:010d}{ending}.png"

    def snapshot_path(self, stage: int, name: str, nimg: int) -> Path:
        """Return where the snapshot of that moment lies."""
        return self.path / "snapshots" / f"{stage}-{name}-{nimg:010d}.safetensors"

    def publish(self, snapshot: Path) -> None:
        """Make a snapshot the newest usable model, and delete the oldest beyond `KEEP_SNAPSHOTS`."""
        with atomic_path(self.model_path) as temporary:
            shutil.copyfile(snapshot, temporary)
        kept = sorted(snapshot.parent.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[:-KEEP_SNAPSHOTS]:
            old.unlink(missing_ok=True)

    def log(self, event: events.Event) -> None:
        """Append an event to the log."""
        if self._log is None:
            self._log = JsonLines(self.path / "stats.jsonl")
        self._log.write(json.dumps(events.to_dict(event) | {"time": round(time.time(), 3)}))

    def events(self) -> Iterator[events.Event]:
        """Yield the events logged so far; damaged lines and kinds unknown to this version are left out."""
        for line in read_lines(self.path / "stats.jsonl"):
            event = events.from_dict(line)
            if event is not None:
                yield event

    def plan(self) -> dict[str, int]:
        """Return the lengths of stages that were fixed from the time budget: {stage: images}."""
        plan = self._plan().get("total_nimg", {})
        if not isinstance(plan, dict) or not all(type(n) is int and n >= 0 for n in plan.values()):
            raise _bad_plan(self.path, "lengths of stages that are no whole numbers")
        return plan

    def write_plan(self, total_nimg: Mapping[str, int]) -> None:
        """Fix the lengths of stages."""
        write_json(self.path / "plan.json", self._plan() | {"total_nimg": dict(total_nimg)})

    def budget(self) -> Budget | None:
        """Return the time budget that was given after the start, None where there is only the first one."""
        raised = self._plan().get("budget")
        if raised is None:
            return None
        try:
            return Budget(float(raised["sec"]), float(raised["limit_sec"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _bad_plan(self.path, "a time budget that is none") from error

    def write_budget(self, budget: Budget) -> None:
        """Give the training another time budget."""
        write_json(self.path / "plan.json", self._plan() | {"budget": dataclasses.asdict(budget)})

    def _plan(self) -> dict[str, Any]:
        path = self.path / "plan.json"
        try:
            plan = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise _bad_plan(self.path, str(error)) from error
        if not isinstance(plan, dict):
            raise _bad_plan(self.path, "no JSON object")
        return plan

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run against any other trainer.

        Raises:
            CheckpointError: Another process trains in this folder.
        """
        with locking.exclusive(self.path / "lock") as free:
            if not free:
                raise CheckpointError(
                    f"another process is training in {self.path}",
                    expected="one trainer a run folder",
                    remedy="wait for it, stop it, or choose another folder",
                )
            yield

    def request(self, what: Request) -> None:
        """Ask the trainer of this run, in whatever process, to pause, to stop or to discard the run."""
        if what not in get_args(Request):
            raise ValueError(f"unknown request {what!r}")
        write_json(self.path / "request", what)

    def take_request(self) -> Request | None:
        """Return what was asked since the last call, and forget it."""
        path = self.path / "request"
        try:
            what = json.loads(path.read_text())
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        path.unlink(missing_ok=True)
        return what if what in get_args(Request) else None

    def write_status(self, status: RunStatus) -> None:
        """Say what the training is doing now."""
        write_json(self.path / "status.json", dataclasses.asdict(status))

    def status(self) -> RunStatus:
        """Return what the training is doing; ``"interrupted"`` where its process died without a word."""
        try:
            values = json.loads((self.path / "status.json").read_text())
            known = {f.name for f in dataclasses.fields(RunStatus)}
            status = RunStatus(**{name: value for name, value in values.items() if name in known})
            for each in dataclasses.fields(RunStatus):
                if not isinstance(getattr(status, each.name), _STATUS_TYPES[each.type]):
                    raise TypeError(each.name)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            status = RunStatus("new")
        if status.state == "running" and not locking.is_held(self.path / "lock"):
            return dataclasses.replace(status, state="interrupted")
        return status

    def discard(self) -> None:
        """Delete everything that the training wrote; the folder itself only where nothing else lies in it."""
        for name in ("checkpoints", "snapshots", "sheets", "cache", "labels"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (
            "config.json",
            "plan.json",
            "stats.jsonl",
            "status.json",
            "request",
            "model.safetensors",
        ):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Windows keeps a locked file
            (self.path / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else lies there
            self.path.rmdir()


_STATUS_TYPES: dict[Any, tuple[type, ...]] = {
    "State": (str,),
    "str": (str,),
    "int": (int,),
    "float": (int, float),
}


def _bad_plan(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path / 'plan.json'} is damaged ({what})",
        expected="what this program has written",
        remedy="delete it: the lengths of stages are then those of config.json",
    )


def _absolute(path: str | None) -> str | None:
    return str(Path(path).absolute()) if path else None


def is_run(path: Path) -> bool:
    """Return whether a folder holds a training."""
    return (path / "config.json").is_file()


def find_runs(folder: str | Path) -> list[Path]:
    """Return the run folders at and directly below ``folder``, sorted by name."""
    folder = Path(folder)
    if is_run(folder):
        return [folder]
    return sorted(path for path in folder.iterdir() if is_run(path)) if folder.is_dir() else []


def _read_document(path: Path) -> dict[str, Any]:
    remedy = "check the path; `coordlabel runs` lists the runs of a folder"
    try:
        document = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} holds no training", expected="a run folder with a config.json", remedy=remedy
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path / 'config.json'} cannot be read ({error})", expected="JSON", remedy=remedy
        ) from error
    if not isinstance(document, dict) or "format" not in document:
        raise CheckpointError(
            f"{path / 'config.json'} is not a run's", expected="a run folder", remedy=remedy
        )
    return document

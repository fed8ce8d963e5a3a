"""What a training tells while it runs: frozen events, and their JSON lines.

Long work yields these; command line, window, engine and tests read the same ones. Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base of everything that a training reports."""


@dataclass(frozen=True)
class Started(Event):
    """The training begins, or goes on after having been resumed."""

    run: Path
    preset: str
    stages: tuple[str, ...]
    images: int
    device: str
    processes: int
    resumed: bool


@dataclass(frozen=True)
class Decoding(Event):
    """Images are being decoded into memory."""

    done: int
    total: int


@dataclass(frozen=True)
class ImageSkipped(Event):
    """An image takes no part in the training."""

    path: str
    reason: str


@dataclass(frozen=True)
class Planned(Event):
    """The length of a stage was fixed from the measured speed and the time it may take."""

    stage: str
    total_nimg: int
    images_per_second: float


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage begins, or goes on at ``nimg``."""

    stage: str
    nimg: int
    total_nimg: int
    batch: int


@dataclass(frozen=True)
class Progress(Event):
    """Means of the scalars since the last event of this kind; at most about one a second."""

    stage: str
    nimg: int
    total_nimg: int
    images_per_second: float
    seconds_left: float
    """Seconds until the end of the whole training at the present speed."""
    active_sec: float
    """Seconds of work so far, pauses not counted."""
    scalars: Mapping[str, float]


@dataclass(frozen=True)
class StageFinished(Event):
    """A stage has seen all its images."""

    stage: str
    nimg: int


@dataclass(frozen=True)
class SheetWritten(Event):
    """A picture of what the model can do so far; ``kind`` is one of `sheets.KINDS`, or all on one page."""

    path: Path
    stage: str
    nimg: int
    kind: str = "all"


@dataclass(frozen=True)
class SnapshotWritten(Event):
    """A model file that can be used; ``model`` always holds the newest."""

    path: Path
    model: Path
    stage: str
    nimg: int


@dataclass(frozen=True)
class Validated(Event):
    """Labels were propagated with the newest model, and compared with those that a person painted.

    ``kind`` is ``labelled``: from one labelled image to the others; or ``copies``: there is only one, so its
    labels go to warped, recoloured copies of itself, which is easier than other images.
    """

    stage: str
    nimg: int
    miou: float
    foreground_iou: float
    kind: str = "labelled"
    images: int = 0


@dataclass(frozen=True)
class CheckpointWritten(Event):
    """From here the training can be resumed bit for bit."""

    path: Path
    stage: str
    nimg: int


@dataclass(frozen=True)
class BatchHalved(Event):
    """The device's memory did not hold a step; the training goes on with a smaller batch."""

    before: int
    after: int
    nimg: int


@dataclass(frozen=True)
class RolledBack(Event):
    """Losses became not-a-number; the training goes on from an earlier state with other random draws."""

    stage: str
    at_nimg: int
    to_nimg: int
    reason: str
    attempt: int


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know, that does not stop the training."""

    message: str


@dataclass(frozen=True)
class Paused(Event):
    """The training ended early, by request; resuming it goes on exactly where it was."""

    stage: str
    nimg: int
    reason: str


@dataclass(frozen=True)
class Discarded(Event):
    """The training ended, by request, and what it wrote was deleted."""

    run: Path


@dataclass(frozen=True)
class Finished(Event):
    """The training is over: all stages are done, or its time is up."""

    reason: str
    model: Path
    active_sec: float


def to_dict(event: object) -> dict[str, Any]:
    """Turn an event (any dataclass) into JSON types; ``"event"`` names its kind in snake case.

    Not-a-number and infinity, which JSON has no words for, become ``None``.
    """
    fields = {f.name: _plain(getattr(event, f.name)) for f in dataclasses.fields(event)}  # type: ignore[arg-type]
    return {"event": kind(type(event)), **fields}


def to_json(event: object) -> str:
    """Return an event as one line of JSON, without the line end."""
    return json.dumps(to_dict(event), ensure_ascii=False, allow_nan=False)


def from_dict(values: Mapping[str, Any]) -> Event | None:
    """Return the event that `to_dict` described, ``None`` for kinds that this version does not know."""
    cls = _KINDS.get(str(values.get("event")))
    if cls is None:
        return None
    wanted = {f.name: f for f in dataclasses.fields(cls)}
    needed = {name for name, f in wanted.items() if f.default is dataclasses.MISSING}
    if not needed <= values.keys():  # what came later has a default: logs written before stay readable
        return None
    given = {name: f for name, f in wanted.items() if name in values}
    return cls(**{name: _typed(str(field.type), values[name]) for name, field in given.items()})


def kind(cls: type) -> str:
    """Return the name of an event class in snake case, as it stands in JSON."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


_KINDS: dict[str, type[Event]] = {kind(cls): cls for cls in Event.__subclasses__()}


def _typed(annotation: str, value: Any) -> Any:
    if annotation == "Path":
        return Path(value)
    if annotation.startswith("tuple"):
        return tuple(value)
    return math.nan if annotation == "float" and value is None else value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return (
        dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else value
    )

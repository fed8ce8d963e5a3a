"""What the Training tab is told: frozen values about presets, images, estimates and runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from coordgan_core.reports import Advice as Advice
from coordgan_core.reports import DataReport as DataReport
from coordgan_core.reports import Estimate as Estimate
from coordgan_core.reports import StageEstimate as StageEstimate


@dataclass(frozen=True)
class PresetInfo:
    """A named configuration to start from; ``minutes`` 0: it has no limit of time."""

    name: str
    title: str
    text: str
    resolution: int
    minutes: float
    stages: tuple[str, ...]


@dataclass(frozen=True)
class FieldInfo:
    """One field of the configuration, as a form shows it.

    Attributes:
        key: Dotted name, such as ``train.batch``: the key of `TrainRequest.changes`.
        group: Dotted name of what it belongs to, such as ``train.gan``; groups follow each other.
        group_title: A sentence about the group.
        label: The field's name in words.
        help: A sentence.
        kind: ``int``, ``float``, ``bool``, ``choice``, ``text``, ``list`` (numbers) or ``choices`` (several
            of `choices`, in order).
        default: The value in the preset; a tuple for ``list`` and ``choices``.
        low: Smallest value, None without limit; of each number of a list.
        high: Largest value, None without limit.
        unit: ``px``, ``images``, ``s``, ``min``, ``steps`` or empty.
        choices: Of ``choice`` and ``choices``.
        length: Numbers in a list, 0 for any.
        basic: Shown first; the others belong under "more".
        used: False where this preset does not train the part the field belongs to.
    """

    key: str
    group: str
    group_title: str
    label: str
    help: str
    kind: str
    default: Any
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    length: int = 0
    basic: bool = False
    used: bool = True


@dataclass(frozen=True)
class DeviceInfo:
    """Where a training can run: ``cpu``, ``cuda:0`` ... or ``cuda:all`` (several, through torchrun)."""

    id: str
    name: str
    free_bytes: int = 0
    total_bytes: int = 0
    text: str = ""


@dataclass(frozen=True)
class TrainRequest:
    """What is to be trained.

    Attributes:
        images: Folder of the images.
        preset: Name of the preset.
        changes: {key of a field: value} where it differs from the preset.
        device: Id of a `DeviceInfo`, or ``auto``.
        recursive: Whether sub-folders count.
        labels: {image path relative to ``images``: label map file} of images a person labelled; the quality
            on them is shown while it runs. Copied at the start, so that later strokes change nothing.
        name: What the run and its model are called; made up where empty.
        category: What the images show, for the model's card.
        licence: A note on the terms of use, for the card.
        start: Model file whose weights it starts from.
    """

    images: Path
    preset: str = "quick-64"
    changes: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    recursive: bool = True
    labels: dict[str, Path] = field(default_factory=dict)
    name: str = ""
    category: str = ""
    licence: str = ""
    start: Path | None = None


class RunState(StrEnum):
    """Where a run stands. ``interrupted``: its process died without a word; it can be resumed."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNREADABLE = "unreadable"


ALIVE = frozenset({RunState.STARTING, RunState.RUNNING})
RESUMABLE = frozenset({RunState.PAUSED, RunState.INTERRUPTED, RunState.FAILED})


@dataclass(frozen=True)
class RunView:
    """One run as a list shows it; ``id`` is the path of its folder.

    Attributes:
        fraction: Part of the whole training that is done, 0 to 1.
        stage_index: Number of the present stage, from 0, of ``stages``.
        asked: What was asked of it and has not happened yet: ``pause``, ``stop``, ``discard`` or empty.
        place: Place in its device's queue, from 1; 0 if it does not wait.
        model: The newest usable model in the run's folder, None before there is one.
        published: What became of it in the user's models; None before the end, and once it was deleted or
            renamed there.
        message: Why it ended, what went wrong, what it is doing: a sentence, or empty.
        changed: When it last said something, seconds of 1970.
    """

    id: str
    name: str
    path: Path
    state: RunState
    preset: str = ""
    images: str = ""
    device: str = ""
    stage: str = ""
    stage_index: int = 0
    stages: tuple[str, ...] = ()
    nimg: int = 0
    total_nimg: int = 0
    fraction: float = 0.0
    images_per_second: float = 0.0
    left_sec: float = 0.0
    asked: str = ""
    place: int = 0
    model: Path | None = None
    published: Path | None = None
    message: str = ""
    changed: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether a process is training it."""
        return self.state in ALIVE

    @property
    def can_pause(self) -> bool:
        """Whether it can be paused or stopped."""
        return self.is_alive and not self.asked

    @property
    def can_resume(self) -> bool:
        """Whether it can go on from its last checkpoint."""
        return self.state in RESUMABLE


@dataclass(frozen=True)
class Curve:
    """A figure over time: points at ``nimg`` images seen, ``seconds`` of work, with ``values``.

    The names ``images_per_second``, ``miou`` and ``foreground_iou`` are always these; all others are losses.
    """

    name: str
    nimg: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A picture of what the model could do at a moment.

    Attributes:
        kind: ``reconstruction``, ``maps``, ``texture``, ``structure``, ``labels``, or ``all`` (one page).
        path: PNG.
        stage: The stage.
        nimg: Images seen by all stages until then.
    """

    kind: str
    path: Path
    stage: str
    nimg: int


@dataclass(frozen=True)
class Note:
    """Something that happened; ``level`` is ``info``, ``warning`` or ``error``; ``time``: seconds of 1970."""

    level: str
    text: str
    time: float


@dataclass(frozen=True)
class RunHistory:
    """All that a run has told: curves by name, sheets oldest first, notes oldest first."""

    id: str
    curves: dict[str, Curve] = field(default_factory=dict)
    sheets: tuple[Sheet, ...] = ()
    notes: tuple[Note, ...] = ()
    quality_kind: str = ""
    """``labelled``: measured on labelled images; ``copies``: there is one reference only, its labels go to
    warped copies of itself, which is easier than other images: say so beside the figure."""


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as JSON types."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(value).items()}

"""Trainings as the window sees them: data check, estimate, queue, and runs that live without it.

A run is a detached process that owns its folder. This service starts it, asks things of it through files in that
folder, and reads what it writes; closing the window ends the reading and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.services.training_values import (
    DeviceInfo,
    FieldInfo,
    PresetInfo,
    RunHistory,
    RunView,
    TrainRequest,
)


class TrainingService(QObject):
    """Trainings of this user. Nothing here waits: what takes time happens elsewhere and is told by a signal.

    Args:
        folder: Where runs and the queue are kept.
        poll_sec: Between two looks at the run folders.
        parent: Qt parent.
    """

    devicesFound = Signal(object)  # noqa: N815 - tuple[DeviceInfo, ...], after `find_devices`
    checkProgress = Signal(int, int)  # noqa: N815 - images done, images in all
    checkDone = Signal(object)  # noqa: N815 - DataReport
    checkFailed = Signal(str)  # noqa: N815 - a sentence
    estimateProgress = Signal(str)  # noqa: N815 - what is being measured
    estimateDone = Signal(object)  # noqa: N815 - Estimate
    estimateFailed = Signal(str)  # noqa: N815 - a sentence
    runsChanged = Signal()  # noqa: N815 - a run was added or removed, or the queue changed: ask `runs`
    runChanged = Signal(str)  # noqa: N815 - id: its `RunView` changed: ask `run`
    historyChanged = Signal(str)  # noqa: N815 - id of an attached run: ask `history`
    modelReady = Signal(str, object)  # noqa: N815 - id, Path: a finished run's model is in the user's models
    failed = Signal(str)  # something asked for could not be done: a sentence

    def __init__(self, folder: Path, *, poll_sec: float = 0.5, parent: QObject | None = None) -> None:
        super().__init__(parent)
        raise NotImplementedError

    # --- before the start

    def presets(self) -> tuple[PresetInfo, ...]:
        """Return what can be trained, the quickest first."""
        raise NotImplementedError

    def fields(self, preset: str) -> tuple[FieldInfo, ...]:
        """Return all fields of a preset's configuration, group by group; `FieldInfo.default` holds its values."""
        raise NotImplementedError

    def problem(self, preset: str, changes: dict[str, Any]) -> str:
        """Return what is wrong with changed fields, a sentence; empty if nothing."""
        raise NotImplementedError

    def find_devices(self) -> None:
        """Look for devices in another process; `devicesFound` follows, at least with the CPU."""
        raise NotImplementedError

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices found last; only the CPU before."""
        raise NotImplementedError

    def check(self, images: Path, *, recursive: bool = True, changes: dict[str, Any] | None = None,
              labels: dict[str, Path] | None = None) -> None:  # fmt: skip
        """Check the images in the background, cropped as ``changes`` say; an earlier check is dropped."""
        raise NotImplementedError

    def cancel_check(self) -> None:
        """Drop the check that runs, if one does."""
        raise NotImplementedError

    def estimate(self, request: TrainRequest) -> None:
        """Measure ten steps of every stage in another process; an earlier estimate is dropped."""
        raise NotImplementedError

    def cancel_estimate(self) -> None:
        """Drop the estimate that runs, if one does."""
        raise NotImplementedError

    # --- runs

    def start(self, request: TrainRequest) -> str:
        """Put a run at the end of its device's queue, begin it if nothing else runs there; return its id."""
        raise NotImplementedError

    def runs(self) -> tuple[RunView, ...]:
        """Return all runs, those that run first, then those that wait, then the others, newest first."""
        raise NotImplementedError

    def run(self, run_id: str) -> RunView | None:
        """Return one run, None if there is none of this id."""
        raise NotImplementedError

    def add_folder(self, path: Path) -> str:
        """List a run folder that lies elsewhere (started from the command line); return its id."""
        raise NotImplementedError

    def pause(self, run_id: str) -> None:
        """Ask a run to write a checkpoint and end; a waiting one leaves the queue."""
        raise NotImplementedError

    def resume(self, run_id: str, *, device: str | None = None) -> None:
        """Put a paused, failed or interrupted run into the queue: it goes on where its checkpoint is."""
        raise NotImplementedError

    def stop(self, run_id: str) -> None:
        """Ask a run to end and keep its model; one without a process is closed where it stands."""
        raise NotImplementedError

    def discard(self, run_id: str) -> None:
        """End a run and delete its folder; the model in the user's list stays. Ask the user first."""
        raise NotImplementedError

    def move(self, run_id: str, place: int) -> None:
        """Give a waiting run another place in its queue, from 1."""
        raise NotImplementedError

    def attach(self, run_id: str) -> None:
        """Read a run's history and follow it; `historyChanged` follows. Several can be attached."""
        raise NotImplementedError

    def detach(self, run_id: str) -> None:
        """Follow a run no more."""
        raise NotImplementedError

    def history(self, run_id: str) -> RunHistory:
        """Return what an attached run has told so far; empty before it was read."""
        raise NotImplementedError

    def log_text(self, run_id: str, *, lines: int = 400) -> str:
        """Return the end of what an attached run's process wrote; read in the background, never waits."""
        raise NotImplementedError

    def names(self) -> Sequence[str]:
        """Return names that runs have already."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop looking; runs go on without the window."""
        raise NotImplementedError

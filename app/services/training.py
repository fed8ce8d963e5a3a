"""Trainings as the window sees them: data check, estimate, queue, and runs that live without it.

A run is a detached process that owns its folder. This service starts it, asks things of it through files in
that folder, and reads what it writes; closing the window ends the reading and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.services import training_form as form
from app.services.dispatch import Mailbox
from app.services.training_keeper import Keeper, Seen
from app.services.training_trials import Trials
from app.services.training_values import (
    DeviceInfo,
    FieldInfo,
    PresetInfo,
    RunHistory,
    RunState,
    RunView,
    TrainRequest,
)


class TrainingService(QObject):
    """Trainings of this user. Nothing here waits: what takes time happens elsewhere and is told by a signal.

    Args:
        folder: Where runs and the queue are kept.
        models: Where the models of finished runs go; the folder ``models`` beside ``folder`` if None.
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

    def __init__(
        self,
        folder: Path,
        models: Path | None = None,
        *,
        poll_sec: float = 0.5,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._folder = folder.absolute()
        self._models = models or self._folder.parent / "models"
        self._views: dict[str, RunView] = {}
        self._histories: dict[str, RunHistory] = {}
        self._logs: dict[str, str] = {}
        self._attached: set[str] = set()
        self._added: dict[str, RunView] = {}  # that the keeper has not seen yet
        self._poll_sec = poll_sec
        self._mailbox = Mailbox(self)
        self._trials = Trials(self, self._folder / "check")
        self._keeper: Keeper | None = Keeper(
            self._folder,
            self._models,
            lambda seen: self._mailbox.post(lambda: self._take(seen)),
            poll_sec=poll_sec,
        )

    # --- before the start

    def presets(self) -> tuple[PresetInfo, ...]:
        """Return what can be trained, the quickest first."""
        return form.presets()

    def fields(self, preset: str) -> tuple[FieldInfo, ...]:
        """Return all fields of a preset, group by group; `FieldInfo.default` holds its values."""
        return form.fields(preset)

    def problem(self, preset: str, changes: dict[str, Any]) -> str:
        """Return what is wrong with changed fields, a sentence; empty if nothing."""
        return form.problem(preset, changes)

    def find_devices(self) -> None:
        """Look for devices in another process; `devicesFound` follows, at least with the CPU."""
        self._trials.find_devices()

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices found last; only the CPU before."""
        return self._trials.devices

    def check(
        self,
        images: Path,
        *,
        recursive: bool = True,
        changes: dict[str, Any] | None = None,
        labels: dict[str, Path] | None = None,
    ) -> None:
        """Check the images in the background, cropped as ``changes`` say; an earlier check is dropped."""
        seen = ("model.crop.", "model.resolution")  # all others make no difference to what is looked at
        kept = {key: value for key, value in (changes or {}).items() if key.startswith(seen)}
        self._trials.check(TrainRequest(images, changes=kept, recursive=recursive, labels=labels or {}))

    def cancel_check(self) -> None:
        """Drop the check that runs, if one does."""
        self._trials.cancel_check()

    def estimate(self, request: TrainRequest) -> None:
        """Measure ten steps of every stage in another process; an earlier estimate is dropped."""
        self._trials.estimate(request, self._folder / "runs")

    def cancel_estimate(self) -> None:
        """Drop the estimate that runs, if one does."""
        self._trials.cancel_estimate()

    # --- runs

    def start(self, request: TrainRequest) -> str:
        """Put a run at the end of its device's queue, begin it if nothing else runs there; return its id."""
        run = self._new_folder(request)
        view = RunView(
            str(run),
            request.name or run.name,
            run,
            RunState.QUEUED,
            request.preset,
            str(request.images),
            request.device,
            changed=time.time(),
        )
        self._views[view.id] = self._added[view.id] = view
        if self._keeper is not None:
            self._keeper.add(run, request)
        self.runsChanged.emit()
        return view.id

    def runs(self) -> tuple[RunView, ...]:
        """Return all runs, those that run first, then those that wait, then the others, newest first."""
        return tuple(self._views.values())

    def run(self, run_id: str) -> RunView | None:
        """Return one run, None if there is none of this id."""
        return self._views.get(run_id)

    def add_folder(self, path: Path) -> str:
        """List a run folder that lies elsewhere (started from the command line); return its id."""
        if self._keeper is not None:
            self._keeper.know(path.absolute())
        return str(path.absolute())

    def pause(self, run_id: str) -> None:
        """Ask a run to write a checkpoint and end; a waiting one leaves the queue."""
        if self._keeper is not None:
            self._keeper.ask(Path(run_id), "pause")

    def resume(self, run_id: str, *, device: str | None = None) -> None:
        """Put a paused, failed or interrupted run into the queue: it goes on where its checkpoint is."""
        if self._keeper is not None:
            self._keeper.resume(Path(run_id), device)

    def stop(self, run_id: str) -> None:
        """Ask a run to end and keep its model; one without a process is closed where it stands."""
        if self._keeper is not None:
            self._keeper.ask(Path(run_id), "stop")

    def discard(self, run_id: str) -> None:
        """End a run and delete its folder; the model in the user's list stays. Ask the user first."""
        if self._keeper is not None:
            self._keeper.ask(Path(run_id), "discard")

    def move(self, run_id: str, place: int) -> None:
        """Give a waiting run another place in its queue, from 1."""
        if self._keeper is not None:
            self._keeper.move(Path(run_id), place)

    def attach(self, run_id: str) -> None:
        """Read a run's history and follow it; `historyChanged` follows. Several can be attached."""
        self._attached.add(run_id)
        if self._keeper is not None:
            self._keeper.attach(Path(run_id))

    def detach(self, run_id: str) -> None:
        """Follow a run no more."""
        self._attached.discard(run_id)
        self._histories.pop(run_id, None)
        self._logs.pop(run_id, None)
        if self._keeper is not None:
            self._keeper.detach(Path(run_id))

    def history(self, run_id: str) -> RunHistory:
        """Return what an attached run has told so far; empty before it was read."""
        return self._histories.get(run_id) or RunHistory(run_id)

    def log_text(self, run_id: str, *, lines: int = 400) -> str:
        """Return the end of what an attached run's process wrote; read in the background, never waits."""
        return "\n".join(self._logs.get(run_id, "").splitlines()[-lines:])

    def names(self) -> Sequence[str]:
        """Return names that runs have already."""
        return [view.name for view in self._views.values()]

    def close(self) -> None:
        """Stop looking; runs go on without the window. More than once is harmless."""
        keeper, self._keeper = self._keeper, None
        self._trials.close()
        if keeper is not None:
            keeper.close()
        self._mailbox.close()

    # --- in the window's thread

    def _new_folder(self, request: TrainRequest) -> Path:
        wanted = request.name or f"{request.images.name or 'images'} {request.preset}"
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in wanted).strip(".-")[:60] or "run"
        number, run = 1, self._folder / "runs" / stem
        while str(run) in self._views or run.exists():
            number += 1
            run = self._folder / "runs" / f"{stem}-{number}"
        return run

    def _take(self, seen: Seen) -> None:
        """Take over what the keeper has seen, and tell what is new of it."""
        before, self._views = self._views, {view.id: view for view in seen.runs}
        gone = {*self._views, *seen.refused}
        self._added = {i: view for i, view in self._added.items() if i not in gone}
        self._views |= self._added
        listing = list(before) != list(self._views) or any(
            before[i].state != view.state or before[i].place != view.place
            for i, view in self._views.items()
            if i in before
        )
        for run_id, history in seen.histories.items():
            if run_id in self._attached:
                self._histories[run_id] = history
        for run_id, text in seen.logs.items():
            if run_id in self._attached:
                self._logs[run_id] = text
        if listing:
            self.runsChanged.emit()
        for run_id, view in self._views.items():
            if before.get(run_id) not in (None, view):
                self.runChanged.emit(run_id)
        for run_id in {**seen.histories, **seen.logs}:
            if run_id in self._attached:
                self.historyChanged.emit(run_id)
        for run_id, path in seen.models:
            self.modelReady.emit(run_id, path)
        for text in seen.problems:
            self.failed.emit(text)

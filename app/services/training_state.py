"""What one run is doing, from its folder and the queue. No Qt."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from app.services.training_queue import Order, Queue, readable
from app.services.training_values import RunState, RunView
from app.services.translations import translated
from coordgan_core.config import TrainConfig
from coordgan_core.errors import CoordError
from coordgan_core.training import locking
from coordgan_core.training.run import RunFolder, RunStatus, is_run

_TAIL_BYTES = 20_000
_LEAST_BYTES = 1 << 20
"""A disk with less room than this is full."""


@dataclass
class RunLook:
    """A run folder as it was seen last; `refresh` costs a few system calls where nothing has changed."""

    path: Path
    folder: RunFolder | None = None
    status: RunStatus = field(default_factory=lambda: RunStatus("new"))
    alive: bool = False
    began: bool = False
    problem: str = ""
    changed: float = 0.0
    is_disk_full: bool = False
    """There is no room to resume it, nor was there any for its last word."""
    _config_at: float = 0.0

    def refresh(self) -> None:
        """Look again."""
        self.began = is_run(self.path)
        self.alive = locking.is_held(self.path / "lock")
        if not self.began:
            self.folder, self.problem, self.status = None, "", RunStatus("new")
            return
        try:
            written = (self.path / "config.json").stat().st_mtime
            if self.folder is None or written != self._config_at:
                self.folder, self.problem, self._config_at = RunFolder.open(self.path), "", written
            self.status = self.folder.status()
            status = self.path / "status.json"
            self.changed = status.stat().st_mtime if status.exists() else written
            self.is_disk_full = (
                self.status.state == "interrupted" and shutil.disk_usage(self.path).free < _LEAST_BYTES
            )
        except (CoordError, OSError) as error:
            self.folder, self.problem = None, readable(error)

    def is_ending(self, order: Order) -> bool:
        """Return whether the run has said its last word since it was started: its process is about to end."""
        said = self.began and not self.alive and self.changed >= order.started
        return said and self.status.state in ("finished", "paused", "failed")


def view_of(look: RunLook, queue: Queue, order: Order | None) -> RunView:
    """Return what there is to show of a run."""
    state, message = _state(look, order)
    folder, status = look.folder, look.status
    config = None if folder is None else folder.settings.config.train
    request = None if order is None else order.request
    name = (folder.settings.name if folder else "") or (order.name if order else "") or look.path.name
    preset = folder.settings.config.preset if folder else request.preset if request else ""
    images = folder.settings.images if folder else str(request.images) if request else ""
    stages = () if config is None else config.stages
    index = stages.index(status.stage) if status.stage in stages else 0
    model = folder.model_path if folder is not None and folder.model_path.is_file() else None
    return RunView(
        id=str(look.path),
        name=name,
        path=look.path,
        state=state,
        preset=preset,
        images=images,
        device=order.device if order else folder.settings.device if folder else "",
        stage=status.stage,
        stage_index=index,
        stages=stages,
        nimg=status.nimg,
        total_nimg=status.total_nimg,
        fraction=1.0 if state is RunState.FINISHED else _fraction(config, index, status),
        images_per_second=status.images_per_second if look.alive else 0.0,
        left_sec=status.seconds_left if look.alive else 0.0,
        asked=order.asked if order else "",
        place=queue.place(order) if order else 0,
        model=model,
        published=_published(order),
        message=message,
        changed=look.changed or (order.started if order else 0.0),
    )


def _published(order: Order | None) -> Path | None:
    path = Path(order.model) if order is not None and order.model else None
    return path if path is not None and path.is_file() else None


def listing_order(view: RunView) -> tuple[int, float, str]:
    """Return what a list of runs is sorted by: those that run, those that wait, the others newest first."""
    if view.is_alive:
        return 0, 0.0, view.name
    if view.state is RunState.QUEUED:
        return 1, view.place, view.name
    return 2, -view.changed, view.name


def log_tail(path: Path) -> str:
    """Return the error at the end of a process's log, else its last line."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = stream.read().decode("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return errors[-1] if errors else "".join(lines[-1:])


def _state(look: RunLook, order: Order | None) -> tuple[RunState, str]:
    """Return where a run stands and a sentence about it."""
    if look.problem:
        return RunState.UNREADABLE, look.problem
    if look.alive:
        return RunState.RUNNING, look.status.message
    if order is not None and order.state == "waiting":
        return RunState.QUEUED, ""
    if order is not None and order.state == "started" and not look.is_ending(order):
        return RunState.STARTING, ""
    if not look.began:
        if order is not None and order.state == "held":
            return RunState.PAUSED, order.message or translated("Not started yet.")
        return RunState.FAILED, order.message if order else ""
    if look.is_disk_full:
        return RunState.INTERRUPTED, translated("The disk is full. Free some space, then resume it.")
    if look.status.state in ("running", "new", "interrupted"):
        return RunState.INTERRUPTED, translated("Its process ended without a word; it can be resumed.")
    return RunState(look.status.state), look.status.message


def _fraction(config: TrainConfig | None, index: int, status: RunStatus) -> float:
    if config is None or not status.total_nimg:
        return 0.0
    if config.minutes:
        weights = list(config.stage_shares or (1.0,) * len(config.stages))
    else:
        weights = [float(getattr(config, stage).total_nimg) for stage in config.stages]
    inside = weights[index] * min(1.0, status.nimg / status.total_nimg)
    return min(1.0, (sum(weights[:index]) + inside) / max(sum(weights), 1e-9))

"""The training itself: stages, ticks, checkpoints, snapshots, and what to do when something goes wrong.

Between two *ticks* the device is never waited for. At a tick the leading process looks at the clock, the
requests and the losses, and decides for all. What it decides never changes the arithmetic: a run that was
interrupted anywhere equals one that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import CheckpointError, ConfigError, OutOfMemoryError, TrainingDivergedError
from coordgan_core.training import checkpoint, outputs, stages
from coordgan_core.training import events as ev
from coordgan_core.training.distributed import Group
from coordgan_core.training.pace import Pace
from coordgan_core.training.run import FORMAT, Request, RunFolder, RunStatus, State
from coordgan_core.training.stages import Stage
from coordgan_core.training.state import (
    Position,
    capture_stage,
    is_finite,
    is_out_of_memory,
    restore_stage,
    seeded,
    take_over,
)
from coordgan_core.training.stats import RunningMeans

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

Events = Iterator[ev.Event]

FIRST_SNAPSHOT_SEC = 30.0
"""The first usable model is there after this time, in seconds of work."""

_SALT = 1_000_003  # distance of the seeds after a roll-back
_RANK = 10_000_019  # distance of the seeds of the processes


@dataclass(frozen=True)
class _Decision:
    """What the leading process decided at a tick."""

    request: Request | None
    time_is_up: bool
    snapshot: bool
    checkpoint: bool
    stride: int


class Trainer:
    """Trains the stages of one run folder, from wherever it stands.

    Args:
        folder: The run.
        source: The images, at the model's resolution.
        group: The processes that train together.

    Attributes:
        consistent: Whether a checkpoint of this moment could be resumed.
    """

    def __init__(self, folder: RunFolder, source: ImageSource, group: Group) -> None:
        self.folder = folder
        self.source = source
        self.group = group
        self.config = folder.settings.config
        self.names = self.config.train.stages
        batch = self.config.train.batch
        if batch % group.world:
            raise ConfigError(
                f"a batch of {batch} images is to be shared by {group.world} processes",
                expected=f"a multiple of {group.world}",
                remedy="choose another batch",
            )
        self.plan = group.share(folder.plan())
        self.pace = Pace(self.config.train)
        self.position = Position(stage=0, nimg=0, batch=batch)
        self.consistent = False
        self._model: CoordGAN | None = None
        self._stage: Stage | None = None
        self._means = RunningMeans()
        self._attempts = 0
        self._stride = 1
        self._saved_at = time.monotonic()
        self._snapshot_nimg = -1  # of this stage, -1 before its first

    # ---- the course of a training -------------------------------------------------------------------

    def run(self, *, spent_sec: float = 0.0) -> Events:
        """Train until done, asked to end, or out of time; ``spent_sec`` of work went before."""
        yield from self._restore()
        self.pace.active_sec += spent_sec
        while self.position.stage < len(self.names):
            yield from self._plan_stage()
            stage = self._stage or self._build()
            yield ev.StageStarted(self.name, self.position.nimg, stage.total_nimg, self.position.batch)
            for event in self._train_stage():
                yield event
                if isinstance(event, (ev.Paused, ev.Finished, ev.Discarded)):
                    return
            yield from self._end_stage()
        yield self._finished("all stages are done")

    @property
    def name(self) -> str:
        """Name of the present stage."""
        return self.names[min(self.position.stage, len(self.names) - 1)]

    @property
    def stage(self) -> Stage:
        """The present stage."""
        assert self._stage is not None
        return self._stage

    def _train_stage(self) -> Events:
        while self.position.nimg < self.stage.total_nimg:
            try:
                scalars = self._tick()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                yield self._halve_batch(error)
                continue
            broken = sorted(name for name, value in scalars.items() if not math.isfinite(value))
            if broken:
                yield from self._roll_back(f"{', '.join(broken)} became not-a-number")
                continue
            yield self._progress(scalars)
            decision = self.group.share(self._decide())
            self._stride = decision.stride
            yield from self._act(decision)

    def _tick(self) -> dict[str, float]:
        """Take some steps and return their mean scalars; waits for the device once."""
        position, group = self.position, self.group
        self.consistent = False
        with self.pace.stepping(position.batch) as seen:
            for _ in range(self._stride):
                self._means.add(self._step(self.stage, position.nimg, mirror=self.config.train.mirror))
                position.nimg += position.batch
                position.seen_nimg += position.batch
                seen.append(position.batch)
                if position.nimg >= self.stage.total_nimg:
                    break
            means = self._means.read(group.mean)
        self.consistent = True
        return means

    def _step(self, stage: Stage, nimg: int, *, mirror: bool) -> Mapping[str, torch.Tensor]:
        group = self.group
        images = self.source.batch(
            nimg, self.position.batch, self._seed(), group.rank, group.world, mirror, group.device
        )
        with seeded(self._seed(rank=group.rank), f"{self.name}/step", nimg, group.device):
            return stage.step(images, nimg=nimg)

    def _decide(self) -> _Decision:
        train, position = self.config.train, self.position
        since = position.nimg - max(self._snapshot_nimg, 0)
        first = position.stage == 0 and self._snapshot_nimg < 0 and not self.folder.model_path.exists()
        return _Decision(
            request=self.folder.take_request() if self.group.leads else None,
            time_is_up=self.pace.time_is_up(),
            snapshot=since >= train.snapshot_nimg or (first and self.pace.active_sec >= FIRST_SNAPSHOT_SEC),
            checkpoint=time.monotonic() - self._saved_at >= train.checkpoint_sec,
            stride=self.pace.stride(position.batch),
        )

    def _act(self, decision: _Decision) -> Events:
        ends = decision.request is not None or decision.time_is_up
        done = self.position.nimg >= self.stage.total_nimg
        writes = ends or done or decision.checkpoint or decision.snapshot
        if writes and not self.group.share(is_finite(self.stage)):
            yield from self._roll_back("weights became not-a-number")
        elif decision.request == "discard":
            yield self._discard()
        elif decision.request == "pause":
            yield from self._save()
            self._tell("paused")
            yield ev.Paused(self.name, self.position.nimg, "pause")
        elif ends:
            yield from self._save()
            yield from self._close_stage()
            yield self._finished("stopped by request" if decision.request else "its time is up")
        else:
            if decision.checkpoint:
                yield from self._save()
            if decision.snapshot:
                yield from self._snapshot()

    def _close_stage(self) -> Events:
        """Let the stage do its last work, and write the model that comes of it."""
        self.consistent = False
        with self.pace.working():
            self.stage.finish()
            self.group.copy_from_lead(self.stage.modules().values())
            self._model = self.stage.export()
        yield from self._snapshot(self._model)

    def _end_stage(self) -> Events:
        yield from self._close_stage()
        ended = ev.StageFinished(self.name, self.position.nimg)
        self._stage = None
        self._model = self._new_model(self._exported().state_dict())
        self.group.copy_from_lead([self._model])
        self.position.stage += 1
        self.position.nimg = 0
        self.pace.images_per_second = 0.0
        self._stride, self._snapshot_nimg = 1, -1
        self.consistent = True
        yield from self._save()
        yield ended

    def _discard(self) -> ev.Discarded:
        self.consistent = False
        if self.group.leads:
            self.folder.discard()
        return ev.Discarded(self.folder.path)

    def _finished(self, reason: str) -> ev.Finished:
        self._tell("finished", reason)
        return ev.Finished(reason, self.folder.model_path, self.pace.active_sec)

    # ---- building, saving, restoring ----------------------------------------------------------------

    def _seed(self, *, rank: int = 0) -> int:
        return self.config.train.seed + _SALT * self.position.salt + _RANK * rank

    def _stage_config(self) -> Config:
        """Return the configuration as the stage sees it: planned length, present batch, its own seed."""
        changes: dict[str, Any] = {
            "train.seed": self._seed(rank=self.group.rank),
            "train.batch": self.position.batch,
        }
        if self.name in self.plan:
            changes[f"train.{self.name}.total_nimg"] = self.plan[self.name]
        return configuration.replace(self.config, **changes)

    def _new_model(self, weights: Mapping[str, Any] | None = None) -> CoordGAN:
        with seeded(self._seed(), "model", 0, self.group.device):
            model = stages.build_model(self.config)
        if weights is not None:
            model.load_state_dict(weights)
        return model.to(self.group.device)

    def _new_stage(self, model: CoordGAN) -> Stage:
        with seeded(self._seed(), f"{self.name}/build", 0, self.group.device):
            stage = stages.build_stage(self.name, self._stage_config(), model, self.source, self.group.device)
        self.group.copy_from_lead(stage.modules().values())
        for optimizer in stage.optimizers().values():
            self.group.average_before_steps(optimizer)
        return stage

    def _build(self) -> Stage:
        self._model = self._model or self._new_model()
        self._stage = self._new_stage(self._model)
        self.consistent = True
        return self._stage

    def _restore(self, *, salt: int | None = None) -> Events:
        """Go to the newest whole checkpoint, or to the start where there is none; ``salt``: other draws."""
        state: dict[str, Any] | None = None
        damaged: list[Path] = []
        if self.group.leads:
            path, damaged = checkpoint.newest(self.folder.checkpoints)
            state = checkpoint.read(path) if path else None
        for broken in damaged:
            yield ev.Notice(f"checkpoint {broken.name} is damaged and was passed over for the one before")
        state = self.group.share(state)
        self._model = self._stage = None  # frees their memory before the new ones are built
        if state is None:
            self.position.nimg = 0
            self.position.salt = salt or 0
            if self.folder.settings.start:
                self._model = self._new_model()
                yield ev.Notice(take_over(self._model, self.folder.settings.start))
            return
        yield from self._check(state)
        self.position = Position(**state["position"])
        self.pace.active_sec = max(self.pace.active_sec, self.position.active_sec)
        self.position.salt = self.position.salt if salt is None else salt
        self._model = self._new_model(state["model"])
        if state["modules"] is not None:
            restore_stage(self._build(), state)

    def _check(self, state: Mapping[str, Any]) -> Events:
        if state.get("format") != FORMAT or state.get("stages") != list(self.names):
            raise CheckpointError(
                f"the checkpoint of {self.folder.path} belongs to another training or version",
                expected=f"checkpoint format {FORMAT} with stages {', '.join(self.names)}",
                remedy="resume with the program version that wrote it",
            )
        if state["images"] != self._fingerprint():
            yield ev.Notice(
                "the images are not those that the training began with; it goes on with the new ones"
            )

    def _save(self) -> Events:
        if self.group.leads:
            with self.pace.working():
                path = self.save()
            yield ev.CheckpointWritten(path, self.name, self.position.nimg)
        self._saved_at = time.monotonic()
        self._attempts = 0

    def save(self) -> Path:
        """Write a checkpoint of the present moment, which must be `consistent`; return its path."""
        model = self._model
        assert model is not None
        self.position.active_sec = self.pace.active_sec
        state = {
            "format": FORMAT,
            "stages": list(self.names),
            "images": self._fingerprint(),
            "position": dataclasses.asdict(self.position),
            "model": model.state_dict(),
            **capture_stage(self._stage),
        }
        name = f"{self.position.stage:02d}-{self.position.nimg:012d}"
        return checkpoint.write(self.folder.checkpoints, name, state)

    def _fingerprint(self) -> str:
        return hashlib.sha256("\n".join(path.name for path in self.source.paths).encode()).hexdigest()

    def _exported(self) -> CoordGAN:
        assert self._model is not None
        return self._model

    def _snapshot(self, model: CoordGAN | None = None) -> Events:
        """Write the model as it is now, and its sample sheet (leading process)."""
        position = self.position
        self._snapshot_nimg = position.nimg
        if not self.group.leads:
            return
        position.active_sec = self.pace.active_sec
        with self.pace.working():
            model = model or self.stage.export()
            written = list(outputs.write(self.folder, self.name, position, model, self.source))
        yield from written

    # ---- time ---------------------------------------------------------------------------------------

    def _plan_stage(self) -> Events:
        """Fix the stage's length from the measured speed, once, where there is a time budget.

        From then on schedules depend on images only, so that a resumed run is the same run.
        """
        if not self.config.train.minutes or self.name in self.plan:
            return
        self._model = self._model or self._new_model()
        halved: list[ev.Event] = []
        with self.pace.working():
            speed = self._measure(
                min(60.0, max(0.3, 0.02 * self.pace.stage_sec(self.position.stage))), halved
            )
        yield from halved
        seconds = self.pace.stage_sec(self.position.stage)
        total = self.group.share(max(self.position.batch, round(seconds * speed)))
        self.plan = {**self.plan, self.name: total}
        if self.group.leads:
            self.folder.write_plan(self.plan)
        yield ev.Planned(self.name, total, speed)

    def _measure(self, seconds: float, halved: list[ev.Event]) -> float:
        """Return images per second of a throw-away copy of the stage."""
        while True:
            try:
                return self._measure_once(self._new_stage(copy.deepcopy(self._model)), seconds)  # type: ignore[arg-type]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                halved.append(self._halve_batch(error))

    def _measure_once(self, stage: Stage, seconds: float) -> float:
        batch, begin, step = self.position.batch, time.monotonic(), 0
        means = RunningMeans()
        while self.group.share(step < 5 or time.monotonic() - begin < seconds):
            if step == 1:  # the first one allocates, compiles and chooses kernels
                begin = time.monotonic()
            means.add(self._step(stage, step * batch, mirror=False))
            means.read()  # waits for the device
            step += 1
        return (step - 1) * batch / max(time.monotonic() - begin, 1e-9)

    def _progress(self, scalars: Mapping[str, float]) -> ev.Progress:
        position, total = self.position, self.stage.total_nimg
        left_nimg = max(0, total - position.nimg)
        self._tell("running")
        return ev.Progress(
            stage=self.name,
            nimg=min(position.nimg, total),
            total_nimg=total,
            images_per_second=self.pace.images_per_second,
            seconds_left=self.pace.left_sec(position.stage, left_nimg),
            active_sec=self.pace.active_sec,
            scalars=scalars,
        )

    def _tell(self, state: State, message: str = "") -> None:
        """Write the status (leading process)."""
        if not self.group.leads:
            return
        position = self.position
        if position.stage == len(self.names):
            seen = position.seen_nimg
            self.folder.write_status(RunStatus(state, self.name, seen, seen, message=message))
            return
        total = self._stage.total_nimg if self._stage else 0
        left = (
            self.pace.left_sec(position.stage, max(0, total - position.nimg)) if state == "running" else 0.0
        )
        speed = self.pace.images_per_second
        self.folder.write_status(RunStatus(state, self.name, position.nimg, total, speed, left, message))

    # ---- when something goes wrong ------------------------------------------------------------------

    def _halve_batch(self, error: BaseException) -> ev.BatchHalved:
        """Go on with half the batch. Schedules count images, so they hold; a step sees fewer images."""
        before, world = self.position.batch, self.group.world
        after = before // 4 * 2  # even: losses pair images up
        if after < 2 or world > 1:  # the other processes wait inside the failed step: it cannot be taken back
            raise OutOfMemoryError(
                f"a step with {before} images does not fit the memory of {self.group.device}",
                expected="a device with more memory, or a smaller model",
                remedy="choose a smaller train.batch, or a preset of lower resolution",
            ) from error
        self.position.batch = after
        self._means = RunningMeans()
        if self._stage is not None:
            self._rebuild(self._stage)
        if self.group.device.type == "cuda":
            torch.cuda.empty_cache()
        return ev.BatchHalved(before, after, self.position.nimg)

    def _rebuild(self, stage: Stage) -> None:
        """Build the stage again, with another configuration but the same state."""
        state = copy.deepcopy(capture_stage(stage))
        self._stage = None
        restore_stage(self._build(), state)

    def _roll_back(self, reason: str) -> Events:
        """Go back to the last checkpoint and on from there with other random draws."""
        attempts, at = self._attempts, self.position.nimg
        if attempts >= self.config.train.rollbacks:
            raise TrainingDivergedError(
                f"{reason} at {at} images of stage {self.name}, also after {attempts} fresh attempts",
                expected="finite losses",
                remedy="lower train.learning_rate or check the images; the last good model was kept",
            )
        self.consistent = False
        self._means = RunningMeans()
        yield from self._restore(salt=self.position.salt + 1)
        if self._stage is None:
            self._build()
        self._attempts = attempts + 1
        yield ev.RolledBack(self.name, at, self.position.nimg, reason, self._attempts)

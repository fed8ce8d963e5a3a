"""The course of a training: stages, ticks, checkpoints, snapshots, and what to do when something goes wrong.

Between two *ticks* the device is never waited for. At a tick the leading process looks at the clock, the
requests and the losses, and decides for all. What it decides never changes the arithmetic: a run that was
interrupted anywhere equals one that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import OutOfMemoryError, TrainingDivergedError
from coordgan_core.training import events as ev
from coordgan_core.training import outputs
from coordgan_core.training.distributed import Group
from coordgan_core.training.pace import Budget
from coordgan_core.training.run import Request, RunFolder, RunStatus, State
from coordgan_core.training.session import Session
from coordgan_core.training.stages import Stage
from coordgan_core.training.state import is_finite, is_out_of_memory
from coordgan_core.training.stats import RunningMeans

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

Events = Iterator[ev.Event]

FIRST_SNAPSHOT_SEC = 30.0
"""The first usable model is there after this time, in seconds of work."""


@dataclass(frozen=True)
class _Decision:
    """What the leading process decided at a tick."""

    request: Request | None
    time_is_up: bool
    snapshot: bool
    checkpoint: bool
    stride: int

    @property
    def ends(self) -> bool:
        return self.request is not None or self.time_is_up


class Trainer:
    """Trains the stages of one run folder, from wherever it stands; the arguments are those of `Session`."""

    def __init__(self, folder: RunFolder, source: ImageSource, group: Group) -> None:
        self.session = Session(folder, source, group)
        self._folder, self._group = folder, group
        self._train = folder.settings.config.train
        self._pace = self.session.pace
        self._means = RunningMeans()
        self._attempts = 0  # to go on from the newest checkpoint
        self._stride = 1
        self._saved_at = time.monotonic()
        self._looked_nimg = 0  # at the tick before

    # ---- the course ---------------------------------------------------------------------------------

    def run(self, *, spent_sec: float = 0.0, minutes: float = 0.0) -> Events:
        """Train until done, asked to end, or out of time.

        Args:
            spent_sec: Seconds of work that went before.
            minutes: The time it may still take, instead of what is left of its budget; 0 keeps that.
        """
        session = self.session
        yield from session.restore()
        self._pace.active_sec += spent_sec
        if minutes:
            self._pace.budget = Budget.of(minutes, active_sec=self._pace.active_sec)
            if self._group.leads:
                self._folder.write_budget(self._pace.budget)
        while not session.done:
            yield from self._plan_stage()
            position, total = session.position, session.stage.total_nimg
            yield ev.StageStarted(session.name, position.nimg, total, position.batch)
            self._looked_nimg = position.nimg
            for event in self._train_stage():
                yield event
                if isinstance(event, (ev.Paused, ev.Finished, ev.Discarded)):
                    return
            yield from self._end_stage()
        yield self._finished("all stages are done")

    def _train_stage(self) -> Events:
        session = self.session
        while session.position.nimg < session.stage.total_nimg:
            scalars = self._tick()
            if scalars is None:
                yield self._halve_batch()
                continue
            broken = sorted(name for name, value in scalars.items() if not math.isfinite(value))
            if broken:
                yield from self._roll_back(f"{', '.join(broken)} became not-a-number")
                continue
            yield self._progress(scalars)
            decision = self._group.share(self._decide())
            self._stride, self._looked_nimg = decision.stride, session.position.nimg
            yield from self._act(decision)

    def _tick(self) -> dict[str, float] | None:
        """Take some steps; return their mean scalars, None if memory ran out. Waits for the device once."""
        session, position = self.session, self.session.position
        session.consistent = False
        try:
            with self._pace.stepping(position.batch) as seen:
                for _ in range(self._stride):
                    self._means.add(session.step(session.stage, position.nimg, mirror=self._train.mirror))
                    position.nimg += position.batch
                    position.seen_nimg += position.batch
                    seen.append(position.batch)
                    if position.nimg >= session.stage.total_nimg:
                        break
                means = self._means.read(self._group.mean)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None  # the failed step's tensors live as long as the error: leave it here
        session.consistent = True
        return means

    def _decide(self) -> _Decision:
        every, nimg = self._train.snapshot_nimg, self.session.position.nimg
        early = self._pace.active_sec >= FIRST_SNAPSHOT_SEC and not self._folder.model_path.exists()
        due = nimg // every > self._looked_nimg // every and nimg < self.session.stage.total_nimg
        return _Decision(
            request=self._folder.take_request() if self._group.leads else None,
            time_is_up=self._pace.time_is_up(),
            snapshot=due or early,
            checkpoint=time.monotonic() - self._saved_at >= self._train.checkpoint_sec,
            stride=self._pace.stride(self.session.position.batch),
        )

    def _act(self, decision: _Decision) -> Events:
        session = self.session
        done = session.position.nimg >= session.stage.total_nimg
        writes = decision.ends or done or decision.checkpoint or decision.snapshot
        if writes and not self._group.share(is_finite(session.stage)):
            yield from self._roll_back("weights became not-a-number")
        elif decision.ends:
            yield from self._end_early(decision)
        else:
            if decision.checkpoint:
                yield from self._save()
            if decision.snapshot:
                yield from self._snapshot(session.stage.export)

    def _end_early(self, decision: _Decision) -> Events:
        session = self.session
        if decision.request == "discard":
            session.consistent = False
            if self._group.leads:
                self._folder.discard()
            yield ev.Discarded(self._folder.path)
            return
        yield from self._save()
        if decision.request == "pause":
            self._tell("paused")
            yield ev.Paused(session.name, session.position.nimg, "pause")
            return
        yield from self._snapshot(session.close_stage, last=True)
        yield self._finished("stopped by request" if decision.request else "its time is up")

    def _end_stage(self) -> Events:
        session = self.session
        with self._pace.working():
            model = session.close_stage()
        yield from self._snapshot(lambda: model, last=session.name == session.names[-1])
        ended = ev.StageFinished(session.name, session.position.nimg)
        session.next_stage(model)
        self._pace.images_per_second, self._stride = 0.0, 1
        yield from self._save()
        yield ended

    def _save(self) -> Events:
        """Write a checkpoint (leading process)."""
        if self._group.leads:
            with self._pace.working():
                path = self.session.save()
            yield ev.CheckpointWritten(path, self.session.name, self.session.position.nimg)
        self._saved_at = time.monotonic()
        self._attempts = 0

    def _snapshot(self, export: Callable[[], CoordGAN], *, last: bool = False) -> Events:
        """Write the model that ``export`` returns, its sheet and figures (leading process)."""
        session = self.session
        session.position.active_sec = self._pace.active_sec
        with self._pace.working():
            model = export()
            written: list[ev.Event] = []
            if self._group.leads:
                written += outputs.write(
                    self._folder, session.name, session.position, model, session.source, last=last
                )
        yield from written

    # ---- telling ------------------------------------------------------------------------------------

    def _finished(self, reason: str) -> ev.Finished:
        self._tell("finished", reason)
        return ev.Finished(reason, self._folder.model_path, self._pace.active_sec)

    def _progress(self, scalars: Mapping[str, float]) -> ev.Progress:
        session = self.session
        total = session.stage.total_nimg
        self._tell("running")
        return ev.Progress(
            stage=session.name,
            nimg=min(session.position.nimg, total),
            total_nimg=total,
            images_per_second=self._pace.images_per_second,
            seconds_left=self._left_sec(),
            active_sec=self._pace.active_sec,
            scalars=scalars,
        )

    def _left_sec(self) -> float:
        position, total = self.session.position, self.session.stage.total_nimg
        return self._pace.left_sec(position.stage, max(0, total - position.nimg))

    def _tell(self, state: State, message: str = "") -> None:
        """Write the status (leading process)."""
        session, position = self.session, self.session.position
        if not self._group.leads:
            return
        if session.done:
            nimg, total, speed, left = position.seen_nimg, position.seen_nimg, 0.0, 0.0
        else:
            nimg, total, speed = position.nimg, session.stage.total_nimg, self._pace.images_per_second
            left = self._left_sec() if state == "running" else 0.0
        self._folder.write_status(RunStatus(state, session.name, nimg, total, speed, left, message))

    # ---- planning -----------------------------------------------------------------------------------

    def _plan_stage(self) -> Events:
        """Fix the stage's length from the measured speed, once, where there is a time budget.

        From then on schedules depend on images only, so that a resumed run is the same run.
        """
        session, name = self.session, self.session.name
        if not self._pace.budget.sec or name in session.plan:
            return
        stage = session.position.stage
        while True:
            with self._pace.working():
                speed = self._measure(min(60.0, max(0.3, 0.02 * self._pace.stage_sec(stage))))
            if speed is not None:
                break
            yield self._halve_batch()
        total = max(session.position.batch, round(self._pace.stage_sec(stage) * speed))
        session.plan = {**session.plan, name: self._group.share(total)}
        if self._group.leads:
            self._folder.write_plan(session.plan)
        yield ev.Planned(name, session.plan[name], speed)

    def _measure(self, seconds: float) -> float | None:
        """Return images per second of a throw-away copy of the stage, None if memory ran out."""
        try:
            return self._measure_stage(self.session.throw_away_stage(), seconds)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _measure_stage(self, stage: Stage, seconds: float) -> float:
        batch, begin, step = self.session.position.batch, time.monotonic(), 0
        means = RunningMeans()
        while self._group.share(step < 3 or time.monotonic() - begin < seconds):
            if step == 1:  # the first one allocates, compiles and chooses kernels
                begin = time.monotonic()
            means.add(self.session.step(stage, step * batch, mirror=False))
            means.read()  # waits for the device
            step += 1
        return (step - 1) * batch / max(time.monotonic() - begin, 1e-9)

    # ---- when something goes wrong ------------------------------------------------------------------

    def _halve_batch(self) -> ev.BatchHalved:
        """Go on with half the batch. Schedules count images, so they hold; a step sees fewer images."""
        position, group = self.session.position, self._group
        before, after = position.batch, position.batch // 4 * 2  # even: losses pair images up
        if after < 2 or group.world > 1:  # other processes wait inside the failed step for ever
            raise OutOfMemoryError(
                f"a step with {before} images does not fit the memory of {group.device}",
                expected="a device with more memory, or a smaller model",
                remedy="choose a smaller train.batch, or a preset of lower resolution",
            )
        position.batch = after
        self._means = RunningMeans()
        self.session.rebuild()
        if group.device.type == "cuda":
            torch.cuda.empty_cache()
        return ev.BatchHalved(before, after, position.nimg)

    def _roll_back(self, reason: str) -> Events:
        """Go back to the last checkpoint and on from there with other random draws."""
        session, attempts = self.session, self._attempts
        name, at = session.name, session.position.nimg
        if attempts >= self._train.rollbacks:
            raise TrainingDivergedError(
                f"{reason} at {at} images of stage {name}, also after {attempts} fresh attempts",
                expected="finite losses",
                remedy="lower train.learning_rate or check the images; the last good model was kept",
            )
        session.consistent = False
        self._means = RunningMeans()
        yield from session.restore(salt=session.position.salt + 1)
        self._attempts, self._looked_nimg = attempts + 1, session.position.nimg
        yield ev.RolledBack(name, at, session.position.nimg, reason, self._attempts)

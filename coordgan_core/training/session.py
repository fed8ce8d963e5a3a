"""What a training works on: model, stage, position; how they are built, saved and found again."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import CheckpointError, ConfigError
from coordgan_core.training import checkpoint, stages
from coordgan_core.training.distributed import Group
from coordgan_core.training.events import Event, Notice
from coordgan_core.training.pace import Pace
from coordgan_core.training.run import FORMAT, RunFolder
from coordgan_core.training.stages import Stage
from coordgan_core.training.state import (
    Position,
    capture_stage,
    on_cpu,
    restore_stage,
    seeded,
    take_over,
)

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

_SALT = 1_000_003  # distance of the seeds after a roll-back
_RANK = 10_000_019  # distance of the seeds of the processes


class Session:
    """The private state of a training, in one process of its group.

    Args:
        folder: The run.
        source: The images, at the model's resolution.
        group: The processes that train together.

    Attributes:
        position: How far it is.
        plan: Lengths of stages that were fixed from a time budget: {stage: images}.
        consistent: Whether a checkpoint of this moment could be resumed.

    Raises:
        ConfigError: The processes cannot share the batch, or the stages the time.
    """

    def __init__(self, folder: RunFolder, source: ImageSource, group: Group) -> None:
        self.folder, self.source, self.group = folder, source, group
        self.config = folder.settings.config
        self.names = self.config.train.stages
        batch = self.config.train.batch
        if batch % (2 * group.world):  # losses pair the images of a process up
            raise ConfigError(
                f"train.batch is {batch}, for {group.world} processes",
                expected=f"a multiple of {2 * group.world}: an even number for each process",
                remedy="choose another batch",
            )
        self.plan = group.share(folder.plan())
        self.pace = Pace(self.config.train, group.share(folder.budget()))
        self.position = Position(stage=0, nimg=0, batch=batch)
        self.consistent = False
        self._model: CoordGAN | None = None
        self._stage: Stage | None = None

    @property
    def name(self) -> str:
        """Name of the present stage, of the last one when all are done."""
        return self.names[min(self.position.stage, len(self.names) - 1)]

    @property
    def done(self) -> bool:
        """Whether all stages are done."""
        return self.position.stage >= len(self.names)

    @property
    def model(self) -> CoordGAN:
        """The model, untrained at first; the present stage may train it in place."""
        if self._model is None:
            self._model = self._new_model()
        return self._model

    @property
    def stage(self) -> Stage:
        """The present stage, built when it is first asked for."""
        if self._stage is None:
            self._stage = self.new_stage(self.model)
            self.consistent = True
        return self._stage

    def step(self, stage: Stage, nimg: int, *, mirror: bool) -> Mapping[str, Tensor]:
        """Take one step of ``stage`` with the images that belong to ``nimg``; return its scalars."""
        group = self.group
        images = self.source.batch(
            nimg, self.position.batch, self._seed(), group.rank, group.world, mirror, group.device
        )
        with seeded(self._seed(rank=group.rank), f"{self.name}/step", nimg, group.device):
            return stage.step(images, nimg=nimg)

    def close_stage(self) -> CoordGAN:
        """Let the stage do its last work; return the model that comes of it."""
        self.consistent = False
        stage = self.stage
        stage.finish()
        self.group.copy_from_lead(stage.modules().values())
        return stage.export()

    def next_stage(self, model: CoordGAN) -> None:
        """Go on to the next stage with the weights of ``model``."""
        self._stage = None
        self._model = self._new_model(model.state_dict())
        self.group.copy_from_lead([self._model])
        self.position.stage += 1
        self.position.nimg = 0
        self.consistent = True

    # ---- building -----------------------------------------------------------------------------------

    def _seed(self, *, rank: int = 0) -> int:
        return self.config.train.seed + _SALT * self.position.salt + _RANK * rank

    def _stage_config(self) -> Config:
        """Return the configuration as the stage sees it: planned length, present batch, its own seed."""
        changes: dict[str, Any] = {
            "train.seed": self._seed(),
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

    def new_stage(self, model: CoordGAN) -> Stage:
        """Build the present stage around ``model``, with the same weights in every process."""
        with seeded(self._seed(), f"{self.name}/build", 0, self.group.device):
            stage = stages.build_stage(self.name, self._stage_config(), model, self.source, self.group.device)
        self.group.copy_from_lead(stage.modules().values())
        return stage

    def rebuild(self) -> None:
        """Build the present stage again with the same state: its configuration has changed."""
        if self._stage is not None:
            state = on_cpu(capture_stage(self._stage))
            self._stage = None  # frees its memory before the new one is built
            restore_stage(self.stage, state)

    def throw_away_stage(self) -> Stage:
        """Build the present stage around a copy of the model, to try something out."""
        return self.new_stage(copy.deepcopy(self.model))

    # ---- saving and restoring -----------------------------------------------------------------------

    def save(self) -> Path:
        """Write a checkpoint of this moment, which must be `consistent`; return its path.

        Raises:
            DiskFullError: It does not fit; earlier checkpoints are untouched.
        """
        self.position.active_sec = self.pace.active_sec
        state = {
            "format": FORMAT,
            "stages": list(self.names),
            "images": self._fingerprint(),
            "position": dataclasses.asdict(self.position),
            "model": self.model.state_dict(),
            **capture_stage(self._stage),
        }
        name = checkpoint.name_of(self.position.stage, self.position.nimg)
        return checkpoint.write(self.folder.checkpoints, name, state)

    def restore(self, *, salt: int | None = None) -> Iterator[Event]:
        """Go to the newest whole checkpoint, or to the start where there is none.

        Args:
            salt: Go on from there with the draws that belong to it, instead of those of the checkpoint.
        """
        state: dict[str, Any] | None = None
        damaged: list[Path] = []
        if self.group.leads:
            path, damaged = checkpoint.newest(self.folder.checkpoints)
            state = checkpoint.read(path) if path else None
        for broken in damaged:
            yield Notice(f"checkpoint {broken.name} is damaged and was passed over for the one before")
        state = self.group.share(state)
        self._model = self._stage = None  # frees their memory before the new ones are built
        if state is None:
            self.position.nimg, self.position.seen_nimg, self.position.salt = 0, 0, salt or 0
            if self.folder.settings.start:
                yield Notice(take_over(self.model, self.folder.settings.start))
            return
        yield from self._check(state)
        self.position = Position(**state["position"])
        self.position.salt = self.position.salt if salt is None else salt
        self.pace.active_sec = max(self.pace.active_sec, self.position.active_sec)
        self._model = self._new_model(state["model"])
        if state["modules"] is not None:
            restore_stage(self.stage, state)

    def _check(self, state: Mapping[str, Any]) -> Iterator[Event]:
        if state.get("format") != FORMAT or state.get("stages") != list(self.names):
            raise CheckpointError(
                f"the checkpoint of {self.folder.path} belongs to another training or version",
                expected=f"checkpoint format {FORMAT} with stages {', '.join(self.names)}",
                remedy="resume with the program version that wrote it",
            )
        if state["images"] != self._fingerprint():
            yield Notice(
                "the images are not those that the training began with; it goes on with the new ones"
            )

    def _fingerprint(self) -> str:
        return hashlib.sha256("\n".join(path.name for path in self.source.paths).encode()).hexdigest()

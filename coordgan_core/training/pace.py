"""How fast a training is, how long it still takes, and how much of it fits a time budget."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from coordgan_core.config import TrainConfig
from coordgan_core.errors import ConfigError

OVERRUN = 1.10
"""A training ends when it has taken this much of its time budget, whatever was planned."""

_OVERHEAD = 0.96  # of the budget goes to steps, the rest to snapshots and checkpoints


@dataclass(frozen=True)
class Budget:
    """The time that a training may take, in seconds of work; 0 for no limit.

    Attributes:
        sec: What stages are planned for.
        limit_sec: When it ends, whatever was planned.
    """

    sec: float = 0.0
    limit_sec: float = 0.0

    @classmethod
    def of(cls, minutes: float, *, active_sec: float = 0.0) -> Budget:
        """Return the budget of ``minutes`` on top of ``active_sec`` of work that is done."""
        return cls(active_sec + 60.0 * minutes, active_sec + 60.0 * minutes * OVERRUN)


class Pace:
    """Clock of a training's work; what the consumer of its events does in between is not counted.

    Args:
        config: What is trained.
        budget: The time it may take; that of the configuration if None.
    """

    def __init__(self, config: TrainConfig, budget: Budget | None = None) -> None:
        if config.stage_shares and (
            len(config.stage_shares) != len(config.stages) or min(config.stage_shares) <= 0
        ):
            raise ConfigError(
                f"train.stage_shares is {config.stage_shares}",
                expected=f"{len(config.stages)} positive numbers, one for each of {', '.join(config.stages)}",
                remedy="correct it, or leave it empty to give all stages the same time",
            )
        self._config = config
        self.budget = budget or Budget.of(config.minutes)
        self._shares = config.stage_shares or (1.0,) * len(config.stages)
        self.active_sec = 0.0
        self.images_per_second = 0.0

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count the time inside the block."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.active_sec += time.monotonic() - begin

    @contextlib.contextmanager
    def stepping(self, batch: int) -> Iterator[list[int]]:
        """Count the time inside the block, and the images that the caller appends batch by batch."""
        seen: list[int] = []
        before = self.active_sec
        with self.working():
            yield seen
        speed = batch * len(seen) / max(self.active_sec - before, 1e-9)
        old = self.images_per_second
        self.images_per_second = 0.7 * old + 0.3 * speed if old else speed

    def stride(self, batch: int) -> int:
        """Return the steps until the next tick: 1 s at first, so that one soon sees something, 3 s later."""
        seconds = min(3.0, 1.0 + self.active_sec / 120.0)
        return max(1, min(256, int(self.images_per_second * seconds / batch)))

    def time_is_up(self) -> bool:
        """Return whether the time budget is overrun."""
        return 0.0 < self.budget.limit_sec < self.active_sec

    def stage_sec(self, stage: int) -> float:
        """Return what stage number ``stage``, about to begin, may take of the time that is left."""
        left = max(1.0, self.budget.sec - self.active_sec)
        return _OVERHEAD * left * self._shares[stage] / sum(self._shares[stage:])

    def left_sec(self, stage: int, left_nimg: int) -> float:
        """Return the seconds until the end of the training, at the present speed."""
        if not self.images_per_second:
            return 0.0
        later = self._config.stages[stage + 1 :]
        here = left_nimg / self.images_per_second
        if self.budget.sec:
            return max(0.0, here, self.budget.sec - self.active_sec if later else 0.0)
        images: int = sum(getattr(self._config, name).total_nimg for name in later)
        return here + images / self.images_per_second

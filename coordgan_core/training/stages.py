"""What a stage of a training is, and how the stages are built from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from coordgan_core.config import Config
from coordgan_core.errors import ConfigError

if TYPE_CHECKING:
    from coordgan_core.data.sampler import ImageSource
    from coordgan_core.models.coordgan import CoordGAN


class Stage(Protocol):
    """One part of a training: owns networks, optimisers and losses; knows no loop, files or processes.

    Every random draw inside comes from a generator seeded by (seed, stream, nimg), of which each process
    takes its share (`data.sampler.SharedGenerator`). Optimisers step by `training.steps.take_step`, which
    averages the gradients over the processes.
    """

    name: str
    total_nimg: int

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        """Take one training step on ``images float32 [B, 3, R, R]``; return detached scalars.

        It does not wait for the device.
        """
        ...

    def modules(self) -> Mapping[str, nn.Module]:
        """Return everything that a checkpoint must hold, moving averages included."""
        ...

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimisers."""
        ...

    def export(self) -> CoordGAN:
        """Return the model to use: averaged weights, evaluation mode."""
        ...

    def finish(self) -> None:
        """Do what is left once all images were seen."""
        ...


@runtime_checkable
class HasState(Protocol):
    """A stage with plain state of its own (numbers, tensors) beside modules and optimisers."""

    def state(self) -> dict[str, Any]:
        """Return it."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        ...


def build_model(config: Config) -> CoordGAN:
    """Build the untrained networks of a configuration, on the CPU."""
    from coordgan_core.models.coordgan import CoordGAN

    return CoordGAN(config.model)


def build_stage(
    name: str, config: Config, model: CoordGAN, source: ImageSource, device: torch.device
) -> Stage:
    """Build the stage called ``name`` around ``model``, which it trains in place or copies from.

    Raises:
        ConfigError: There is no such stage, or the model lacks what it trains.
    """
    if name == "embedding":
        from coordgan_core.training.embedding import EmbeddingStage

        return EmbeddingStage(config, model, source, device)
    if name == "joint":
        from coordgan_core.training.joint import JointStage

        return JointStage(config, model, source, device)
    if name == "gan":
        from coordgan_core.training.gan import GanStage

        return GanStage(config, model, device)
    if name == "encoder":
        from coordgan_core.training.encoder import EncoderStage

        return EncoderStage(config, model, device)
    raise ConfigError(f"there is no training stage {name!r}", expected="embedding, joint, gan or encoder")

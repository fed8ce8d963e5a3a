"""The state of a training: where it is, what a checkpoint holds of a stage, its global random draws."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from coordgan_core.data.sampler import generator
from coordgan_core.training.stages import HasState, Stage


@dataclass
class Position:
    """How far a training is; goes into checkpoints.

    Attributes:
        stage: Index of the stage.
        nimg: Images that this stage has seen.
        batch: Images a step, over all devices; smaller than configured after memory ran out.
        seen_nimg: Images that all stages have seen.
        salt: Roll-backs so far; each changes the seeds of what follows.
        active_sec: Seconds of work so far.
    """

    stage: int
    nimg: int
    batch: int
    seen_nimg: int = 0
    salt: int = 0
    active_sec: float = 0.0


def capture_stage(stage: Stage | None) -> dict[str, Any]:
    """Return the state of a stage as a checkpoint holds it; all ``None`` between two stages."""
    if stage is None:
        return {"modules": None, "optimizers": None, "plain": None}
    return {
        "modules": {name: module.state_dict() for name, module in stage.modules().items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in stage.optimizers().items()},
        "plain": stage.state() if isinstance(stage, HasState) else None,
    }


def on_cpu(state: Any) -> Any:
    """Return a copy of a nested state whose tensors lie on the CPU."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: on_cpu(value) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(on_cpu(value) for value in state)
    return state


def restore_stage(stage: Stage, state: dict[str, Any]) -> None:
    """Give a stage, freshly built, the state that `capture_stage` returned."""
    for name, module in stage.modules().items():
        module.load_state_dict(state["modules"][name])
    for name, optimizer in stage.optimizers().items():
        optimizer.load_state_dict(state["optimizers"][name])
    if isinstance(stage, HasState):
        stage.load_state(state["plain"])


def take_over(model: nn.Module, path: str) -> str:
    """Copy the weights of a model file into ``model`` where name and shape agree; say what was done."""
    from coordgan_core.snapshot import load_model

    found, own = load_model(path).state_dict(), model.state_dict()
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    return f"{len(fitting)} of the {len(own)} tensors come from {path}"


def is_finite(stage: Stage) -> bool:
    """Return whether all weights and averages of a stage are finite; waits for the device once."""
    tensors = (
        t for m in stage.modules().values() for t in m.state_dict().values() if isinstance(t, torch.Tensor)
    )
    flags = [torch.isfinite(t).all() for t in tensors if t.is_floating_point()]
    return bool(torch.stack(flags).all()) if flags else True


@contextlib.contextmanager
def seeded(seed: int, stream: str, nimg: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators inside the block; outside they stay as they were.

    Stages draw from generators of their own; this makes initialisations, and draws that slipped through,
    reproducible.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, stream, nimg).initial_seed())
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on whatever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory")
    )

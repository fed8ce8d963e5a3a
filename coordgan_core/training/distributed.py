"""Several processes that train one model: what `torchrun` starts, with gloo on CPUs and nccl on CUDA devices.

The loop is the same for one process and for many. Each process sees its share of every batch; gradients are
averaged by the step that all stages share (`training.steps.take_step`).
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from coordgan_core.devices import resolve_device

T = TypeVar("T")


class Group:
    """The processes of this training; a group of one does nothing, for nothing."""

    def __init__(self, rank: int, world: int, device: torch.device) -> None:
        self.rank = rank
        self.world = world
        self.device = device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and decides."""
        return self.rank == 0

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of ``tensor`` over the processes."""
        if self.world == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.world

    def share(self, value: T) -> T:
        """Return the leading process's value in every process."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        shared: T = box[0]
        return shared

    def copy_from_lead(self, modules: Iterable[nn.Module]) -> None:
        """Give every process the leading process's parameters and buffers."""
        if self.world == 1:
            return
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                content = tensor.detach().contiguous()
                dist.broadcast(content, src=0)
                tensor.detach().copy_(content)


@contextlib.contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the processes that `torchrun` started (its environment variables tell), or form a group of one.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; of several processes each takes
            the CUDA device of its local rank.

    Raises:
        ConfigError: The device is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = resolve_device(device, local_rank=int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else None)
    if world == 1:
        yield Group(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # Optimisers load torch._dynamo, and functions loaded with it have "the group" as default argument. Loaded
    # while we are joined, they would keep the group and its threads for ever: threads that hold tensors can
    # crash the interpreter at its end. Loaded before, they keep nothing.
    importlib.import_module("torch._dynamo")
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=world)
    try:
        yield Group(rank, world, chosen)
    finally:
        dist.destroy_process_group()

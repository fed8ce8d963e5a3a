from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.training.distributed import joined
from coordgan_core.training.embedding import EmbeddingStage
from coordgan_core.training.joint import JointStage
from coordgan_core.training.steps import take_step
from tests.core.training import tiny_stages as tiny


def parameter(grad: list[float] | None) -> nn.Parameter:
    value = nn.Parameter(torch.zeros(2))
    value.grad = None if grad is None else torch.tensor(grad)
    return value


def test_the_norm_of_each_group_is_limited_on_its_own() -> None:
    large, small, free = parameter([3.0, 4.0]), parameter([0.3, 0.4]), parameter([3.0, 4.0])
    take_step(torch.optim.SGD([{"params": [large]}, {"params": [small]}], lr=1.0), max_norm=1.0)
    take_step(torch.optim.SGD([free], lr=1.0))
    torch.testing.assert_close(large.detach(), torch.tensor([-0.6, -0.8]))
    torch.testing.assert_close(small.detach(), torch.tensor([-0.3, -0.4]))
    torch.testing.assert_close(free.detach(), torch.tensor([-3.0, -4.0]))


WHOLE = 24
"""Images of a batch that two processes share: 12 each, whole pairs in threes (`JointStage`)."""


def pictures() -> torch.Tensor:  # [24, 3, 32, 32]
    figures = SyntheticCategory(0)
    images = torch.stack([torch.from_numpy(figures.sample(i, 32).image) for i in range(WHOLE)])
    return images.permute(0, 3, 1, 2) / 127.5 - 1.0


def gradients_of_two_steps(
    kind: type[EmbeddingStage | JointStage], images: torch.Tensor
) -> dict[str, list[torch.Tensor]]:
    """Return what each optimiser steps with, averaged and clipped, and all parameters after both steps."""
    stage = kind(tiny.config(**{"train.batch": WHOLE}), tiny.model(), tiny.source(), tiny.CPU)
    seen: list[torch.Tensor] = []

    def keep(optimizer: torch.optim.Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            seen.extend(p.grad.clone() for p in group["params"] if p.grad is not None)

    for optimizer in stage.optimizers().values():
        optimizer.register_step_pre_hook(keep)
    for step in range(2):
        stage.step(images, nimg=step * WHOLE)
    modules = stage.modules().values()
    return {"gradients": seen, "weights": [p.detach() for module in modules for p in module.parameters()]}


def _work(rank: int, port: int, out: Path) -> None:
    torch.set_num_threads(1)
    names = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
    os.environ.update(zip(names, ("127.0.0.1", str(port), "2", str(rank)), strict=True))
    with joined("cpu"):
        _train_as(rank, out)


def _train_as(rank: int, out: Path) -> None:
    shared, lone = parameter([[8.0, 0.0], [0.0, 2.0]][rank]), parameter([2.0, 0.0] if rank else None)
    unused = parameter(None)
    take_step(torch.optim.SGD([shared, lone, unused], lr=1.0), max_norm=1.0)
    result = {"shared": shared.detach(), "lone": lone.detach(), "unused": unused.detach()}
    share = pictures()[rank * WHOLE // 2 : (rank + 1) * WHOLE // 2]
    for kind in (EmbeddingStage, JointStage):
        result[kind.name] = gradients_of_two_steps(kind, share)
    torch.save(result, out / f"{rank}.pt")


def test_two_processes_step_as_one_does_with_the_whole_batch(tmp_path: Path) -> None:
    if not dist.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    mp.spawn(_work, (port, tmp_path), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert tiny.same(one, two)  # the same in both processes
    # mean (4, 1) and (1, 0): norm sqrt(18), to which the mean of two clipped gradients would not lead
    torch.testing.assert_close(one["shared"], -torch.tensor([4.0, 1.0]) / 18**0.5, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one["lone"], -torch.tensor([1.0, 0.0]) / 18**0.5, atol=1e-5, rtol=1e-5)
    assert one["unused"].tolist() == [0.0, 0.0]
    for kind in (EmbeddingStage, JointStage):
        alone = gradients_of_two_steps(kind, pictures())
        half = len(alone["gradients"]) // 2
        for got, want in zip(one[kind.name]["gradients"][:half], alone["gradients"][:half], strict=True):
            torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-3)
        # Muon computes in bfloat16 and Adam's first step knows signs alone: rounding shows after a step
        for got, want in zip(one[kind.name]["weights"], alone["weights"], strict=True):
            assert float((got - want).abs().mean()) < 1e-4

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

from coordgan_core.training.acceleration import Compiled, autocast, place
from coordgan_core.training.gan import GanStage
from tests.core.tiny import images, tiny_config, tiny_model

CPU = torch.device("cpu")


def test_autocast_reaches_convolutions_and_not_parameters() -> None:
    conv = place(nn.Conv2d(3, 4, 3), CPU, "bfloat16")
    with autocast("bfloat16", CPU):
        assert conv(images()).dtype == torch.bfloat16
    assert conv.weight.dtype == torch.float32
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    with autocast("float32", CPU):
        assert conv(images()).dtype == torch.float32


def test_a_failing_compiler_is_replaced_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_module: nn.Module, **_options: object) -> object:
        def call(*_args: object) -> Tensor:
            raise RuntimeError("no compiler here")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    layer = nn.Linear(2, 2)
    compiled = Compiled(layer, enabled=True)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(compiled(torch.ones(1, 2)), layer(torch.ones(1, 2)))
    assert "no compiler here" in caplog.text


def test_the_first_call_with_gradients_tries_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, *grads: Tensor) -> Tensor:
            raise RuntimeError("no backward pass")

    monkeypatch.setattr(torch, "compile", lambda module, **_: lambda x: Broken.apply(module(x)))
    layer = nn.Linear(2, 2)
    compiled = Compiled(layer, enabled=True)
    with torch.no_grad():
        compiled(torch.ones(1, 2))
    compiled(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad is not None


def test_a_frozen_network_is_tried_with_the_gradient_of_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    layer, x = nn.Linear(2, 2).requires_grad_(False), torch.ones(1, 2, requires_grad=True)
    compiled = Compiled(layer, enabled=True)
    compiled(2 * x).sum().backward()
    assert torch.equal(x.grad, 2 * layer.weight.sum(dim=0, keepdim=True))


def test_memory_shortage_is_not_taken_for_a_failing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_args: object) -> Tensor:
        raise torch.OutOfMemoryError("too little")

    monkeypatch.setattr(torch, "compile", lambda _module, **_: short)
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(nn.Linear(2, 2), enabled=True)(torch.ones(1, 2))


def test_stage_takes_the_same_step_behind_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    stages = [
        GanStage(tiny_config(**{"train.compile": on}), tiny_model(), CPU)  # type: ignore[arg-type]
        for on in (False, True)
    ]
    for stage in stages:
        stage.step(images(), nimg=4)
    for a, b in zip(*(stage.generator.parameters() for stage in stages), strict=True):
        assert torch.equal(a, b)


def test_a_compiled_network_that_has_no_length_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrapped:  # as torch's own wrapper, which refuses len() and with it bool()
        def __call__(self, x: Tensor) -> Tensor:
            return x + 1

        def __len__(self) -> int:
            raise TypeError("no length")

    monkeypatch.setattr(torch, "compile", lambda _module, **_: Wrapped())
    assert Compiled(nn.Identity(), enabled=True)(torch.zeros(1)).tolist() == [1.0]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_step_on_cuda(precision: str) -> None:
    config = tiny_config(**{"train.precision": precision})
    stage = GanStage(config, tiny_model(), torch.device("cuda"))  # type: ignore[arg-type]
    batch = images().cuda()
    stage.step(batch, nimg=4)
    torch.cuda.set_sync_debug_mode("error")
    try:
        stats = stage.step(batch, nimg=6)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(bool(value.isfinite()) for value in stats.values())

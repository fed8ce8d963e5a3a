from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from coordgan_core.errors import ShapeError
from coordgan_core.training.muon import ConvMuon, as_matrix


def layer(layout: torch.memory_format) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(5, 7, 3, padding=1, bias=False).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]


def backward(conv: nn.Conv2d) -> None:
    images = torch.randn(2, 5, 6, 6, generator=torch.Generator().manual_seed(1))
    conv(images).square().mean().backward()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_moves_as_the_matrix_of_its_rows_would(layout: torch.memory_format) -> None:
    conv = layer(layout)
    matrix = nn.Parameter(conv.weight.detach().clone().flatten(1))
    mine = ConvMuon([conv.weight], lr=0.1, weight_decay=0.01)
    oracle = torch.optim.Muon([matrix], lr=0.1, weight_decay=0.01)
    for _ in range(3):
        twin = layer(layout)
        twin.weight.data.copy_(matrix.detach().view_as(conv.weight))
        backward(twin)
        assert twin.weight.grad is not None
        matrix.grad = twin.weight.grad.flatten(1)
        mine.zero_grad()
        backward(conv)
        mine.step()
        oracle.step()
    torch.testing.assert_close(conv.weight.detach().flatten(1), matrix.detach(), atol=3e-3, rtol=0.0)
    assert (conv.weight.detach() - layer(layout).weight).abs().max() > 0.01


def test_gradients_of_two_passes_add_up_in_the_view() -> None:
    once, twice = layer(torch.channels_last), layer(torch.channels_last)
    one, two = ConvMuon([once.weight], lr=0.1), ConvMuon([twice.weight], lr=0.1)
    backward(once)
    backward(twice)
    backward(twice)
    (first,), (second,) = one.param_groups[0]["params"], two.param_groups[0]["params"]
    assert first.grad is not None
    assert second.grad is not None
    assert once.weight.grad is None
    torch.testing.assert_close(second.grad, 2.0 * first.grad)


def test_state_goes_on_after_loading() -> None:
    conv = layer(torch.channels_last)
    muon = ConvMuon([conv.weight], lr=0.1)
    backward(conv)
    muon.step()
    saved = copy.deepcopy((conv.state_dict(), muon.state_dict()))
    other = layer(torch.channels_last)
    again = ConvMuon([other.weight], lr=0.1)
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    for each, optimizer in ((conv, muon), (other, again)):
        optimizer.zero_grad()
        backward(each)
        optimizer.step()
    assert torch.equal(conv.weight, other.weight)


def test_a_weight_that_is_no_matrix_is_refused() -> None:
    with pytest.raises(ShapeError, match="two axes"):
        as_matrix(torch.zeros(3))
    with pytest.raises(ShapeError, match="strides"):
        as_matrix(torch.zeros(4, 6).T)


def test_a_second_optimiser_of_a_weight_takes_the_gradients_over() -> None:
    conv = layer(torch.channels_last)
    first = ConvMuon([conv.weight], lr=0.1)
    second = ConvMuon([conv.weight], lr=0.1)  # a stage that is built again after memory ran out
    backward(conv)
    before = conv.weight.detach().clone()
    assert first.param_groups[0]["params"][0].grad is None
    second.step()
    assert not torch.equal(conv.weight, before)

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from coordgan_core.config import DenseHeadConfig
from coordgan_core.models.dense_head import LOG_SCALE_LIMITS, DenseHead


def build(max_offset: float = 0.5) -> DenseHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DenseHead(DenseHeadConfig(channels=4, max_offset=max_offset), trunk_channels=8)


def inputs(seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(2, 8, 8, 12, generator=draws), torch.randn(2, 3, 16, 24, generator=draws)


def test_it_starts_by_adding_nothing() -> None:
    offsets, scale = build()(*inputs())
    assert offsets.shape == (2, 2, 16, 24)
    assert scale.shape == (2, 1, 16, 24)
    assert offsets.dtype == scale.dtype == torch.float32
    assert not offsets.any()
    torch.testing.assert_close(scale, torch.full_like(scale, math.exp(-2.0)))


@pytest.mark.parametrize("max_offset", [0.05, 0.5])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_offsets_and_scales_are_bounded_and_gradients_finite(max_offset: float, size: float) -> None:
    head = build(max_offset)
    nn.init.normal_(head.out.weight, std=size)
    offsets, scale = head(*inputs())
    farthest = float(offsets.detach().abs().max())
    assert 0.5 * max_offset < farthest <= max_offset * (1 + 1e-6)
    low, high = (math.exp(limit) for limit in LOG_SCALE_LIMITS)
    assert low * 0.999 <= float(scale.detach().min()) <= float(scale.detach().max()) <= high * 1.001
    (offsets.square().mean() + scale.mean()).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in head.parameters())


def test_the_length_of_features_does_not_matter() -> None:
    head, (features, images) = build(), inputs()
    nn.init.normal_(head.out.weight, std=0.1)
    expected = head(features, images)
    for found, value in zip(head(1e6 * features, images), expected, strict=True):
        torch.testing.assert_close(found, value)


def test_small_outputs_are_offsets_as_they_are() -> None:
    head = build()
    nn.init.constant_(head.out.bias, 0.01)
    offsets, _ = head(*inputs())
    torch.testing.assert_close(offsets, torch.full_like(offsets, 0.01), atol=1e-5, rtol=0)


def test_it_sees_both_the_image_and_the_trunk() -> None:
    head, (features, images) = build(), inputs()
    nn.init.normal_(head.out.weight)
    plain = head(features, images)[0]
    assert not torch.equal(head(features, images.flip(0))[0], plain)
    assert not torch.equal(head(features.flip(0), images)[0], plain)


def test_outputs_are_float32_under_autocast() -> None:
    head = build()
    nn.init.normal_(head.out.weight, std=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        offsets, scale = head(*inputs())
    assert offsets.dtype == scale.dtype == torch.float32

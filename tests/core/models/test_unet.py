from __future__ import annotations

import pytest
import torch
from torch import nn

from coordgan_core.errors import ShapeError
from coordgan_core.models.unet import FeatureUNet, ResidualBlock


def build(*channels: int) -> FeatureUNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FeatureUNet(channels)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", [True, False])
def test_a_residual_block_starts_as_nothing(norm: bool) -> None:
    x = noise(2, 8, 5, 7)
    assert torch.equal(ResidualBlock(8, norm=norm)(x), x)


def test_a_residual_block_is_its_formula() -> None:
    block, x = ResidualBlock(4, norm=True), noise(1, 4, 6, 6)
    nn.init.normal_(block.second.weight)
    normal = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()
    want = x + block.second(block.first(normal.relu()).relu())
    torch.testing.assert_close(block(x), want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 24), (8, 8)])
@pytest.mark.parametrize("channels", [(8, 16), (4, 8, 16), (8,)])
def test_features_are_at_half_resolution(height: int, width: int, channels: tuple[int, ...]) -> None:
    features, deepest = build(*channels)(noise(2, 3, height, width))
    assert features.shape == (2, channels[0], height // 2, width // 2)
    factor = 2 ** len(channels)
    assert deepest.shape == (2, channels[-1], height // factor, width // factor)


@pytest.mark.parametrize("shape", [(1, 3, 32, 30), (1, 3, 34, 32)])
def test_sides_that_cannot_be_halved_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="multiples of 4"):
        build(8, 16)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 4, 32, 32)])
def test_other_layouts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="image batch"):
        build(8, 16)(torch.zeros(shape))


def test_images_of_a_batch_do_not_mix() -> None:
    net, images = build(8, 16), noise(3, 3, 16, 16)
    together, _ = net(images)
    alone, _ = net(images[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("channels", "reach"), [((4,), 5), ((4, 8), 7), ((4, 8, 16), 11)])
def test_every_level_widens_the_view(channels: tuple[int, ...], reach: int) -> None:
    """While blocks are nothing: the deepest level's first cell, and four pixels beyond for the stem."""
    net, images = build(*channels), noise(1, 3, 32, 32).requires_grad_()
    net(images)[0][0, :, 0, 0].sum().backward()
    assert images.grad is not None
    assert int(images.grad.abs().sum((0, 1)).nonzero().max()) == reach


def test_every_parameter_learns_once_the_blocks_have_left_zero() -> None:
    net = build(8, 16)
    for block in net.modules():
        if isinstance(block, ResidualBlock):
            nn.init.normal_(block.second.weight, std=0.1)
    net(noise(2, 3, 16, 16))[0].square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())

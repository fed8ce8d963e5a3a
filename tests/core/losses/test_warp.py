from __future__ import annotations

import pytest
import torch
from torch import Tensor

from coordgan_core.coords import canonical_grid
from coordgan_core.losses.perceptual import Perceptual
from coordgan_core.losses.warp import affinity_warp, affinity_warp_reference, warp_loss

L1 = Perceptual("l1", "test", lambda a, b: (a - b).abs())


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def identity(height: int, width: int, count: int = 2) -> Tensor:
    return canonical_grid(height, width).expand(count, -1, -1, -1).clone()


@pytest.mark.parametrize("chunk", [4, 1000])
def test_value_and_gradients_are_those_of_the_equation(chunk: int) -> None:
    inputs = [randn(2, 2, 4, 6), randn(2, 2, 3, 5, seed=1), randn(2, 3, 3, 5, seed=2)]
    fast, plain = ([t.clone().requires_grad_() for t in inputs] for _ in range(2))
    a = affinity_warp(*fast, temperature=0.3, chunk=chunk)
    b = affinity_warp_reference(*plain, temperature=0.3)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    a.square().sum().backward()
    b.square().sum().backward()
    for x, y in zip(fast, plain, strict=True):
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-5)


def test_equal_positions_have_finite_gradients() -> None:
    maps = identity(4, 4).requires_grad_()
    affinity_warp(maps, maps, randn(2, 3, 4, 4), temperature=0.1).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_one_pixel_off_weighs_as_published() -> None:
    # Grid pitch 2/127 and tau 0.01: exp(-1.575) = 0.207 of the weight of the match.
    source = torch.stack([torch.tensor([[0.0, 2 / 127]]), torch.zeros(1, 2)])[None]
    fetched = affinity_warp(torch.zeros(1, 2, 1, 1), source, torch.tensor([[[[0.0, 1.0]]]]), temperature=0.01)
    assert float(fetched) == pytest.approx(0.207 / 1.207, abs=1e-3)


def test_mirrored_maps_fetch_the_mirrored_image() -> None:
    maps = identity(4, 6)
    maps[1, 0].neg_()
    images = randn(2, 3, 4, 6)
    warped = affinity_warp(maps, maps.flip(0), images.flip(0), temperature=1e-3)
    torch.testing.assert_close(warped, images.flip(0).flip(3))


def test_loss_compares_with_the_neighbour() -> None:
    images = randn(2, 3, 4, 6)
    loss = warp_loss(identity(4, 6), images, L1, temperature=1e-3)
    assert float(loss) == pytest.approx(float((images[0] - images[1]).abs().mean()), rel=1e-5)


def test_target_is_detached_and_source_is_not() -> None:
    # Constant images: d/dx of |x_swapped - stop(x)| is the sign of the difference, for the source alone.
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]).requires_grad_()
    warp_loss(identity(4, 4), images, L1).backward()
    grad = images.grad
    assert grad is not None
    torch.testing.assert_close(grad.sum(dim=(1, 2, 3)), torch.tensor([-0.5, 0.5]), rtol=1e-4, atol=1e-5)


def test_gradients_reach_both_maps() -> None:
    maps = (identity(4, 4) + 0.1 * randn(2, 2, 4, 4)).requires_grad_()
    warp_loss(maps, randn(2, 3, 4, 4), L1, temperature=0.3).backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_larger_images_are_reduced_to_the_side() -> None:
    images = torch.zeros(2, 3, 32, 48)
    images[1] = 1.0
    assert float(warp_loss(identity(16, 24), images, L1, side_px=12)) == pytest.approx(1.0, abs=1e-5)

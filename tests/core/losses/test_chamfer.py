from __future__ import annotations

import pytest
import torch

from coordgan_core.coords import canonical_grid
from coordgan_core.losses.chamfer import chamfer, chamfer_reference
from coordgan_core.models.warp import WarpingNetwork
from tests.core.tiny import tiny_config, tiny_model


def random_maps(height: int, width: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(3, 2, height, width, generator=draw) * 2.4 - 1.2  # some outside of the frame


@pytest.mark.parametrize("kind", ["endpoints", "centres"])
@pytest.mark.parametrize("size", [(6, 9), (8, 8)])
def test_value_and_gradient_are_those_of_the_definition(kind: str, size: tuple[int, int]) -> None:
    fast, plain = (random_maps(*size).requires_grad_() for _ in range(2))
    a, b = chamfer(fast, kind=kind, chunk=7), chamfer_reference(plain, kind)  # type: ignore[arg-type]
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    a.backward()
    b.backward()
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-4, atol=1e-6)


def test_zero_for_the_grid_in_any_order() -> None:
    grid = canonical_grid(4, 5, kind="endpoints")
    shuffled = grid.flatten(1)[:, torch.randperm(20)].reshape(1, 2, 4, 5)
    assert float(chamfer(shuffled)) == pytest.approx(0.0, abs=1e-10)


def test_collapsed_map_by_hand() -> None:
    # A 2 x 2 grid of corners, all pixels in the centre: squared distance 2 both ways.
    assert float(chamfer(torch.zeros(1, 2, 2, 2))) == pytest.approx(4.0)


def test_subset_is_right_on_average() -> None:
    maps = random_maps(8, 8)
    draw = torch.Generator().manual_seed(0)
    mean = sum(float(chamfer(maps, points=16, generator=draw)) for _ in range(300)) / 300
    assert mean == pytest.approx(float(chamfer(maps)), rel=0.05)


def test_gradients_reach_warp_and_structure_mapping_alone() -> None:
    net = tiny_model().generator
    z = torch.randn(2, tiny_config().model.mapping.code_dim)
    chamfer(net.warp(net.map_structure(z))).backward()
    reached = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert reached == {"mapping_structure", "warp"}


def test_it_spreads_a_collapsed_map() -> None:
    torch.manual_seed(0)
    net = WarpingNetwork(tiny_config().model.warp, 16)
    code = torch.randn(1, 16)
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    first = float(chamfer(net(code).detach()))
    for _ in range(60):
        adam.zero_grad()
        chamfer(net(code)).backward()
        adam.step()
    assert float(chamfer(net(code).detach())) < 0.2 * first

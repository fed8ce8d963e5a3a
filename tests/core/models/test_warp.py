from __future__ import annotations

import pytest
import torch

from coordgan_core.config import WarpConfig
from coordgan_core.coords import canonical_grid, resize_map
from coordgan_core.errors import ShapeError
from coordgan_core.models.warp import WarpingNetwork, encode_coordinates, warp_reference

FORMS = [
    WarpConfig(resolution=8, width=16),
    WarpConfig(resolution=8, width=16, fourier_bands=2, grid="centres"),
    WarpConfig(resolution=8, width=16, residual=True),
    WarpConfig(resolution=8, width=16, residual=True, squash=False, grid="centres", layers=2),
    WarpConfig(resolution=8, width=16, squash=False),
]


def codes(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(0))


def perturbed(config: WarpConfig) -> WarpingNetwork:
    network = WarpingNetwork(config, 8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return network


@pytest.mark.parametrize("config", FORMS)
@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_warp_is_its_reference(config: WarpConfig, size: tuple[int, int]) -> None:
    network = perturbed(config)
    torch.testing.assert_close(
        network(codes(), size), warp_reference(network, codes(), size), rtol=1e-4, atol=1e-5
    )


def test_published_form_by_hand() -> None:
    network = WarpingNetwork(WarpConfig(resolution=8, width=16), 8)
    code, (y, x) = codes(1), (2, 5)
    point = torch.tensor([[-1 + 2 * x / 7, -1 + 2 * y / 7]])  # end points included
    a, b, c = network.layers
    want = torch.tanh(c(torch.relu(b(torch.relu(a(torch.cat([point, code], dim=1)))))))
    torch.testing.assert_close(network(code)[0, :, y, x], want[0])


@pytest.mark.parametrize("grid", ["centres", "endpoints"])
@pytest.mark.parametrize("squash", [True, False])
def test_residual_form_starts_at_the_identity(grid: str, squash: bool) -> None:
    config = WarpConfig(resolution=8, width=16, residual=True, grid=grid, squash=squash)  # type: ignore[arg-type]
    maps = WarpingNetwork(config, 8)(codes(), (6, 10))
    want = canonical_grid(6, 10, kind=grid).expand(2, -1, -1, -1)  # type: ignore[arg-type]
    torch.testing.assert_close(maps, want, rtol=0, atol=2e-3 if squash else 1e-6)


def test_a_map_of_another_size_shows_the_same_positions() -> None:
    network = perturbed(WarpConfig(resolution=8, width=16, grid="centres"))
    large = network(codes(), (24, 60))
    # Pixel centres: the middle one of every three coincides with a pixel of the map a third as large.
    torch.testing.assert_close(large[..., 1::3, 1::3], network(codes(), (8, 20)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(resize_map(large, 8, 20), network(codes(), (8, 20)), rtol=0, atol=2e-2)


def test_squashed_maps_stay_inside_the_frame() -> None:
    network = perturbed(FORMS[0])
    with torch.no_grad():
        network.layers[-1].bias.fill_(3.0)
    assert network(codes()).abs().max() < 1.0


def test_default_initialisation_of_the_published_form() -> None:
    torch.manual_seed(0)
    network = WarpingNetwork(WarpConfig(), 512)
    bound = 514**-0.5
    first = network.layers[0].weight
    assert 0.99 * bound < first.abs().max() <= bound


def test_maps_are_float32_under_autocast() -> None:
    network = perturbed(FORMS[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = network(codes())
    assert maps.dtype == torch.float32
    assert torch.equal(maps, network(codes()))


def test_encoded_coordinates_by_hand() -> None:
    out = encode_coordinates(torch.tensor([[0.5, -0.25]]), 1)
    want = torch.tensor([[0.5, -0.25, 1.0, -(0.5**0.5), 0.0, 0.5**0.5]])
    torch.testing.assert_close(out, want, rtol=0, atol=1e-6)


def test_wrong_codes_are_refused() -> None:
    with pytest.raises(ShapeError, match="structure code"):
        perturbed(FORMS[0])(torch.zeros(2, 7))

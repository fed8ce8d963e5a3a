from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from coordgan_core.errors import ShapeError
from coordgan_core.losses.structural import (
    StructuralLoss,
    correlation_loss,
    edge_tensor,
    gradient_distance,
    local_correlation,
    mind,
)

MEASURES = [{"gradient": 1.0}, {"correlation": 1.0}, {"self_similarity": 1.0}]
OFF = {"gradient": 0.0, "correlation": 0.0, "self_similarity": 0.0}


def shapes(shift: float = 0.0, side: int = 48) -> Tensor:
    """A disc and a bar on a ground, ``[1, 3, side, side]``."""
    line = (2 * torch.arange(side) + 1) / side - 1
    y, x = line[:, None], line[None]
    disc = torch.sigmoid(20 * (0.4 - ((x - shift) ** 2 + (y + 0.2) ** 2).sqrt()))
    bar = torch.sigmoid(20 * (0.15 - (y - 0.6 + shift).abs()))
    return torch.stack([disc - 0.5 * bar, 0.3 * disc - 0.2, bar - 0.4 * disc])[None]


def recoloured(image: Tensor) -> Tensor:
    return (-0.6 * image[:, [2, 0, 1]] + 0.25).clamp(-1, 1)


@pytest.mark.parametrize("measure", MEASURES)
def test_zero_for_equal_images(measure: dict[str, float]) -> None:
    loss = StructuralLoss(**(OFF | measure))
    value = float(loss(shapes(), shapes()))
    if "correlation" in measure:  # flat windows correlate with nothing, themselves included
        assert value < 0.5
    else:
        assert value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("measure", [*MEASURES, {"gradient": 1.0, "correlation": 1.0}])
def test_blind_to_colour_and_alert_to_place(measure: dict[str, float]) -> None:
    loss = StructuralLoss(**(OFF | measure))
    same = float(loss(shapes(), shapes()))
    colour = float(loss(shapes(), recoloured(shapes()))) - same
    place = float(loss(shapes(), shapes(0.3))) - same
    assert place > 2.5 * colour


def test_gradients_are_finite_and_reach_both() -> None:
    a, b = shapes().requires_grad_(), torch.zeros(1, 3, 48, 48, requires_grad=True)
    StructuralLoss(self_similarity=1.0)(a, b).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()
    assert a.grad.abs().sum() > 0


def test_descending_aligns_a_shifted_shape() -> None:
    shift = torch.tensor(0.25, requires_grad=True)
    adam = torch.optim.Adam([shift], lr=0.02)
    line = (2 * torch.arange(48) + 1) / 48 - 1

    def disc(at: Tensor) -> Tensor:
        radius = ((line[None] - at) ** 2 + line[:, None] ** 2 + 1e-6).sqrt()
        return torch.sigmoid(12 * (0.4 - radius)).expand(1, 3, -1, -1)

    target = recoloured(disc(torch.tensor(0.0)))
    for _ in range(60):
        adam.zero_grad()
        StructuralLoss()(disc(shift), target).sum().backward()
        adam.step()
    assert abs(float(shift.detach())) < 0.03


def test_edge_distance_by_hand() -> None:
    ramp_x = torch.arange(6.0).expand(1, 1, 6, 6) * 4
    ramp_y = ramp_x.mT
    flat = torch.zeros(1, 1, 6, 6)
    middle = edge_tensor(ramp_x)[0, :, 3, 3]
    # Central differences give 4 inside and 2 on the border columns: eta^2 = (4 * 16 + 2 * 4) / 6 = 12.
    torch.testing.assert_close(middle, torch.tensor([16 / 28, 0.0, 0.0]), rtol=1e-4, atol=1e-6)
    inner, outer = 16 / 28, 4 / 16
    squares = (4 * inner**2 + 2 * outer**2) / 6
    assert float(gradient_distance(ramp_x, flat)) == pytest.approx(squares, rel=1e-4)
    assert float(gradient_distance(ramp_x, ramp_y)) == pytest.approx(2 * squares, rel=1e-4)
    assert float(gradient_distance(ramp_x, -3 * ramp_x)) == pytest.approx(0.0, abs=1e-4)
    assert math.isclose(float(gradient_distance(flat, flat)), 0.0)


def test_local_correlation_is_that_of_each_window() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 1, 12, 12, generator=draw) for _ in range(2))
    got = local_correlation(a, b, 5)[0, 0, 6, 4]
    pair = torch.stack([a[0, 0, 4:9, 2:7].flatten(), b[0, 0, 4:9, 2:7].flatten()])
    assert float(got) == pytest.approx(float(torch.corrcoef(pair)[0, 1]), abs=1e-3)
    torch.testing.assert_close(local_correlation(a, 2 * a + 3), torch.ones_like(a), rtol=0, atol=2e-3)
    torch.testing.assert_close(correlation_loss(a, -a), torch.tensor([2.0]), rtol=0, atol=5e-3)


def test_self_similarity_is_a_likeness() -> None:
    descriptor = mind(shapes())
    assert descriptor.shape == (1, 4, 48, 48)
    assert descriptor.min() >= 0
    torch.testing.assert_close(descriptor.amax(dim=1), torch.ones(1, 48, 48))


def test_small_and_non_square_images() -> None:
    assert StructuralLoss(self_similarity=1.0)(torch.rand(2, 3, 9, 20), torch.rand(2, 3, 9, 20)).shape == (2,)
    with pytest.raises(ShapeError):
        StructuralLoss()(torch.rand(2, 3, 9, 20), torch.rand(2, 3, 20, 9))


def test_edges_weigh_the_same_in_every_direction() -> None:
    x = torch.arange(20.0)
    for turn in (0.0, 0.3, math.pi / 4, 2.0):
        ramp = 2 * (math.cos(turn) * x[None] + math.sin(turn) * x[:, None])[None, None]
        middle = edge_tensor(ramp)[0, :, 10, 10]
        # A slope of 2 everywhere but on the border: 4 / (4 + eta^2), eta^2 a little below 4.
        assert 0.5 < float(middle.square().sum().sqrt()) < 0.53
        assert float(middle[0] + middle[1]) == pytest.approx(float(middle.square().sum().sqrt()), rel=1e-4)

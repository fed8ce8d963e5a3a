from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coordgan_core.coords import canonical_grid
from coordgan_core.losses.equivariance import (
    equivariance_loss,
    equivariance_reference,
    gather_pixels,
    prototype_loss,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(noise(*shape, seed=seed), dim=1)


def every_pixel(batch: int, height: int, width: int) -> Tensor:
    return torch.arange(height * width).expand(batch, -1)


def one_hot(height: int, width: int) -> Tensor:
    """Descriptors that name their pixel, ``[1, h w, h, w]``."""
    return torch.eye(height * width).reshape(1, height * width, height, width)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 1000),
    st.integers(1, 3),
    st.integers(2, 6),
    st.integers(2, 6),
    st.sampled_from([0.02, 0.07, 1.0]),
)
def test_it_is_its_formula(seed: int, batch: int, height: int, width: int, temperature: float) -> None:
    first, second = unit(batch, 5, height, width, seed=seed), unit(batch, 5, height, width, seed=seed + 1)
    field = canonical_grid(height, width) * 1.2 + 0.3 * noise(batch, 2, height, width, seed=seed + 2)
    draws = torch.Generator().manual_seed(seed)
    queries = torch.randint(height * width, (batch, 7), generator=draws)
    got = equivariance_loss(first, second, field, temperature=temperature, queries=queries)
    want = equivariance_reference(first, second, field, temperature=temperature, queries=queries)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_by_hand() -> None:
    """Two pixels at x = -0.5 and 0.5; the second view's left one shows what lies at -0.5 of the first.

    Similarities 1 and 0 at temperature 1: the match is e : 1, and only the wrong half costs its distance, 1.
    """
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[
        None, :, None
    ]  # [1, 2, 1, 2], pixels at (-0.5, 0), (0.5, 0)
    field = torch.tensor([-0.5, 0.0])[None, :, None, None].expand(1, 2, 1, 2)
    loss = equivariance_loss(first, first, field, temperature=1.0, queries=torch.tensor([[0]]))
    assert float(loss) == pytest.approx(1 / (1 + math.e), abs=1e-6)


def test_descriptors_that_name_their_pixel_cost_nothing() -> None:
    descriptors = one_hot(4, 6)
    field, queries = canonical_grid(4, 6)[None], every_pixel(1, 4, 6)
    perfect = equivariance_loss(descriptors, descriptors, field, temperature=0.05, queries=queries)
    assert float(perfect) < 1e-3
    moved = descriptors.roll(1, dims=3)
    wrong = equivariance_loss(descriptors, moved, field, temperature=0.05, queries=queries)
    assert float(wrong) > 0.3  # one pixel off is 1/3, at one edge five times that


def test_moving_the_view_along_with_its_field_costs_nothing() -> None:
    descriptors = one_hot(4, 6)
    moved = descriptors.roll(1, dims=3)  # pixel i shows what pixel i - 1 showed
    field = canonical_grid(4, 6)[None].roll(1, dims=3)
    queries = every_pixel(1, 4, 6)
    assert float(equivariance_loss(descriptors, moved, field, temperature=0.05, queries=queries)) < 1e-3


def test_positions_outside_do_not_count() -> None:
    first, second = unit(1, 4, 3, 3), unit(1, 4, 3, 3, seed=1)
    field = canonical_grid(3, 3)[None].clone()
    queries = torch.tensor([[4, 5]])
    alone = equivariance_loss(first, second, field, temperature=0.1, queries=queries[:, :1])
    field[0, 0, 1, 2] = 1.5  # flat pixel 5 now comes from beyond the right edge
    both = equivariance_loss(first, second, field, temperature=0.1, queries=queries)
    torch.testing.assert_close(both, alone)
    nothing = equivariance_loss(first, second, field, temperature=0.1, queries=queries[:, 1:])
    assert float(nothing) == 0.0
    assert float(equivariance_reference(first, second, field, temperature=0.1, queries=queries[:, 1:])) == 0.0


def test_gradients_reach_both_views_and_only_asked_pixels() -> None:
    first, second = unit(2, 4, 3, 3).requires_grad_(), unit(2, 4, 3, 3, seed=1).requires_grad_()
    queries = torch.tensor([[4, 4], [0, 8]])
    field = 0.9 * canonical_grid(3, 3).expand(2, -1, -1, -1)
    equivariance_loss(first, second, field, temperature=0.1, queries=queries).backward()
    assert first.grad is not None
    assert second.grad is not None
    assert bool((first.grad.flatten(2).abs().sum(1) > 0).all())
    touched = second.grad.flatten(2).abs().sum(1) > 0
    assert touched.nonzero().tolist() == [[0, 4], [1, 0], [1, 8]]


def test_gradients_are_those_of_the_formula() -> None:
    field, queries = 0.8 * canonical_grid(3, 4)[None], every_pixel(1, 3, 4)
    grads = []
    for loss in (equivariance_loss, equivariance_reference):
        first, second = unit(1, 4, 3, 4).requires_grad_(), unit(1, 4, 3, 4, seed=1).requires_grad_()
        loss(first, second, field, temperature=0.2, queries=queries).backward()
        grads.append((first.grad, second.grad))
    torch.testing.assert_close(grads[0], grads[1], atol=1e-4, rtol=1e-4)


def test_half_precision_around_it_changes_nothing() -> None:
    first, second = unit(1, 4, 3, 3), unit(1, 4, 3, 3, seed=1)
    field, queries = canonical_grid(3, 3)[None], every_pixel(1, 3, 3)
    plain = equivariance_loss(first, second, field, temperature=0.1, queries=queries)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(equivariance_loss(first, second, field, temperature=0.1, queries=queries), plain)


# ---- against prototypes


def test_with_the_first_view_as_prototypes_it_is_the_same_loss() -> None:
    first, second = unit(1, 4, 5, 5), unit(1, 4, 5, 5, seed=1)
    field, queries = 0.9 * canonical_grid(5, 5)[None], every_pixel(1, 5, 5)
    want = equivariance_reference(first, second, field, temperature=0.1, queries=queries)
    valid = torch.ones(1, 1, 5, 5)
    got = prototype_loss(second, field, valid, first[0], temperature=0.1, queries=queries)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_invalid_pixels_do_not_count() -> None:
    descriptors, prototypes = unit(2, 4, 3, 3).requires_grad_(), unit(1, 4, 5, 5, seed=1)[0]
    target = canonical_grid(3, 3).expand(2, -1, -1, -1).clone()
    valid = torch.zeros(2, 1, 3, 3)
    valid[0, 0, 1, 1], valid[1, 0, 0, 0] = 1.0, 0.5  # the second only in part: it does not count either
    target[1] = 7.0
    loss = prototype_loss(
        descriptors, target, valid, prototypes, temperature=0.1, queries=every_pixel(2, 3, 3)
    )
    alone = prototype_loss(
        descriptors[:1], target[:1], valid[:1], prototypes, temperature=0.1, queries=torch.tensor([[4]])
    )
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert descriptors.grad is not None
    assert descriptors.grad.flatten(2).abs().sum(1).nonzero().tolist() == [[0, 4]]


def test_nothing_valid_costs_nothing() -> None:
    descriptors = unit(1, 4, 3, 3).requires_grad_()
    loss = prototype_loss(
        descriptors,
        canonical_grid(3, 3)[None],
        torch.zeros(1, 1, 3, 3),
        unit(1, 4, 5, 5)[0],
        temperature=0.1,
        queries=every_pixel(1, 3, 3),
    )
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert descriptors.grad is not None
    assert not descriptors.grad.any()


def test_gathering_takes_flat_pixels() -> None:
    values = torch.arange(12.0).reshape(1, 2, 2, 3)
    assert gather_pixels(values, torch.tensor([[5, 0, 5]])).tolist() == [[[5, 11], [0, 6], [5, 11]]]

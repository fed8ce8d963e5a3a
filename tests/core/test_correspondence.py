from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coordgan_core.coords import canonical_grid
from coordgan_core.correspondence import match, propagate_one_shot, soften
from coordgan_core.errors import ShapeError


def random_map(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def plain_affinity(query: torch.Tensor, reference: torch.Tensor, temperature: float) -> torch.Tensor:
    q, r = query.flatten(1), reference.flatten(1)
    weight = torch.exp(-((q[:, :, None] - r[:, None, :]) ** 2).sum(0).sqrt().double() / temperature)
    return (weight / weight.sum(1, keepdim=True)).float()


@settings(max_examples=20, deadline=None)
@given(
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    seed=st.integers(0, 99),
    chunk=st.integers(1, 40),
    soft=st.booleans(),
)
def test_match_is_the_published_equation(h: int, w: int, seed: int, chunk: int, soft: bool) -> None:
    query, reference = random_map(5, 4, seed), random_map(h, w, seed + 1)
    want = plain_affinity(query, reference, 0.2)
    if not soft:
        want = torch.nn.functional.one_hot(want.argmax(1), h * w).float()
    got = match(query, reference, temperature=0.2, hard=not soft, chunk=chunk)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-6)
    values = torch.randn(3, h, w)
    carried = match(query, reference, values, temperature=0.2, hard=not soft, chunk=chunk)
    torch.testing.assert_close(carried.flatten(1), values.flatten(1) @ want.T, rtol=1e-3, atol=1e-4)


def test_batches_and_one_reference_for_all() -> None:
    queries, reference, values = (
        torch.stack([random_map(3, 4), random_map(3, 4, 1)]),
        random_map(2, 5),
        torch.rand(3, 2, 5),
    )
    got = match(queries, reference, values)
    assert got.shape == (2, 3, 3, 4)
    torch.testing.assert_close(got[1], match(queries[1], reference, values))


def test_soft_labels_stay_distributions() -> None:
    soft = soften(torch.randint(0, 4, (17, 23)), 4, 6, 8)
    torch.testing.assert_close(soft.sum(0), torch.ones(6, 8))
    carried = match(random_map(5, 5), random_map(6, 8), soft)
    torch.testing.assert_close(carried.sum(0), torch.ones(5, 5))


def test_softening_by_hand() -> None:
    soft = soften(torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]]), 2, 1, 2)
    torch.testing.assert_close(soft[1], torch.tensor([[0.0, 1.0]]))
    # Bilinear without anti-aliasing, as published: 4 -> 3 pixels samples at 1/6, 1.5, 17/6.
    three = soften(torch.tensor([[0, 0, 1, 1]]), 2, 1, 3)
    torch.testing.assert_close(three[1], torch.tensor([[0.0, 0.5, 1.0]]))


def test_one_shot_undoes_a_mirror() -> None:
    reference = canonical_grid(12, 16)
    query = reference * torch.tensor([-1.0, 1.0])[:, None, None]
    labels = torch.zeros(12, 16, dtype=torch.uint8)
    labels[2:6, 1:5], labels[8:11, 10:15] = 1, 2
    for hard in (True, False):
        got = propagate_one_shot(query[None], reference, labels, 3, hard=hard)
        assert got.dtype == torch.uint8
        assert torch.equal(got[0], labels.flip(1))


def test_label_maps_of_any_size_and_wrong_shapes() -> None:
    maps = canonical_grid(8, 8)
    assert propagate_one_shot(maps[None], maps, torch.ones(50, 31, dtype=torch.uint8), 2).eq(1).all()
    with pytest.raises(ShapeError):
        match(torch.zeros(3, 4, 4), maps)
    with pytest.raises(ShapeError):
        match(maps, maps, torch.zeros(2, 7, 8))
    with pytest.raises(ShapeError):
        propagate_one_shot(maps[None], maps, torch.ones(8, 8, dtype=torch.uint8), 300)

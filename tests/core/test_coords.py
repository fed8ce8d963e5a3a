from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coordgan_core.coords import (
    canonical_grid,
    check_shape,
    compose,
    jacobian_determinant,
    map_to_grid,
    resize_map,
    sample,
    to_normalised,
    to_pixels,
)
from coordgan_core.data.augment import warp_images
from coordgan_core.errors import ShapeError

SIZES = st.tuples(st.integers(2, 23), st.integers(2, 23))
MATRICES = st.tuples(*[st.floats(-0.4, 0.4) for _ in range(6)]).map(
    lambda v: torch.tensor([[1.0 + v[0], v[1], v[2]], [v[3], 1.0 + v[4], v[5]]])
)
# No point leaves the pixel centres of an 11 x 16 map: 0.6 + 0.15 + 0.1 < 1 - 1 / 11.
CONTRACTIONS = st.tuples(
    st.floats(0.2, 0.6),
    st.floats(-0.15, 0.15),
    st.floats(-0.15, 0.15),
    st.floats(0.2, 0.6),
    st.floats(-0.1, 0.1),
).map(lambda v: torch.tensor([[v[0], v[1], v[4]], [v[2], v[3], -v[4]]]))


def affine(matrix: Tensor, height: int, width: int) -> Tensor:
    """The map p -> A p + t of a 2 x 3 matrix, ``[1, 2, height, width]``."""
    grid = canonical_grid(height, width)
    return (torch.einsum("ij,jhw->ihw", matrix[:, :2], grid) + matrix[:, 2, None, None])[None]


def product(outer: Tensor, inner: Tensor) -> Tensor:
    """The 2 x 3 matrix of ``outer(inner(p))``."""
    return torch.cat([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], 1)


# ---- grids and positions


def test_centres_by_hand() -> None:
    grid = canonical_grid(2, 4)
    assert grid.dtype == torch.float32
    assert grid.tolist() == [
        [[-0.75, -0.25, 0.25, 0.75], [-0.75, -0.25, 0.25, 0.75]],
        [[-0.5, -0.5, -0.5, -0.5], [0.5, 0.5, 0.5, 0.5]],
    ]


def test_endpoints_by_hand() -> None:
    grid = canonical_grid(2, 3, kind="endpoints")
    assert grid.tolist() == [[[-1, 0, 1], [-1, 0, 1]], [[-1, -1, -1], [1, 1, 1]]]


def test_published_pitch() -> None:
    grid = canonical_grid(128, 128, kind="endpoints")
    assert float(grid[0, 0, 1] - grid[0, 0, 0]) == pytest.approx(2 / 127, abs=1e-6)


def test_grid_of_one_pixel_is_the_middle() -> None:
    assert canonical_grid(1, 1).flatten().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("pixel", "size", "position"), [(0, 4, -0.75), (3, 4, 0.75), (-0.5, 4, -1), (1, 3, 0)]
)
def test_positions_by_hand(pixel: float, size: int, position: float) -> None:
    assert float(to_normalised(torch.tensor(float(pixel)), size)) == pytest.approx(position)
    assert float(to_pixels(torch.tensor(float(position)), size)) == pytest.approx(pixel)


@settings(deadline=None, max_examples=40)
@given(st.floats(-100, 1100), st.integers(1, 1000))
def test_pixels_and_positions_are_inverse(pixel: float, size: int) -> None:
    there = to_normalised(torch.tensor(pixel, dtype=torch.float64), size)
    assert float(to_pixels(there, size)) == pytest.approx(pixel, abs=1e-8)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50))
def test_pixel_centres_are_those_of_the_grid(size: int) -> None:
    want = to_normalised(torch.arange(size, dtype=torch.float32), size)
    torch.testing.assert_close(canonical_grid(3, size)[0, 0], want)


def test_sampling_at_the_identity_changes_nothing() -> None:
    values = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    here = canonical_grid(5, 7).expand(2, -1, -1, -1)
    torch.testing.assert_close(sample(values, here), values, atol=1e-5, rtol=0)
    torch.testing.assert_close(sample(values[:1], here)[1], values[0], atol=1e-5, rtol=0)


def test_map_to_grid_puts_x_first() -> None:
    grid = map_to_grid(canonical_grid(2, 4)[None])
    assert grid.shape == (1, 2, 4, 2)
    assert grid[0, 1, 3].tolist() == [0.75, 0.5]


# ---- resizing


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES)
def test_resizing_keeps_the_identity(old: tuple[int, int], new: tuple[int, int]) -> None:
    resized = resize_map(canonical_grid(*old)[None], *new)
    torch.testing.assert_close(resized[0], canonical_grid(*new), atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=40)
@given(MATRICES, SIZES, SIZES)
def test_resizing_keeps_affine_maps(matrix: Tensor, old: tuple[int, int], new: tuple[int, int]) -> None:
    resized, want = resize_map(affine(matrix, *old), *new), affine(matrix, *new)
    x, y = canonical_grid(*new)
    inside = (x.abs() <= 1 - 1 / old[1]) & (y.abs() <= 1 - 1 / old[0])  # among the old pixels' centres
    error = (resized - want).abs()
    assert float((error * inside).max()) < 1e-5
    # Outside, the offset of the nearest centre serves, at most half an old pixel away on each axis.
    assert float(error.max()) <= 0.4 / old[0] + 0.4 / old[1] + 1e-5


def test_resizing_to_the_same_size_returns_the_map_itself() -> None:
    maps = canonical_grid(3, 5)[None]
    assert resize_map(maps, 3, 5) is maps


# ---- composition


@settings(deadline=None, max_examples=40)
@given(MATRICES, MATRICES, SIZES)
def test_composition_of_affine_maps_is_their_product(
    outer: Tensor, inner: Tensor, size: tuple[int, int]
) -> None:
    second = affine(inner, *size)
    got, want = compose(affine(outer, 17, 12), second), affine(product(outer, inner), *size)
    among_centres = (second.abs() <= 1 - 1 / 12).all(
        1, keepdim=True
    )  # of the outer map: nothing extrapolated
    assert float(((got - want).abs() * among_centres).max()) < 1e-5


@settings(deadline=None, max_examples=40)
@given(CONTRACTIONS, CONTRACTIONS, CONTRACTIONS)
def test_composition_is_associative(a: Tensor, b: Tensor, c: Tensor) -> None:
    f, g, h = (affine(m, 16, 11) for m in (a, b, c))
    left, right = compose(compose(f, g), h), compose(f, compose(g, h))
    torch.testing.assert_close(left, right, atol=1e-5, rtol=0)
    torch.testing.assert_close(left, affine(product(product(a, b), c), 16, 11), atol=1e-5, rtol=0)


def test_identity_is_neutral_on_both_sides() -> None:
    identity = canonical_grid(6, 9)[None]
    maps = identity + 0.1 * torch.randn(1, 2, 6, 9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(compose(maps, identity), maps, atol=1e-6, rtol=0)
    torch.testing.assert_close(compose(identity, maps), maps, atol=1e-6, rtol=0)


def test_a_warped_image_has_the_composed_map() -> None:
    # The image's colours are its canonical positions: warping it is composing its map.
    draws = torch.Generator().manual_seed(2)
    known = affine(torch.tensor([[0.8, 0.1, 0.05], [-0.2, 0.9, 0.1]]), 24, 40)
    known = known + 0.05 * torch.sin(3.0 * known.flip(1))
    field = 0.7 * canonical_grid(24, 40)[None] + 0.1 * torch.rand(1, 2, 1, 1, generator=draws)
    coordinate_image = torch.cat([known, known[:, :1]], 1)
    warped = warp_images(coordinate_image, field)[:, :2]
    torch.testing.assert_close(compose(known, field), warped, atol=1e-5, rtol=0)


def test_composition_takes_maps_of_two_sizes() -> None:
    outer, inner = affine(torch.tensor([[1.0, 0, 0.25], [0, 1, -0.5]]), 4, 5), canonical_grid(7, 3)[None]
    shift = torch.tensor([0.25, -0.5])[:, None, None]
    torch.testing.assert_close(compose(outer, inner), inner + shift)


# ---- area change


@pytest.mark.parametrize(
    ("matrix", "determinant"),
    [
        ([[1.0, 0.0, 0.3], [0.0, 1.0, -0.2]], 1.0),
        ([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]], 1.0),
        ([[2.0, 0.5, 0.0], [0.25, 1.5, 0.0]], 2.875),
        ([[math.cos(0.7), -math.sin(0.7), 0.0], [math.sin(0.7), math.cos(0.7), 0.0]], 1.0),
        ([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], -1.0),
        ([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], -1.0),
        ([[1.0, 2.0, 0.0], [0.5, 1.0, 0.0]], 0.0),
    ],
)
@pytest.mark.parametrize("size", [(4, 4), (3, 9), (10, 5)])
def test_area_change_of_affine_maps(
    matrix: list[list[float]], determinant: float, size: tuple[int, int]
) -> None:
    area = jacobian_determinant(affine(torch.tensor(matrix), *size))
    assert area.shape == (1, size[0] - 1, size[1] - 1)
    torch.testing.assert_close(area, torch.full_like(area, determinant), atol=1e-5, rtol=0)


def test_area_change_is_negative_exactly_where_a_map_folds() -> None:
    maps = canonical_grid(3, 5)[None].clone()  # x = -0.8, -0.4, 0, 0.4, 0.8
    maps[0, 0] = torch.tensor([-0.8, 0.0, -0.4, 0.4, 0.8])  # the second and third column exchanged
    area = jacobian_determinant(maps)
    want = torch.tensor([2.0, -1.0, 2.0, 1.0]).expand(1, 2, 4)
    torch.testing.assert_close(area, want, atol=1e-5, rtol=0)


# ---- shapes


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 3, 4, 4), (1, 2, 4, 4, 1), ()])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        check_shape(torch.zeros(shape), "B 2 H W", "thing")
    assert "thing" in caught.value.found
    assert str(list(shape)) in caught.value.found
    assert caught.value.expected == "[B, 2, H, W]"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (0, 2, 1, 9)])
def test_right_shapes_pass(shape: tuple[int, ...]) -> None:
    check_shape(torch.zeros(shape), "B 2 H W", "thing")


@pytest.mark.parametrize("function", [map_to_grid, jacobian_determinant, lambda m: resize_map(m, 4, 4)])
def test_functions_check_their_maps(function: object) -> None:
    with pytest.raises(ShapeError, match="correspondence map"):
        function(torch.zeros(1, 3, 8, 8))  # type: ignore[operator]

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
from coordgan_core.errors import ShapeError

sides = st.integers(2, 23)
quick = settings(max_examples=30, deadline=None)


def affine(matrix: Tensor, shift: Tensor, height: int, width: int) -> Tensor:
    """The map ``x -> M x + b`` on the pixels of a ``height x width`` image."""
    moved = torch.einsum("ij,jhw->ihw", matrix, canonical_grid(height, width))
    return (moved + shift[:, None, None])[None]


def small_affine(seed: int) -> tuple[Tensor, Tensor]:
    """An affine map that stays well inside of the frame."""
    draw = torch.Generator().manual_seed(seed)
    matrix = 0.4 * torch.eye(2) + 0.1 * (2 * torch.rand(2, 2, generator=draw) - 1)
    return matrix, 0.05 * (2 * torch.rand(2, generator=draw) - 1)


def test_grids_by_hand() -> None:
    centres = canonical_grid(2, 4)
    assert centres[0, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert centres[1, :, 0].tolist() == [-0.5, 0.5]
    ends = canonical_grid(3, 2, kind="endpoints")
    assert ends[0, 0].tolist() == [-1.0, 1.0]
    assert ends[1, :, 0].tolist() == [-1.0, 0.0, 1.0]


@quick
@given(pixel=st.floats(-10, 5000), size=st.integers(1, 5000))
def test_pixels_and_positions_are_inverse(pixel: float, size: int) -> None:
    there = to_normalised(torch.tensor(pixel, dtype=torch.float64), size)
    assert float(to_pixels(there, size)) == pytest.approx(pixel, abs=1e-9 * size)


@quick
@given(height=sides, width=sides)
def test_the_grid_is_where_the_pixels_are(height: int, width: int) -> None:
    x, y = canonical_grid(height, width)
    columns = torch.arange(width).float().expand(height, width)
    rows = torch.arange(height).float()[:, None].expand(height, width)
    torch.testing.assert_close(to_pixels(x, width), columns, rtol=0, atol=1e-4)
    torch.testing.assert_close(to_pixels(y, height), rows, rtol=0, atol=1e-4)


@quick
@given(height=sides, width=sides, new_height=sides, new_width=sides)
def test_the_identity_stays_the_identity_at_every_size(
    height: int, width: int, new_height: int, new_width: int
) -> None:
    resized = resize_map(canonical_grid(height, width)[None], new_height, new_width)
    torch.testing.assert_close(resized[0], canonical_grid(new_height, new_width), rtol=0, atol=1e-5)


@quick
@given(height=sides, width=sides)
def test_sampling_at_the_identity_changes_nothing_and_a_mirror_mirrors(height: int, width: int) -> None:
    values = torch.rand(1, 3, height, width)
    identity = canonical_grid(height, width)[None]
    torch.testing.assert_close(sample(values, identity), values, rtol=0, atol=1e-4)
    mirror = identity * torch.tensor([-1.0, 1.0])[None, :, None, None]
    torch.testing.assert_close(sample(values, mirror), values.flip(3), rtol=0, atol=1e-4)


@quick
@given(height=st.integers(4, 23), width=st.integers(4, 23), seed=st.integers(0, 99))
def test_composition_is_the_composition_of_functions(height: int, width: int, seed: int) -> None:
    (a, b), (c, d) = small_affine(seed), small_affine(seed + 1)
    got = compose(affine(a, b, height, width), affine(c, d, height, width))
    want = affine(a @ c, a @ d + b, height, width)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-4)


@quick
@given(seed=st.integers(0, 99))
def test_the_map_of_a_warped_image_is_the_map_sampled_where_the_image_was(seed: int) -> None:
    height, width = 20, 31
    x, y = canonical_grid(height, width)
    curved = torch.stack([x + 0.1 * torch.sin(2 * y), y - 0.1 * x * x])[None]
    field = affine(*small_affine(seed), 17, 12)  # warping may change the size, too
    moved_x, moved_y = field[0]
    want = torch.stack([moved_x + 0.1 * torch.sin(2 * moved_y), moved_y - 0.1 * moved_x * moved_x])[None]
    torch.testing.assert_close(compose(curved, field), want, rtol=0, atol=2e-3)
    torch.testing.assert_close(sample(curved, field), want, rtol=0, atol=2e-3)


@quick
@given(height=sides, width=sides, scale_x=st.floats(-2, 2), scale_y=st.floats(-2, 2))
def test_area_change_does_not_depend_on_the_size(
    height: int, width: int, scale_x: float, scale_y: float
) -> None:
    maps = affine(torch.diag(torch.tensor([scale_x, scale_y])), torch.zeros(2), height, width)
    got = jacobian_determinant(maps)
    want = torch.full((1, height - 1, width - 1), scale_x * scale_y)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)


def test_a_turn_keeps_areas_on_images_of_any_shape() -> None:
    turn = torch.tensor([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    got = jacobian_determinant(affine(turn, torch.zeros(2), 9, 30))
    torch.testing.assert_close(got, torch.ones_like(got), rtol=0, atol=1e-4)


def test_grids_for_sampling_hold_x_then_y() -> None:
    grid = map_to_grid(canonical_grid(2, 3)[None])
    assert grid.shape == (1, 2, 3, 2)
    assert grid[0, 0, 2].tolist() == pytest.approx([2 / 3, -0.5])


def test_shapes_are_checked_at_the_door() -> None:
    check_shape(torch.zeros(5, 2, 3, 4), "B 2 H W", "map")
    for wrong in (torch.zeros(2, 3, 4), torch.zeros(1, 3, 4, 4)):
        with pytest.raises(ShapeError, match="map has shape"):
            check_shape(wrong, "B 2 H W", "map")

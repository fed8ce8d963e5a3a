from __future__ import annotations

import pytest
import torch

from coordgan_core.coords import canonical_grid, jacobian_determinant
from coordgan_core.data.augment import (
    blur,
    diff_augment,
    inside,
    jitter_colours,
    noise,
    occlude,
    photometric,
    random_warp,
    smallest_stretch,
    warp_images,
)
from coordgan_core.data.sampler import generator


def draws(step: int = 0) -> torch.Generator:
    return generator(0, "test", step)


def images(batch: int = 4, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=draws(99)) * 2 - 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96), (96, 32)])
def test_fields_never_fold(height: int, width: int) -> None:
    for step in range(12):
        field = random_warp(32, height, width, generator=draws(step))
        assert field.shape == (32, 2, height, width)
        assert jacobian_determinant(field).min() > 0.02


def test_without_the_guard_fields_would_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordgan_core.data.augment._without_folds", lambda displacement, _: displacement)
    folds = [jacobian_determinant(random_warp(32, 64, generator=draws(s))).min() < 0 for s in range(12)]
    assert any(folds)


def test_strength_zero_is_the_identity() -> None:
    field = random_warp(2, 8, 12, strength=0.0, generator=draws())
    torch.testing.assert_close(field, canonical_grid(8, 12).expand(2, -1, -1, -1))


def test_fields_are_random_per_sample_and_reproducible() -> None:
    field = random_warp(3, 16, generator=draws())
    torch.testing.assert_close(field, random_warp(3, 16, generator=draws()), rtol=0, atol=0)
    assert (field[0] - field[1]).abs().mean() > 0.05


def test_a_field_hardly_depends_on_the_resolution() -> None:
    coarse, fine = random_warp(4, 32, generator=draws()), random_warp(4, 64, generator=draws())
    pooled = torch.nn.functional.avg_pool2d(fine, 2)
    assert (pooled - coarse).abs().mean() < 0.01


def test_rotation_is_rigid_in_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOG_SCALE": 0.0, "LOG_ASPECT": 0.0, "SHEAR": 0.0, "DISPLACEMENTS": ()}.items():
        monkeypatch.setattr(f"coordgan_core.data.augment._{name}", value)
    field = random_warp(1, 20, 60, generator=draws())[0]
    pixels = field * torch.tensor([30.0, 10.0])[:, None, None]
    right, down = pixels[:, 0, 1] - pixels[:, 0, 0], pixels[:, 1, 0] - pixels[:, 0, 0]
    torch.testing.assert_close(right.norm(), torch.tensor(1.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(down.norm(), torch.tensor(1.0), atol=1e-4, rtol=0)
    assert abs(float(right @ down)) < 1e-4


def test_warping_the_coordinates_gives_the_field() -> None:
    field = random_warp(4, 24, 32, generator=draws())
    grid = canonical_grid(48, 64).expand(4, -1, -1, -1)
    warped = warp_images(grid, field)
    # bilinear sampling reproduces linear functions where no border is involved
    margin = (field.abs() < 0.95).all(1, keepdim=True).expand_as(field)
    torch.testing.assert_close(warped[margin], field[margin], atol=1e-5, rtol=0)
    assert torch.equal(inside(field), (field.abs().amax(1, keepdim=True) < 1).float())


def test_gray_jitter_and_strength_zero() -> None:
    x = images()
    gray = jitter_colours(x, gray=1.0, generator=draws())
    torch.testing.assert_close(gray[:, 0], gray[:, 1])
    torch.testing.assert_close(jitter_colours(x, strength=0.0, generator=draws()), x, atol=1e-6, rtol=0)


def test_colour_changes_keep_geometry() -> None:
    x = images()
    shifted = x.roll((3, 5), (2, 3))
    # without the illumination gradient every pixel changes on its own: moving and colouring commute up to
    # that
    torch.manual_seed(0)
    first, second = (jitter_colours(v, generator=draws()) for v in (x, shifted))
    difference = first.roll((3, 5), (2, 3)) - second
    # what is left is the gradient: the same in all three channels
    torch.testing.assert_close(difference[:, 0], difference[:, 1], atol=1e-5, rtol=0)


def test_jitter_differs_between_samples() -> None:
    x = torch.full((3, 3, 8, 8), 0.3)
    y = jitter_colours(x, generator=draws()).mean((2, 3))
    assert (y[0] - y[1]).abs().max() > 0.02


def test_noise_stays_in_its_strength() -> None:
    change = noise(torch.zeros(64, 3, 16, 16), deviation=0.05, generator=draws())
    deviations = change.flatten(1).std(1)
    assert 0.085 < deviations.max() < 0.115  # twice the fraction, since the range is 2
    assert deviations.min() < 0.02


def test_blur_averages_three_by_three() -> None:
    x = torch.zeros(1, 3, 5, 5)
    x[..., 2, 2] = 9.0
    expected = torch.zeros(1, 3, 5, 5)
    expected[..., 1:4, 1:4] = 1.0
    torch.testing.assert_close(blur(x, probability=1.0, generator=draws()), expected)
    torch.testing.assert_close(blur(x, probability=0.0, generator=draws()), x)


def test_occlusion_covers_one_rectangle_and_nothing_else() -> None:
    x = images(64)
    y = occlude(x, probability=0.5, generator=draws())
    changed = (y != x).any(1)
    hit = changed.flatten(1).any(1)
    assert 15 < int(hit.sum()) < 50
    for mask in changed[hit]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert torch.equal(occlude(x, probability=0.0, generator=draws()), x)


def test_photometric_is_reproducible() -> None:
    x = images()
    torch.testing.assert_close(
        photometric(x, generator=draws()), photometric(x, generator=draws()), rtol=0, atol=0
    )


def test_translation_moves_whole_pixels_and_fills_with_zeros() -> None:
    x = images(32, 16, 24)
    y = diff_augment(x, policy=["translation"], generator=draws())
    seen = set()
    for before, after in zip(x, y, strict=True):
        shifts = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-3, 4)
            if torch.equal(
                after[:, max(0, dy) : 16 + min(0, dy), max(0, dx) : 24 + min(0, dx)],
                before[:, max(0, -dy) : 16 + min(0, -dy), max(0, -dx) : 24 + min(0, -dx)],
            )
        ]
        assert len(shifts) == 1
        dy, dx = shifts[0]
        kept = (16 - abs(dy)) * (24 - abs(dx))
        assert int((after != 0).all(0).sum()) == kept
        seen.add(shifts[0])
    assert len(seen) > 10


def test_cutout_zeroes_a_square_of_half_the_sides() -> None:
    y = diff_augment(torch.ones(64, 3, 16, 16), policy=["cutout"], generator=draws())
    areas = (y[:, 0] == 0).sum((1, 2))
    assert int(areas.max()) == 64
    assert set(y.unique().tolist()) == {0.0, 1.0}


def test_colour_policy_keeps_gray_where_saturation_goes() -> None:
    y = diff_augment(torch.zeros(8, 3, 4, 4), policy=["color"], generator=draws())
    torch.testing.assert_close(y, y[:, :1, :1, :1].expand_as(y))
    assert y.abs().max() <= 0.5


def test_gradients_flow_through_diff_augment() -> None:
    x = images().requires_grad_()
    diff_augment(x, generator=draws()).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).flatten(1).any(1).all()


def test_the_smallest_stretch_is_the_smallest_singular_value() -> None:
    matrices = torch.randn(50, 2, 2, generator=torch.Generator().manual_seed(0))
    matrices = torch.cat([matrices, torch.eye(2)[None], torch.zeros(1, 2, 2)])
    expected = torch.linalg.svdvals(matrices)[:, -1]
    torch.testing.assert_close(smallest_stretch(matrices), expected, rtol=1e-3, atol=1e-5)

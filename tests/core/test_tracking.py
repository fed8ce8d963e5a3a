from __future__ import annotations

import numpy as np
import pytest

from coordgan_core.coords import canonical_grid
from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.errors import ShapeError
from coordgan_core.tracking import Located, track

IDENTITY = canonical_grid(8, 8).numpy()


def test_the_identity_finds_every_point_where_it_is_between_pixels_too() -> None:
    points = np.array([[0.0, 0.0], [0.31, -0.77], [-0.9, 0.4]], np.float32)
    found = track(Located(IDENTITY), Located(IDENTITY), points)
    np.testing.assert_allclose(found.points, points, atol=1e-5)
    np.testing.assert_allclose(found.certainty, 1.0, atol=1e-4)


def test_a_shifted_map_moves_points_the_other_way() -> None:
    shifted = IDENTITY + np.array([0.25, -0.5], np.float32)[:, None, None]
    found = track(Located(IDENTITY), Located(shifted), [[0.1, 0.1]])
    np.testing.assert_allclose(found.points, [[-0.15, 0.6]], atol=1e-5)


def test_a_place_that_no_pixel_shows_is_uncertain() -> None:
    small = Located(IDENTITY * 0.25)  # shows the middle of the frame only
    found = small.find([[0.0, 0.0], [0.9, 0.9]])
    assert found.certainty[0] > 0.99
    assert found.certainty[1] < 0.2


def test_the_certainty_is_the_lesser_of_both_images() -> None:
    sure, unsure = Located(IDENTITY, np.full((8, 8), 0.9)), Located(IDENTITY, np.full((8, 8), 0.4))
    for one, other in ((sure, unsure), (unsure, sure)):
        assert track(one, other, [[0.2, 0.2]]).certainty[0] == pytest.approx(0.4, abs=1e-3)


def test_exact_maps_of_the_synthetic_category_find_its_landmarks() -> None:
    side, category = 96, SyntheticCategory(3)
    samples = [category.sample(i, side) for i in range(4)]
    located = [Located(s.correspondence) for s in samples]
    for sample, target in zip(samples[1:], located[1:], strict=True):
        names = [n for n in sample.landmarks if _seen(samples[0], n) and _seen(sample, n)]
        start = np.array([samples[0].landmarks[n] for n in names])
        found = track(located[0], target, (2 * start + 1) / side - 1)
        pixels = ((found.points + 1) * side - 1) / 2
        errors = np.abs(pixels - np.array([sample.landmarks[n] for n in names])).max(1)
        assert len(names) >= 5
        assert errors.max() < 0.6, dict(zip(names, errors, strict=True))
        assert found.certainty.min() > 0.9


def _seen(sample: object, name: str) -> bool:
    """Return whether a landmark lies well within what a picture shows."""
    x, y = sample.landmarks[name]  # type: ignore[attr-defined]
    height, width = sample.labels.shape  # type: ignore[attr-defined]
    column, row = round(x), round(y)
    inside = 2 <= column < width - 2 and 2 <= row < height - 2
    return inside and bool(sample.labels[row - 2 : row + 3, column - 2 : column + 3].all())  # type: ignore[attr-defined]


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError):
        Located(np.zeros((3, 4, 4)))
    with pytest.raises(ShapeError):
        Located(IDENTITY, np.ones((4, 4)))

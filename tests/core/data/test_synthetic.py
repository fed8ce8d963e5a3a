from __future__ import annotations

import numpy as np
import pytest

from coordgan_core.data.synthetic import CLASSES, LANDMARKS, SyntheticCategory
from coordgan_core.errors import DataError

CATEGORY = SyntheticCategory(seed=5)


def away_from_edges(labels: np.ndarray, radius: int = 1) -> np.ndarray:
    """Tell which pixels have only pixels of their own class within ``radius``."""
    inner = np.ones(labels.shape, bool)
    height, width = labels.shape
    padded = np.pad(labels, radius, constant_values=255)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            inner &= padded[dy : dy + height, dx : dx + width] == labels
    return inner


@pytest.mark.parametrize("size", [(96, 96), (120, 80)])
@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 3), (4, 5), (6, 7)])
def test_positions_carried_over_the_canonical_frame_land_on_the_same_part(
    first: int, second: int, size: tuple[int, int]
) -> None:
    a, b = CATEGORY.sample(first, size), CATEGORY.sample(second, size)
    chosen = away_from_edges(a.labels) & (a.labels > 0)
    u, v = (a.correspondence[k][chosen].astype(float) for k in (0, 1))
    x, y = b.locate(u, v)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    seen = (column >= 0) & (row >= 0) & (column < size[0]) & (row < size[1])
    expected, found = a.labels[chosen][seen], b.labels[row[seen], column[seen]]
    settled = away_from_edges(b.labels)[row[seen], column[seen]]
    # hair may be shorter in b: then its place is background
    settled &= ~((expected == CLASSES.index("hair")) & (found == 0))
    assert settled.sum() > 300
    assert (expected == found)[settled].mean() >= 0.995


@pytest.mark.parametrize("index", range(6))
def test_locate_inverts_the_correspondence_map(index: int) -> None:
    sample = CATEGORY.sample(index, (70, 50))
    rows, columns = np.nonzero(sample.labels)
    u, v = sample.correspondence[:, rows, columns].astype(float)
    x, y = sample.locate(u, v)
    assert np.abs(x - columns).max() < 1e-3
    assert np.abs(y - rows).max() < 1e-3


@pytest.mark.parametrize("index", range(12))
def test_maps_never_fold_inside_the_figure(index: int) -> None:
    field = CATEGORY.sample(index, 128).correspondence.astype(float)
    along_x, along_y = np.diff(field, axis=2)[:, :-1], np.diff(field, axis=1)[:, :, :-1]
    determinant = along_x[0] * along_y[1] - along_x[1] * along_y[0]
    inside = ~np.isnan(determinant)
    assert inside.mean() > 0.15
    assert determinant[inside].min() * 64**2 > 0.05


def test_background_and_only_background_has_no_correspondence() -> None:
    for index in range(6):
        sample = CATEGORY.sample(index, 64)
        np.testing.assert_array_equal(np.isnan(sample.correspondence).any(0), sample.labels == 0)
        assert np.nanmax(np.abs(sample.correspondence)) <= 1.0


def test_samples_depend_on_seed_and_index_only() -> None:
    again = SyntheticCategory(seed=5)
    again.sample(3, 32)
    one, two = CATEGORY.sample(8, 48), again.sample(8, 48)
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.correspondence, two.correspondence)
    assert (one.image != CATEGORY.sample(9, 48).image).mean() > 0.5
    assert (one.image != SyntheticCategory(seed=6).sample(8, 48).image).mean() > 0.5


def test_a_sample_is_the_same_scene_at_every_size() -> None:
    small, large = CATEGORY.sample(1, 64), CATEGORY.sample(1, 128)
    shrunk = large.image.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(shrunk - small.image).mean() < 10
    agree = large.labels[::2, ::2] == small.labels
    assert agree[away_from_edges(small.labels)].mean() > 0.99


def test_wide_images_show_the_figure_unsqueezed() -> None:
    square, wide = CATEGORY.sample(2, (60, 60)), CATEGORY.sample(2, (100, 60))
    assert wide.image.shape == (60, 100, 3)
    np.testing.assert_array_equal(wide.labels[:, 20:80], square.labels)


def test_every_class_is_there_and_copying_labels_fails() -> None:
    labels = np.stack([CATEGORY.sample(i, 64).labels for i in range(24)])
    assert set(np.unique(labels)) == set(range(len(CLASSES)))
    for part in range(1, len(CLASSES)):
        assert (labels == part).any((1, 2)).mean() > 0.9
    copied = []
    for part in range(len(CLASSES)):
        mine, others = labels[0] == part, labels[1:] == part
        copied.append((others & mine).sum() / (others | mine).sum())
    assert np.mean(copied) < 0.45


def test_landmarks_lie_on_their_parts() -> None:
    expected = {"nose tip": "nose", "left brow": "brows", "right ear": "ears", "right brow": "brows"}
    for index in range(8):
        sample = CATEGORY.sample(index, 128)
        assert set(sample.landmarks) == set(LANDMARKS)
        for name, part in expected.items():
            x, y = (round(value) for value in sample.landmarks[name])
            if 0 <= x < 128 and 0 <= y < 128:
                near = sample.labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                assert CLASSES.index(part) in near


def test_one_pixel_and_impossible_sizes() -> None:
    assert CATEGORY.sample(0, 1).image.shape == (1, 1, 3)
    with pytest.raises(DataError):
        CATEGORY.sample(0, 0)
    with pytest.raises(DataError):
        CATEGORY.sample(-1, 8)

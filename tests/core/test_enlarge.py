import cv2
import numpy as np
import pytest

from coordgan_core import enlarge
from coordgan_core.enlarge import upsample_labels, upsample_reference


def soft_labels(classes=5, height=48, width=40, seed=0):
    """Return soft labels with parts of some size, ``[K, height, width]``."""
    noise = np.random.default_rng(seed).random((classes, height, width), dtype=np.float32)
    planes = np.stack([cv2.GaussianBlur(plane, (0, 0), 4.0) for plane in noise])
    soft = np.exp(60.0 * (planes - planes.max()))
    return (soft / soft.sum(0)).astype(np.float32)


@pytest.mark.parametrize("size", [(333, 500), (41, 49), (40, 48), (1200, 60), (17, 200), (20, 20), (1, 1)])
@pytest.mark.parametrize("classes", [1, 2, 5, 9])
def test_looking_up_and_interpolating_give_the_same_labels(size, classes):
    soft, ids = soft_labels(classes), [3 * k for k in range(classes)]
    labels, plain = upsample_labels(soft, ids, *size), upsample_reference(soft, ids, *size)
    assert labels.shape == plain.shape == (size[1], size[0])
    assert set(np.unique(labels)) <= set(ids)
    assert (labels == plain).mean() > 0.998  # coordinates are rounded in another way: ties may fall otherwise


def test_thin_parts_keep_their_pixels():
    soft = np.zeros((3, 64, 64), np.float32)
    soft[1, :, 31] = soft[2, 20] = 0.6
    soft[0] = 1.0 - soft[1:].sum(0).clip(max=1.0)
    labels, plain = upsample_labels(soft, range(3), 500, 700), upsample_reference(soft, range(3), 500, 700)
    assert {1, 2} <= set(np.unique(labels))
    assert (labels == plain).mean() > 0.998


def test_strips_equal_the_whole(monkeypatch):
    soft = soft_labels()
    whole = upsample_labels(soft, range(5), 333, 500)
    monkeypatch.setattr(enlarge, "_STRIP_PIXELS", 333 * 70)
    assert np.array_equal(whole, upsample_labels(soft, range(5), 333, 500))


def test_the_first_of_equals_wins_as_in_the_plain_form():
    even = np.full((4, 8, 8), 0.25, np.float32)
    assert not upsample_labels(even, range(4), 50, 50).any()
    assert not upsample_reference(even, range(4), 50, 50).any()

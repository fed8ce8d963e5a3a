import cv2
import numpy as np
import pytest

from coordgan_core import smooth as smoothing
from coordgan_core.smooth import smooth, smooth_reference
from tests.core.propagation_stubs import picture


def soft_of(labels, size=64, classes=4):
    """Return blurred soft labels of a label map, ``[K, size, size]``."""
    planes = [cv2.resize((labels == k).astype(np.float32), (size, size)) for k in range(classes)]
    soft = np.stack([cv2.GaussianBlur(p, (0, 0), 2.0) for p in planes])
    return soft / soft.sum(0)


@pytest.mark.parametrize("size", [(128, 128), (200, 90), (60, 150)])
def test_smoothing_parts_where_they_are_equals_smoothing_them_everywhere(size, monkeypatch):
    image, labels = picture(*size)
    soft = soft_of(labels)
    found, plain = smooth(soft, image, 60.0, 6.0), smooth_reference(soft, image, 60.0, 6.0)
    assert found.shape == plain.shape
    assert np.allclose(found.sum(0), 1.0, atol=0.03)
    assert (found.argmax(0) == plain.argmax(0)).mean() > 0.998
    monkeypatch.setattr(smoothing, "_REACH", 1e3)  # everywhere: nothing is left out
    monkeypatch.setattr(smoothing, "_UNLIKELY", 0.0)
    assert np.allclose(smooth(soft, image, 60.0, 6.0), plain, atol=1e-4)


def test_nothing_passes_between_parts_on_the_sheet():
    gray = np.full((40, 40, 3), 128, np.uint8)
    soft = np.zeros((3, 40, 40), np.float32)
    soft[1, :8], soft[2, 30:, 5:9] = 1.0, 0.5
    soft[0] = 1.0 - soft[1:].sum(0)
    without = np.stack([1.0 - soft[1], soft[1]])
    assert np.allclose(smooth(soft, gray, 30.0, 6.0)[1], smooth(without, gray, 30.0, 6.0)[1], atol=1e-6)


def test_one_part_alone_and_parts_that_are_nowhere():
    gray = np.full((10, 12, 3), 128, np.uint8)
    alone = np.ones((1, 4, 4), np.float32)
    assert np.array_equal(smooth(alone, gray, 30.0, 6.0), np.ones((1, 10, 12), np.float32))
    soft = np.concatenate([alone, np.zeros((2, 4, 4), np.float32)])
    assert np.array_equal(smooth(soft, gray, 30.0, 6.0).argmax(0), np.zeros((10, 12)))

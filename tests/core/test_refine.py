import dataclasses

import cv2
import numpy as np
import pytest

from coordgan_core.errors import ShapeError
from coordgan_core.refine import RefineConfig, apply_colour_model, refine
from tests.core.propagation_stubs import picture

RAW = RefineConfig(colour_weight=0, smooth_lambda=0)


def soft_of(labels, classes=4, size=64, blur=2.5):
    """Return blurred soft labels of a label map, ``[K, size, size]``."""
    planes = [
        cv2.resize((labels == k).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        for k in range(classes)
    ]
    soft = np.stack([cv2.GaussianBlur(p, (0, 0), blur) for p in planes])
    return soft / soft.sum(0)


def accuracy(refined, labels):
    return (refined.labels == labels).mean()


@pytest.mark.parametrize("size", [(96, 96), (150, 90), (301, 200)])
def test_refinement_brings_blurred_labels_back_to_the_edges(size):
    image, labels = picture(*size)
    soft = soft_of(labels)
    raw, refined = refine(soft, image, RAW), refine(soft, image)
    assert refined.labels.shape == labels.shape == raw.labels.shape
    assert accuracy(refined, labels) > accuracy(raw, labels)
    assert accuracy(refined, labels) > 0.98


def test_each_step_alone_helps():
    image, labels = picture(128, 128)
    soft = soft_of(labels)
    base = accuracy(refine(soft, image, RAW), labels)
    for change in ({"colour_weight": 0.3}, {"smooth_lambda": 10.0}):
        assert accuracy(refine(soft, image, dataclasses.replace(RAW, **change)), labels) > base


def test_without_both_steps_labels_are_only_enlarged():
    _, labels = picture(64, 64)
    hard = np.stack([(labels == k).astype(np.float32) for k in range(4)])
    assert np.array_equal(refine(hard, picture(64, 64)[0], RAW).labels, labels)


def test_a_part_that_would_vanish_is_put_back():
    image, labels = picture(96, 96)
    image[labels == 2] = image[labels == 1][: (labels == 2).sum()]  # part 2 has the colours of part 1
    # at the border of certainty: the colour model would give all of part 2 to part 1
    soft = soft_of(labels, size=96, blur=1.0)
    soft[2] = np.where(labels == 2, 0.52, 0.0)
    soft[1] = np.where(labels == 2, 0.48, soft[1])
    soft /= soft.sum(0)
    strong = dataclasses.replace(RAW, colour_weight=0.4)
    loose = dataclasses.replace(strong, max_area_change=1e9)
    before = (refine(soft, image, RAW).labels == 2).sum()
    unsafe = (refine(soft, image, loose).labels == 2).sum()
    safe = refine(soft, image, strong)
    assert unsafe < 0.6 * before or unsafe > 1.4 * before
    assert 2 in safe.reverted
    assert abs(int((safe.labels == 2).sum()) - int(before)) <= 0.1 * before


def test_the_colour_model_keeps_probabilities():
    image, labels = picture(96, 96)
    soft, _ = apply_colour_model(soft_of(labels), image, RefineConfig())
    assert np.allclose(soft.sum(0), 1, atol=1e-4)
    assert soft.min() >= 0


def test_gray_images_and_flat_images_are_no_problem():
    labels = picture(96, 96)[1]
    flat = np.full((96, 96, 3), 128, np.uint8)
    assert accuracy(refine(soft_of(labels, blur=1.0), flat), labels) > 0.9
    one_pixel = refine(np.ones((1, 4, 4), np.float32), flat[:1, :1])
    assert one_pixel.labels.tolist() == [[0]]


def test_class_ids_are_kept_and_absent_classes_cost_nothing():
    image, labels = picture(96, 96)
    soft = np.concatenate([soft_of(labels, blur=1.0), np.zeros((3, 64, 64), np.float32)])
    refined = refine(soft, image, classes=[0, 10, 20, 255, 30, 40, 50])
    assert set(np.unique(refined.labels)) == {0, 10, 20, 255}
    assert refined.classes == (0, 10, 20, 255)


def test_shapes_are_checked():
    with pytest.raises(ShapeError):
        refine(np.ones((2, 4, 4), np.float32), np.zeros((4, 4), np.uint8))
    with pytest.raises(ShapeError):
        refine(np.ones((2, 4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), classes=[0])

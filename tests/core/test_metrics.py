import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coordgan_core.errors import ShapeError
from coordgan_core.metrics import BoundaryScore, CalibrationError, Confusion, map_error_px, pck


def test_ordinary_and_published_iou_by_hand():
    truth = np.array([[0, 0, 1, 1, 2, 2]], np.uint8)
    predicted = np.array([[1, 0, 1, 1, 2, 0]], np.uint8)
    confusion = Confusion(4)
    confusion.add(predicted, truth)
    # background: 1 of {0, 1, 5}; class 1: 2 of {0, 2, 3}; class 2: 1 of {4, 5}; class 3 nowhere
    assert confusion.iou()[:3] == pytest.approx([1 / 3, 2 / 3, 1 / 2])
    assert np.isnan(confusion.iou()[3])
    assert confusion.mean_iou() == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    # published: pixel 0 becomes background, so class 1 is perfect; class 3 counts as 0
    assert confusion.foreground_iou() == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert confusion.foreground_iou(excluded=[3]) == pytest.approx(3 / 4)
    assert confusion.pixel_accuracy() == pytest.approx(4 / 6)


pairs = st.integers(1, 5).flatmap(
    lambda k: st.tuples(
        st.just(k),
        hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, k - 1)),
        hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, k - 1)),
    )
)


def plain_iou(predicted, truth, k):
    both, either = ((predicted == k) & (truth == k)).sum(), ((predicted == k) | (truth == k)).sum()
    return both / either if either else np.nan


@given(pairs)
@settings(max_examples=50, deadline=None)
def test_confusion_equals_sets_of_pixels_summed_over_queries(case):
    k, predicted, truth = case
    whole, first = Confusion(k), Confusion(k)
    for p, t in zip(predicted[1:], truth[1:], strict=True):
        whole.add(p, t)
    first.add(predicted[0], truth[0])
    whole.merge(first)
    expected = [plain_iou(predicted, truth, i) for i in range(k)]
    assert np.allclose(whole.iou(), expected, equal_nan=True)
    masked = predicted * (truth > 0)
    published = [np.nan_to_num(plain_iou(masked, truth, i)) for i in range(1, k)]
    if published:
        assert whole.foreground_iou() == pytest.approx(np.mean(published))


def test_wrong_shapes_and_ids_are_refused():
    with pytest.raises(ShapeError):
        Confusion(2).add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ShapeError, match="class 5"):
        Confusion(2).add(np.full((1, 1), 5, np.uint8), np.zeros((1, 1), np.uint8))


def square(offset):
    labels = np.zeros((20, 20), np.uint8)
    labels[5:12, 5 + offset : 12 + offset] = 1
    return labels


@pytest.mark.parametrize(("offset", "expected"), [(0, 1.0), (2, 1.0), (9, 0.0)])
def test_boundaries_match_within_the_tolerance(offset, expected):
    score = BoundaryScore(2, tolerance_px=2)
    score.add(square(offset), square(0))
    assert score.mean() == pytest.approx(expected)


def plain_boundary_f(predicted, truth, tolerance):
    def boundary(mask):
        h, w = mask.shape
        found = set()
        for y, x in zip(*np.nonzero(mask), strict=True):
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                if 0 <= y + dy < h and 0 <= x + dx < w and not mask[y + dy, x + dx]:
                    found.add((int(y), int(x)))
        return found

    a, b = boundary(predicted == 1), boundary(truth == 1)
    if not a and not b:
        return np.nan

    def share(from_, to):
        hits = [any(max(abs(y - v), abs(x - u)) <= tolerance for v, u in to) for y, x in from_]
        return np.mean(hits) if hits else 0.0

    p, r = share(a, b), share(b, a)
    return 2 * p * r / (p + r) if p + r else 0.0


@given(hnp.arrays(np.uint8, (2, 7, 8), elements=st.integers(0, 1)), st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_boundary_f_equals_the_plain_definition(maps, tolerance):
    score = BoundaryScore(2, tolerance_px=tolerance)
    score.add(maps[0], maps[1])
    assert score.f_measure()[1] == pytest.approx(plain_boundary_f(*maps, tolerance), nan_ok=True)


def test_map_error_and_pck_by_hand():
    truth = np.zeros((2, 1, 3))
    predicted = np.array([[[0.3, 0.0, 0.0]], [[0.4, 0.1, 9.0]]])
    truth[:, 0, 2] = np.nan
    # distances 0.5 and 0.1 in canonical units; 32 pixels a unit at 64 px
    assert map_error_px(predicted, truth, size_px=64) == pytest.approx(32 * 0.3)
    assert pck(predicted, truth, threshold=0.2) == pytest.approx(0.5)


def test_calibration_error_by_hand():
    error, other = CalibrationError(bins=2), CalibrationError(bins=2)
    error.add(np.array([0.9, 0.7]), np.array([True, False]))
    other.add(np.array([0.2, 1.0]), np.array([False, True]))
    error.merge(other)
    # upper bin: mean confidence 2.6/3, accuracy 2/3; lower bin: 0.2 against 0
    assert error.ece() == pytest.approx((2.6 - 2) / 4 + 0.2 / 4)
    assert error.curve()[0] == pytest.approx((0.2, 0.0, 0.25))

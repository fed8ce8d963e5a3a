"""Measures of label maps and correspondence maps, as accumulators that can be merged. Needs numpy only.

Two mean IoU exist side by side (fact sheet section 5): the ordinary one and the published one, which ignores
predictions on ground-truth background. Both come from one confusion matrix summed over all queries.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coordgan_core.errors import ShapeError

Array = npt.NDArray[Any]


class Confusion:
    """Confusion matrix ``counts [K, K]`` (row = truth, column = prediction) over any number of queries.

    Args:
        num_classes: K, background included.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts: npt.NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def add(self, predicted: Array, truth: Array) -> None:
        """Count the pixels of one query; label maps of one shape with ids below K.

        Raises:
            ShapeError: The two differ in shape, or an id is K or larger.
        """
        _check_pair(predicted, truth)
        k = self.num_classes
        if max(int(predicted.max(initial=0)), int(truth.max(initial=0))) >= k:
            raise ShapeError(
                f"a label map holds class {max(int(predicted.max()), int(truth.max()))}",
                expected=f"ids below {k}",
                remedy="count all classes, or merge the unused ones into background first",
            )
        pairs = truth.astype(np.int64).ravel() * k + predicted.ravel()
        self.counts += np.bincount(pairs, minlength=k * k).reshape(k, k)

    def merge(self, other: Confusion) -> None:
        """Add the counts of another accumulator of the same K."""
        self.counts += other.counts

    def iou(self) -> npt.NDArray[np.float64]:
        """Return the IoU of every class, ``[K]``; nan where a class is neither in truth nor in prediction."""
        return _iou(self.counts)

    def mean_iou(self) -> float:
        """Return the ordinary mean IoU, background included.

        Classes that neither truth nor prediction has anywhere do not count; nan if there is none at all.
        """
        iou = self.iou()
        return float(iou[~np.isnan(iou)].mean()) if not np.isnan(iou).all() else float("nan")

    def foreground_ious(self) -> npt.NDArray[np.float64]:
        """Return the published IoU of every class, ``[K]``; 0 for classes never present."""
        counts = self.counts.copy()
        counts[0, 0] = counts[0].sum()  # predictions on ground-truth background are set to background
        counts[0, 1:] = 0
        return np.nan_to_num(_iou(counts), nan=0.0)

    def foreground_iou(self, *, excluded: Collection[int] = ()) -> float:
        """Return the published mean IoU over classes 1 to K - 1 but ``excluded`` (fact sheet section 5)."""
        chosen = [k for k in range(1, self.num_classes) if k not in excluded]
        return float(self.foreground_ious()[chosen].mean()) if chosen else float("nan")

    def pixel_accuracy(self) -> float:
        """Return the share of pixels that are right, background included."""
        return float(np.trace(self.counts) / max(int(self.counts.sum()), 1))


def _iou(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    intersection = np.diag(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - intersection
    iou: npt.NDArray[np.float64] = np.full(len(counts), np.nan)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou


class BoundaryScore:
    """Boundary F-measure of every class, summed over queries.

    Args:
        num_classes: K, background included (background has no score).
        tolerance_px: How far, in pixels, a boundary may lie from its counterpart (chessboard distance).
    """

    def __init__(self, num_classes: int, *, tolerance_px: int = 2) -> None:
        self.tolerance_px = tolerance_px
        # columns: predicted boundary, of it near the truth, true boundary, of it near the prediction
        self.counts: npt.NDArray[np.int64] = np.zeros((num_classes, 4), np.int64)

    def add(self, predicted: Array, truth: Array) -> None:
        """Count the boundary pixels of one query.

        Raises:
            ShapeError: The two label maps differ in shape.
        """
        _check_pair(predicted, truth)
        for k in range(1, len(self.counts)):
            ours, theirs = _boundary(predicted == k), _boundary(truth == k)
            near_theirs, near_ours = (_dilate(b, self.tolerance_px) for b in (theirs, ours))
            hits = int((ours & near_theirs).sum()), int((theirs & near_ours).sum())
            self.counts[k] += [int(ours.sum()), hits[0], int(theirs.sum()), hits[1]]

    def merge(self, other: BoundaryScore) -> None:
        """Add the counts of another accumulator of the same K and tolerance."""
        self.counts += other.counts

    def f_measure(self) -> npt.NDArray[np.float64]:
        """Return 2 P R / (P + R) of every class, ``[K]``; nan for background and classes without boundary."""
        ours, hit_ours, theirs, hit_theirs = self.counts.astype(np.float64).T
        precision, recall = hit_ours / np.maximum(ours, 1), hit_theirs / np.maximum(theirs, 1)
        f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        return np.where(ours + theirs > 0, f, np.nan)

    def mean(self) -> float:
        """Return the mean over the classes that have a boundary anywhere; nan if none has."""
        f = self.f_measure()
        return float(f[~np.isnan(f)].mean()) if not np.isnan(f).all() else float("nan")


def _boundary(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels with one of four neighbours outside ``mask``; the image's edge is no boundary."""
    padded = np.pad(mask, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def _dilate(mask: npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.bool_]:
    for axis in (0, 1):
        grown = mask.copy()
        for step in range(1, radius + 1):
            ahead = [slice(None), slice(None)]
            behind = [slice(None), slice(None)]
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            grown[tuple(ahead)] |= mask[tuple(behind)]
            grown[tuple(behind)] |= mask[tuple(ahead)]
        mask = grown
    return mask


def map_error_px(predicted: Array, truth: Array, *, size_px: int) -> float:
    """Return the mean distance, in pixels of a canonical frame of ``size_px``, of two correspondence maps.

    Args:
        predicted: ``[2, H, W]`` in [-1, 1].
        truth: ``[2, H, W]`` in [-1, 1]; pixels that are nan have no correspondence and do not count.
        size_px: Side of the canonical frame in pixels.

    Returns:
        The mean distance; nan if no pixel counts.
    """
    distance = _map_distance(predicted, truth) * (size_px / 2.0)
    return float(distance.mean()) if distance.size else float("nan")


def pck(predicted: Array, truth: Array, *, threshold: float) -> float:
    """Return the share of points, or pixels of maps, that lie within a distance of the truth (PCK).

    Args:
        predicted: ``[2, ...]`` positions.
        truth: ``[2, ...]`` positions; nan = not visible, does not count.
        threshold: Largest distance that counts as correct, in the unit of the positions.
    """
    distance = _map_distance(predicted, truth)
    return float((distance <= threshold).mean()) if distance.size else float("nan")


def _map_distance(predicted: Array, truth: Array) -> npt.NDArray[np.float64]:
    if predicted.shape != truth.shape or predicted.shape[:1] != (2,):
        raise ShapeError(
            f"positions have shapes {list(predicted.shape)} and {list(truth.shape)}",
            expected="twice [2, ...]",
            remedy="resize one of them with coords.resize_map",
        )
    difference = (predicted.astype(np.float64) - truth).reshape(2, -1)
    distance: npt.NDArray[np.float64] = np.hypot(difference[0], difference[1])
    return distance[~np.isnan(distance)]


@dataclass
class CalibrationError:
    """Expected calibration error (Guo et al. 2017): mean |confidence - accuracy| of equal-width bins."""

    bins: int = 15
    count: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    confidence: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    correct: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if self.count.size == 0:
            self.count, self.confidence, self.correct = (np.zeros(self.bins) for _ in range(3))

    def add(self, confidence: Array, correct: Array) -> None:
        """Count confidences in [0, 1] and whether each was right, arrays of one shape."""
        _check_pair(confidence, correct)
        values = confidence.astype(np.float64).ravel()
        index = np.minimum((values * self.bins).astype(np.int64), self.bins - 1)
        right = correct.astype(np.float64).ravel()
        self.count += np.bincount(index, minlength=self.bins)
        self.confidence += np.bincount(index, values, minlength=self.bins)
        self.correct += np.bincount(index, right, minlength=self.bins)

    def merge(self, other: CalibrationError) -> None:
        """Add the counts of another accumulator of the same bins."""
        self.count += other.count
        self.confidence += other.confidence
        self.correct += other.correct

    def ece(self) -> float:
        """Return the expected calibration error in [0, 1]; nan without counts."""
        total = self.count.sum()
        return float(np.abs(self.confidence - self.correct).sum() / total) if total else float("nan")

    def curve(self) -> list[tuple[float, float, float]]:
        """Return (mean confidence, accuracy, share of pixels) of every bin that is not empty."""
        total = self.count.sum()
        return [
            (float(c / n), float(r / n), float(n / total))
            for n, c, r in zip(self.count, self.confidence, self.correct, strict=True)
            if n
        ]


def _check_pair(first: Array, second: Array) -> None:
    if first.shape != second.shape:
        raise ShapeError(
            f"arrays of shapes {list(first.shape)} and {list(second.shape)} are compared",
            expected="one shape",
            remedy="resize one of them with labels.resize_labels",
        )

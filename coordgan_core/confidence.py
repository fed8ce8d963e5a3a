"""Confidence of propagated labels, and which image to label next.

What makes a propagated label wrong is, above all, a correspondence map that is off by a few pixels. So the
main score of a pixel is the probability of its label when its position errs by the calibrated amount: the
atlas blurred by that error. The refined probability and the network's own reliability come beside it, and
`calibration` turns them into a confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core import coords
from coordgan_core.atlas import LabelAtlas
from coordgan_core.calibration import logit

_MAX_TARGETS = 4096
_MAX_CANDIDATES = 512


class BlurredAtlas:
    """An atlas as a map sees it whose positions err by ``sigma`` canonical units on each axis."""

    def __init__(self, atlas: LabelAtlas, sigma: float) -> None:
        self._extent = atlas.config.extent
        cells = max(sigma / atlas.config.pitch, 1e-3)
        reach = max(1, round(3 * cells))
        axis = torch.arange(-reach, reach + 1, device=atlas.device, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (axis / cells) ** 2)
        kernel = kernel / kernel.sum()
        blurred = atlas.probabilities()[:, None]
        for shape, pad in (((1, 1, 1, -1), (reach, reach, 0, 0)), ((1, 1, -1, 1), (0, 0, reach, reach))):
            blurred = F.conv2d(F.pad(blurred, pad, mode="replicate"), kernel.view(shape))
        self._values = blurred[:, 0][None]

    def sample(self, correspondence: Tensor) -> Tensor:
        """Return probabilities ``[B, K, H, W]`` at maps ``[B, 2, H, W]``."""
        return coords.sample(self._values, correspondence.to(self._values) / self._extent)


def features(
    labels: npt.NDArray[np.uint8],
    refined: npt.NDArray[np.float32],
    moved: npt.NDArray[np.float32],
    reliability: npt.NDArray[np.float32],
    agreement: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Return the features ``[4, H, W]`` of a label map's pixels (`calibration.FEATURES`).

    Args:
        labels: Channel index of the label of each pixel, ``[H, W]``.
        refined: Refined soft labels, ``[K, H, W]``.
        moved: Sample of a `BlurredAtlas`, ``[K, H, W]``.
        reliability: Of the correspondence map, ``[H, W]``.
        agreement: Of the query with the reference that was aligned with it, 0 to 1; 0 without alignment.
    """
    index = labels[None].astype(np.int64)
    own = [np.take_along_axis(values, index, 0)[0] for values in (moved, refined)]
    position, colour = logit(own[0]), logit(own[1])
    return np.stack([position, colour, logit(reliability), np.float32(agreement) * colour])


def image_score(confidence: npt.NDArray[Any], labels: npt.NDArray[np.uint8]) -> float:
    """Return the confidence of a whole image: the mean over its labelled parts, each part counting the same.

    An image without any part scores the mean over its background.

    Args:
        confidence: ``[H, W]``, 0 to 1.
        labels: ``uint8 [H, W]``.
    """
    present = [k for k in np.flatnonzero(np.bincount(labels.ravel(), minlength=2)) if k]
    means = [float(confidence[labels == k].mean()) for k in present]
    return float(np.mean(means)) if means else float(confidence.mean())


@dataclass(frozen=True)
class Suggestion:
    """The image to label next, and why."""

    index: int
    reason: str
    gain: float
    """Uncertain images it stands for; 0 to the number of images."""


def next_best_reference(
    codes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.floating[Any]] | None = None,
    references: Sequence[int] = (),
) -> Suggestion:
    """Suggest which image to label next: badly served itself, and like many that are.

    One step of greedy facility location. Without references and scores this is the first reference: the
    image that all others are most alike to (the medoid).

    Args:
        codes: A short description of every image, ``[N, D]`` (`Analysis.code`).
        scores: Confidence of every image, ``[N]``; None before the first propagation.
        references: Indices of the images that have labels already; never suggested again.

    Raises:
        ValueError: Every image is a reference already.
    """
    count = len(codes)
    taken = set(references)
    free = np.array([i for i in range(count) if i not in taken])
    if len(free) == 0:
        raise ValueError("every image is a reference already")
    need = np.ones(count) if scores is None else 1.0 - np.clip(np.nan_to_num(scores), 0.0, 1.0)
    need[list(taken)] = 0.0
    targets = np.unique(np.linspace(0, count - 1, min(count, _MAX_TARGETS)).round().astype(int))
    # with many images, those in most need stand for election, and evenly spread others
    order = free[np.argsort(-need[free], kind="stable")]
    spread = free[np.linspace(0, len(free) - 1, min(len(free), _MAX_CANDIDATES)).round().astype(int)]
    candidates = np.unique(np.concatenate([order[:_MAX_CANDIDATES], spread]))
    scale = _typical_distance(codes[targets])
    covered = np.zeros(len(targets))
    if taken:
        covered = _likeness(codes[sorted(taken)], codes[targets], scale).max(0)
    likeness = _likeness(codes[candidates], codes[targets], scale)
    gains = (np.maximum(likeness - covered, 0.0) * need[targets]).sum(1) * (count / len(targets))
    best = int(gains.argmax())
    near = likeness[best] > 0.5
    chosen = int(candidates[best])
    around = None if scores is None else float(np.mean(np.append(scores[targets[near]], scores[chosen])))
    reason = _reason(int(near.sum() * count / len(targets)), around, first=not taken)
    return Suggestion(chosen, reason, float(gains[best]))


def _reason(like_it: int, around: float | None, *, first: bool) -> str:
    if around is not None:
        return f"{like_it} images are much like it, and their mean confidence is only {around:.2f}"
    if first:
        return f"the most typical image: {like_it} images are much like it"
    return f"{like_it} images are much like it, and no reference is"


def _likeness(first: Any, second: Any, scale: float) -> npt.NDArray[np.float64]:
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2.0 * first @ second.T
    return np.asarray(np.exp(-0.5 * np.maximum(squares, 0.0) / scale**2), np.float64)


def _typical_distance(codes: npt.NDArray[np.float32]) -> float:
    """Return half the median distance of random pairs: what counts as near."""
    order = np.random.default_rng(0).permutation(len(codes))
    distance = np.linalg.norm(codes - codes[order], axis=1)
    distance = distance[distance > 0]
    return max(float(np.median(distance)) / 2.0, 1e-6) if len(distance) else 1.0

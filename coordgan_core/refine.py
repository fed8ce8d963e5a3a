"""Edge-aware refinement: soft labels at network resolution -> label map at the image's own size.

Two steps, both weighted by fields of `RefineConfig`: a per-image colour model (one Lab Gaussian a part,
learned from the image's own soft labels by EM) pulls pixels to the part whose colours they have; an
edge-preserving smoother (`smooth`) then aligns the borders with the image's edges. The work is done at a
capped size, whatever the size of the photograph; only the last step (`enlarge`) knows the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from coordgan_core.data.images import resize
from coordgan_core.enlarge import upsample_labels
from coordgan_core.errors import ShapeError
from coordgan_core.labels import LabelMap
from coordgan_core.smooth import smooth

Image = npt.NDArray[np.uint8]
Soft = npt.NDArray[np.float32]
_LITTLE = 1.5  # times; up to twice, four pixels around a point leave none out


@dataclass(frozen=True)
class RefineConfig:
    """Options of the refinement; `RefineConfig(colour_weight=0, smooth_lambda=0)` only up-samples."""

    work_px: int = 384
    """Longer side at which borders are smoothed."""
    colour_px: int = 128
    """Longer side at which the colour model works."""
    colour_weight: float = 0.5
    """Weight of the colour model's log-likelihood against the propagated labels; 0 switches it off."""
    colour_rounds: int = 2
    """Rounds of expectation and maximisation."""
    max_area_change: float = 0.4
    """A part whose area changes by a larger share keeps its propagated labels."""
    smooth_lambda: float = 20.0
    """Strength of the smoother at 128 px; 0 switches it off. Grows with the square of the working size."""
    smooth_sigma: float = 6.0
    """Colour difference, 0 to 255, across which the smoother does not reach."""
    min_part_px: float = 12.0
    """A part of fewer pixels at `colour_px` gets no colour model."""


@dataclass(frozen=True)
class Refined:
    """A label map at the image's own size, and what it was made from.

    ``soft`` are the refined soft labels at working size, ``[len(classes), h, w]``; ``reverted`` are the
    class ids that the safeguard put back.
    """

    labels: LabelMap
    soft: Soft
    classes: tuple[int, ...]
    reverted: tuple[int, ...]


def refine(
    soft: Soft,
    image: Image,
    config: RefineConfig | None = None,
    *,
    classes: Sequence[int] = (),
    size: tuple[int, int] | None = None,
) -> Refined:
    """Refine propagated soft labels with the photograph.

    Args:
        soft: ``[K, h, w]``, each pixel sums to 1, covering the whole image at any size and aspect.
        image: The query, ``uint8 [H, W, 3]``.
        config: Options.
        classes: Class ids of the K channels; 0 to K - 1 by default.
        size: ``(width, height)`` of the label map; the image's own by default.

    Returns:
        The label map ``uint8 [H, W]`` and the soft labels it came from; classes that win nowhere are left
        out.

    Raises:
        ShapeError: The arrays have another layout.
    """
    config = config or RefineConfig()
    ids = tuple(classes) or tuple(range(len(soft)))
    if soft.ndim != 3 or len(ids) != len(soft) or image.ndim != 3 or image.shape[2] != 3:
        raise ShapeError(
            f"soft labels {list(soft.shape)} of {len(ids)} classes and an image {list(image.shape)}",
            expected="[K, h, w] of K classes and [H, W, 3]",
        )
    soft, ids = _present(soft, ids)
    width, height = size or (image.shape[1], image.shape[0])
    image = _guide(image, *_capped(image, max(config.work_px, config.colour_px)))  # once for both steps
    reverted: tuple[int, ...] = ()
    if config.colour_weight > 0 and len(ids) > 1:
        soft, lost = apply_colour_model(soft, image, config)
        reverted = tuple(ids[k] for k in lost)
    if config.smooth_lambda > 0 and len(ids) > 1:
        soft = _smooth(soft, image, config)
    return Refined(upsample_labels(soft, ids, width, height), soft, ids, reverted)


def _present(soft: Soft, ids: tuple[int, ...]) -> tuple[Soft, tuple[int, ...]]:
    """Keep the classes that have a noticeable probability anywhere."""
    keep = np.flatnonzero(soft.reshape(len(soft), -1).max(1) > 0.2)
    if len(keep) == 0:
        keep = np.array([0])
    kept = np.ascontiguousarray(soft[keep], np.float32)
    kept /= np.maximum(kept.sum(0, keepdims=True), 1e-6)
    return kept, tuple(ids[k] for k in keep)


def _capped(image: Image, longest: int) -> tuple[int, int]:
    """Return (width, height) of the image shrunk to ``longest`` pixels; never enlarged."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _guide(image: Image, width: int, height: int) -> Image:
    """Shrink an image; by little without averages of areas, which take four times as long."""
    if min(image.shape[0] / height, image.shape[1] / width) > _LITTLE:
        return resize(image, width, height)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _resize_soft(soft: Soft, width: int, height: int) -> Soft:
    if soft.shape[1:] == (height, width):
        return soft
    return np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in soft])


def apply_colour_model(soft: Soft, image: Image, config: RefineConfig) -> tuple[Soft, tuple[int, ...]]:
    """Weigh soft labels ``[K, h, w]`` by per-image colour models, with the area safeguard.

    p'(k | x) ~ p(k | x) N(colour(x); k)^weight, with one Gaussian in Lab a part, estimated from p' itself
    (EM).

    Returns:
        Soft labels at `RefineConfig.colour_px`, and the indices of the parts that were put back.
    """
    width, height = _capped(image, config.colour_px)
    small = cv2.cvtColor(resize(image, width, height), cv2.COLOR_RGB2LAB)
    mean, deviation = (values.ravel().astype(np.float32) for values in cv2.meanStdDev(small))
    centred = (small.reshape(-1, 3) - mean) / (deviation + np.float32(1.0))
    before = _resize_soft(soft, width, height).reshape(len(soft), -1)
    weights = np.full(len(soft), config.colour_weight, np.float32)
    after = _expectation_maximisation(before, centred, weights, config)
    area = _areas(before)
    change = np.abs(_areas(after) - area) / np.maximum(area, 1.0)
    lost = np.flatnonzero(change > config.max_area_change)
    if len(lost):
        weights[lost] = 0.0
        after = _expectation_maximisation(before, centred, weights, config)
        after = _put_back(before, after, lost)
    return after.reshape(len(soft), height, width), tuple(int(k) for k in lost)


def _areas(soft: Soft) -> npt.NDArray[np.float64]:
    best = soft.max(0)
    index = np.zeros(soft.shape[1], np.uint8)
    for k in range(len(soft) - 1, -1, -1):  # numpy's argmax over the first axis takes ten times as long
        index[soft[k] == best] = k
    return np.bincount(index, minlength=len(soft)).astype(np.float64)


def _put_back(before: Soft, after: Soft, lost: npt.NDArray[np.int64]) -> Soft:
    """Give the lost parts the probabilities they had; the others share the rest as the colour model says."""
    rest = np.delete(np.arange(len(before)), lost)
    result = before.copy()
    room = 1.0 - before[lost].sum(0)
    result[rest] = after[rest] * (room / np.maximum(after[rest].sum(0), 1e-6))
    return result


def _expectation_maximisation(
    prior: Soft, colours: npt.NDArray[np.float32], weights: npt.NDArray[np.float32], config: RefineConfig
) -> Soft:
    posterior = prior
    log_prior = cv2.log(
        np.maximum(prior, 1e-4)
    )  # of OpenCV, as `exp` below: several times as fast as numpy's
    # the features of a quadratic form: one matrix product gives all moments, one all log-likelihoods
    rows, columns = np.triu_indices(3)
    ones = np.ones((len(colours), 1), np.float32)
    features = np.concatenate([colours[:, rows] * colours[:, columns], colours, ones], axis=1)
    for _ in range(config.colour_rounds):
        # soft tails of large neighbours would drown small parts, so only the winner counts
        moments = np.where(posterior == posterior.max(0), posterior, np.float32(0)) @ features
        likelihood = _quadratic_forms(moments.astype(np.float64), config) @ features.T
        # parts with weight 0 neither win nor lose: they take the mean of the others
        likelihood -= np.einsum("kn,kn->n", posterior, likelihood)
        likelihood *= weights[:, None]
        likelihood += log_prior
        # below are numbers so small that processors compute with them slowly
        posterior = cv2.exp(np.clip(likelihood, -60.0, 30.0, out=likelihood))
        posterior /= np.maximum(posterior.sum(0), 1e-12)
    return posterior


def _quadratic_forms(moments: npt.NDArray[np.float64], config: RefineConfig) -> npt.NDArray[np.float32]:
    """Turn moments ``[K, 10]`` (products, colours, count) into the coefficients of log-likelihoods."""
    everything, _ = _gaussians(moments.sum(0)[None])
    mass = moments[:, 9, None]
    spread, mean = _gaussians(moments)
    few = mass < config.min_part_px
    spread, mean = np.where(few[..., None], everything, spread), np.where(few, 0.0, mean)
    trust = (mass / (mass + 50.0))[..., None]  # small parts lean on the spread of the whole image
    spread = trust * spread + (1 - trust) * everything + 0.02 * np.eye(3)
    precision = np.linalg.inv(spread)
    pulled = (precision @ mean[..., None])[..., 0]
    constant = (mean * pulled).sum(1) + np.linalg.slogdet(spread)[1]
    rows, columns = np.triu_indices(3)
    products = -0.5 * (precision * (2.0 - np.eye(3)))[:, rows, columns]  # mixed products occur twice
    return np.concatenate([products, pulled, -0.5 * constant[:, None]], axis=1).astype(np.float32)


def _gaussians(moments: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return covariances ``[K, 3, 3]`` and means ``[K, 3]`` of moments ``[K, 10]`` of weighted colours."""
    values = moments[:, :9] / np.maximum(moments[:, 9:], 1e-6)
    mean, products = values[:, 6:], values[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    return products - mean[:, :, None] * mean[:, None], mean


def _smooth(soft: Soft, image: Image, config: RefineConfig) -> Soft:
    """Smooth soft labels along the edges of the image, at `RefineConfig.work_px`."""
    width, height = _capped(image, config.work_px)
    strength = config.smooth_lambda * (max(width, height) / 128.0) ** 2
    return smooth(soft, resize(image, width, height), strength, config.smooth_sigma)

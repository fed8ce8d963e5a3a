"""Calibration: scores of pixels -> confidences, such that 80 % of the pixels at 0.8 are right. Numpy only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coordgan_core.metrics import CalibrationError

FEATURES = ("moved", "refined", "reliability", "agreement")
"""Logits of: the label's probability if the map errs a little; after refinement; the map's reliability.

Last, the second times how well the query agrees with the reference that was aligned with it, 0 to 1: where
images are alike, the same probability is right more often.
"""
_LIMIT = 6.0
_PIXELS_PER_IMAGE = 400.0


@dataclass(frozen=True)
class Calibration:
    """Logistic map from `FEATURES` to confidence (Platt 1999), and the error its first feature allows for.

    The defaults are a prior: a fit to faces, X-rays and drawn figures together, then set by hand near it, so
    that the first feature keeps a say; `fit` starts from them.
    """

    position_sigma: float = 0.06
    """Standard error of correspondence maps, in canonical units."""
    weights: tuple[float, ...] = (0.12, 0.45, 0.33, 0.27)
    intercept: float = 0.17
    references: int = 1
    """References that were fused when it was fitted."""
    ece: float = math.nan
    """Expected calibration error when it was fitted; nan: never measured."""
    images: int = 0
    """Images it was fitted on."""

    def apply(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the confidence ``[...]`` of features ``[4, ...]``, 0 to 1."""
        z = np.tensordot(np.asarray(self.weights, np.float32), _clip(features), 1) + np.float32(
            self.intercept
        )
        return np.asarray(1.0 / (1.0 + np.exp(-z)), np.float32)

    def for_references(self, count: int) -> Calibration:
        """Return the calibration for ``count`` fused references: more deserve more trust, up to three."""
        factor = math.sqrt(min(max(count, 1), 3) / min(max(self.references, 1), 3))
        scaled = tuple(factor * w for w in self.weights)
        return dataclasses.replace(self, weights=scaled, references=count)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types (an ``ece`` that is nan becomes null)."""
        values = dataclasses.asdict(self)
        return values | {"weights": list(self.weights), "ece": None if math.isnan(self.ece) else self.ece}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Build from JSON; what is missing or malformed keeps its default."""
        default = cls()
        weights = value.get("weights")
        usable = isinstance(weights, list) and len(weights) == len(FEATURES) and all(map(_is_number, weights))
        numbers = {
            name: float(value[name])
            for name in ("position_sigma", "intercept", "ece")
            if _is_number(value.get(name))
        }
        images, references = value.get("images"), value.get("references")
        return dataclasses.replace(
            default,
            **numbers,
            weights=tuple(map(float, weights)) if usable and weights else default.weights,
            images=images if isinstance(images, int) else 0,
            references=references if isinstance(references, int) else 1,
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _clip(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.clip(features, -_LIMIT, _LIMIT)


def logit(probability: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return log(p / (1 - p)), limited to [-6, 6]."""
    p = np.clip(np.asarray(probability, np.float32), 1e-4, 1 - 1e-4)
    return _clip(np.asarray(np.log(p / (1 - p)), np.float32))


@dataclass(frozen=True)
class Example:
    """An image whose truth is known: features ``[4, N]``, and whether the labels are right, ``[N]``."""

    features: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]


def fit(examples: list[Example], start: Calibration | None = None) -> Calibration:
    """Fit a calibration to images with known truth by penalised logistic regression (Newton).

    Pixels of one image are not independent, so an image counts as 400 of them, and ``start`` as a prior worth
    half an image: with a single example the result stays near ``start``.

    Args:
        examples: Images with known truth, labelled with `Calibration.position_sigma` of ``start``.
        start: The prior; the default calibration if None.
    """
    prior = start or Calibration()
    if not examples:
        return prior
    center = np.array([*prior.weights, prior.intercept])
    theta = center.copy()
    precision = np.diag([0.5 * _PIXELS_PER_IMAGE * 0.25] * len(center))
    for _ in range(25):
        gradient, hessian = precision @ (theta - center), precision.copy()
        for example in examples:
            x = np.concatenate(
                [_clip(example.features), np.ones((1, len(example.correct)), np.float32)]
            ).astype(float)
            p = 1.0 / (1.0 + np.exp(-theta @ x))
            scale = _PIXELS_PER_IMAGE / max(len(p), 1)
            gradient += scale * (x @ (p - example.correct))
            hessian += scale * (x * (p * (1 - p))) @ x.T
        step = np.linalg.solve(hessian, gradient)
        theta = theta - step * min(1.0, 2.0 / (np.abs(step).max() + 1e-9))
        theta[:-1] = np.maximum(theta[:-1], 0.0)  # more of any feature never means less confidence
        if np.abs(step).max() < 1e-5:
            break
    fitted = dataclasses.replace(
        prior, weights=tuple(map(float, theta[:-1])), intercept=float(theta[-1]), images=len(examples)
    )
    return dataclasses.replace(fitted, ece=expected_error(fitted, examples))


def expected_error(calibration: Calibration, examples: list[Example]) -> float:
    """Return the expected calibration error of ``calibration`` on ``examples``."""
    error = CalibrationError()
    for example in examples:
        error.add(calibration.apply(example.features), example.correct)
    return error.ece()

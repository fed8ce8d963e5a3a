"""Photographs of one megapixel, all different, for `folder`: figures of the synthetic category with grain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.labels import write_label_map

SEED = 2
FIGURES = 40
"""Different figures; each photograph shows one of them moved, turned and lit in a way of its own."""
REFERENCE = 9
QUALITY = 90
GRAIN = 4.0
"""Standard deviation of the grain, of 255."""
_ROOM = 200


@dataclass(frozen=True)
class ReferenceFiles:
    """The labelled image."""

    image: Path
    labels: Path


def make_folder(
    folder: Path, count: int, side: int, *, say: Callable[[str], None] = lambda _: None
) -> ReferenceFiles:
    """Write ``images/`` with ``count`` JPEGs, ``truth/`` with their label maps, and the reference beside."""
    for name in ("images", "truth"):
        (folder / name).mkdir(parents=True)
    category = SyntheticCategory(SEED)
    half = max(64, side // 2)
    figures = [category.sample(i, half) for i in range(min(FIGURES, count + REFERENCE + 1))]
    rng = np.random.default_rng(SEED)
    cv2.setRNGSeed(SEED)
    grain = cv2.randn(np.empty((side + _ROOM, side + _ROOM, 3), np.int16), (0,) * 3, (GRAIN,) * 3)
    reference = ReferenceFiles(folder / "reference.jpg", folder / "reference.png")
    _save(reference.image, cv2.resize(figures[REFERENCE].image, (side, side), interpolation=cv2.INTER_CUBIC))
    labels = cv2.resize(figures[REFERENCE].labels, (side, side), interpolation=cv2.INTER_NEAREST)
    write_label_map(reference.labels, labels)
    for index in range(count):
        if index % 100 == 0:
            say(f"photographs {index} of {count} ...")
        figure = figures[index % len(figures)]
        image, truth = _varied(figure.image, figure.labels, grain, rng)
        _save(folder / "images" / f"{index:05d}.jpg", image)
        Image.fromarray(truth).save(folder / "truth" / f"{index:05d}.png", compress_level=1)
    return reference


def _varied(image: Any, labels: Any, grain: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return a photograph and its label map: turned by a few degrees, moved, enlarged, lit, with grain."""
    side = len(grain) - _ROOM
    scale = side / image.shape[0] * rng.uniform(0.97, 1.08)
    middle = image.shape[0] / 2
    turn = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-5, 5), scale)
    turn[:, 2] += side / 2 - middle + rng.uniform(-0.02, 0.02, 2) * side
    size, border = (side, side), cv2.BORDER_REFLECT
    large = cv2.warpAffine(image, turn, size, flags=cv2.INTER_CUBIC, borderMode=border)
    truth = cv2.warpAffine(labels, turn, size, flags=cv2.INTER_NEAREST, borderMode=border)
    lit = cv2.multiply(large, (*rng.uniform(0.85, 1.1, 3), 1.0))
    y, x = rng.integers(0, _ROOM, 2)  # another piece of the grain for each
    own = np.ascontiguousarray(grain[y : y + side, x : x + side])
    return cv2.add(lit, own, dtype=cv2.CV_8U), truth


def _save(path: Path, image: Any) -> None:
    Image.fromarray(image).save(path, quality=QUALITY)

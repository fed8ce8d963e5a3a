"""The synthetic category: figures like portraits, with exact part masks and correspondence maps, for ever.

A sample is one canonical figure seen through a smooth, invertible, analytically known map from the image to
the canonical frame. Its label map is the canonical figure's label at each pixel's canonical position, so
both truths agree by construction. Hair that is shorter than the canonical figure's, and nothing else, is
absent from a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coordgan_core.data.synthetic_geometry import Deformation, part_distances, random_deformation
from coordgan_core.data.synthetic_render import paint
from coordgan_core.data.synthetic_scene import photograph, random_background
from coordgan_core.data.synthetic_style import random_style
from coordgan_core.errors import DataError

CLASSES = ("background", "skin", "hair", "ears", "brows", "eyes", "nose", "mouth", "neck", "clothes")
"""Class names by id."""

LANDMARKS: Mapping[str, tuple[float, float]] = {
    "left eye outer": (0.27, -0.11),
    "left eye inner": (0.06, -0.11),
    "right eye outer": (-0.27, -0.11),
    "right eye inner": (-0.06, -0.11),
    "left brow": (0.17, -0.245),
    "right brow": (-0.17, -0.245),
    "nose tip": (0.0, 0.075),
    "left mouth corner": (0.17, 0.235),
    "right mouth corner": (-0.17, 0.235),
    "chin": (0.0, 0.44),
    "left ear": (0.44, -0.03),
    "right ear": (-0.44, -0.03),
    "hairline": (0.0, -0.37),
    "neckline": (0.0, 0.70),
}
"""Named points of the canonical frame; left is the figure's left, at the right of the image."""


@dataclass(frozen=True)
class SyntheticSample:
    """One picture and everything that is true of it.

    Attributes:
        image: ``uint8 [H, W, 3]``.
        labels: ``uint8 [H, W]``, ids of `CLASSES`.
        correspondence: ``float32 [2, H, W]``, canonical position of each pixel, not-a-number on the
            background.
        deformation: The map from the image to the canonical frame.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    correspondence: NDArray[np.float32]
    deformation: Deformation

    @cached_property
    def landmarks(self) -> dict[str, tuple[float, float]]:
        """Return where the `LANDMARKS` lie: ``(x, y)`` in pixels, perhaps outside the image."""
        points = np.array(list(LANDMARKS.values()), np.float64)
        columns, rows = self.locate(points[:, 0], points[:, 1])
        return {name: (float(c), float(r)) for name, c, r in zip(LANDMARKS, columns, rows, strict=True)}

    def locate(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the pixels ``(x, y)`` that show canonical positions: the inverse of `correspondence`."""
        height, width = self.labels.shape
        x, y = self.deformation.to_image(u, v)
        half = min(width, height) / 2.0
        return x * half + (width - 1) / 2.0, y * half + (height - 1) / 2.0


class SyntheticCategory:
    """An endless category of figures; sample ``index`` of seed ``seed`` is always the same.

    Args:
        seed: Names the series.

    Example:
        >>> sample = SyntheticCategory(seed=0).sample(0, 64)
        >>> sample.image.shape, sample.labels.shape, sample.correspondence.shape
        ((64, 64, 3), (64, 64), (2, 64, 64))
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def sample(self, index: int, size: int | tuple[int, int]) -> SyntheticSample:
        """Draw a sample.

        Args:
            index: Which one, from 0. Geometry, colours and background do not depend on ``size``.
            size: Side of a square image, or its ``(width, height)``, in pixels.

        Raises:
            DataError: The index is negative or a side is less than one pixel.
        """
        width, height = (size, size) if isinstance(size, int) else size
        if index < 0 or min(width, height) < 1:
            raise DataError(
                f"sample {index} of {width} x {height} pixels was asked for",
                expected="an index from 0 and sides of at least one pixel",
            )
        rng = np.random.default_rng([self.seed, index])
        deformation, style = random_deformation(rng), random_style(rng)
        x, y = pixel_positions(width, height)
        u, v = deformation.to_canonical(x, y)
        parts = part_distances(u, v, hair_length=style.hair_length)
        labels = _labels(parts)
        pixel = 2.0 / (min(width, height) * deformation.scale)
        picture = paint(u, v, parts, style, random_background(rng, x, y), pixel)
        correspondence = np.where(labels > 0, np.stack([u, v]), np.nan).astype(np.float32)
        return SyntheticSample(photograph(rng, picture, x, y), labels, correspondence, deformation)


def pixel_positions(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y ``[H, W]`` of the pixels, in halves of the shorter side from the centre."""
    half = min(width, height) / 2.0
    x = (np.arange(width) - (width - 1) / 2.0) / half
    y = (np.arange(height) - (height - 1) / 2.0) / half
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x, grid_y


def _labels(parts: list[tuple[str, NDArray[np.float64]]]) -> NDArray[np.uint8]:
    labels = np.zeros(parts[0][1].shape, np.uint8)
    for name, distance in parts:
        labels[distance < 0] = CLASSES.index(name)
    return labels

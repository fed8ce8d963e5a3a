"""Warped, recoloured copies of a labelled image: queries whose true labels are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from coordgan_core import coords
from coordgan_core.data import augment
from coordgan_core.data.images import resize
from coordgan_core.data.pixels import to_tensor, to_uint8
from coordgan_core.data.sampler import generator
from coordgan_core.labels import LabelMap, resize_labels

LARGEST_PX = 256
"""Longest side of a copy."""


@dataclass(frozen=True)
class Copy:
    """A copy ``uint8 [H, W, 3]``, its labels, and where it shows the original rather than a reflection."""

    image: NDArray[np.uint8]
    labels: LabelMap
    shown: NDArray[np.bool_]


def warped_copies(image: NDArray[np.uint8], labels: LabelMap, count: int, *, seed: int = 0) -> list[Copy]:
    """Return copies of a labelled image under random warps and colours, the same ones for the same seed.

    Args:
        image: ``uint8 [H, W, 3]``.
        labels: ``uint8 [H, W]``.
        count: How many.
        seed: Of the draws.
    """
    scale = min(1.0, LARGEST_PX / max(labels.shape))
    height, width = (max(1, round(side * scale)) for side in labels.shape)
    pixels = to_tensor(resize(image, width, height))
    classes = torch.from_numpy(resize_labels(labels, width, height))[None, None].float()
    copies = []
    for index in range(count):
        draws = generator(seed, "copies", index)
        field = augment.random_warp(1, height, width, generator=draws)
        changed = augment.jitter_colours(augment.warp_images(pixels, field), generator=draws, gray=0.0)
        grid = coords.map_to_grid(field)
        moved = F.grid_sample(classes, grid, mode="nearest", padding_mode="reflection", align_corners=False)
        copies.append(
            Copy(
                to_uint8(changed)[0],
                moved[0, 0].numpy().astype(np.uint8),
                augment.inside(field)[0, 0].numpy() > 0,
            )
        )
    return copies

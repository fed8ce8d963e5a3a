"""Frame loss: the embedding must find each pixel of a generated image where its map says that it lies.

A generator trained by an adversary is free to move its canonical frame. This loss holds it to the frame of
stage 0, so that maps of the warping network and maps of the embedding stay interchangeable.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from coordgan_core.models.embedding import Embedding

FRAME_PX = 32
"""Side at which the two maps are compared: finer ones cost more than they tell."""


def frame_loss(maps: Tensor, images: Tensor, embedding: Embedding) -> Tensor:
    """Return the mean distance of the two maps, in canonical units, a scalar.

    Args:
        maps: Correspondence maps ``[B, 2, h, w]`` that the images were painted at.
        images: The images ``[B, 3, H, W]`` in [-1, 1].
        embedding: With prototypes, frozen; gradients go through it to the images, and to the maps.
    """
    descriptors = embedding(images)
    side = min(FRAME_PX, descriptors.shape[-1])
    found = embedding.locate(F.normalize(_reduced(descriptors, side), dim=1))
    return (found - _reduced(maps, side)).square().sum(dim=1).add(1e-8).sqrt().mean()


def _reduced(values: Tensor, side: int) -> Tensor:
    return F.interpolate(values.float(), size=(side, side), mode="area")

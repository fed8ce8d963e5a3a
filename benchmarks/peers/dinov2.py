"""Nearest neighbours of DINOv2's patch features: what needs no training today, given weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.correspondence import soften
from coordgan_core.data.images import resize
from coordgan_core.data.pixels import to_tensor
from coordgan_core.errors import ConfigError
from coordgan_core.evaluation import LabelledImage
from coordgan_core.flow import Image
from coordgan_core.labels import LabelMap
from peers.carriers import PeerOptions
from peers.vit import load_dinov2

GRID = 32
"""Patches along each side; pictures are resized to that many times the patch."""
NEIGHBOURS = 5
TEMPERATURE = 0.1
"""Of the votes of the neighbours, by cosine similarity."""


class NearestPatches:
    """Give every patch of a query the labels of the reference's most similar patches.

    Args:
        name: Not used; all peers are made alike.
        reference: The labelled image.
        options: Size, classes and the weights.

    Raises:
        ConfigError: No weights were given.
        ModelError: They cannot be read.
    """

    def __init__(self, name: str, reference: LabelledImage, options: PeerOptions) -> None:
        if options.dinov2 is None:
            raise ConfigError(f"the peer {name} has no weights", remedy="pass --dinov2 FILE")
        self._network = load_dinov2(options.dinov2)
        self._size = options.size
        labels = torch.from_numpy(np.array(reference.labels))
        fine = soften(labels, options.classes, 4 * GRID, 4 * GRID)
        self._labels = F.avg_pool2d(fine, 4).flatten(1)  # [K, GRID^2]
        self._features = self._describe(reference.image)

    def carry(self, images: Sequence[Image]) -> Iterator[LabelMap]:
        """Yield the label map ``uint8 [size, size]`` of every image, in order."""
        for image in images:
            likeness, nearest = (self._describe(image).T @ self._features).topk(NEIGHBOURS, dim=1)
            votes = torch.softmax(likeness / TEMPERATURE, dim=1)  # [N, k]
            soft = (self._labels[:, nearest] * votes).sum(2).reshape(1, -1, GRID, GRID)
            side = (self._size, self._size)
            grown = F.interpolate(soft, side, mode="bilinear", align_corners=False)
            yield grown[0].argmax(0).to(torch.uint8).numpy().copy()

    def _describe(self, image: Image) -> Tensor:
        """Return the unit features of the patches of an image, ``[D, GRID^2]``."""
        side = GRID * self._network.patch
        with torch.inference_mode():
            features = self._network(to_tensor(resize(image, side, side)[None]))
        unit: Tensor = F.normalize(features[0].flatten(1), dim=0)
        return unit

"""The dense head: detail that one structure code cannot hold.

The published map is a smooth function of a single vector; small parts, and whatever the code got slightly
wrong, are lost in it. The dense head looks at the image itself and predicts, for each pixel at full
resolution, an offset to be added to that smooth map, and how far it may be off (the scale of a Laplace
distribution). It never sees a loss that could reward smuggling appearance through offsets: it learns from
known positions alone (`training.joint`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import DenseHeadConfig
from coordgan_core.models.layers import full_precision
from coordgan_core.models.unet import ResidualBlock

LOG_SCALE_LIMITS = (-6.0, 1.0)
"""Limits of the logarithm of the predicted error, which is in canonical units."""


class DenseHead(nn.Module):  # trunk features, image -> offset, error scale
    """Two convolutions at full resolution behind the embedding's trunk.

    Args:
        config: Channels and largest offset.
        trunk_channels: Channels of the trunk's features.
    """

    def __init__(self, config: DenseHeadConfig, trunk_channels: int) -> None:
        super().__init__()
        self.config = config
        self.from_image = nn.Conv2d(3, config.channels, 3, padding=1)
        self.from_trunk = nn.Conv2d(trunk_channels, 4 * config.channels, 1)
        self.block = ResidualBlock(config.channels, norm=False)
        self.out = nn.Conv2d(config.channels, 3, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets ``[B, 2, R, R]`` and error scales ``[B, 1, R, R]``, float32, in canonical units.

        Args:
            features: The trunk's features ``[B, C_0, R/2, R/2]``.
            images: The images ``[B, 3, R, R]`` that they come from.
        """
        # Descriptors have unit length however long features are, so that nothing keeps these from growing, to
        # 1e5 and more: as they come they would drive every offset to its limit within a few steps.
        length = features.shape[1] ** 0.5
        up = F.pixel_shuffle(self.from_trunk(length * F.normalize(F.relu(features).float(), dim=1)), 2)
        out = self.out(F.relu(self.block(up + self.from_image(images))))
        with full_precision(out):
            out = out.float()
            limit = self.config.max_offset
            scale = torch.exp((out[:, 2:] - 2.0).clamp(*LOG_SCALE_LIMITS))
            return limit * torch.tanh(out[:, :2] / limit), scale

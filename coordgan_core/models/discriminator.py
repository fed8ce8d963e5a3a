"""The image discriminator: StyleGAN2's residual discriminator (fact sheet section 1.6)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from coordgan_core.config import ModelConfig
from coordgan_core.coords import check_shape
from coordgan_core.models.layers import EqualConv, EqualLinear, ResidualDown, append_stddev

BLUR = (1, 3, 3, 1)


def channels_at(channels: int, side: int) -> int:
    """Return the channels at a resolution: ``channels`` up to 64 pixels, half as many with each doubling."""
    return max(1, min(channels, channels * 64 // side))


class Discriminator(nn.Module):  # image -> logit
    """Judge images; 28.39 M parameters at 128 pixels.

    Args:
        config: The model's configuration; its resolution must be a power of two.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, side = config.discriminator.channels, config.resolution
        self.resolution, self.group = side, config.discriminator.stddev_group
        self.from_rgb = EqualConv(3, channels_at(width, side), 1)
        sides = [side >> n for n in range(int(math.log2(side)) - 2)]  # R .. 8
        self.blocks = nn.Sequential(
            *(ResidualDown(channels_at(width, s), channels_at(width, s // 2), blur=BLUR) for s in sides)
        )
        last = channels_at(width, 4)
        self.last = EqualConv(last + 1, last, 3)
        self.head = nn.Sequential(
            EqualLinear(last * 4 * 4, last, activation=True),
            EqualLinear(last, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[B, 3, R, R]`` to logits ``[B, 1]``, positive for real."""
        check_shape(images, f"B 3 {self.resolution} {self.resolution}", "image batch")
        x = self.blocks(self.from_rgb(images))
        x = self.last(append_stddev(x, self.group))
        logits: Tensor = self.head(x.flatten(1))
        return logits.float()

"""The small U-Net behind the stage 0 embedding and the dense head: built for two CPU cores, not for records.

It works from half resolution down (the pixels of each 2 x 2 block become channels), has one normalisation a
block and none at the widest level, and only plain convolutions: under bfloat16 autocast with channels_last
most of its time is matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.coords import check_shape
from coordgan_core.errors import ShapeError


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(relu(norm(x)))))``; the last convolution, and so the block, starts as nothing.

    Args:
        channels: Channels in and out.
        norm: Whether the input is normalised over channels and pixels.
    """

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels) if norm else nn.Identity()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to the same shape."""
        y: Tensor = x + self.second(F.relu(self.first(F.relu(self.norm(x)))))
        return y


class FeatureUNet(nn.Module):  # image -> features at half resolution
    """U-Net without a head: what a pixel is, in its context.

    Args:
        channels: Channels of each level; level k has the image's side divided by ``2^(k + 1)``.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.stem = nn.Conv2d(12, channels[0], 5, padding=2)
        self.encoders = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c, norm=level > 0) for _ in range(1 if level == 0 else 2)))
            for level, c in enumerate(channels)
        )
        steps = list(zip(channels[:-1], channels[1:], strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in steps)
        self.laterals = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in steps)
        self.decoders = nn.ModuleList(ResidualBlock(a, norm=False) for a, _ in steps)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images ``[B, 3, H, W]`` to features ``[B, C_0, H/2, W/2]`` and those of the deepest level.

        The deepest level has ``[B, C_n, H / 2^(n + 1), W / 2^(n + 1)]``, n counted from 0.

        Raises:
            ShapeError: A side cannot be halved once for every level.
        """
        check_shape(images, "B 3 H W", "image batch")
        unit = 1 << len(self.channels)
        if images.shape[-1] % unit or images.shape[-2] % unit:
            raise ShapeError(
                f"the images are {images.shape[-1]} x {images.shape[-2]} pixels",
                expected=f"sides that are multiples of {unit}",
                remedy="resize them first",
            )
        x = self.stem(F.pixel_unshuffle(images, 2))
        levels = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(x)
            levels.append(x)
            if level < len(self.downs):
                x = self.downs[level](x)
        deepest = x
        for level in reversed(range(len(self.downs))):
            up = F.interpolate(
                self.laterals[level](x), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            x = self.decoders[level](up + levels[level])
        return x, deepest

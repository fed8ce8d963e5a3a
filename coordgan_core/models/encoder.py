"""The encoder of stage 2: image -> structure code and texture code (fact sheet section 4).

One shared trunk, two heads. The correspondence map of a real image comes from the frozen warping network on
its structure code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from coordgan_core.config import EncoderConfig, ModelConfig
from coordgan_core.coords import check_shape
from coordgan_core.errors import ConfigError
from coordgan_core.models.codes import Codes
from coordgan_core.models.layers import EqualConv, EqualLinear, ResidualDown, full_precision

BLUR = (1, 2, 1)


def num_texture_layers(config: ModelConfig) -> int:
    """Return L, the vectors of a texture code: two for each RGB output of the generator."""
    return 2 * (1 + config.synthesis.trunk_blocks + len(config.synthesis.upsample_channels))


class Encoder(nn.Module):  # image -> codes
    """Invert the generator; 41.10 M parameters at 128 pixels.

    Args:
        config: The model's configuration, with an encoder.

    Raises:
        ConfigError: The configuration has no encoder.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.encoder is None:
            raise ConfigError("this model has no encoder", remedy="choose a preset that has one")
        own, code_dim = config.encoder, config.mapping.code_dim
        self.resolution = config.resolution
        widths = [min(own.channels << level, own.max_channels) for level in range(own.downsamplings + 1)]
        widths[-1] = own.max_channels
        self.trunk = nn.Sequential(
            EqualConv(3, widths[0], 1),
            *(
                ResidualDown(a, b, blur=BLUR, padding="reflect")
                for a, b in zip(widths[:-1], widths[1:], strict=True)
            ),
        )
        side = config.resolution >> own.downsamplings
        self.structure = _structure_head(own)
        self.structure_code = EqualLinear(side * side * own.structure_channels, code_dim)
        self.texture = _texture_head(own)
        self.texture_codes = nn.ModuleList(
            EqualLinear(own.texture_channels, code_dim) for _ in range(num_texture_layers(config))
        )

    def forward(self, images: Tensor) -> Codes:
        """Map images ``[B, 3, R, R]`` in [-1, 1] to codes: structure ``[B, D]``, texture ``[B, L, D]``."""
        check_shape(images, f"B 3 {self.resolution} {self.resolution}", "image batch")
        x = self.trunk(images)
        where, how = self.structure(x).flatten(1), self.texture(x).mean(dim=(2, 3))
        with full_precision(x):  # codes become coordinates
            texture = torch.stack([layer(how.float()) for layer in self.texture_codes], dim=1)
            return Codes(self.structure_code(where.float()), texture)


def _structure_head(config: EncoderConfig) -> nn.Sequential:
    return nn.Sequential(
        EqualConv(config.max_channels, config.max_channels, 1),
        EqualConv(config.max_channels, config.structure_channels, 1, activation=False),
    )


def _texture_head(config: EncoderConfig) -> nn.Sequential:
    half = config.texture_channels // 2
    return nn.Sequential(
        EqualConv(config.max_channels, half, 3, blur=BLUR),
        EqualConv(half, config.texture_channels, 3, blur=BLUR),
    )

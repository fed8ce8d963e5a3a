"""The generator: structure and texture codes -> correspondence map -> image (fact sheet sections 1.3 to 1.5).

z_s -> mapping_structure -> w_s -> warp -> correspondence map --.
z_t -> mapping_texture  -> w_t (W+: one vector a layer) ---------+-> synthesis -> image
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coordgan_core.config import ModelConfig, SynthesisConfig
from coordgan_core.coords import check_shape, resize_map
from coordgan_core.models.codes import Codes
from coordgan_core.models.layers import GAIN, ModulatedConv, activate, full_precision, upsample
from coordgan_core.models.mapping import MappingNetwork
from coordgan_core.models.warp import WarpingNetwork


class SineEncoding(nn.Module):  # correspondence map -> features
    """Learned Fourier features ``sin(A m + b)`` of the map, as in CIPS (fact sheet section 1.3).

    ``A`` starts uniform within ``bound``, ``b`` within sqrt(1 / 2); both are trained. The published bound is
    sqrt(9 / 2): at most a third of a wave a unit. Higher ones learn fine detail sooner.
    """

    def __init__(self, channels: int, bound: float = math.sqrt(4.5)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 2).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-math.sqrt(0.5), math.sqrt(0.5)))

    def forward(self, correspondence: Tensor) -> Tensor:
        """Map ``[B, 2, H, W]`` to ``float32 [B, C, H, W]`` in [-1, 1]."""
        with full_precision(correspondence):
            # Sums of products, not a convolution: cuDNN may round coordinates to TF32, half a pixel near 1.
            x, y = correspondence.float()[:, :, None].unbind(1)
            angle = torch.addcmul(self.bias[:, None, None], x, self.weight[:, 0, None, None])
            return torch.addcmul(angle, y, self.weight[:, 1, None, None]).sin()


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel, 1 or 3.
        code_dim: Width of the code.
        noise: Whether per-pixel noise is added, times one learned number that starts at 0.
        up: Double the resolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        code_dim: int,
        *,
        noise: bool,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, out_channels, kernel, code_dim, up=up)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None

    def forward(self, x: Tensor, code: Tensor, noise: Tensor | None) -> Tensor:
        """Map ``[B, in, H, W]``, codes ``[B, D]``, noise ``[B, 1, H', W']`` to ``[B, out, H', W']``."""
        y = self.conv(x, code, self.bias, gain=GAIN)
        if self.noise_strength is not None and noise is not None:
            y = y + (GAIN * self.noise_strength * noise).to(y.dtype)
        return activate(y)


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to three channels, not demodulated, with bias."""

    def __init__(self, in_channels: int, code_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, 3, 1, code_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Map features ``[B, in, H, W]`` and codes ``[B, D]`` to ``[B, 3, H, W]``."""
        y: Tensor = self.conv(x, code, self.bias)
        return y


class SynthesisBlock(nn.Module):
    """Two modulated convolutions and an RGB output; an up-sampling block doubles the resolution first."""

    def __init__(
        self, in_channels: int, channels: int, config: SynthesisConfig, code_dim: int, *, up: bool
    ) -> None:
        super().__init__()
        self.join = config.map_skips and not up  # up-sampled features get no map
        joined = channels + (2 if self.join else 0)
        kernel = 3 if up else config.trunk_kernel
        noise = config.noise and kernel == 3
        self.first = StyledConv(in_channels, channels, kernel, code_dim, noise=noise, up=up)
        self.second = StyledConv(joined, channels, kernel, code_dim, noise=noise)
        self.to_rgb = ToRGB(joined, code_dim)
        self.up = up
        self.out_channels = joined

    def forward(
        self, x: Tensor, rgb: Tensor, maps: Tensor, codes: Tensor, noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """Return features and the running RGB sum; ``codes [B, 3, D]``: two convolutions, one RGB output."""
        for layer, slot in ((self.first, 0), (self.second, 1)):
            x = layer(x, codes[:, slot], noise[slot])
            if self.join:
                x = _join(x, maps)
        if self.up:
            rgb = upsample(rgb)
        return x, rgb + self.to_rgb(x, codes[:, 2]).float()


def _join(x: Tensor, maps: Tensor) -> Tensor:
    return torch.cat([x, maps.to(x.dtype)], dim=1)


class Synthesis(nn.Module):  # correspondence map, W+ -> image
    """Modulated generator without constant input: where a pixel lies, it knows from the map alone.

    Convolution k uses slot k of the texture code, RGB output j slot 2 j + 1; the image is the sum of the RGB
    outputs.

    Args:
        config: Channels, depth, kernels, up-sampling blocks.
        code_dim: Width of the texture code.
    """

    def __init__(self, config: SynthesisConfig, code_dim: int) -> None:
        super().__init__()
        channels, kernel = config.trunk_channels, config.trunk_kernel
        self.config = config
        self.encoding = SineEncoding(channels, config.encoding_bound)
        self.first = StyledConv(channels, channels, kernel, code_dim, noise=config.noise and kernel == 3)
        joined = channels + (2 if config.map_skips else 0)
        self.first_rgb = ToRGB(joined, code_dim)
        self.blocks = nn.ModuleList()
        for number in range(config.trunk_blocks + len(config.upsample_channels)):
            up = number >= config.trunk_blocks
            width = config.upsample_channels[number - config.trunk_blocks] if up else channels
            block = SynthesisBlock(joined, width, config, code_dim, up=up)
            self.blocks.append(block)
            joined = block.out_channels
        self.num_layers = 2 * (1 + len(self.blocks))

    def noise(
        self, batch: int, size: tuple[int, int], generator: torch.Generator | None
    ) -> list[Tensor | None]:
        """Draw the noise of every convolution for maps of ``size``; None each without a generator."""
        layers: list[StyledConv] = [m for m in self.modules() if isinstance(m, StyledConv)]
        drawn: list[Tensor | None] = []
        height, width = size
        for layer in layers:
            if layer.conv.up:
                height, width = 2 * height, 2 * width
            wanted = generator is not None and layer.noise_strength is not None
            drawn.append(
                torch.randn(batch, 1, height, width, generator=generator, device=layer.bias.device)
                if wanted
                else None
            )
        return drawn

    def forward(self, maps: Tensor, codes: Tensor, noise: Sequence[Tensor | None] | None = None) -> Tensor:
        """Render ``maps [B, 2, h, w]`` with texture codes ``[B, L, D]`` -> ``float32 [B, 3, H, W]``.

        Each up-sampling block doubles the size. ``noise`` is what `noise` drew; None adds none.
        """
        check_shape(maps, "B 2 H W", "correspondence map")
        check_shape(codes, f"B {self.num_layers} D", "texture code")
        noise = noise if noise is not None else [None] * (1 + 2 * len(self.blocks))
        x = self.encoding(maps)
        x = self.first(x, codes[:, 0], noise[0])
        if self.config.map_skips:
            x = _join(x, maps)
        rgb = self.first_rgb(x, codes[:, 1]).float()
        for number, block in enumerate(self.blocks):
            conv = 1 + 2 * number  # its first convolution; its RGB output uses slot conv + 2
            x, rgb = block(x, rgb, maps, codes[:, conv : conv + 3], noise[conv : conv + 2])
        images: Tensor = rgb
        return images


class Generator(nn.Module):  # z_structure, z_texture -> image
    """Mapping networks, warping network and synthesis; 35.27 M parameters in the preset ``paper-128``.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.code_dim = config.mapping.code_dim
        self.mapping_structure = MappingNetwork(config.mapping)
        self.mapping_texture = MappingNetwork(config.mapping)
        self.warp = WarpingNetwork(config.warp, self.code_dim)
        self.synthesis = Synthesis(config.synthesis, self.code_dim)
        self.num_texture_layers = self.synthesis.num_layers
        self.map_px = config.warp.resolution
        self.trunk_px = config.resolution >> len(config.synthesis.upsample_channels)

    def map_structure(self, z: Tensor) -> Tensor:
        """Map latents ``[B, D]`` to structure codes ``[B, D]``."""
        w: Tensor = self.mapping_structure(z)
        return w

    def map_texture(self, z: Tensor) -> Tensor:
        """Map latents ``[B, D]`` to texture codes ``[B, L, D]``: one code, repeated for every layer."""
        w: Tensor = self.mapping_texture(z)
        return w[:, None].expand(-1, self.num_texture_layers, -1)

    def synthesize(
        self, maps: Tensor, texture: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Render maps ``[B, 2, h, w]`` with texture codes ``[B, L, D]`` -> ``[B, 3, H, W]``, about [-1, 1].

        Maps of the configured side give images of the configured resolution, others images of the same scale.

        Args:
            maps: Correspondence maps, of any height and width.
            texture: Texture codes in W+.
            generator: Draws the per-pixel noise (training); None adds none, so that a render is a function of
                its codes. The original release draws fresh noise when rendering too.
        """
        maps = self.to_trunk(maps)
        height, width = maps.shape[-2:]
        noise = self.synthesis.noise(maps.shape[0], (height, width), generator)
        image: Tensor = self.synthesis(maps, texture, noise)
        return image

    def to_trunk(self, maps: Tensor) -> Tensor:
        """Resize maps ``[B, 2, h, w]`` from the warping network's to the trunk's scale."""
        check_shape(maps, "B 2 H W", "correspondence map")
        if self.map_px == self.trunk_px:
            return maps
        height, width = (max(1, side * self.trunk_px // self.map_px) for side in maps.shape[-2:])
        return resize_map(maps, height, width)

    def render(self, codes: Codes, *, generator: torch.Generator | None = None) -> Tensor:  # codes -> images
        """Render codes to images ``[B, 3, R, R]``; ``generator`` as in `synthesize`."""
        maps = self.warp(codes.structure) if codes.maps is None else codes.maps
        return self.synthesize(maps, codes.texture, generator=generator)

    def sample(self, z_structure: Tensor, z_texture: Tensor) -> Codes:
        """Map two latents ``[B, D]`` to codes."""
        return Codes(self.map_structure(z_structure), self.map_texture(z_texture))

    def forward(self, z_structure: Tensor, z_texture: Tensor) -> Tensor:
        """Render latents ``[B, D]``, ``[B, D]`` to images ``[B, 3, R, R]``."""
        return self.render(self.sample(z_structure, z_texture))

    def freeze_structure(self) -> None:
        """Stop training what decides the correspondence map (stage 512, fact sheet section 1.5)."""
        self.mapping_structure.requires_grad_(False)
        self.warp.requires_grad_(False)

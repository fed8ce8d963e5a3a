"""A CoordGAN small enough for tests, in a container of generator and encoder alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from coordgan_core.config import Config, ModelConfig, replace
from coordgan_core.models.codes import Codes
from coordgan_core.models.encoder import Encoder
from coordgan_core.models.generator import Generator

TINY = {
    "model.resolution": 32,
    "model.mapping.code_dim": 16,
    "model.mapping.layers": 2,
    "model.warp.resolution": 16,
    "model.warp.width": 16,
    "model.synthesis.trunk_channels": 16,
    "model.synthesis.trunk_blocks": 1,
    "model.synthesis.upsample_channels": (8,),
    "model.discriminator.channels": 16,
    "model.patch.channels": 4,
    "model.patch.crop_px": 32,
    "model.patch.crops": 2,
    "model.encoder.channels": 4,
    "model.encoder.max_channels": 16,
    "model.encoder.downsamplings": 2,
    "model.encoder.structure_channels": 4,
    "model.encoder.texture_channels": 16,
    "train.batch": 2,
    "train.perceptual": "structural",
    "train.gan.warp_px": 16,
    "train.gan.lazy_every": 2,
    "train.gan.adversarial_ramp_nimg": (0, 4),
    "train.gan.swap_ramp_nimg": 4,
    "train.gan.structure_swap_from_nimg": 2,
}


def tiny_config(**changes: object) -> Config:
    return replace(Config(), **(TINY | changes))


class TinyCoordGAN(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.encoder = Encoder(config) if config.encoder else None
        self.embedding = None

    def encode(self, images: Tensor) -> Codes:
        assert self.encoder is not None
        codes: Codes = self.encoder(images)
        return codes

    def render(self, codes: Codes) -> Tensor:
        return self.generator.render(codes)


def tiny_model(seed: int = 0, **changes: object) -> TinyCoordGAN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyCoordGAN(tiny_config(**changes).model)


def images(count: int = 2, side: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def awaken(part: nn.Module, seed: int = 0) -> None:
    """Move the biases of a part off zero, as its training would."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            if name.endswith("bias"):
                parameter += 0.01 * torch.randn(parameter.shape, generator=noise)

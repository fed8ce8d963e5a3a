"""Mapping networks, latent z -> code w: one for structure, one for texture (fact sheet section 1.1)."""

from __future__ import annotations

from torch import Tensor, nn

from coordgan_core.config import MappingConfig
from coordgan_core.coords import check_shape
from coordgan_core.models.layers import EqualLinear, full_precision, pixel_norm


class MappingNetwork(nn.Module):  # z -> w
    """Normalise a Gaussian latent and pass it through fully connected layers of equal width.

    Args:
        config: ``code_dim`` (512), ``layers`` (8) and ``lr_multiplier`` (0.01).
    """

    def __init__(self, config: MappingConfig) -> None:
        super().__init__()
        width = config.code_dim
        self.layers = nn.Sequential(
            *(
                EqualLinear(width, width, lr_multiplier=config.lr_multiplier, activation=True)
                for _ in range(config.layers)
            )
        )
        self.code_dim = width

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[B, D]``, standard normal, to codes ``[B, D]``."""
        check_shape(z, f"B {self.code_dim}", "latent")
        with full_precision(z):
            w: Tensor = self.layers(pixel_norm(z.float()))
            return w

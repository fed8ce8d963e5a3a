"""Stage 0: an equivariant embedding, and the canonical prototypes that turn it into a correspondence map.

A descriptor says *what* a pixel shows (the left corner of a mouth), not where it is nor how it is coloured:
it is learned so that two randomly warped and recoloured views of one photograph can be matched by it
(Thewlis et al. 2017, "Unsupervised learning of object frames by dense equivariant image labelling";
`losses.equivariance`). The *prototypes* are the mean descriptors at every point of the canonical frame;
where a pixel lies in the frame is where its descriptor finds its likeness among them:

    m(x) = sum_u  softmax_u( <d(x), P(u)> / tau )  u           u on the canonical grid

No weights, no labels, no generator: it gives usable maps within minutes on a CPU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import EmbeddingConfig
from coordgan_core.coords import canonical_grid, check_shape
from coordgan_core.errors import ConfigError
from coordgan_core.models.layers import full_precision
from coordgan_core.models.unet import FeatureUNet


class Embedding(nn.Module):  # image -> descriptors -> correspondence map
    """U-Net with descriptors of unit length at half resolution, and the canonical prototypes.

    Args:
        config: Channels, sizes, temperature.

    Raises:
        ConfigError: The input cannot be halved once for every level.
    """

    prototypes: Tensor
    """``float32 [C, P, P]``, unit length; zero until `set_prototypes`."""

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        unit = 1 << len(config.channels)
        if unit == 1 or config.input_px % unit:
            raise ConfigError(
                f"model.embedding.input_px is {config.input_px} and there are {len(config.channels)} levels",
                expected=f"one level or more, and a multiple of {unit} pixels",
                remedy="change input_px or channels of model.embedding",
            )
        self.config = config
        self.trunk = FeatureUNet(config.channels)
        self.head = nn.Conv2d(config.channels[0], config.dim, 1)
        self.register_buffer("prototypes", torch.zeros(config.dim, config.prototype_px, config.prototype_px))

    @property
    def ready(self) -> bool:
        """Whether the prototypes have been set."""
        return bool(self.prototypes.any())

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the trunk's features ``[B, C_0, R/2, R/2]`` and deepest level of images ``[B, 3, R, R]``."""
        found: tuple[Tensor, Tensor] = self.trunk(images)
        return found

    def resized(self, images: Tensor, side: int | None = None) -> Tensor:
        """Resize images ``[B, 3, H, W]`` to ``side``, by default the one that the network works at."""
        return resize_square(images, side or self.config.input_px)

    def describe(self, features: Tensor) -> Tensor:
        """Turn features ``[B, C_0, h, w]`` into descriptors ``float32 [B, C, h, w]`` of unit length."""
        return F.normalize(self.head(F.relu(features)).float(), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[B, 3, H, W]`` in [-1, 1] to unit descriptors ``float32 [B, C, R/2, R/2]``."""
        return self.describe(self.features(self.resized(images))[0])

    def locate(self, descriptors: Tensor) -> Tensor:
        """Find descriptors ``[B, C, h, w]`` among the prototypes: maps ``float32 [B, 2, h, w]``.

        The soft-argmax of the formula above. Similarities cannot exceed 1, so the softmax needs no maximum:
        numerator and denominator are one matrix product behind one exponential, an image at a time so that
        the affinity stays in the cache. `locate_reference` is the plain form.
        """
        B, _, h, w = descriptors.shape
        tau, side = self.config.temperature, self.config.prototype_px
        with full_precision(descriptors):
            points = canonical_grid(side, side, device=descriptors.device).flatten(1).T
            sums = torch.cat([points, torch.ones_like(points[:, :1])], dim=1)  # [P^2, 3]: x, y, 1
            scaled = self.prototypes.flatten(1) / tau
            found = [
                (one @ scaled).sub_(1.0 / tau).exp_() @ sums
                for one in descriptors.float().flatten(2).transpose(1, 2).unbind()
            ]
            maps = torch.stack(found)
        return (maps[..., :2] / maps[..., 2:]).transpose(1, 2).reshape(B, 2, h, w)

    def likeness(self, descriptors: Tensor) -> Tensor:
        """Return the similarity to the best prototype, ``float32 [B, 1, h, w]`` in [-1, 1]."""
        B, _, h, w = descriptors.shape
        with full_precision(descriptors):
            prototypes = self.prototypes.flatten(1)
            best = [
                (one @ prototypes).amax(1) for one in descriptors.float().flatten(2).transpose(1, 2).unbind()
            ]
        return torch.stack(best).reshape(B, 1, h, w)

    @torch.no_grad()
    def set_prototypes(self, mean: Tensor) -> None:
        """Take mean descriptors ``[C, h, w]`` of many images as prototypes, resized and of unit length."""
        side = self.config.prototype_px
        resized = F.interpolate(mean[None].float(), size=(side, side), mode="bilinear", align_corners=False)
        self.prototypes.copy_(F.normalize(resized[0], dim=0))


def resize_square(images: Tensor, side: int) -> Tensor:
    """Resize images ``[B, 3, H, W]`` to ``side x side``, smoothed where they shrink.

    Raises:
        ShapeError: Not a batch of images.
    """
    check_shape(images, "B 3 H W", "image batch")
    height, width = images.shape[-2:]
    if (height, width) == (side, side):
        return images
    if height % side == 0 and width % side == 0:
        return F.interpolate(images, size=(side, side), mode="area")
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def locate_reference(descriptors: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Compute `Embedding.locate` as it is defined, with a softmax over all prototypes ``[C, P, P]``."""
    B, _, h, w = descriptors.shape
    similarity = torch.einsum("bcn,cm->bnm", descriptors.flatten(2), prototypes.flatten(1))
    points = canonical_grid(*prototypes.shape[-2:], device=descriptors.device).flatten(1).T
    return (torch.softmax(similarity / temperature, dim=2) @ points).mT.reshape(B, 2, h, w)

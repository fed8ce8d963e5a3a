"""All networks of one model, and what they say about an image: codes, correspondence map, rendering."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import ModelConfig
from coordgan_core.coords import resize_map
from coordgan_core.errors import ConfigError
from coordgan_core.models.codes import Codes
from coordgan_core.models.dense_head import DenseHead
from coordgan_core.models.embedding import Embedding, resize_square
from coordgan_core.models.encoder import Encoder
from coordgan_core.models.generator import Generator

RELIABILITY_UNIT = 0.05
"""Expected error, in canonical units, at which reliability has fallen to 1/2."""


@dataclass(frozen=True)
class Correspondence:
    """Where the pixels of images lie in the canonical frame.

    Args:
        map: Correspondence maps ``float32 [B, 2, h, w]``.
        reliability: ``float32 [B, 1, h, w]`` in [0, 1], the model's own opinion, not calibrated.
        descriptors: ``float32 [B, C, h', w']`` of unit length; None without an embedding.
    """

    map: Tensor
    reliability: Tensor
    descriptors: Tensor | None = None


class CoordGAN(nn.Module):
    """What a model file holds.

    Args:
        config: Which networks there are, and their sizes.

    Raises:
        ConfigError: A dense head without an embedding.
    """

    generator: Generator
    encoder: Encoder | None
    embedding: Embedding | None
    dense_head: DenseHead | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.encoder = Encoder(config) if config.encoder else None
        self.embedding = Embedding(config.embedding) if config.embedding else None
        self.dense_head = None
        if config.dense_head:
            if config.embedding is None:
                raise ConfigError(
                    "a dense head needs the trunk of an embedding", remedy="add model.embedding"
                )
            self.dense_head = DenseHead(config.dense_head, config.embedding.channels[0])

    def encode(self, images: Tensor) -> Codes:
        """Return the codes of images ``[B, 3, H, W]`` in [-1, 1].

        A model with an embedding adds what it knows better than its structure code: the correspondence maps,
        at the side of the warping network's.

        Raises:
            ConfigError: The model has no encoder.
        """
        codes = self._encoded(images)
        if self.embedding is None or not self.embedding.ready:
            return codes
        return dataclasses.replace(codes, maps=self.at_warp_size(self.correspondence(images).map))

    def _encoded(self, images: Tensor) -> Codes:
        if self.encoder is None:
            raise ConfigError(
                "this model has no encoder", remedy="train a preset that has the stage `encoder`"
            )
        codes: Codes = self.encoder(self.resized(images))
        return codes

    def at_warp_size(self, maps: Tensor) -> Tensor:
        """Resize maps ``[B, 2, h, w]`` to the side of the warping network's: averages, not single pixels."""
        side = self.config.warp.resolution
        return maps if maps.shape[-1] == side else F.interpolate(maps, size=(side, side), mode="area")

    def render(self, codes: Codes) -> Tensor:
        """Render codes to images ``float32 [B, 3, R, R]``."""
        return self.generator.render(codes)

    def resized(self, images: Tensor) -> Tensor:
        """Resize images ``[B, 3, H, W]`` to the model's resolution."""
        return resize_square(images, self.config.resolution)

    def correspondence(self, images: Tensor) -> Correspondence:
        """Map images ``[B, 3, H, W]`` in [-1, 1], of any size, to the canonical frame.

        The best that the model has: its embedding, refined by the dense head where there is one; without
        an embedding the map of the structure code, as published.
        """
        if self.embedding is None or not self.embedding.ready:
            maps = self.generator.warp(self._encoded(images).structure)
            return Correspondence(maps, torch.ones_like(maps[:, :1]))
        images = self.embedding.resized(images)
        features, _ = self.embedding.features(images)
        descriptors = self.embedding.describe(features)
        maps = self.embedding.locate(descriptors)
        if self.dense_head is None:
            return Correspondence(maps, self.embedding.likeness(descriptors).clamp(0.0, 1.0), descriptors)
        offsets, scale = self.dense_head(features, images)
        maps = resize_map(maps, *offsets.shape[-2:]) + offsets
        return Correspondence(maps, RELIABILITY_UNIT / (RELIABILITY_UNIT + scale), descriptors)

    @property
    def input_px(self) -> int:
        """Side at which images should arrive: the largest that any part works at."""
        return self.config.image_px

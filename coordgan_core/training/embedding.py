"""Stage 0: train the equivariant embedding, then set its canonical prototypes."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import Config, EmbeddingTrainingConfig
from coordgan_core.data import augment
from coordgan_core.data.sampler import ImageSource
from coordgan_core.data.sampler import generator as random_generator
from coordgan_core.errors import ConfigError
from coordgan_core.losses.equivariance import equivariance_loss
from coordgan_core.models.ema import averaged_copy, update_average
from coordgan_core.models.embedding import Embedding
from coordgan_core.training.acceleration import autocast, place
from coordgan_core.training.steps import take_step

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN


class EmbeddingStage:
    """Two warped and recoloured views of each image; their descriptors must match where the warp says.

    Args:
        config: The whole configuration.
        model: Holds the embedding, which is trained in place.
        source: All images: their mean descriptors make the prototypes.
        device: Where the training runs.

    Raises:
        ConfigError: The model has no embedding.
    """

    name = "embedding"

    def __init__(self, config: Config, model: CoordGAN, source: ImageSource, device: torch.device) -> None:
        if model.embedding is None:
            raise ConfigError("this model has no embedding", remedy="choose a preset that has one")
        self.config, self.device, self._model, self._source = config, device, model, source
        self.own = config.train.embedding
        self.total_nimg = self.own.total_nimg
        self.embedding = place(model.embedding, device, config.train.precision).train().requires_grad_(True)
        self.average = averaged_copy(self.embedding)
        self._adam = torch.optim.AdamW(
            self.embedding.parameters(),
            lr=self.own.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=self.own.weight_decay,
            fused=True,
        )

    def modules(self) -> Mapping[str, nn.Module]:
        """Return the embedding and its moving average."""
        return {"embedding": self.embedding, "average": self.average}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the embedding's optimiser."""
        return {"embedding": self._adam}

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        """Take one step on ``images float32 [B, 3, R, R]``; see `training.stages.Stage`."""
        draws = random_generator(self.config.train.seed, "embedding", nimg, self.device)
        for group in self._adam.param_groups:
            group["lr"] = self.own.learning_rate * cosine_schedule(
                nimg, self.own.warmup_nimg, self.total_nimg
            )
        first, second, field = two_views(self.embedding.resized(images), self.own, draws)
        with autocast(self.config.train.precision, self.device):
            descriptors = self.embedding(torch.cat([first, second]))
        one, two = descriptors.chunk(2)
        loss = equivariance_loss(
            one,
            two,
            F.interpolate(field, size=one.shape[-2:], mode="area"),
            temperature=self.own.temperature,
            queries=draw_pixels(one, self.own.queries, draws),
        )
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        take_step(self._adam, max_norm=1.0)
        batch = self.config.train.batch  # over all devices, unlike len(images)
        half_life = min(float(self.own.ema_half_life_nimg), 0.1 * nimg + batch)
        update_average(self.average, self.embedding, batch=batch, half_life_nimg=half_life)
        return {"equivariance": loss.detach()}

    def finish(self) -> None:
        """Put the averaged weights into the model and set the prototypes."""
        self.embedding.load_state_dict(self.average.state_dict())
        estimate_prototypes(self.embedding, self._source, self.own.prototype_images, self.config, self.device)

    def export(self) -> CoordGAN:
        """Return a copy of the model with averaged weights and prototypes, in evaluation mode."""
        model = copy.deepcopy(self._model)
        assert model.embedding is not None
        model.embedding.load_state_dict(self.average.state_dict())
        estimate_prototypes(
            model.embedding, self._source, self.own.prototype_images, self.config, self.device
        )
        return model.eval().requires_grad_(False)


def two_views(
    images: Tensor, own: EmbeddingTrainingConfig, draws: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return two views ``[B, 3, R, R]`` and the field ``[B, 2, R, R]`` from the second to the first.

    The first view is warped by half the strength, so that no network can use an image's own frame.
    """
    B, R = len(images), images.shape[-1]
    base = augment.warp_images(images, augment.random_warp(B, R, strength=0.5 * own.warp, generator=draws))
    field = augment.random_warp(B, R, strength=own.warp, generator=draws)
    views = recolour(torch.cat([base, augment.warp_images(base, field)]), own, draws)
    return views[:B], views[B:], field


def recolour(images: Tensor, own: EmbeddingTrainingConfig, draws: torch.Generator) -> Tensor:
    """Change colours, blur, add noise and cover rectangles, for every image on its own."""
    images = augment.jitter_colours(images, strength=own.colours, generator=draws)
    images = augment.blur(augment.noise(images, generator=draws), generator=draws)
    return augment.occlude(images, probability=own.occlusion, generator=draws)


def draw_pixels(values: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """Draw ``count`` flat pixel numbers for each of ``values [B, C, h, w]``: ``int64 [B, count]``."""
    pixels = values.shape[-2] * values.shape[-1]
    return torch.randint(pixels, (len(values), count), generator=draws, device=values.device)


def cosine_schedule(nimg: int, warmup_nimg: int, total_nimg: int, floor: float = 0.05) -> float:
    """Return the learning rate's factor: a straight rise to 1, then half a cosine down to ``floor``."""
    progress = min(1.0, nimg / max(1, total_nimg))
    falling = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
    return falling * min(1.0, (nimg + 1) / max(1, min(warmup_nimg, total_nimg // 10)))


@torch.no_grad()
def estimate_prototypes(
    embedding: Embedding, source: ImageSource, count: int, config: Config, device: torch.device
) -> None:
    """Set the prototypes to the mean descriptors, pixel by pixel, of up to ``count`` images of the source.

    The images of a category are roughly aligned, and a mean over many forgives the rest: descriptors of
    what lies elsewhere cancel out.
    """
    was_training = embedding.training
    embedding.eval()
    chosen = np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(np.int64))
    total: Tensor | None = None
    for part in np.array_split(chosen, math.ceil(len(chosen) / 64)):
        with autocast(config.train.precision, device):
            summed = embedding(source.images(part, device)).sum(0)
        total = summed if total is None else total + summed
    assert total is not None
    embedding.set_prototypes(total / len(chosen))
    embedding.train(was_training)

"""Stage 0: train the equivariant embedding, then set its canonical prototypes.

Two warped and recoloured views of a photograph must match where the warps say (`losses.equivariance`). Alone
this starts slowly: while descriptors say nothing, guessing a match near the middle is hard to beat. So at
first every pixel must also find *its place in the unwarped photograph* among anchors on the canonical grid.
Photographs of one category are roughly aligned, so that this teaches where the parts usually are, at once,
and it orders the descriptors by place. It is biased, though, each photograph being a little off, and so its
weight falls to nothing.

Convolutions within the network learn by Muon, everything else by AdamW.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import Config, EmbeddingTrainingConfig
from coordgan_core.coords import canonical_grid, compose
from coordgan_core.data import augment
from coordgan_core.data.sampler import ImageSource, shared_rows
from coordgan_core.data.sampler import generator as random_generator
from coordgan_core.errors import ConfigError
from coordgan_core.losses.equivariance import equivariance_loss, prototype_loss
from coordgan_core.models.ema import averaged_copy, update_average
from coordgan_core.models.embedding import Embedding
from coordgan_core.timing import Part
from coordgan_core.training.acceleration import autocast, place
from coordgan_core.training.muon import ConvMuon, trunk_weights
from coordgan_core.training.schedules import growing_half_life
from coordgan_core.training.steps import backward, share_of_batch, take_step

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN


MUON_DECAY = 0.01
"""Weight decay of the inner convolutions, times their learning rate."""
ANCHOR_WAVES = 2.0
"""Standard deviation of the anchors' first wave numbers, in radians a canonical unit."""


class Anchors(nn.Module):
    """What descriptors are to look like at each place of a photograph: smooth at first, then learned.

    Args:
        embedding: Its prototypes are where the anchors start if it has some already.
    """

    def __init__(self, embedding: Embedding) -> None:
        super().__init__()
        self.table = nn.Parameter(embedding.prototypes.clone() if embedding.ready else _waves(embedding))

    def forward(self) -> Tensor:
        """Return the anchors ``[C, P, P]``, of unit length."""
        return F.normalize(self.table, dim=0)


def _waves(embedding: Embedding) -> Tensor:  # [C, P, P]
    """Return random plane waves: near places are alike, far ones are not."""
    channels, side = embedding.config.dim, embedding.config.prototype_px
    draws = random_generator(0, "anchors", 0)
    waves = torch.randn(-(-channels // 2), 2, generator=draws) * ANCHOR_WAVES
    phases = torch.einsum("kc,chw->khw", waves, canonical_grid(side, side))
    return torch.cat([phases.sin(), phases.cos()])[:channels].to(embedding.prototypes.device)


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
        self.anchors = Anchors(self.embedding)
        inner = trunk_weights(self.embedding)
        outer = [p for p in self.embedding.parameters() if not any(p is weight for weight in inner)]
        self._muon = ConvMuon(inner, lr=self.own.muon_rate, weight_decay=MUON_DECAY)
        self._adam = torch.optim.AdamW(
            [{"params": outer}, {"params": list(self.anchors.parameters())}],
            lr=self.own.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=self.own.weight_decay,
            fused=True,
        )

    def modules(self) -> Mapping[str, nn.Module]:
        """Return the embedding, its moving average and the anchors."""
        return {"embedding": self.embedding, "average": self.average, "anchors": self.anchors}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimisers of the inner convolutions and of everything else."""
        return {"inner": self._muon, "outer": self._adam}

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        """Take one step on ``images float32 [B, 3, R, R]``; see `training.stages.Stage`."""
        seed, own = self.config.train.seed, self.own
        draws = random_generator(seed, "embedding", nimg, self.device, **share_of_batch())
        factor = cosine_schedule(nimg, own.warmup_nimg, self.total_nimg)
        for optimizer, rate in ((self._muon, own.muon_rate), (self._adam, own.learning_rate)):
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        early = own.early_px and nimg < own.early_share * self.total_nimg
        views = two_views(self.embedding.resized(images, own.early_px if early else None), own, draws)
        with autocast(self.config.train.precision, self.device):
            features, _ = self.embedding.features(torch.cat([views.first, views.second]))
            descriptors = self.embedding.describe(features)
        losses = dict(self._losses(descriptors, views, draws, nimg))
        total = torch.stack([weight * loss for weight, loss in losses.values()]).sum()
        backward(total)
        take_step(self._muon)
        take_step(self._adam, max_norm=1.0)
        batch = self.config.train.batch  # over all devices, unlike len(images)
        half_life = growing_half_life(own.ema_half_life_nimg, nimg, batch)
        update_average(self.average, self.embedding, batch=batch, half_life_nimg=half_life)
        return {name: loss.detach() for name, (_, loss) in losses.items()}

    def _losses(
        self, descriptors: Tensor, views: Views, draws: torch.Generator, nimg: int
    ) -> Iterator[tuple[str, tuple[float, Tensor]]]:
        """Yield each loss with its weight."""
        own = self.own
        one, two = descriptors.chunk(2)
        size = (one.shape[-2], one.shape[-1])
        queries = draw_pixels(one, own.queries, draws)
        equivariance = equivariance_loss(
            one,
            two,
            F.interpolate(views.field, size=size, mode="area"),
            temperature=own.temperature,
            queries=queries,
        )
        yield "equivariance", (1.0, equivariance)
        weight = own.anchor * (1.0 - nimg / (own.anchor_share * self.total_nimg))
        if weight <= 0.0:
            return
        anchor = prototype_loss(
            descriptors,
            F.interpolate(views.places, size=size, mode="area"),
            F.interpolate(views.inside, size=size, mode="area"),
            self.anchors(),
            temperature=own.temperature,
            queries=queries.repeat(2, 1),
        )
        yield "anchor", (weight, anchor)

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


@dataclass(frozen=True)
class Views:
    """Two views of a batch, and where their pixels lie in the photographs.

    Attributes:
        clean: The first view before recolouring, ``[B, 3, R, R]``.
        first: The first view.
        second: The second view.
        field: From the second view to the first, ``[B, 2, R, R]``.
        places: Of the pixels of both views in the photograph, ``[2B, 2, R, R]``.
        inside: 1 where a pixel shows something of the photograph, ``[2B, 1, R, R]``.
    """

    clean: Tensor
    first: Tensor
    second: Tensor
    field: Tensor
    places: Tensor
    inside: Tensor


@Part("views")
@torch.no_grad()
def two_views(images: Tensor, own: EmbeddingTrainingConfig, draws: torch.Generator) -> Views:
    """Warp and recolour images ``[B, 3, R, R]`` twice.

    The first view is warped by half the strength, so that no network can use an image's own frame.
    """
    B, R = len(images), images.shape[-1]
    from_first = augment.random_warp(B, R, strength=0.5 * own.warp, generator=draws)
    field = augment.random_warp(B, R, strength=own.warp, generator=draws)
    from_second = compose(from_first, field)
    clean = augment.warp_images(images, from_first)
    return Views(
        clean=clean,
        first=recolour(clean, own, draws),
        second=recolour(augment.warp_images(clean, field), own, draws),
        field=field,
        places=torch.cat([from_first, from_second]),
        inside=torch.cat([augment.inside(from_first), augment.inside(from_second) * augment.inside(field)]),
    )


def recolour(images: Tensor, own: EmbeddingTrainingConfig, draws: torch.Generator) -> Tensor:
    """Change colours, blur, add noise and cover rectangles, for every image on its own."""
    images = augment.jitter_colours(images, strength=own.colours, generator=draws)
    images = augment.blur(augment.noise(images, generator=draws), generator=draws)
    return augment.occlude(images, probability=own.occlusion, generator=draws)


def draw_pixels(values: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """Draw ``count`` flat pixel numbers for each of ``values [B, C, h, w]``: ``int64 [B, count]``."""
    pixels = values.shape[-2] * values.shape[-1]
    return shared_rows(
        lambda rows: torch.randint(pixels, (rows, count), generator=draws, device=values.device),
        len(values),
        draws,
    )


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

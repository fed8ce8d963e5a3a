"""Joint training: embedding, dense head, encoder, warp and synthesis learn together on real images.

What every network learns from is *known positions*. The moving average of the embedding says where the
pixels of the clean photograph lie in the canonical frame; the photograph is then warped by a known field and
recoloured, and the same positions, carried along by the field, are what

* the descriptors must find among the prototypes, which are one and the same for all photographs,
* the dense head must reach from there,
* the structure code's own map must approach (`WarpConfig.residual`: the identity is where it starts).

Averaged over thousands of photographs the teacher's errors cancel, and the student becomes better than its
teacher. Where `JointTrainingConfig.register` asks for it, photographs are first aligned with one another
(`training.registration`), so that errors cancel across photographs too. Encoder and synthesis learn besides
to reconstruct the photographs, and to keep their structure under the texture of another. No adversary and no
downloaded weights are needed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import Config
from coordgan_core.coords import canonical_grid, compose, resize_map
from coordgan_core.data.sampler import ImageSource
from coordgan_core.data.sampler import generator as random_generator
from coordgan_core.devices import sent
from coordgan_core.errors import ConfigError
from coordgan_core.losses.equivariance import equivariance_loss, prototype_loss
from coordgan_core.losses.geometry import fold_penalty
from coordgan_core.losses.masked import masked_mean
from coordgan_core.losses.structural import StructuralLoss, correlation_loss
from coordgan_core.losses.swap import swap_neighbours
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.models.dense_head import DenseHead
from coordgan_core.models.ema import averaged_copy, update_average
from coordgan_core.models.embedding import Embedding
from coordgan_core.models.encoder import Encoder
from coordgan_core.training.acceleration import autocast, place
from coordgan_core.training.embedding import (
    MUON_DECAY,
    Views,
    cosine_schedule,
    draw_pixels,
    estimate_prototypes,
    two_views,
)
from coordgan_core.training.muon import ConvMuon, trunk_weights
from coordgan_core.training.registration import register
from coordgan_core.training.schedules import growing_half_life
from coordgan_core.training.steps import backward, share_of_batch, take_step

if TYPE_CHECKING:
    from collections.abc import Iterator

WARMUP_NIMG = 2_000
ERROR_UNIT = 0.05
"""Weight of the likelihood beside the plain distance in the dense head's loss, in canonical units."""


class JointStage:
    """Train everything that a user's folder can teach without an adversary.

    Args:
        config: The whole configuration.
        model: All networks; its embedding should come from stage 0.
        source: All images: their mean descriptors make the prototypes.
        device: Where the training runs.

    Raises:
        ConfigError: The model lacks an embedding, a dense head or an encoder.
    """

    name = "joint"

    def __init__(self, config: Config, model: CoordGAN, source: ImageSource, device: torch.device) -> None:
        if model.embedding is None or model.dense_head is None or model.encoder is None:
            raise ConfigError(
                "joint training needs an embedding, a dense head and an encoder",
                remedy="choose a preset that has them, such as quick-64",
            )
        self.config, self.device = config, device
        self.own, self._views = config.train.joint, config.train.embedding
        self.total_nimg = self.own.total_nimg
        self.model = place(model, device, config.train.precision).train().requires_grad_(True)
        if not model.embedding.ready:
            count = self._views.prototype_images
            estimate_prototypes(model.embedding, source, count, config, device)
        self.average = averaged_copy(self.model)
        self._structural = StructuralLoss()
        inner = trunk_weights(self._embedding)
        self._muon = ConvMuon(inner, lr=self.own.muon_rate, weight_decay=MUON_DECAY)
        self._muon.param_groups[0]["peak"] = self.own.muon_rate
        self._adam = torch.optim.AdamW(self._groups(inner), betas=(0.9, 0.99), weight_decay=1e-4, fused=True)

    def _groups(self, inner: list[nn.Parameter]) -> list[dict[str, object]]:
        def parameters(*modules: nn.Module) -> list[nn.Parameter]:
            return [p for module in modules for p in module.parameters()]

        generator = self.model.generator
        taken = {id(weight) for weight in inner}
        slow = [p for p in parameters(self._embedding, self._head) if id(p) not in taken]
        # Layers of equalised learning rate must not decay: their weights are of unit size by construction.
        equalised = parameters(self._encoder, generator.synthesis)
        return [
            {"params": slow, "peak": self.own.learning_rate},
            {"params": parameters(generator.warp), "peak": self.own.learning_rate},
            {"params": equalised, "peak": self.own.generator_rate, "weight_decay": 0.0},
        ]

    @property
    def _embedding(self) -> Embedding:
        assert self.model.embedding is not None
        return self.model.embedding

    @property
    def _head(self) -> DenseHead:
        assert self.model.dense_head is not None
        return self.model.dense_head

    @property
    def _encoder(self) -> Encoder:
        assert self.model.encoder is not None
        return self.model.encoder

    def modules(self) -> Mapping[str, nn.Module]:
        """Return the networks and their moving averages."""
        return {"model": self.model, "average": self.average}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimisers of the embedding's inner convolutions and of everything else."""
        return {"inner": self._muon, "outer": self._adam}

    def export(self) -> CoordGAN:
        """Return a copy with averaged weights, in evaluation mode."""
        return copy.deepcopy(self.average).eval().requires_grad_(False)

    def finish(self) -> None:
        """Leave the averaged weights in the model."""
        self.model.load_state_dict(self.average.state_dict())

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        """Take one step on ``images float32 [B, 3, R, R]``, B even; see `training.stages.Stage`.

        Positions are learned at the embedding's size, appearance at the model's resolution.
        """
        draws = random_generator(self.config.train.seed, "joint", nimg, self.device, **share_of_batch())
        factor = cosine_schedule(nimg, WARMUP_NIMG, self.total_nimg)
        for optimizer in (self._muon, self._adam):
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
        images = self._embedding.resized(images)
        views = two_views(images, self._views, draws)
        known = register(images, self._teach(images), round(self.own.register * len(images)))
        target = compose(known.repeat(2, 1, 1, 1), views.places)
        with autocast(self.config.train.precision, self.device):
            losses = dict(self._positions(views, target, draws)) | dict(self._appearance(views, target))
            total = torch.stack([weight * loss for weight, loss in losses.values()]).sum()
        backward(total)
        take_step(self._muon)
        take_step(self._adam, max_norm=1.0)
        batch = self.config.train.batch  # over all devices, unlike len(images)
        half_life = growing_half_life(self.own.ema_half_life_nimg, nimg, batch)
        update_average(self.average, self.model, batch=batch, half_life_nimg=half_life)
        return {name: loss.detach() for name, (_, loss) in losses.items()}

    @torch.no_grad()
    def _teach(self, images: Tensor) -> Tensor:  # images -> [B, 2, R, R]
        """Return where the moving average sees the pixels of clean images."""
        teacher = self.average.embedding
        assert teacher is not None
        with autocast(self.config.train.precision, self.device):
            descriptors = teacher(images)
        maps = teacher.locate(descriptors)
        identity = canonical_grid(*maps.shape[-2:], device=maps.device)
        smooth = _gaussian_blur(maps - identity, self.own.teacher_blur_px) + identity
        return resize_map(smooth, *images.shape[-2:])

    def _positions(
        self, views: Views, target: Tensor, draws: torch.Generator
    ) -> Iterator[tuple[str, tuple[float, Tensor]]]:
        """Yield the losses of embedding and dense head; ``target`` are the views' canonical positions."""
        own, embedding = self.own, self._embedding
        recoloured = torch.cat([views.first, views.second])
        features, _ = embedding.features(recoloured)
        descriptors = embedding.describe(features)
        size = (descriptors.shape[-2], descriptors.shape[-1])
        one, two = descriptors.chunk(2)
        equivariance = equivariance_loss(
            one,
            two,
            F.interpolate(views.field, size=size, mode="area"),
            temperature=self._views.temperature,
            queries=draw_pixels(one, self._views.queries, draws),
        )
        prototype = prototype_loss(
            descriptors,
            F.interpolate(target, size=size, mode="area"),
            F.interpolate(views.inside, size=size, mode="area"),
            embedding.prototypes,
            temperature=embedding.config.temperature,
            queries=torch.cat([draw_pixels(view, self._views.queries, draws) for view in (one, two)]),
        )
        yield "equivariance", (own.equivariance, equivariance)
        yield "prototype", (own.prototype, prototype)
        yield "dense", (own.dense, self._dense(features, descriptors, recoloured, target, views.inside))

    def _dense(
        self, features: Tensor, descriptors: Tensor, recoloured: Tensor, target: Tensor, inside: Tensor
    ) -> Tensor:
        """Return the dense head's loss on every sixth view: full resolution is costly."""
        chosen = slice(None, None, 6)
        with torch.no_grad():
            found = self._embedding.locate(descriptors[chosen])
        offsets, scale = self._head(features[chosen], recoloured[chosen])
        maps = resize_map(found, *offsets.shape[-2:]) + offsets
        return _laplace(maps, scale, target[chosen], inside[chosen])

    def _appearance(self, views: Views, target: Tensor) -> Iterator[tuple[str, tuple[float, Tensor]]]:
        """Yield the losses of encoder, warp and synthesis, on the first view in its own colours.

        Every third pair of images serves: labels do not depend on these networks, and they learn fast.
        """
        own, generator = self.own, self.model.generator
        count = len(views.clean)
        pairs = [i for i in range(count) if i // 2 % 3 == 0 and (i % 2 or i + 1 < count or count == 1)]
        chosen = sent(torch.tensor(pairs), self.device)
        images = self.model.resized(views.clean[chosen])
        codes = self._encoder(images)
        by_code = generator.warp(codes.structure)
        size = (by_code.shape[-2], by_code.shape[-1])
        target = F.interpolate(target[chosen], size=size, mode="area")
        valid = F.interpolate(views.inside[chosen], size=size, mode="area")
        # Painted at the known positions: synthesis need not wait for the structure code to find them.
        again = generator.synthesize(target, codes.texture)
        swapped = generator.synthesize(target, swap_neighbours(codes.texture))
        reconstruction = (again - images).abs().mean() + correlation_loss(again, images).mean()
        yield "code_map", (own.code_map, _mean_distance(by_code, target, valid))
        yield "reconstruction", (own.reconstruction, reconstruction)
        yield "texture_swap", (own.texture_swap, self._structural(swapped, images).mean())
        yield "fold", (own.fold, fold_penalty(by_code))


def _distance(maps: Tensor, target: Tensor) -> Tensor:  # [B, 2, H, W] twice -> [B, 1, H, W]
    return (maps.float() - target).square().sum(1, keepdim=True).add(1e-8).sqrt()


def _mean_distance(maps: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    return masked_mean(_distance(maps, target), valid)


def _laplace(maps: Tensor, scale: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the distance plus, weakly, its negative log-likelihood under the predicted Laplace scale."""
    distance = _distance(maps, target)
    likelihood = distance / scale + scale.log()
    return masked_mean(distance + ERROR_UNIT * likelihood, valid)


def _gaussian_blur(values: Tensor, deviation_px: float) -> Tensor:  # [B, C, h, w], edges repeated
    if deviation_px <= 0.0:
        return values
    reach = int(3.0 * deviation_px + 1.0)
    steps = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-0.5 * (steps / deviation_px).square())
    kernel = (kernel / kernel.sum()).expand(values.shape[1], 1, 1, -1)
    values = F.conv2d(F.pad(values, (reach, reach, 0, 0), mode="replicate"), kernel, groups=values.shape[1])
    return F.conv2d(F.pad(values, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=values.shape[1])

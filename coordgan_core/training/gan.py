"""Stage 1: the adversarial training of generator and discriminators (fact sheet sections 2 and 3).

One step: discriminators, every `lazy_every` steps their gradient penalties, generator, moving average. The
stage knows no loop, no data and no logging.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from coordgan_core.config import Config, GanConfig
from coordgan_core.data.augment import diff_augment
from coordgan_core.data.sampler import generator as random_generator
from coordgan_core.errors import ConfigError
from coordgan_core.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty
from coordgan_core.losses.chamfer import chamfer
from coordgan_core.losses.frame import frame_loss
from coordgan_core.losses.geometry import fold_penalty, folded_share
from coordgan_core.losses.perceptual import Perceptual, perceptual_loss
from coordgan_core.losses.swap import (
    patch_discriminator_loss,
    patch_gradient_penalty,
    structure_swap_loss,
    swap_neighbours,
    texture_swap_loss,
)
from coordgan_core.losses.warp import warp_loss
from coordgan_core.models.discriminator import Discriminator
from coordgan_core.models.ema import averaged_copy, update_average
from coordgan_core.models.embedding import Embedding, resize_square
from coordgan_core.models.generator import Generator
from coordgan_core.models.patch_discriminator import PatchDiscriminator
from coordgan_core.training.acceleration import Compiled, autocast, place
from coordgan_core.training.schedules import GanWeights, gan_weights, is_due
from coordgan_core.training.steps import backward, take_step

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

GENERATOR_RATIO = 4 / 5
"""Published scaling of the generator's Adam, for a lazy regulariser that the method does not use."""


def lazy_adam(module_list: list[nn.Module], learning_rate: float, ratio: float) -> torch.optim.Adam:
    """Return Adam for lazy regularisation: betas (0, 0.99) to the power ``ratio``, rate times ``ratio``.

    Args:
        module_list: Networks whose trainable parameters are optimised together.
        learning_rate: Base rate.
        ratio: Share of steps that are not regularisation, ``k / (k + 1)`` for one every k steps.
    """
    parameters = [p for module in module_list for p in module.parameters() if p.requires_grad]
    fused = bool(parameters) and parameters[0].is_cuda
    betas = (0.0, 0.99**ratio)
    return torch.optim.Adam(parameters, lr=learning_rate * ratio, betas=betas, eps=1e-8, fused=fused)


class GanStage:
    """Generator against image discriminator and patch discriminator.

    Args:
        config: The whole configuration.
        model: Its generator is trained in place.
        device: Where the training runs.
        perceptual: What compares images; None lets ``config.train.perceptual`` decide.

    Raises:
        ConfigError: The configuration asks for a trained embedding, and there is none.
    """

    name = "gan"

    def __init__(
        self,
        config: Config,
        model: CoordGAN,
        device: torch.device,
        *,
        perceptual: Perceptual | None = None,
    ) -> None:
        self.config, self.device, self._model = config, device, model
        self.gan: GanConfig = config.train.gan
        self.total_nimg = self.gan.total_nimg
        self.perceptual = perceptual or stage_perceptual(config, model, device)
        self._frame = _trained_embedding(model, config, device)
        if self.gan.frame and self._frame is None:
            raise ConfigError(
                f"train.gan.frame is {self.gan.frame:g} and the model has no trained embedding",
                remedy="train the stage `embedding` first, or set train.gan.frame to 0",
            )
        precision = config.train.precision
        self.generator: Generator = place(model.generator, device, precision).train().requires_grad_(True)
        if self.gan.freeze_structure:
            self.generator.freeze_structure()
        self.average = averaged_copy(self.generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            judge, patch_judge = Discriminator(config.model), PatchDiscriminator(config.model.patch)
        self.discriminator = place(judge, device, precision)
        self.patch = place(patch_judge, device, precision)
        rate, lazy = config.train.learning_rate, self.gan.lazy_every
        self._generator_adam = lazy_adam([self.generator], rate, GENERATOR_RATIO)
        self._discriminator_adam = lazy_adam([self.discriminator, self.patch], rate, lazy / (lazy + 1))
        self._synthesis = Compiled(self.generator.synthesis, enabled=config.train.compile)

    # What the loop asks for

    def modules(self) -> Mapping[str, nn.Module]:
        """Return all networks, the moving average included."""
        return {
            "generator": self.generator,
            "generator_average": self.average,
            "discriminator": self.discriminator,
            "patch_discriminator": self.patch,
        }

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the two optimisers; both discriminators share one, as published."""
        return {"generator": self._generator_adam, "discriminator": self._discriminator_adam}

    def export(self) -> CoordGAN:
        """Return a copy of the model with the averaged generator, in evaluation mode."""
        # The memo stands in for the generator, which is thus not copied first.
        memo = {id(self.generator): copy.deepcopy(self.average)}
        return copy.deepcopy(self._model, memo).eval().requires_grad_(False)

    def finish(self) -> None:
        """Leave the averaged weights in the model, for the stage that follows."""
        self.generator.load_state_dict(self.average.state_dict())

    # One step

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        """Take one step on ``images float32 [B, 3, R, R]``, B even; see `training.stages.Stage`."""
        images = resize_square(images, self.config.model.resolution)
        weights = gan_weights(self.gan, nimg)
        stats = self._train_discriminators(images, weights, nimg)
        if is_due(nimg, self.config.train.batch, self.gan.lazy_every):
            stats |= self._penalise_discriminators(images, weights, nimg)
        stats |= self._train_generator(images, weights, nimg)
        update_average(
            self.average,
            self.generator,
            batch=self.config.train.batch,
            half_life_nimg=self.gan.ema_half_life_nimg,
        )
        return stats

    def _train_discriminators(self, images: Tensor, weights: GanWeights, nimg: int) -> dict[str, Tensor]:
        draws = self._draws("discriminator", nimg)
        self._judges_learn(wanted=True)
        self._discriminator_adam.zero_grad(set_to_none=True)
        with self._autocast():
            with torch.no_grad():
                _, fake, swapped = self._generate(len(images), draws, swap=weights.structure_swap > 0)
            logits_real, logits_fake = self._judge(images, draws), self._judge(fake, draws)
            loss = discriminator_loss(logits_real, logits_fake, self.gan.adversary)
            stats = {"discriminator": loss.detach()}
            total = weights.adversarial * loss
            if swapped is not None:
                # G(s', t): the neighbour's structure, the own texture
                restructured = swap_neighbours(swapped)
                patch = patch_discriminator_loss(
                    fake, restructured, self.patch, self.config.model.patch, draws
                )
                stats["patch_discriminator"] = patch.detach()
                total = total + weights.structure_swap * patch
        backward(total)
        take_step(self._discriminator_adam)
        stats["real_logit"] = logits_real.detach().mean()
        stats["fake_logit"] = logits_fake.detach().mean()
        return stats

    def _penalise_discriminators(self, images: Tensor, weights: GanWeights, nimg: int) -> dict[str, Tensor]:
        """Take the lazy step: R1 (and R2) in float32, weighted as if taken every step."""
        draws = self._draws("penalty", nimg)
        relativistic = self.gan.adversary == "relativistic"
        self._discriminator_adam.zero_grad(set_to_none=True)
        fake: Tensor | None = None
        if weights.structure_swap > 0 or relativistic:
            with torch.no_grad(), self._autocast():
                _, fake, _ = self._generate(len(images), draws, swap=False)
        real = self._augmented(images, draws).detach().requires_grad_()
        r1 = gradient_penalty(self.discriminator(real), real)
        stats = {"r1": r1.detach()}
        total = self.gan.r1_gamma / 2 * r1
        if relativistic and fake is not None:
            shown = self._augmented(fake, draws).detach().requires_grad_()
            r2 = gradient_penalty(self.discriminator(shown), shown)
            stats["r2"] = r2.detach()
            total = total + self.gan.r1_gamma / 2 * r2
        if weights.structure_swap > 0 and fake is not None:
            patch_r1 = patch_gradient_penalty(fake, self.patch, self.config.model.patch, draws)
            stats["patch_r1"] = patch_r1.detach()
            total = total + self.gan.patch_r1_gamma / 2 * patch_r1
        backward(total * self.gan.lazy_every)
        take_step(self._discriminator_adam)
        return stats

    def _train_generator(self, images: Tensor, weights: GanWeights, nimg: int) -> dict[str, Tensor]:
        draws = self._draws("generator", nimg)
        self._judges_learn(wanted=False)
        self._generator_adam.zero_grad(set_to_none=True)
        swap = weights.texture_swap > 0 or weights.structure_swap > 0
        with self._autocast():
            maps, fake, swapped = self._generate(len(images), draws, swap=swap)
            losses = self._generator_losses(images, maps, fake, swapped, weights, draws)
            total = torch.stack([weight * loss for weight, loss in losses.values()]).sum()
        backward(total)
        take_step(self._generator_adam)
        stats = {name: loss.detach() for name, (_, loss) in losses.items()}
        return stats | {"folded": folded_share(maps)}

    def _generator_losses(
        self,
        images: Tensor,
        maps: Tensor,
        fake: Tensor,
        swapped: Tensor | None,
        weights: GanWeights,
        draws: torch.Generator,
    ) -> dict[str, tuple[float, Tensor]]:
        """Return the generator's losses with their weights, those of weight zero left out."""
        gan, patch = self.gan, self.config.model.patch
        real = None
        if gan.adversary == "relativistic":
            with torch.no_grad():
                real = self._judge(images, draws)
        adversarial = generator_loss(self._judge(fake, draws), real, gan.adversary)
        losses = {"adversarial": (weights.adversarial, adversarial)}
        if swapped is not None and weights.texture_swap > 0:
            loss = texture_swap_loss(fake, swapped, self.perceptual)
            losses["texture_swap"] = (weights.texture_swap, loss)
        if swapped is not None and weights.structure_swap > 0:
            loss = structure_swap_loss(fake, swap_neighbours(swapped), self.patch, patch, draws)
            losses["structure_swap"] = (weights.structure_swap, loss)
        if weights.warp > 0:
            tau, side = gan.affinity_temperature, gan.warp_px
            losses["warp"] = (
                weights.warp,
                warp_loss(maps, fake, self.perceptual, temperature=tau, side_px=side),
            )
        if weights.chamfer > 0:
            kind, points = self.config.model.warp.grid, gan.chamfer_points
            losses["chamfer"] = (weights.chamfer, chamfer(maps, kind=kind, points=points, generator=draws))
        if weights.fold > 0:
            losses["fold"] = (weights.fold, fold_penalty(maps))
        if weights.frame > 0 and self._frame is not None:
            losses["frame"] = (weights.frame, frame_loss(maps, fake, self._frame))
        return losses

    # Parts of a step

    def _draws(self, phase: str, nimg: int) -> torch.Generator:
        """Return the source of this phase's draws, of its own in every process."""
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        return random_generator(self.config.train.seed, f"gan/{phase}/{rank}", nimg, self.device)

    def _autocast(self) -> torch.autocast:
        return autocast(self.config.train.precision, self.device)

    def _generate(
        self, batch: int, draws: torch.Generator, *, swap: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Sample and render: maps, ``G(s, t)`` and, if ``swap``, ``G(s, t')`` in the neighbour's texture."""
        net, dim = self.generator, self.generator.code_dim
        z = torch.randn(2, batch, dim, generator=draws, device=self.device)
        maps = net.warp(net.map_structure(z[0]))
        texture = net.map_texture(z[1])
        painted = net.to_trunk(maps)
        if swap:
            painted = torch.cat([painted, painted])
            texture = torch.cat([texture, swap_neighbours(texture)])
        height, width = painted.shape[-2:]
        noise = net.synthesis.noise(len(painted), (height, width), draws)
        images = self._synthesis(painted, texture, noise)
        return maps, images[:batch], images[batch:] if swap else None

    def _augmented(self, images: Tensor, draws: torch.Generator) -> Tensor:
        return diff_augment(images, generator=draws) if self.gan.augment == "diff" else images

    def _judge(self, images: Tensor, draws: torch.Generator) -> Tensor:
        logits: Tensor = self.discriminator(self._augmented(images, draws))
        return logits

    def _judges_learn(self, *, wanted: bool) -> None:
        self.discriminator.requires_grad_(wanted)
        self.patch.requires_grad_(wanted)


def stage_perceptual(config: Config, model: CoordGAN, device: torch.device) -> Perceptual:
    """Return the configured perceptual loss; a trained embedding of the model may serve, and is frozen."""
    embedding = _trained_embedding(model, config, device)
    return perceptual_loss(config.train.perceptual, embedding=embedding, device=device)


def _trained_embedding(model: CoordGAN, config: Config, device: torch.device) -> Embedding | None:
    """Return the model's embedding, frozen; None where it has none or an untrained one."""
    embedding = model.embedding
    if embedding is None or not embedding.ready:
        return None
    return place(embedding, device, config.train.precision).eval().requires_grad_(False)

"""Stage 2: the encoder learns to invert the frozen generator (fact sheet section 4)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from coordgan_core.config import Config
from coordgan_core.data.sampler import generator as random_generator
from coordgan_core.errors import ConfigError
from coordgan_core.losses.perceptual import Perceptual
from coordgan_core.losses.swap import swap_neighbours, texture_swap_loss
from coordgan_core.models.codes import Codes
from coordgan_core.models.embedding import resize_square
from coordgan_core.training.acceleration import Compiled, autocast, place
from coordgan_core.training.gan import GENERATOR_RATIO, stage_perceptual
from coordgan_core.training.steps import backward, take_step

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN


class EncoderStage:
    """Real images are reconstructed and swapped, generated ones re-encoded; the encoder alone learns.

    Args:
        config: The whole configuration.
        model: Holds the averaged generator of stage 1, which is frozen, and the encoder, trained in place.
        device: Where the training runs.
        perceptual: What compares images; None lets ``config.train.perceptual`` decide.

    Raises:
        ConfigError: The model has no encoder.
    """

    name = "encoder"

    def __init__(
        self,
        config: Config,
        model: CoordGAN,
        device: torch.device,
        *,
        perceptual: Perceptual | None = None,
    ) -> None:
        if model.encoder is None:
            raise ConfigError("this model has no encoder", remedy="choose a preset that has one")
        self.config, self.device, self._model = config, device, model
        self.weights = config.train.encoder
        self.total_nimg = self.weights.total_nimg
        self.perceptual = perceptual or stage_perceptual(config, model, device)
        precision = config.train.precision
        self.generator = place(model.generator, device, precision).eval().requires_grad_(False)
        self.encoder = place(model.encoder, device, precision).train().requires_grad_(True)
        self._adam = torch.optim.Adam(
            self.encoder.parameters(),
            lr=self.weights.learning_rate,
            betas=(0.0, 0.99**GENERATOR_RATIO),
            fused=device.type == "cuda",
        )
        self._synthesis = Compiled(self.generator.synthesis, enabled=config.train.compile)

    def modules(self) -> Mapping[str, nn.Module]:
        """Return encoder and generator: a checkpoint is whole without the one of stage 1."""
        return {"encoder": self.encoder, "generator": self.generator}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the encoder's optimiser."""
        return {"encoder": self._adam}

    def export(self) -> CoordGAN:
        """Return a copy of the model, in evaluation mode."""
        return copy.deepcopy(self._model).eval().requires_grad_(False)

    def finish(self) -> None:
        """Leave the model ready to use."""
        self._model.eval()

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        """Take one step on ``images float32 [B, 3, R, R]``, B even; see `training.stages.Stage`."""
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        draws = random_generator(self.config.train.seed, f"encoder/{rank}", nimg, self.device)
        images = resize_square(images, self.config.model.resolution)
        self._adam.zero_grad(set_to_none=True)
        with autocast(self.config.train.precision, self.device):
            losses = self._real(images, draws) | self._generated(len(images), draws)
            total = torch.stack([weight * loss for weight, loss in losses.values()]).sum()
        backward(total)
        take_step(self._adam)
        return {name: loss.detach() for name, (_, loss) in losses.items()}

    def _real(self, images: Tensor, draws: torch.Generator) -> dict[str, tuple[float, Tensor]]:
        """Reconstruct real images, and keep their structure under the neighbour's texture."""
        codes: Codes = self.encoder(images)
        B, maps = len(images), self.generator.to_trunk(self.generator.warp(codes.structure))
        painted = self._paint(
            torch.cat([maps, maps]),
            torch.cat([codes.texture, swap_neighbours(codes.texture)]),
            draws,
        )
        again, swapped = painted[:B], painted[B:]
        loss, w = self.perceptual, self.weights
        return {
            "reconstruction_l1": (w.reconstruction_l1, (again - images).abs().mean()),
            "reconstruction_perceptual": (w.reconstruction_perceptual, loss(images, again)),
            "texture_swap": (w.texture_swap, texture_swap_loss(images, swapped, loss)),
        }

    def _generated(self, batch: int, draws: torch.Generator) -> dict[str, tuple[float, Tensor]]:
        """Find the structure code, and the map, of images whose codes are known."""
        net = self.generator
        z = torch.randn(2, batch, net.code_dim, generator=draws, device=self.device)
        with torch.no_grad():
            structure = net.map_structure(z[0])
            maps = net.warp(structure)
            images = self._paint(net.to_trunk(maps), net.map_texture(z[1]), draws)
        found: Codes = self.encoder(images)
        w = self.weights
        return {
            "code_consistency": (w.code_consistency, (found.structure - structure).abs().mean()),
            "map_consistency": (w.map_consistency, (net.warp(found.structure) - maps).abs().mean()),
        }

    def _paint(self, maps: Tensor, texture: Tensor, draws: torch.Generator) -> Tensor:
        noise = self.generator.synthesis.noise(len(maps), (maps.shape[-2], maps.shape[-1]), draws)
        return self._synthesis(maps, texture, noise)

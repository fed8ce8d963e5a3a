"""What a model has learned, to look at: which views it can serve, drawn codes, walks along directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from coordgan_core.coords import check_shape
from coordgan_core.data.sampler import generator
from coordgan_core.errors import DataError, ModelError
from coordgan_core.models.codes import Codes

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

LEAST_IMAGES = 3
"""Images without which a spread of codes means nothing."""
_STREAM = "explore"


@dataclass(frozen=True)
class Abilities:
    """Which parts of a model are there and trained.

    Args:
        maps: Images have correspondence maps.
        encodes: Images become codes, and codes images: swaps, reconstructions, walks.
        draws: Codes can be drawn from noise: the adversarial stage has trained the mapping networks.
        resolution: Side of the rendered images in pixels.
    """

    maps: bool
    encodes: bool
    draws: bool
    resolution: int

    @property
    def renders(self) -> bool:
        """Whether there is a trained generator, and codes to feed it."""
        return self.encodes or self.draws

    def require_encoder(self, name: str) -> None:
        """Raise `ModelError` if images cannot be taken apart and put together again."""
        if not self.encodes:
            raise ModelError(
                f"the model {name} has no encoder that was trained, so it cannot take an image apart",
                expected="a model trained with stage joint or encoder",
                remedy="train one, for instance with the preset quick-64, to the end of its stages",
            )

    def require_maps(self, name: str) -> None:
        """Raise `ModelError` if images have no correspondence maps."""
        if not self.maps:
            raise ModelError(
                f"the model {name} cannot map images: neither its embedding nor its encoder was trained",
                expected="a model trained with stage embedding, joint or encoder",
                remedy="train it further",
            )


def abilities(model: CoordGAN) -> Abilities:
    """Tell from the weights what a model can show.

    A snapshot holds all networks of its configuration, also those whose stage has not come yet. Their biases
    begin at zero, and the first step of a training moves them: whoever finds only zeros finds no training.
    """
    own = model.generator
    rendered = _trained(own.synthesis.blocks)
    encodes = rendered and model.encoder is not None and _trained(model.encoder)
    draws = rendered and _trained(own.mapping_structure) and _trained(own.mapping_texture)
    located = model.embedding is not None and model.embedding.ready
    return Abilities(located or encodes, encodes, draws, model.config.resolution)


def _trained(part: nn.Module) -> bool:
    """Return whether a part has left its first values; the biases of modulations begin at one."""
    biases = [p for name, p in part.named_parameters() if name.endswith("bias") and ".affine." not in name]
    return any(bool(p.any()) for p in biases)


@torch.no_grad()
def draw_codes(model: CoordGAN, seeds: Sequence[int]) -> Codes:
    """Draw the codes of new images from noise, one a seed: the same seed is always the same image.

    Raises:
        ModelError: The model cannot draw.
    """
    if not abilities(model).draws:
        raise ModelError(
            "this model has no trained prior, so it cannot draw images from nothing",
            expected="a model whose stage gan was trained",
            remedy="give images: their codes can be varied instead",
        )
    device, width = next(model.parameters()).device, model.config.mapping.code_dim
    latents = torch.stack([torch.randn(2, width, generator=generator(s, _STREAM, 0)) for s in seeds])
    return model.generator.sample(*latents.to(device).unbind(1))


@dataclass(frozen=True)
class Directions:
    """The directions along which vectors differ most, the strongest first.

    Args:
        mean: ``float32 [F]``.
        axes: Orthonormal, ``float32 [K, F]``.
        sigmas: Standard deviation along each, ``float32 [K]``.
        shares: Part of all variance that each explains, ``float32 [K]``, sums to at most 1.
    """

    mean: Tensor
    axes: Tensor
    sigmas: Tensor
    shares: Tensor

    def offsets(self, amounts: Tensor) -> Tensor:
        """Return the vectors ``[B, F]`` of ``amounts [B, K']``, in standard deviations; K' <= K."""
        count = amounts.shape[1]
        return (amounts * self.sigmas[:count]) @ self.axes[:count]


def principal_directions(values: Tensor, count: int) -> Directions:
    """Return the principal directions of vectors ``[N, F]``: at most ``count``, and at most N - 1.

    The sign is chosen so that the largest component of each is positive, the same in every run.
    """
    check_shape(values, "N F", "vectors")
    mean = values.mean(0)
    _, singular, axes = torch.linalg.svd(values - mean, full_matrices=False)
    kept = min(count, len(values) - 1)
    axes = axes[:kept]
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    variance = singular.square()
    shares = variance[:kept] / variance.sum().clamp(min=1e-12)
    sigmas = singular[:kept] / max(1, len(values) - 1) ** 0.5
    return Directions(mean, axes * torch.where(signs == 0, 1.0, signs), sigmas, shares)


class Walk:
    """How the codes of some images vary: directions of structure and of texture to walk along.

    Renders follow the correspondence maps where codes carry them: then those are what structure means here,
    else the structure codes.

    Args:
        codes: Of the images, at least `LEAST_IMAGES`.
        count: Directions of each kind.

    Raises:
        DataError: There are too few images.
    """

    def __init__(self, codes: Codes, count: int = 8) -> None:
        if len(codes) < LEAST_IMAGES:
            raise DataError(
                f"{len(codes)} images say nothing about how images differ",
                expected=f"at least {LEAST_IMAGES}",
                remedy="add images",
            )
        where = codes.structure if codes.maps is None else codes.maps
        self._where_shape, self._how_shape = where.shape[1:], codes.texture.shape[1:]
        self.has_maps = codes.maps is not None
        self.images = len(codes)
        self.structure = principal_directions(where.flatten(1).float(), count)
        self.texture = principal_directions(codes.texture.flatten(1).float(), count)
        self._structure_code = codes.structure.mean(0)

    def mean(self) -> Codes:
        """Return the codes in the middle of all images, a batch of one."""
        where = self.structure.mean.reshape(1, *self._where_shape)
        texture = self.texture.mean.reshape(1, *self._how_shape)
        if self.has_maps:
            return Codes(self._structure_code[None], texture, where)
        return Codes(where, texture)

    def at(self, base: Codes, structure: Tensor, texture: Tensor) -> Codes:
        """Walk away from ``base`` (a batch of one).

        Args:
            base: Where the walk begins, such as `mean` or the codes of an image.
            structure: Steps along the directions of structure, in standard deviations, ``[B, K']``.
            texture: The same for texture.

        Returns:
            B codes.
        """
        device = self.structure.mean.device
        move = self.structure.offsets(structure.to(device)).reshape(-1, *self._where_shape)
        look = base.texture + self.texture.offsets(texture.to(device)).reshape(-1, *self._how_shape)
        if self.has_maps and base.maps is not None:
            return Codes(base.structure.expand(len(look), -1), look, base.maps + move)
        return Codes(base.structure + move, look)

    def draw(self, seeds: Sequence[int]) -> Codes:
        """Draw codes from the spread of the images (a Gaussian along the directions), one a seed."""
        counts = len(self.structure.sigmas), len(self.texture.sigmas)
        noise = [torch.randn(sum(counts), generator=generator(s, _STREAM, 1)) for s in seeds]
        amounts = torch.stack(noise)
        return self.at(self.mean(), amounts[:, : counts[0]], amounts[:, counts[0] :])

"""Texture swap and structure swap: each code does its own work and no other (fact sheet section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from coordgan_core.config import PatchConfig
from coordgan_core.errors import ShapeError
from coordgan_core.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty
from coordgan_core.losses.perceptual import Perceptual
from coordgan_core.models.patch_discriminator import PatchDiscriminator, random_crops


def swap_neighbours(batch: Tensor) -> Tensor:
    """Exchange entries 0 and 1, 2 and 3, ... of the first axis.

    Raises:
        ShapeError: The batch is odd.
    """
    B = batch.shape[0]
    if B % 2:
        raise ShapeError(
            f"the batch holds {B} images",
            expected="an even number: losses compare neighbours",
            remedy="choose an even batch on every device",
        )
    return batch.reshape(B // 2, 2, *batch.shape[1:]).flip(1).reshape(batch.shape)


def texture_swap_loss(images: Tensor, swapped: Tensor, perceptual: Perceptual) -> Tensor:
    """Compare ``G(s, t)`` with ``G(s, t')``, ``[B, 3, H, W]`` each: they must show the same structure.

    A scalar; gradients reach both.
    """
    loss: Tensor = perceptual(images, swapped)
    return loss


def structure_swap_loss(
    images: Tensor,
    restructured: Tensor,
    judge: PatchDiscriminator,
    config: PatchConfig,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the generator's side of the patch co-occurrence loss, a scalar.

    Crops of ``G(s', t)`` must pass for crops of ``G(s, t)``; the reference's features are detached.

    Args:
        images: ``G(s, t)``, ``[B, 3, H, W]``.
        restructured: ``G(s', t)``: another structure, the same texture.
        judge: The patch discriminator; freeze its parameters.
        config: The crops.
        generator: Source of the crops' places.
    """
    with torch.no_grad():
        reference = judge.features(random_crops(images, config, generator))
    target = judge.features(random_crops(restructured, config, generator))
    return generator_loss(judge.judge(reference, target))


def patch_discriminator_loss(
    images: Tensor,
    restructured: Tensor,
    judge: PatchDiscriminator,
    config: PatchConfig,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the patch discriminator's loss, a scalar: crops of ``G(s, t)`` are real, of ``G(s', t)`` fake.

    Args: as of `structure_swap_loss`; images without history.
    """
    reference, same, other = (
        judge.features(random_crops(source, config, generator)) for source in (images, images, restructured)
    )
    return discriminator_loss(judge.judge(reference, same), judge.judge(reference, other))


def patch_gradient_penalty(
    images: Tensor, judge: PatchDiscriminator, config: PatchConfig, generator: torch.Generator | None = None
) -> Tensor:
    """Return R1 of the patch discriminator, a scalar, for two draws of crops of images ``[B, 3, R, R]``."""
    reference, target = (random_crops(images.detach(), config, generator).requires_grad_() for _ in range(2))
    return gradient_penalty(judge(reference, target), reference, target)

"""Schedules: pure functions of the images seen, the same for every batch and after every interruption."""

from __future__ import annotations

from dataclasses import dataclass

from coordgan_core.config import GanConfig


def ramp(nimg: int, start_nimg: int, end_nimg: int, low: float, high: float) -> float:
    """Return ``low`` until ``start_nimg``, ``high`` from ``end_nimg``, and a straight line in between."""
    if nimg >= end_nimg:
        return high
    if nimg <= start_nimg:
        return low
    return low + (high - low) * (nimg - start_nimg) / (end_nimg - start_nimg)


def is_due(nimg: int, batch: int, every: int) -> bool:
    """Say whether the step at ``nimg`` images seen, ``batch`` over all devices, is one of each ``every``."""
    return nimg // batch % every == 0


def growing_half_life(half_life_nimg: int, nimg: int, batch: int) -> float:
    """Return the half-life, in images, of a moving average at the step after ``nimg`` images.

    It grows with the training up to ``half_life_nimg``: early on, an average over so many images would be
    made of weights that know nothing. ``batch`` counts the images of the step over all devices.
    """
    return min(float(half_life_nimg), 0.1 * nimg + batch)


@dataclass(frozen=True)
class GanWeights:
    """Weights of the losses of stage 1 at one moment."""

    adversarial: float
    texture_swap: float
    structure_swap: float
    warp: float
    chamfer: float
    fold: float
    frame: float


def gan_weights(config: GanConfig, nimg: int) -> GanWeights:
    """Return the weights of stage 1 after ``nimg`` images (fact sheet section 2).

    Published: adversarial 1, from 5k to 10k iterations rising to 2; texture swap and warp rising to 5 over
    20k; structure swap 1 from 10k on; Chamfer 200 always. One published iteration is 16 images.
    """
    swap = ramp(nimg, 0, config.swap_ramp_nimg, 0.0, 1.0)
    start, end = config.adversarial_ramp_nimg
    # Frozen warping networks have nothing to learn from the losses of the map alone.
    geometry = 0.0 if config.freeze_structure else 1.0
    return GanWeights(
        adversarial=ramp(nimg, start, end, config.adversarial_start, config.adversarial),
        texture_swap=config.texture_swap * swap,
        structure_swap=config.structure_swap if nimg >= config.structure_swap_from_nimg else 0.0,
        warp=config.warp * swap,
        chamfer=config.chamfer * geometry,
        fold=config.fold * geometry,
        frame=config.frame,
    )

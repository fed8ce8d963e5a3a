"""Groupwise registration: maps that disagree about known positions are brought together, others are left."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from coordgan_core.coords import canonical_grid, compose, resize_map
from coordgan_core.data import augment
from coordgan_core.data.sampler import generator
from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.training.registration import register

SIDE = 96


def warped_views(count: int) -> tuple[Tensor, Tensor]:
    """Return a figure seen through ``count`` warps, ``[B, 3, R, R]``, and the true maps."""
    picture = SyntheticCategory(0).sample(3, SIDE).image
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 127.5 - 1.0
    fields = augment.random_warp(count, SIDE, strength=0.3, generator=generator(0, "test", 0))
    views = augment.warp_images(image.expand(count, -1, -1, -1), fields)
    return views, compose(canonical_grid(SIDE, SIDE).expand(count, -1, -1, -1), fields)


def disagreement(maps: Tensor, truth: Tensor) -> float:
    """Return how much the errors of neighbours in the batch differ, away from the border."""
    error = (maps - truth)[..., 16:-16, 16:-16]
    return float((error - error.roll(-1, 0)).square().sum(1).sqrt().mean())


def wrong(truth: Tensor, size: float) -> Tensor:
    """Return the maps with smooth errors of their own."""
    shifts = torch.randn(len(truth), 2, 3, 3, generator=generator(0, "errors", 0)) * size
    return truth + torch.nn.functional.interpolate(
        shifts, size=truth.shape[-2:], mode="bicubic", align_corners=True
    )


def test_maps_come_closer_to_their_partners() -> None:
    images, truth = warped_views(4)
    maps = wrong(truth, 0.06)
    moved = register(images, maps)
    assert moved.shape == maps.shape
    pulled = (moved - maps)[..., 16:-16, 16:-16]
    # each is moved to where its partner, errors included, has the same point of the figure
    gap = ((maps - truth).roll(-1, 0) - (maps - truth))[..., 16:-16, 16:-16]
    correlation = torch.corrcoef(torch.stack([pulled.flatten(), gap.flatten()]))[0, 1]
    assert float(correlation) > 0.6
    followed = maps - truth
    followed[:] = followed.roll(-1, 0)
    assert float((moved - truth - followed)[..., 16:-16, 16:-16].abs().mean()) < 0.6 * float(gap.abs().mean())


def test_rounds_make_a_group_agree() -> None:
    images, truth = warped_views(4)
    maps = wrong(truth, 0.06)
    before = disagreement(maps, truth)
    for shift in (0, 1, 2):  # other partners each time
        order = torch.tensor([0, 1, 2, 3]).roll(shift)[torch.tensor([0, 2, 1, 3])]
        mean = torch.empty_like(maps)
        mean[order] = 0.5 * (maps[order] + register(images[order], maps[order]))
        maps = mean
    assert disagreement(maps, truth) < 0.6 * before


def test_only_as_many_as_asked_for_are_moved() -> None:
    images, truth = warped_views(4)
    maps = wrong(truth, 0.06)
    moved = register(images, maps, 2)
    assert torch.equal(moved[2:], maps[2:])
    assert not torch.equal(moved[:2], maps[:2])
    assert torch.equal(moved[:2], register(images, maps)[:2])
    assert register(images, maps, 0) is maps
    assert register(images[:1], maps[:1]) is not None
    assert torch.equal(register(images[:1], maps[:1]), maps[:1])


def test_images_that_agree_are_left() -> None:
    images, _ = warped_views(1)
    twice = images.expand(2, -1, -1, -1)
    identity = canonical_grid(SIDE, SIDE).expand(2, -1, -1, -1)
    assert float((register(twice, identity) - identity).abs().max()) < 0.02


def test_maps_of_another_size_keep_it() -> None:
    images, truth = warped_views(2)
    small = resize_map(wrong(truth, 0.06), 48, 48)
    assert register(images, small).shape == (2, 2, 48, 48)

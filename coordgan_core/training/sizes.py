"""At which sizes a trained embedding works best on its own images: decided without labels.

A network trained at one size often sees small parts better in enlarged images, and the average of both maps
is steadier than either; but thin structures of some categories get lost. What decides is equivariance: the
map of a warped and recoloured photograph must be the warped map of the photograph. A size is added where that
lowers the error of images at their original resolution.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from torch import Tensor

from coordgan_core.coords import compose, resize_map
from coordgan_core.data import augment
from coordgan_core.data.sampler import ImageSource
from coordgan_core.data.sampler import generator as random_generator
from coordgan_core.errors import DataError
from coordgan_core.models.coordgan import CoordGAN

IMAGES = 192
ENLARGED = 1.5
CLEAR_GAIN = 0.01
"""Share of the error by which a further size must lower it: less is chance, and costs time."""
_MEASURED_PX = 128
_WARP = 0.6
_BATCH = 32


def with_chosen_sizes(model: CoordGAN, images: Tensor) -> CoordGAN:
    """Return the model, or a copy that also works at 1.5 times its size if its maps are better for it.

    Args:
        model: A model with a trained embedding; one without is returned as it is.
        images: ``[N, 3, S, S]`` in [-1, 1], of more pixels than the model's own size.
    """
    if model.embedding is None:
        return model
    own = model.embedding.config
    unit = 1 << len(own.channels)
    larger = round(own.input_px * ENLARGED / unit) * unit
    enlarged = with_sizes(model, (larger,))
    better = equivariance_error(enlarged, images) < (1.0 - CLEAR_GAIN) * equivariance_error(model, images)
    return enlarged if better else model


def with_sizes(model: CoordGAN, extra_px: tuple[int, ...]) -> CoordGAN:
    """Return a copy of a model that averages its maps over its own size and ``extra_px``."""
    chosen = copy.deepcopy(model)
    assert chosen.embedding is not None
    chosen.embedding.config = dataclasses.replace(chosen.embedding.config, extra_px=extra_px)
    chosen.config = dataclasses.replace(chosen.config, embedding=chosen.embedding.config)
    return chosen


@torch.no_grad()
def equivariance_error(model: CoordGAN, images: Tensor, *, seed: int = 0) -> float:
    """Return the mean distance, in canonical units, of maps of warped images from warped maps of images.

    Args:
        model: The model.
        images: ``[N, 3, S, S]`` in [-1, 1].
        seed: Of the warps and colours.
    """
    was_training = model.training
    model.eval()
    total, count = 0.0, 0.0
    for number, batch in enumerate(torch.split(images, _BATCH)):
        draws = random_generator(seed, "equivariance error", number, batch.device)
        field = augment.random_warp(len(batch), _MEASURED_PX, strength=_WARP, generator=draws)
        warped = augment.photometric(augment.warp_images(batch, field), generator=draws)
        expected = compose(_maps(model, batch), field)
        distance = (_maps(model, warped) - expected).norm(dim=1, keepdim=True)
        inside = augment.inside(field)
        total += float((distance * inside).sum())
        count += float(inside.sum())
    model.train(was_training)
    return total / max(count, 1.0)


def _maps(model: CoordGAN, images: Tensor) -> Tensor:
    return resize_map(model.correspondence(images).map, _MEASURED_PX, _MEASURED_PX)


def read_originals(source: ImageSource, model: CoordGAN, device: torch.device) -> Tensor | None:
    """Read up to 192 of a source's images again, at twice the model's size; None if their files are gone."""
    chosen = np.unique(np.linspace(0, len(source) - 1, min(IMAGES, len(source))).round().astype(int))
    paths = [source.paths[i] for i in chosen if source.paths[i].is_file()]
    if not paths:
        return None
    try:
        originals = ImageSource.from_paths(paths, 2 * model.config.resolution)
    except DataError:
        return None
    return originals.images(range(len(originals)), device)

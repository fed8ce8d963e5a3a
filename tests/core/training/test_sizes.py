from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from coordgan_core.coords import canonical_grid
from coordgan_core.data.pixels import to_uint8
from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import ConfigError
from coordgan_core.models.coordgan import CoordGAN, Correspondence
from coordgan_core.models.embedding import Embedding
from coordgan_core.pictures import write_png
from coordgan_core.training.sizes import (
    equivariance_error,
    read_originals,
    with_chosen_sizes,
    with_sizes,
)
from tests.core.models.test_coordgan import build, photographs


class Coded(CoordGAN):
    """Images whose first two channels are positions, read off with an error that depends on the size."""

    error_at: dict[int, float]

    def _correspondence_at(self, images: Tensor, side: int) -> Correspondence:
        small = torch.nn.functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        noise = torch.randn(small[:, :2].shape, generator=torch.Generator().manual_seed(side))
        maps = small[:, :2] + self.error_at[side] * noise
        return Correspondence(maps, torch.ones_like(maps[:, :1]))


def coded(errors: dict[int, float]) -> CoordGAN:
    model = build()
    model.__class__ = Coded
    model.error_at = errors
    return model


@pytest.mark.parametrize(("at_larger", "chosen"), [(0.01, (48,)), (1.0, ())])
def test_a_size_is_added_where_it_makes_maps_better(
    at_larger: float, chosen: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordgan_core.data.augment.photometric", lambda images, generator: images)
    positions = torch.cat([canonical_grid(64, 64), torch.zeros(1, 64, 64)])[None].expand(4, -1, -1, -1)
    model = with_chosen_sizes(coded({32: 0.2, 48: at_larger}), positions)
    assert model.embedding is not None
    assert model.embedding.config.extra_px == chosen
    assert model.config.embedding == model.embedding.config
    assert model.input_px == max(32, *chosen, 0)


def test_the_error_is_that_of_the_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordgan_core.data.augment.photometric", lambda images, generator: images)
    positions = torch.cat([canonical_grid(64, 64), torch.zeros(1, 64, 64)])[None].expand(2, -1, -1, -1)
    assert equivariance_error(coded({32: 0.0}), positions) < 0.02
    assert equivariance_error(coded({32: 0.1}), positions) > 0.08


@torch.no_grad()
def test_maps_of_several_sizes_are_averaged() -> None:
    model, photos = build(), photographs(64, 64)
    alone = [model._correspondence_at(photos, side) for side in (32, 48)]
    both = with_sizes(model, (48,)).correspondence(photos)
    assert both.map.shape[-2:] == (48, 48)
    offset = alone[0].map - canonical_grid(32, 32)
    enlarged = torch.nn.functional.interpolate(offset, (48, 48), mode="bilinear") + canonical_grid(48, 48)
    assert torch.allclose(both.map, (enlarged + alone[1].map) / 2, atol=1e-6)
    assert both.descriptors is not None
    assert both.descriptors.shape == alone[0].descriptors.shape  # type: ignore[union-attr]


def test_sizes_that_do_not_fit_the_levels_are_refused() -> None:
    config = build().embedding.config  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="extra_px is 50"):
        Embedding(dataclasses.replace(config, extra_px=(50,)))


def test_originals_are_read_again_at_twice_the_size(tmp_path: Path) -> None:
    for number in range(3):
        write_png(tmp_path / f"{number}.png", photographs(80, 80)[0])
    model = build()
    source = ImageSource.from_folder(tmp_path, model.config.resolution)
    originals = read_originals(source, model, torch.device("cpu"))
    assert originals is not None
    assert originals.shape == (3, 3, 2 * model.config.resolution, 2 * model.config.resolution)
    in_memory = ImageSource.from_images(np.stack([to_uint8(photographs())[0]] * 2))
    assert read_originals(in_memory, model, torch.device("cpu")) is None

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from coordgan_core.config import DenseHeadConfig, EmbeddingConfig
from coordgan_core.coords import resize_map
from coordgan_core.errors import ConfigError, ShapeError
from coordgan_core.models.coordgan import RELIABILITY_UNIT, CoordGAN
from tests.core.tiny import images, tiny_config

EMBEDDING = EmbeddingConfig(dim=8, channels=(8, 16), input_px=32, prototype_px=8)


def build(
    *, embedding: bool = True, dense: bool = True, ready: bool = True, encoder: bool = True
) -> CoordGAN:
    changes: dict[str, object] = {
        "model.embedding": EMBEDDING if embedding else None,
        "model.dense_head": DenseHeadConfig(channels=4) if dense else None,
    }
    if not encoder:
        changes["model.encoder"] = None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CoordGAN(tiny_config(**changes).model)
        if model.embedding is not None and ready:
            model.embedding.set_prototypes(torch.randn(8, 16, 16))
        if model.dense_head is not None:
            nn.init.normal_(model.dense_head.out.weight, std=0.1)
    return model.eval()


def photographs(height: int = 32, width: int = 32, count: int = 2) -> Tensor:
    draws = torch.Generator().manual_seed(7)
    return torch.rand(count, 3, height, width, generator=draws) * 2 - 1


@torch.no_grad()
def test_without_an_embedding_the_map_is_the_codes() -> None:
    model = build(embedding=False, dense=False)
    found = model.correspondence(images())
    assert torch.equal(found.map, model.generator.warp(model.encode(images()).structure))
    assert found.map.shape == (2, 2, 16, 16)
    assert torch.equal(found.reliability, torch.ones(2, 1, 16, 16))
    assert found.descriptors is None


@torch.no_grad()
def test_without_prototypes_the_map_is_the_codes() -> None:
    model = build(ready=False)
    found = model.correspondence(images())
    assert torch.equal(found.map, model.generator.warp(model.encode(images()).structure))
    assert found.descriptors is None


@torch.no_grad()
def test_an_embedding_alone_locates_its_descriptors() -> None:
    model = build(dense=False)
    assert model.embedding is not None
    found = model.correspondence(images())
    descriptors = model.embedding(images())
    torch.testing.assert_close(found.map, model.embedding.locate(descriptors))
    torch.testing.assert_close(found.reliability, model.embedding.likeness(descriptors).clamp(0, 1))
    assert found.descriptors is not None
    torch.testing.assert_close(found.descriptors, descriptors)


@torch.no_grad()
def test_the_dense_head_adds_to_it_at_full_resolution() -> None:
    model = build()
    assert model.embedding is not None
    assert model.dense_head is not None
    found = model.correspondence(images())
    features, _ = model.embedding.features(images())
    offsets, scale = model.dense_head(features, images())
    coarse = resize_map(model.embedding.locate(model.embedding(images())), 32, 32)
    assert float(offsets.abs().max()) > 0
    torch.testing.assert_close(found.map - coarse, offsets, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.reliability, 1 / (1 + scale / RELIABILITY_UNIT))


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (50, 20), (17, 64), (128, 96)])
@pytest.mark.parametrize(
    ("embedding", "dense", "side"), [(False, False, 16), (True, False, 16), (True, True, 32)]
)
def test_images_of_any_size_are_taken(size: tuple[int, int], embedding: bool, dense: bool, side: int) -> None:
    found = build(embedding=embedding, dense=dense).correspondence(photographs(*size))
    assert found.map.shape == (2, 2, side, side)
    assert found.reliability.shape == (2, 1, side, side)
    assert bool(found.map.isfinite().all())
    assert 0.0 <= float(found.reliability.min()) <= float(found.reliability.max()) <= 1.0


@torch.no_grad()
def test_images_of_a_batch_do_not_mix() -> None:
    model, batch = build(), photographs(count=3)
    together, alone = model.correspondence(batch), model.correspondence(batch[1:2])
    torch.testing.assert_close(together.map[1:2], alone.map, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_codes_and_rendering_fit_each_other() -> None:
    model = build()
    codes = model.encode(photographs(48, 20))
    assert codes.structure.shape == (2, 16)
    assert codes.texture.shape == (2, model.generator.num_texture_layers, 16)
    assert model.render(codes).shape == (2, 3, 32, 32)


def test_without_an_encoder_there_are_no_codes() -> None:
    model = build(embedding=False, dense=False, encoder=False)
    for ask in (model.encode, model.correspondence):
        with pytest.raises(ConfigError, match="no encoder"):
            ask(images())


@torch.no_grad()
def test_an_embedding_needs_no_encoder() -> None:
    assert build(encoder=False).correspondence(images()).map.shape == (2, 2, 32, 32)


def test_a_dense_head_needs_an_embedding() -> None:
    with pytest.raises(ConfigError, match="trunk of an embedding"):
        build(embedding=False, dense=True)


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 1, 40, 40), (1, 3, 40)])
@pytest.mark.parametrize("embedding", [True, False])
def test_other_layouts_are_refused(shape: tuple[int, ...], embedding: bool) -> None:
    with pytest.raises(ShapeError, match="image batch"):
        build(embedding=embedding, dense=embedding).correspondence(torch.zeros(shape))


@torch.no_grad()
def test_renders_of_real_images_follow_their_known_maps() -> None:
    model = build()
    nn.init.normal_(model.generator.warp.layers[-1].weight, std=0.5)
    photos = photographs()
    codes = model.encode(photos)
    side = model.config.warp.resolution
    known = torch.nn.functional.interpolate(model.correspondence(photos).map, size=(side, side), mode="area")
    assert codes.maps is not None
    assert torch.equal(codes.maps, known)
    expected = model.generator.synthesize(known, codes.texture)
    assert torch.equal(model.render(codes), expected)
    by_code_alone = model.generator.synthesize(model.generator.warp(codes.structure), codes.texture)
    assert not torch.allclose(expected, by_code_alone)


def test_the_shapes_of_a_model_are_known_without_the_compiler() -> None:
    code = """
import sys, torch
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.presets import preset
with torch.device("meta"):
    assert all(value.is_meta for value in CoordGAN(preset("quick-64").model).parameters())
assert "torch._dynamo" not in sys.modules, "a second of every command that loads a model"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

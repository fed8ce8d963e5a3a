"""The preset paper-128 has the published shapes (fact sheet sections 1 and 4)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from coordgan_core.models.discriminator import Discriminator
from coordgan_core.models.encoder import Encoder
from coordgan_core.models.generator import Generator
from coordgan_core.models.patch_discriminator import PatchDiscriminator
from coordgan_core.presets import preset


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def generator() -> Generator:
    with torch.device("meta"):
        return Generator(preset("paper-128").model)


def test_generator_has_35_3_million(generator: Generator) -> None:
    mapping = 8 * (512 * 512 + 512)
    warp = (514 * 512 + 512) + (512 * 512 + 512) + (512 * 2 + 2)
    affine_512, affine_514 = 512 * 512 + 512, 512 * 514 + 514
    encoding = 2 * 512 + 512
    first = 512 * 512 * 9 + affine_512 + 512 + 1
    conv = 514 * 512 * 9 + affine_514 + 512 + 1
    rgb = 514 * 3 + affine_514 + 3
    assert count(generator.mapping_structure) == mapping == 2_101_248
    assert count(generator.warp) == warp == 527_362
    assert count(generator) == 2 * mapping + warp + encoding + first + 10 * conv + 6 * rgb == 35_272_291


def test_generator_layers(generator: Generator) -> None:
    modulated = [tuple(p.shape) for name, p in generator.named_parameters() if name.endswith("conv.weight")]
    assert sum(shape[-1] == 3 for shape in modulated) == 11
    assert sum(shape == (3, 514, 1, 1) for shape in modulated) == 6
    assert generator.num_texture_layers == 12


def test_image_discriminator_has_28_4_million() -> None:
    with torch.device("meta"):
        assert count(Discriminator(preset("paper-128").model)) == 28_389_121


def test_patch_discriminator_has_4_5_million() -> None:
    with torch.device("meta"):
        assert count(PatchDiscriminator(preset("paper-128").model.patch)) == 4_531_265


def test_encoder_has_41_1_million() -> None:
    with torch.device("meta"):
        assert count(Encoder(preset("paper-128").model)) == 41_103_968


def test_published_shapes_from_latent_to_logit(generator: Generator) -> None:
    config = preset("paper-128").model
    with torch.device("meta"), torch.no_grad():
        z = torch.empty(2, 512)
        images = generator(z, z)
        assert generator.warp(generator.map_structure(z)).shape == (2, 2, 128, 128)
        assert images.shape == (2, 3, 128, 128)
        assert Discriminator(config)(images).shape == (2, 1)
        codes = Encoder(config)(images)
    assert codes.structure.shape == (2, 512)
    assert codes.texture.shape == (2, 12, 512)


def test_512_appends_two_doubling_blocks() -> None:
    config = preset("paper-512").model
    with torch.device("meta"), torch.no_grad():
        tall = Generator(config)
        z = torch.empty(2, 512)
        assert tall(z, z).shape == (2, 3, 512, 512)
        discriminator = Discriminator(config)
    assert tall.num_texture_layers == 16
    assert [tuple(b.first.conv.weight.shape) for b in tall.synthesis.blocks][-2:] == [
        (128, 514, 3, 3),
        (64, 128, 3, 3),
    ]
    assert tall.synthesis.blocks[-1].to_rgb.conv.weight.shape == (3, 64, 1, 1)
    assert discriminator.from_rgb.weight.shape == (64, 3, 1, 1)

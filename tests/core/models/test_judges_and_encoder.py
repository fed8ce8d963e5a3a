from __future__ import annotations

import dataclasses

import pytest
import torch

from coordgan_core.config import PatchConfig, replace
from coordgan_core.errors import ConfigError, ShapeError
from coordgan_core.models.codes import Codes
from coordgan_core.models.discriminator import Discriminator, channels_at
from coordgan_core.models.ema import averaged_copy, update_average
from coordgan_core.models.encoder import Encoder
from coordgan_core.models.patch_discriminator import PatchDiscriminator, random_crops
from tests.core.tiny import images, tiny_config

PATCH = PatchConfig(channels=4, crops=3)


def position_images(height: int, width: int, count: int = 2) -> torch.Tensor:
    """Images that hold their own coordinates in [-1, 1], and a constant."""
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    both = torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width), torch.zeros(height, width)]
    )
    return both.expand(count, -1, -1, -1)


def test_channels_halve_above_64() -> None:
    assert [channels_at(512, side) for side in (4, 64, 128, 256, 512)] == [512, 512, 256, 128, 64]


def test_discriminator_judges_and_refuses_other_sizes() -> None:
    judge = Discriminator(tiny_config().model)
    assert judge(images(3)).shape == (3, 1)
    with pytest.raises(ShapeError):
        judge(images(2, 16))


def test_crops_are_boxes_of_the_right_size_inside_the_image() -> None:
    config = dataclasses.replace(PATCH, crops=200)
    crops = random_crops(position_images(64, 96), config, torch.Generator().manual_seed(0))
    assert crops.shape == (2, 200, 3, 32, 32)
    x, y = crops[:, :, 0], crops[:, :, 1]
    assert (x - x[:, :, :1]).abs().max() < 1e-5  # axis-aligned: x is the same in every row
    step_x = (x[:, :, 0, 16] - x[:, :, 0, 15]) * 32 / 2  # signed share of the image's width
    step_y = (y[:, :, 16, 0] - y[:, :, 15, 0]) * 32 / 2
    assert (step_x.abs() > 0.124).all()
    assert (step_x.abs() < 0.251).all()
    assert (step_y > 0.124).all()
    assert (step_y < 0.251).all()
    assert 0.3 < (step_x < 0).float().mean() < 0.7  # half are mirrored
    assert 0.17 < step_y.mean() < 0.21  # uniform: mean 3/16
    middle = x[:, :, 0, 15:17].mean(2)
    assert middle.abs().max() < 1 - 0.124
    assert (step_x - step_y).abs().std() > 0.01  # axes are drawn apart


def test_crops_carry_gradients_to_the_image() -> None:
    source = images().requires_grad_()
    random_crops(source, PATCH, torch.Generator().manual_seed(0)).sum().backward()
    assert source.grad is not None
    assert source.grad.abs().sum() > 0


def test_patch_judge_averages_references_and_judges_each_target() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(PATCH)
    crops = torch.randn(2, 3, 3, 32, 32)
    targets = torch.randn(2, 3, 3, 32, 32)
    logits = judge(crops, targets)
    assert logits.shape == (2, 3)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(judge(crops[:, order], targets), logits)
    torch.testing.assert_close(judge(crops, targets[:, order]), logits[:, order])
    mean = judge.features(crops).mean(1)
    alone = judge.head(torch.cat([mean[0], judge.features(targets)[0, 1]])[None])
    torch.testing.assert_close(alone[0, 0], logits[0, 1])


def test_encoder_gives_codes_of_its_generator() -> None:
    config = tiny_config().model
    codes = Encoder(config)(images())
    assert codes.structure.shape == (2, 16)
    assert codes.texture.shape == (2, 6, 16)
    assert codes.structure.dtype == codes.texture.dtype == torch.float32
    with pytest.raises(ShapeError):
        Encoder(config)(images(2, 16))
    with pytest.raises(ConfigError):
        Encoder(dataclasses.replace(config, encoder=None))


def test_encoder_at_other_resolutions() -> None:
    config = replace(tiny_config(), **{"model.resolution": 64}).model
    assert Encoder(config)(images(1, 64)).structure.shape == (1, 16)


def test_codes_slice_and_join() -> None:
    codes = Codes(torch.randn(3, 4), torch.randn(3, 2, 4))
    joined = Codes.cat([codes[:1], codes[1:]])
    assert len(joined) == 3
    assert torch.equal(joined.texture, codes.texture)


def test_average_forgets_half_in_one_half_life() -> None:
    module = torch.nn.Linear(2, 2)
    average = averaged_copy(module)
    with torch.no_grad():
        for a, m in zip(average.parameters(), module.parameters(), strict=True):
            a.fill_(1.0)
            m.fill_(0.0)
    for _ in range(4):
        update_average(average, module, batch=25, half_life_nimg=100)
    assert all(torch.allclose(a, torch.tensor(0.5)) for a in average.parameters())
    assert not any(a.requires_grad for a in average.parameters())


def test_published_decay() -> None:
    module, weight = torch.nn.Linear(1, 1, bias=False), 0.5 ** (32 / 10_000)
    average = averaged_copy(module)
    with torch.no_grad():
        average.weight.fill_(1.0)
        module.weight.fill_(0.0)
    update_average(average, module, batch=16, half_life_nimg=5_000)
    assert float(average.weight) == pytest.approx(weight, abs=1e-6)

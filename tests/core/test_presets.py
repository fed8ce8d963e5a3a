"""The numbers of CoordGAN's release, written out by hand; counts are iterations times 16 images."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from coordgan_core.config import Config, GanConfig, SynthesisConfig, check
from coordgan_core.errors import ConfigError
from coordgan_core.presets import PRESETS, preset

BATCH = 16
PUBLISHED_MODEL: dict[str, Any] = {
    "resolution": 128,
    # not published: images are prepared beforehand
    "crop.mode": "whole",
    "crop.box": (0.0, 0.0, 1.0, 1.0),
    "crop.margin": 0.1,
    # 1.1 two codes of 512, eight layers
    "mapping.code_dim": 512,
    "mapping.layers": 8,
    "mapping.lr_multiplier": 0.01,
    # 1.2 514 -> 512 -> 512 -> 2 on a grid that includes its end points, tanh, no residual, no encoding
    "warp.resolution": 128,
    "warp.width": 512,
    "warp.layers": 3,
    "warp.grid": "endpoints",
    "warp.residual": False,
    "warp.fourier_bands": 0,
    "warp.squash": True,
    # 1.4 one convolution and five blocks of two, 3 x 3, 512 channels, all at 128 pixels, the map after each
    "synthesis.trunk_channels": 512,
    "synthesis.trunk_blocks": 5,
    "synthesis.trunk_kernel": 3,
    "synthesis.upsample_channels": (),
    "synthesis.map_skips": True,
    "synthesis.noise": True,
    "synthesis.encoding_bound": 4.5**0.5,
    # 1.6 discriminators
    "discriminator.channels": 512,
    "discriminator.stddev_group": 2,
    "patch.channels": 64,
    "patch.crop_px": 32,
    "patch.crops": 8,
    "patch.min_scale": 1 / 8,
    "patch.max_scale": 1 / 4,
    # 4 encoder
    "encoder.channels": 32,
    "encoder.max_channels": 512,
    "encoder.downsamplings": 4,
    "encoder.structure_channels": 64,
    "encoder.texture_channels": 2048,
    "embedding": None,
    "dense_head": None,
}
PUBLISHED_GAN: dict[str, Any] = {
    "total_nimg": 300_000 * BATCH,
    "adversarial_start": 1.0,
    "adversarial": 2.0,
    "adversarial_ramp_nimg": (5_000 * BATCH, 10_000 * BATCH),
    "texture_swap": 5.0,
    "warp": 5.0,
    "swap_ramp_nimg": 20_000 * BATCH,
    "structure_swap": 1.0,
    "structure_swap_from_nimg": 10_000 * BATCH,
    "chamfer": 200.0,
    "chamfer_points": 0,
    "fold": 0.0,
    "frame": 0.0,
    "warp_px": 128,
    "affinity_temperature": 0.01,
    "r1_gamma": 10.0,
    "patch_r1_gamma": 1.0,
    "lazy_every": 16,
    "adversary": "non-saturating",
    "augment": "none",
    "freeze_structure": False,
}
PUBLISHED_ENCODER: dict[str, Any] = {
    "total_nimg": 300_000 * BATCH,
    "reconstruction_l1": 10.0,
    "reconstruction_perceptual": 10.0,
    "texture_swap": 5.0,
    "code_consistency": 10.0,
    "map_consistency": 10.0,
    "learning_rate": 0.0016,
}


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a configuration under its dotted name."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values |= flat(value, f"{prefix}{field.name}.")
        else:
            values[prefix + field.name] = value
    return values


def test_paper_128_has_the_published_networks() -> None:
    assert flat(preset("paper-128").model) == PUBLISHED_MODEL


def test_paper_128_has_the_published_losses_and_schedules() -> None:
    gan = flat(preset("paper-128").train.gan)
    half_life = gan.pop("ema_half_life_nimg")
    assert gan == PUBLISHED_GAN
    assert 0.5 ** (BATCH / half_life) == pytest.approx(0.99778, abs=5e-6)  # 0.5^(32 / 10000)


def test_paper_128_has_the_published_encoder_losses() -> None:
    assert flat(preset("paper-128").train.encoder) == PUBLISHED_ENCODER


def test_paper_128_trains_as_published() -> None:
    train = preset("paper-128").train
    assert train.stages == ("gan", "encoder")
    assert (train.batch, train.learning_rate, train.mirror, train.precision) == (
        BATCH,
        0.002,
        True,
        "float32",
    )
    assert (train.minutes, train.stage_shares, train.compile) == (0.0, (), False)


def test_paper_512_grows_a_finished_paper_128() -> None:
    grown = preset("paper-512")
    assert grown.model.resolution == 512
    assert grown.model.warp == Config().model.warp  # the map stays 128 x 128
    assert grown.model.synthesis == SynthesisConfig(upsample_channels=(128, 64))
    assert grown.train.gan == GanConfig(
        adversarial_start=2.0,
        adversarial_ramp_nimg=(0, 0),
        swap_ramp_nimg=0,
        structure_swap_from_nimg=0,
        freeze_structure=True,
    )


def test_quick_64_needs_neither_an_adversary_nor_downloads() -> None:
    quick = preset("quick-64")
    assert quick.train.stages == ("embedding", "joint")
    assert quick.model.embedding is not None
    assert quick.model.dense_head is not None
    assert (quick.model.resolution, quick.model.embedding.input_px, quick.model.image_px) == (64, 96, 96)
    assert quick.model.warp.residual
    assert not quick.model.synthesis.noise
    assert len(quick.train.stage_shares) == len(quick.train.stages)
    assert sum(quick.train.stage_shares) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["fast-128", "fast-256"])
def test_fast_presets_paint_behind_a_trunk_at_64_pixels(name: str) -> None:
    fast = preset(name)
    synthesis = fast.model.synthesis
    assert fast.train.stages == ("embedding", "joint", "gan", "encoder")
    assert fast.model.resolution >> len(synthesis.upsample_channels) == 64
    assert (synthesis.trunk_kernel, synthesis.trunk_channels) == (1, 128)
    assert fast.model.warp.residual
    assert (fast.train.gan.adversary, fast.train.gan.augment) == ("relativistic", "diff")
    assert fast.train.perceptual == "embedding"
    assert (fast.train.precision, fast.train.compile) == ("auto", True)
    assert fast.train.gan.frame > 0
    assert sum(fast.train.stage_shares) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["fast-128", "fast-256"])
def test_fast_presets_can_start_from_a_quick_64(name: str) -> None:
    fast, quick = preset(name).model, preset("quick-64").model
    assert fast.embedding is not None
    assert quick.embedding is not None
    assert dataclasses.replace(fast.embedding, input_px=quick.embedding.input_px) == quick.embedding
    assert fast.dense_head == quick.dense_head


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_in_range_and_know_their_names(name: str) -> None:
    check(PRESETS[name])
    assert PRESETS[name].preset == name
    assert preset(name) is PRESETS[name]
    assert PRESETS[name].train.batch % 2 == 0


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        preset("paper-64")
    assert "'paper-64'" in caught.value.found
    assert "paper-128" in caught.value.expected

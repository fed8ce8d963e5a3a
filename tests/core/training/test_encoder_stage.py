from __future__ import annotations

import copy
import math

import pytest
import torch

from coordgan_core.errors import ConfigError
from coordgan_core.training.encoder import EncoderStage
from tests.core.tiny import images, tiny_config, tiny_model

CPU = torch.device("cpu")


def build(**changes: object) -> EncoderStage:
    return EncoderStage(tiny_config(**changes), tiny_model(**changes), CPU)  # type: ignore[arg-type]


def test_the_encoder_alone_learns() -> None:
    stage = build()
    generator = copy.deepcopy(stage.generator.state_dict())
    encoder = copy.deepcopy(stage.encoder.state_dict())
    stats = stage.step(images(), nimg=0)
    assert all(math.isfinite(value) for value in stats.values())
    assert all(torch.equal(value, generator[name]) for name, value in stage.generator.state_dict().items())
    assert all(p.grad is None for p in stage.generator.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.encoder.parameters())
    assert any(not torch.equal(value, encoder[name]) for name, value in stage.encoder.state_dict().items())


@pytest.mark.parametrize("name", ["code_consistency", "map_consistency"])
def test_consistency_losses_teach_structure_alone(name: str) -> None:
    stage = build()
    stage._generated(2, torch.Generator().manual_seed(0))[name][1].backward()
    assert all(p.grad is not None for p in stage.encoder.structure_code.parameters())
    assert all(p.grad is None for p in stage.encoder.texture_codes.parameters())


def test_weights_are_the_published_ones() -> None:
    losses = build()._real(images(), torch.Generator().manual_seed(0))
    losses |= build()._generated(2, torch.Generator().manual_seed(0))
    assert {name: weight for name, (weight, _) in losses.items()} == {
        "reconstruction_l1": 10.0,
        "reconstruction_perceptual": 10.0,
        "texture_swap": 5.0,
        "code_consistency": 10.0,
        "map_consistency": 10.0,
    }


def test_restoring_continues_bit_for_bit() -> None:
    straight = build()
    for nimg in (0, 2, 4):
        straight.step(images(seed=nimg), nimg=nimg)
    first, second = build(), build()
    first.step(images(seed=0), nimg=0)
    second.encoder.load_state_dict(first.encoder.state_dict())
    state = copy.deepcopy(first.optimizers()["encoder"].state_dict())
    second.optimizers()["encoder"].load_state_dict(state)
    for nimg in (2, 4):
        second.step(images(seed=nimg), nimg=nimg)
    for a, b in zip(straight.encoder.parameters(), second.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_reconstruction_falls_on_one_batch() -> None:
    stage = build(**{"train.encoder.learning_rate": 0.01})
    losses = [float(stage.step(images(), nimg=2 * n)["code_consistency"]) for n in range(12)]
    assert sum(losses[-3:]) < sum(losses[:3])


def test_a_model_without_encoder_is_refused() -> None:
    model = tiny_model()
    model.encoder = None
    with pytest.raises(ConfigError, match="no encoder"):
        EncoderStage(tiny_config(), model, CPU)  # type: ignore[arg-type]

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from coordgan_core.errors import ConfigError, ShapeError
from coordgan_core.training import gan
from coordgan_core.training.gan import GanStage
from coordgan_core.training.schedules import gan_weights, growing_half_life, is_due, ramp
from coordgan_core.training.state import take_over
from tests.core.tiny import images, tiny_config, tiny_model

CPU = torch.device("cpu")


def build(**changes: object) -> GanStage:
    return GanStage(tiny_config(**changes), tiny_model(**changes), CPU)  # type: ignore[arg-type]


def parameters(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def run(stage: GanStage, first: int, last: int) -> dict[str, Tensor]:
    stats: dict[str, Tensor] = {}
    for nimg in range(first, last, 2):
        stats = dict(stage.step(images(seed=nimg), nimg=nimg))
    return stats


def test_steps_are_finite_and_change_every_network() -> None:
    stage = build()
    before = {name: parameters(module) for name, module in stage.modules().items()}
    stats = run(stage, 0, 8)
    assert all(value.ndim == 0 and math.isfinite(value) for value in stats.values())
    assert {"adversarial", "texture_swap", "structure_swap", "warp", "chamfer", "discriminator"} <= set(stats)
    for name, module in stage.modules().items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], parameters(module), strict=True)), name


def test_restoring_continues_bit_for_bit() -> None:
    straight = build()
    run(straight, 0, 10)
    first = build()
    run(first, 0, 4)
    second = build()
    run(second, 6, 8)  # anything else, to be overwritten
    for name, module in second.modules().items():
        module.load_state_dict(copy.deepcopy(first.modules()[name].state_dict()))
    for name, optimizer in second.optimizers().items():
        optimizer.load_state_dict(copy.deepcopy(first.optimizers()[name].state_dict()))
    run(second, 4, 10)
    for name, module in straight.modules().items():
        for a, b in zip(module.parameters(), second.modules()[name].parameters(), strict=True):
            assert torch.equal(a, b), name


def test_penalty_comes_every_lazy_every_steps() -> None:
    stage = build(**{"train.gan.lazy_every": 3})
    due = ["r1" in stage.step(images(), nimg=nimg) for nimg in range(0, 12, 2)]
    assert due == [True, False, False, True, False, False]


def test_penalty_moves_the_discriminators_alone() -> None:
    stage = build()
    before = parameters(stage.generator)
    stage._penalise_discriminators(images(), gan_weights(stage.gan, 8), 8)
    assert all(p.grad is None for p in stage.generator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(stage.generator), strict=True))
    # R1 reaches every weight before the logit; biases behind the last nonlinearity have no influence on it.
    assert all(p.grad is not None for n, p in stage.discriminator.named_parameters() if n.endswith("weight"))


def test_generator_step_leaves_the_discriminators_alone() -> None:
    stage = build()
    before = parameters(stage.discriminator), parameters(stage.patch)
    stage._train_generator(images(), gan_weights(stage.gan, 8), 8)
    assert all(p.grad is None for p in stage.discriminator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before[0], parameters(stage.discriminator), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before[1], parameters(stage.patch), strict=True))


def test_discriminator_step_leaves_the_generator_alone() -> None:
    stage = build()
    stage._train_discriminators(images(), gan_weights(stage.gan, 8), 8)
    assert all(p.grad is None for p in stage.generator.parameters())
    assert all(p.grad is not None for p in stage.patch.parameters())


def test_export_is_the_moving_average() -> None:
    stage = build()
    run(stage, 0, 2)
    exported = stage.export()
    want = dict(stage.average.named_parameters())
    assert all(torch.equal(p, want[n]) for n, p in exported.generator.named_parameters())
    assert not exported.training
    assert not any(p.requires_grad for p in exported.parameters())
    assert exported.generator is not stage.average
    raw = dict(stage.generator.named_parameters())
    assert any(not torch.equal(p, raw[n]) for n, p in exported.generator.named_parameters())


def test_relativistic_form_adds_r2_and_augmentation_runs() -> None:
    stage = build(**{"train.gan.adversary": "relativistic", "train.gan.augment": "diff"})
    stats = stage.step(images(), nimg=0)
    assert "r2" in stats
    assert all(math.isfinite(value) for value in stats.values())


def test_bfloat16_step_is_finite_and_maps_stay_float32() -> None:
    stage = build(**{"train.precision": "bfloat16"})
    stats = stage.step(images(), nimg=4)
    assert all(math.isfinite(value) for value in stats.values())
    with stage._autocast(), torch.no_grad():
        maps, fake, _ = stage._generate(2, torch.Generator().manual_seed(0), swap=False)
    assert maps.dtype == fake.dtype == torch.float32
    with torch.no_grad():
        plain, _, _ = stage._generate(2, torch.Generator().manual_seed(0), swap=False)
    assert torch.equal(maps, plain)


def test_frozen_structure_keeps_the_maps() -> None:
    stage = build(**{"train.gan.freeze_structure": True})
    warp, mapping = parameters(stage.generator.warp), parameters(stage.generator.mapping_structure)
    stats = run(stage, 0, 6)
    assert "chamfer" not in stats
    assert "warp" in stats
    assert all(torch.equal(a, b) for a, b in zip(warp, parameters(stage.generator.warp), strict=True))
    after = parameters(stage.generator.mapping_structure)
    assert all(torch.equal(a, b) for a, b in zip(mapping, after, strict=True))


def test_odd_batches_are_refused() -> None:
    with pytest.raises(ShapeError, match="even"):
        build().step(images(3), nimg=4)


def test_learning_rates_are_the_published_ones() -> None:
    stage = build(**{"train.gan.lazy_every": 16})
    generator, discriminator = (
        stage.optimizers()[name].param_groups[0] for name in ("generator", "discriminator")
    )
    assert generator["lr"] == pytest.approx(0.0016)
    assert generator["betas"] == pytest.approx((0.0, 0.99199), abs=1e-5)
    assert discriminator["lr"] == pytest.approx(0.00188, abs=5e-6)
    assert discriminator["betas"] == pytest.approx((0.0, 0.99059), abs=1e-5)


def test_higher_resolution_starts_where_the_lower_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    lower = build()
    run(lower, 0, 4)
    trained = lower.export()
    monkeypatch.setattr("coordgan_core.snapshot.load_model", lambda path: trained)
    changes: dict[str, object] = {
        "model.resolution": 64,
        "model.synthesis.upsample_channels": (8, 4),
        "train.gan.freeze_structure": True,
    }
    model = tiny_model(**changes)  # type: ignore[arg-type]
    take_over(model, "lower.safetensors")
    higher = GanStage(tiny_config(**changes), model, CPU)
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    maps = lower.average.warp(lower.average.map_structure(z))
    assert torch.equal(higher.average.warp(higher.average.map_structure(z)), maps)
    stats = higher.step(images(2, 64), nimg=4)
    assert all(math.isfinite(value) for value in stats.values())
    assert torch.equal(higher.average.warp(higher.average.map_structure(z)), maps)


def test_published_schedule() -> None:
    gan = tiny_config(
        **{
            "train.gan.adversarial_ramp_nimg": (80_000, 160_000),
            "train.gan.swap_ramp_nimg": 320_000,
            "train.gan.structure_swap_from_nimg": 160_000,
        }
    ).train.gan
    start, middle, end = (gan_weights(gan, iteration * 16) for iteration in (0, 7_500, 20_000))
    assert (start.adversarial, start.texture_swap, start.structure_swap, start.warp) == (1.0, 0.0, 0.0, 0.0)
    assert start.chamfer == 200.0
    assert middle.adversarial == pytest.approx(1.5)
    assert middle.texture_swap == middle.warp == pytest.approx(5 * 7_500 / 20_000)
    assert (end.adversarial, end.texture_swap, end.structure_swap, end.warp) == (2.0, 5.0, 1.0, 5.0)


def test_ramp_without_length_is_a_step() -> None:
    assert ramp(0, 0, 0, 1.0, 2.0) == 2.0
    assert [ramp(n, 2, 4, 0.0, 1.0) for n in (0, 2, 3, 4, 9)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert [is_due(n, 4, 2) for n in (0, 4, 8, 12)] == [True, False, True, False]


def test_the_half_life_grows_up_to_its_full_length() -> None:
    assert [growing_half_life(3_000, n, 16) for n in (0, 1_000, 29_840, 90_000)] == [
        16.0,
        116.0,
        3_000.0,
        3_000.0,
    ]


def test_swaps_hold_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = build()
    net, seen = stage.generator, {}
    monkeypatch.setattr(gan, "texture_swap_loss", lambda a, b, _: seen.update(t=(a, b)) or a.mean())
    monkeypatch.setattr(gan, "structure_swap_loss", lambda a, b, *_: seen.update(s=(a, b)) or a.mean())
    with torch.no_grad():
        z = torch.randn(2, 2, net.code_dim, generator=stage._draws("generator", 8))
        maps, texture = net.warp(net.map_structure(z[0])), net.map_texture(z[1])
        own = net.synthesize(maps, texture)
        new_texture = net.synthesize(maps, texture.flip(0))
        new_structure = net.synthesize(maps.flip(0), texture)
    stage._train_generator(images(), gan_weights(stage.gan, 8), 8)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(seen["t"], (own, new_texture), **close)
    torch.testing.assert_close(seen["s"], (own, new_structure), **close)


def test_penalty_weighs_as_if_taken_every_step() -> None:
    stage = build(**{"train.gan.r1_gamma": 3.0, "train.gan.lazy_every": 5})
    judge = copy.deepcopy(stage.discriminator)
    stage._penalise_discriminators(images(), gan_weights(stage.gan, 0), 0)
    real = images().requires_grad_()
    (slope,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
    (slope.square().sum() / len(real) * 3.0 / 2 * 5).backward()
    for (name, a), b in zip(stage.discriminator.named_parameters(), judge.parameters(), strict=True):
        if b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_a_step_never_waits_for_the_device() -> None:
    class NoSync(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            name = func.name()
            assert name not in {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select"}, name
            return func(*args, **(kwargs or {}))

    stage = build(**{"train.gan.fold": 1.0, "train.gan.chamfer_points": 8})
    for optimizer in stage.optimizers().values():
        optimizer.step = lambda: None  # type: ignore[method-assign] # Adam on a CPU reads its own counter
    with NoSync():
        stage.step(images(), nimg=8)


def test_the_patch_discriminator_sees_the_same_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = build()
    net, seen = stage.generator, {}
    plain = gan.patch_discriminator_loss
    monkeypatch.setattr(
        gan, "patch_discriminator_loss", lambda a, b, *rest: seen.update(s=(a, b)) or plain(a, b, *rest)
    )
    with torch.no_grad():
        z = torch.randn(2, 2, net.code_dim, generator=stage._draws("discriminator", 8))
        maps, texture = net.warp(net.map_structure(z[0])), net.map_texture(z[1])
        own, restructured = net.synthesize(maps, texture), net.synthesize(maps.flip(0), texture)
    stage._train_discriminators(images(), gan_weights(stage.gan, 8), 8)
    torch.testing.assert_close(seen["s"], (own, restructured), rtol=1e-4, atol=1e-5)


def test_the_frame_needs_a_trained_embedding() -> None:
    with pytest.raises(ConfigError, match="no trained embedding"):
        build(**{"train.gan.frame": 1.0})

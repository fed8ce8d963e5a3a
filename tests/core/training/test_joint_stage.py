from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from coordgan_core.coords import canonical_grid
from coordgan_core.data.sampler import generator
from coordgan_core.errors import ConfigError, ShapeError
from coordgan_core.models.embedding import Embedding
from coordgan_core.training import joint
from coordgan_core.training.embedding import cosine_schedule, two_views
from coordgan_core.training.joint import JointStage, _gaussian_blur, _laplace
from tests.core.training.tiny_stages import (
    BATCH,
    CPU,
    batch,
    config,
    mean,
    model,
    restore,
    run,
    same,
    source,
    state,
)

LOSSES = {"equivariance", "prototype", "dense", "code_map", "reconstruction", "texture_swap", "fold"}


def build(**changes: object) -> JointStage:
    changes = {"train.joint.total_nimg": 40 * BATCH, "train.joint.generator_rate": 0.01} | changes
    return JointStage(config(**changes), model(), source(), CPU)


def teacher(stage: JointStage) -> Embedding:
    assert stage.average.embedding is not None
    return stage.average.embedding


def test_the_losses_fall() -> None:
    history = run(build(**{"train.joint.learning_rate": 0.003, "train.joint.muon_rate": 0.03}), 0, 28)
    assert set(history[0]) == LOSSES
    for name in ("equivariance", "prototype", "dense", "code_map", "reconstruction"):
        assert mean(history, name, slice(-6, None)) < mean(history, name, slice(0, 6)), name
    assert mean(history, "reconstruction", slice(-6, None)) < 0.9 * mean(
        history, "reconstruction", slice(0, 6)
    )


def test_restoring_continues_bit_for_bit() -> None:
    straight, first, second = build(), build(), build()
    run(straight, 0, 4)
    run(first, 0, 2)
    run(second, 7, 8)  # anything else, to be overwritten
    restore(second, state(first))
    run(second, 2, 4)
    assert same(state(second), state(straight))


def test_a_step_is_a_function_of_state_images_and_count() -> None:
    one, two, other = build(), build(), build()
    run(one, 0, 1)
    torch.rand(5)  # the global generator has no say
    run(two, 0, 1)
    other.step(batch(), nimg=BATCH)
    assert same(state(one), state(two))
    assert not same(state(one)["modules"], state(other)["modules"])


def test_every_trained_part_learns_and_the_others_stay() -> None:
    stage = build()
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    run(stage, 0, 2)
    changed = {
        name for name, value in stage.model.state_dict().items() if not torch.equal(value, before[name])
    }
    parts = (
        "embedding.trunk",
        "embedding.head",
        "dense_head",
        "encoder",
        "generator.warp",
        "generator.synthesis",
    )
    for part in parts:
        assert any(name.startswith(part) for name in changed), part
    assert not [name for name in changed if not name.startswith(parts)]  # prototypes and mapping networks


def test_the_teacher_learns_through_its_average_alone() -> None:
    stage = build(**{"train.joint.ema_half_life_nimg": 3})
    assert not stage._teach(batch()).requires_grad
    old = {name: p.clone() for name, p in stage.average.named_parameters()}
    run(stage, 0, 1)
    kept = 0.5 ** (BATCH / 3)
    new = dict(stage.model.named_parameters())
    for name, parameter in stage.average.named_parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
        want = new[name] + (old[name] - new[name]) * kept
        torch.testing.assert_close(parameter, want.detach(), atol=1e-6, rtol=1e-5)


def test_no_loss_reaches_what_it_must_not_teach() -> None:
    """Offsets learn from known positions alone: nothing about appearance may reach the dense head."""
    stage = build()
    views = two_views(batch(), stage._views, generator(0, "test", 0))
    target = views.places
    torch.stack([weight * loss for _, (weight, loss) in stage._appearance(views, target)]).sum().backward()
    assert all(p.grad is None for p in stage._head.parameters())
    assert all(p.grad is None for p in stage._embedding.parameters())
    assert all(p.grad is not None for p in stage.model.generator.warp.parameters())
    stage.model.zero_grad()
    losses = dict(stage._positions(views, target, generator(0, "test", 1)))
    torch.stack([weight * loss for weight, loss in losses.values()]).sum().backward()
    assert all(p.grad is not None for p in stage._head.parameters())
    assert all(p.grad is not None for p in stage.optimizers()["inner"].param_groups[0]["params"])
    assert all(p.grad is None for p in stage._encoder.parameters())
    assert all(p.grad is None for p in stage.model.generator.parameters())


def test_export_is_the_average() -> None:
    stage = build()
    run(stage, 0, 3)
    exported = stage.export()
    assert same(exported.state_dict(), stage.average.state_dict())
    assert not same(exported.state_dict(), stage.model.state_dict())
    assert not exported.training
    assert not any(p.requires_grad for p in exported.parameters())
    run(stage, 3, 4)
    assert not same(exported.state_dict(), stage.average.state_dict())  # a copy
    assert bool(exported.correspondence(batch()).map.isfinite().all())


def test_export_leaves_the_training_alone() -> None:
    stage = build()
    run(stage, 0, 2)
    before, draws = state(stage), torch.get_rng_state()
    stage.export()
    assert same(state(stage), before)
    assert torch.equal(torch.get_rng_state(), draws)
    assert stage.model.training
    assert all(p.requires_grad for p in stage.model.parameters())


def test_finish_leaves_the_averaged_weights_in_the_model() -> None:
    stage = build()
    run(stage, 0, 3)
    stage.finish()
    assert same(stage.model.state_dict(), stage.average.state_dict())


def test_prototypes_are_set_where_there_are_none_and_kept_where_there_are() -> None:
    assert build()._embedding.ready
    prepared = model()
    assert prepared.embedding is not None
    prepared.embedding.set_prototypes(torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(0)))
    kept = prepared.embedding.prototypes.clone()
    stage = JointStage(config(), prepared, source(), CPU)
    run(stage, 0, 1)
    assert torch.equal(stage._embedding.prototypes, kept)
    assert torch.equal(teacher(stage).prototypes, kept)


@pytest.mark.parametrize("part", ["model.encoder", "model.dense_head", "model.embedding"])
def test_models_that_lack_a_part_are_refused(part: str) -> None:
    changes = {part: None} | ({"model.dense_head": None} if part == "model.embedding" else {})
    with pytest.raises(ConfigError, match="needs an embedding, a dense head and an encoder"):
        JointStage(config(**changes), model(**changes), source(), CPU)


def test_the_embedding_may_see_more_than_the_generator_paints() -> None:
    changes: dict[str, object] = {"model.embedding.input_px": 48, "model.embedding.channels": (8, 16)}
    stage = JointStage(config(**changes), model(**changes), source(), CPU)
    sides: list[int] = []
    stage._embedding.trunk.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    stage._encoder.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    run(stage, 0, 1)
    assert sides == [48, 32]
    assert stage.export().correspondence(batch()).map.shape == (BATCH, 2, 48, 48)


def test_single_images_are_refused() -> None:
    with pytest.raises(ShapeError, match="even"):
        build().step(batch()[:1], nimg=0)


def test_appearance_learns_from_every_third_pair() -> None:
    stage = build()
    six = torch.cat([batch(), batch()[:2]])
    seen: list[int] = []
    stage._encoder.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for images in (six, six[:5], six[:4], six[:3], six[:2]):
        stage.step(images, nimg=0)
    assert seen == [2, 2, 2, 2, 2]
    stage.step(torch.cat([six, six[:2]]), nimg=0)
    assert seen[-1] == 4


def test_learning_rates_follow_the_schedule() -> None:
    stage = build()
    stage.step(batch(), nimg=20 * BATCH)
    factor = cosine_schedule(20 * BATCH, joint.WARMUP_NIMG, 40 * BATCH)
    assert stage.optimizers()["inner"].param_groups[0]["lr"] == pytest.approx(stage.own.muon_rate * factor)
    rates = [group["lr"] for group in stage.optimizers()["outer"].param_groups]
    own = stage.own
    assert rates == pytest.approx([own.learning_rate * factor] * 2 + [own.generator_rate * factor])
    assert 0.5 < factor < 0.6


# ---- known positions


def test_targets_are_the_teachers_map_carried_along(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = build()
    monkeypatch.setattr(
        stage, "_teach", lambda images: canonical_grid(32, 32).expand(BATCH, -1, -1, -1) + 0.25
    )
    seen: list[Tensor] = []
    monkeypatch.setattr(stage, "_appearance", lambda views, target: seen.extend((views.places, target)) or [])
    stage.step(batch(), nimg=0)
    torch.testing.assert_close(seen[1], seen[0] + 0.25)


def test_a_share_of_the_targets_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def moved(images: Tensor, maps: Tensor, count: int) -> Tensor:
        counts.append(count)
        return maps + 0.25

    monkeypatch.setattr(joint, "register", moved)
    stage = build(**{"train.joint.register": 0.5})
    monkeypatch.setattr(stage, "_teach", lambda images: canonical_grid(32, 32).expand(BATCH, -1, -1, -1))
    seen: list[Tensor] = []
    monkeypatch.setattr(stage, "_appearance", lambda views, target: seen.extend((views.places, target)) or [])
    stage.step(batch(), nimg=0)
    assert counts == [BATCH // 2]
    torch.testing.assert_close(seen[1], seen[0] + 0.25)


def test_the_teacher_says_what_its_embedding_locates() -> None:
    stage = build(**{"train.joint.teacher_blur_px": 0.0})
    with torch.no_grad():
        want = teacher(stage).locate(teacher(stage)(batch()))
    got = stage._teach(batch())
    assert got.shape == (BATCH, 2, 32, 32)
    pooled = torch.nn.functional.avg_pool2d(
        got, 2
    )  # undoes the bilinear doubling, borders apart, of linear maps
    assert float((pooled - want).abs().mean()) < 0.1
    smooth = build(**{"train.joint.teacher_blur_px": 4.0})._teach(batch())
    rough = (got[..., 1:] - got[..., :-1]).std()
    assert float((smooth[..., 1:] - smooth[..., :-1]).std()) < 0.5 * float(rough)


def test_blur_keeps_constants_and_mass() -> None:
    flat = torch.full((1, 2, 5, 7), 3.0)
    torch.testing.assert_close(_gaussian_blur(flat, 1.5), flat)
    dot = torch.zeros(1, 2, 17, 17)
    dot[0, 0, 8, 8] = 1.0
    spread = _gaussian_blur(dot, 1.0)
    assert float(spread[0, 0].sum()) == pytest.approx(1.0, abs=1e-5)
    assert not spread[0, 1].any()
    x = torch.arange(17.0) - 8
    assert float((spread[0, 0].sum(0) * x.square()).sum()) == pytest.approx(1.0, abs=0.05)  # its variance
    assert float(spread[0, 0, 8, 9] / spread[0, 0, 8, 8]) == pytest.approx(math.exp(-0.5), abs=1e-5)
    assert _gaussian_blur(dot, 0.0) is dot


def test_laplace_loss_by_hand() -> None:
    maps, target = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    target[0, :, 0, 0] = torch.tensor([0.3, 0.4])  # 0.5 away
    target[0, :, 0, 1] = 9.0  # does not count
    valid = torch.tensor([[[[1.0, 0.0]]]])
    scale = torch.full((1, 1, 1, 2), 0.25)
    want = 0.5 + joint.ERROR_UNIT * (0.5 / 0.25 + math.log(0.25))
    assert float(_laplace(maps, scale, target, valid)) == pytest.approx(want, abs=1e-6)


def test_the_best_scale_is_the_error() -> None:
    def loss(scale: float) -> Tensor:
        distance = torch.tensor([0.1, 0.0])[None, :, None, None]
        return _laplace(
            torch.zeros(1, 2, 1, 1), torch.full((1, 1, 1, 1), scale), distance, torch.ones(1, 1, 1, 1)
        )

    assert float(loss(0.1)) < min(float(loss(0.09)), float(loss(0.11)))

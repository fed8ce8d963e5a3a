from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.config import EmbeddingTrainingConfig
from coordgan_core.coords import canonical_grid
from coordgan_core.data import augment
from coordgan_core.data.sampler import ImageSource, generator
from coordgan_core.errors import ConfigError
from coordgan_core.models.embedding import Embedding
from coordgan_core.training.embedding import (
    Anchors,
    EmbeddingStage,
    cosine_schedule,
    draw_pixels,
    estimate_prototypes,
    two_views,
)
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


def build(**changes: object) -> EmbeddingStage:
    changes = {"train.embedding.total_nimg": 40 * BATCH, "train.embedding.learning_rate": 0.005} | changes
    return EmbeddingStage(config(**changes), model(), source(), CPU)


def plain(embedding: Embedding) -> dict[str, Tensor]:
    return {name: value for name, value in embedding.state_dict().items() if name != "prototypes"}


def test_the_loss_falls() -> None:
    history = run(build(), 0, 36)
    assert mean(history, "equivariance", slice(-6, None)) < 0.9 * mean(history, "equivariance", slice(0, 6))


def test_restoring_continues_bit_for_bit() -> None:
    straight, first, second = build(), build(), build()
    run(straight, 0, 6)
    run(first, 0, 3)
    run(second, 7, 8)  # anything else, to be overwritten
    restore(second, state(first))
    run(second, 3, 6)
    assert same(state(second), state(straight))


def test_a_step_is_a_function_of_state_images_and_count() -> None:
    one, two = build(), build()
    run(one, 0, 1)
    torch.rand(5)  # the global generator has no say
    run(two, 0, 1)
    assert same(state(one), state(two))
    other = build()
    other.step(batch(), nimg=BATCH)
    assert not same(state(one)["modules"], state(other)["modules"])


def test_the_anchor_fades_and_then_goes() -> None:
    stage = build(**{"train.embedding.anchor_share": 0.1, "train.embedding.anchor": 2.0})
    history = run(stage, 0, 6)
    assert ["anchor" in losses for losses in history] == [True] * 4 + [False] * 2
    views = two_views(batch(), stage.own, generator(0, "test", 0))
    found = stage.embedding(torch.cat([views.first, views.second]))
    weights = [
        dict(stage._losses(found, views, generator(0, "test", 1), number * BATCH))["anchor"][0]
        for number in range(4)
    ]
    assert weights == pytest.approx([2.0, 1.5, 1.0, 0.5])


def test_images_are_small_at_first() -> None:
    stage = build(**{"train.embedding.early_px": 16, "train.embedding.early_share": 0.1})
    sides: list[int] = []
    stage.embedding.trunk.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    run(stage, 0, 6)
    assert sides == [16] * 4 + [32] * 2
    assert stage.total_nimg == 40 * BATCH


def test_anchors_start_smooth_and_take_over_prototypes() -> None:
    fresh = model().embedding
    assert fresh is not None
    table = Anchors(fresh)().detach()
    torch.testing.assert_close(table.norm(dim=0), torch.ones(8, 8))
    near = float((table[:, :, 1:] * table[:, :, :-1]).sum(0).mean())
    far = float((table[:, :, 4:] * table[:, :, :-4]).sum(0).mean())
    assert near > 0.7 > 0.4 > far
    fresh.set_prototypes(torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(Anchors(fresh)().detach(), fresh.prototypes)


def test_the_seed_decides_the_draws() -> None:
    one, two = build(), build(**{"train.seed": 1})
    assert run(one, 0, 1) != run(two, 0, 1)


def test_only_the_embedding_learns() -> None:
    stage = build()
    before = {name: value.clone() for name, value in stage._model.state_dict().items()}
    run(stage, 0, 2)
    changed = {
        name.split(".")[0]
        for name, value in stage._model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"embedding"}


def test_the_average_follows_as_its_half_life_says() -> None:
    stage = build(**{"train.embedding.ema_half_life_nimg": 3})
    before = plain(stage.average)
    old = {name: value.clone() for name, value in before.items()}
    run(stage, 0, 1)
    kept = 0.5 ** (BATCH / 3)  # of three images and the first four seen, the shorter half-life holds
    new, got = plain(stage.embedding), plain(stage.average)
    for name, value in got.items():
        torch.testing.assert_close(value, new[name] + (old[name] - new[name]) * kept, atol=1e-6, rtol=1e-5)
    assert all(p.grad is None and not p.requires_grad for p in stage.average.parameters())


def test_export_is_the_average_with_its_prototypes() -> None:
    stage = build()
    run(stage, 0, 3)
    exported = stage.export()
    assert exported.embedding is not None
    assert same(plain(exported.embedding), plain(stage.average))
    assert not same(plain(exported.embedding), plain(stage.embedding))
    assert exported.embedding.ready
    assert not exported.training
    assert not any(p.requires_grad for p in exported.parameters())
    found = exported.correspondence(batch())
    assert bool(found.map.isfinite().all())


def test_export_leaves_the_training_alone() -> None:
    stage = build()
    run(stage, 0, 2)
    before, draws = state(stage), torch.get_rng_state()
    stage.export()
    assert same(state(stage), before)
    assert torch.equal(torch.get_rng_state(), draws)
    assert stage.embedding.training
    assert all(p.requires_grad for p in stage.embedding.parameters())
    assert not stage.embedding.ready


def test_finish_leaves_averaged_weights_and_prototypes() -> None:
    stage = build()
    run(stage, 0, 3)
    want = stage.export()
    stage.finish()
    assert stage._model.embedding is stage.embedding
    assert stage.embedding.ready
    assert same(stage._model.state_dict(), want.state_dict())


def test_a_model_without_embedding_is_refused() -> None:
    absent = {"model.embedding": None, "model.dense_head": None}
    with pytest.raises(ConfigError, match="no embedding"):
        EmbeddingStage(config(**absent), model(**absent), source(), CPU)


def test_bfloat16_steps_are_finite_and_parameters_stay_float32() -> None:
    stage = build(**{"train.precision": "bfloat16"})
    run(stage, 0, 2)
    assert all(p.dtype == torch.float32 for p in stage.embedding.parameters())
    assert all(bool(p.isfinite().all()) for p in stage.embedding.parameters())


# ---- prototypes


def test_prototypes_are_the_mean_descriptors() -> None:
    embedding = model().embedding
    assert embedding is not None
    estimate_prototypes(embedding.train(), source(), 100, config(), CPU)
    assert embedding.training
    with torch.no_grad():
        total = sum(embedding(batch()[i : i + 1])[0] for i in range(BATCH))
    assert isinstance(total, Tensor)
    want = F.normalize(F.avg_pool2d(total / BATCH, 2), dim=0)  # 16 -> 8: halfway between two pixels
    torch.testing.assert_close(embedding.prototypes, want, atol=1e-5, rtol=1e-4)


def test_prototypes_of_some_images_are_spread_over_all() -> None:
    seen: list[int] = []

    class Watched(ImageSource):
        def images(self, indices: object, device: object = "cpu") -> Tensor:
            seen.extend(np.asarray(indices).tolist())
            return super().images(np.asarray(indices), "cpu")

    embedding = model().embedding
    assert embedding is not None
    many = Watched.from_images(np.zeros((130, 32, 32, 3), np.uint8))
    estimate_prototypes(embedding, many, 4, config(), CPU)
    assert seen == [0, 43, 86, 129]
    seen.clear()
    estimate_prototypes(embedding, many, 1000, config(), CPU)
    assert seen == list(range(130))


# ---- views and schedule


def test_the_second_view_is_the_first_one_warped() -> None:
    own = EmbeddingTrainingConfig(colours=0.0, occlusion=0.0)
    smooth = torch.cat([canonical_grid(32, 32), canonical_grid(32, 32)[:1] * 0])[None].expand(
        BATCH, -1, -1, -1
    )
    views = two_views(smooth, own, torch.Generator().manual_seed(0))
    first, second = views.first, views.second
    error = (augment.warp_images(first, views.field) - second).abs()
    assert float(error.mean()) < 0.06  # noise of up to 0.06, in both, and a box blur in some
    assert float((first - second).abs().mean()) > 0.1
    assert float((first - smooth).abs().mean()) > 0.03  # the first one is warped too
    assert torch.equal(views.clean, augment.warp_images(smooth, views.places[:BATCH]))
    # the picture's colours are its coordinates: each view shows its own places
    shown = torch.cat([views.clean, augment.warp_images(views.clean, views.field)])[:, :2]
    away = 1.0 - F.max_pool2d(1.0 - views.inside, 5, 1, 2)
    assert float(((shown - views.places).abs() * away).max()) < 1 / 16
    assert 0.4 < float(views.inside.mean()) < 1.0


def test_pixels_are_drawn_for_each_image() -> None:
    pixels = draw_pixels(torch.zeros(3, 8, 4, 6), 500, torch.Generator().manual_seed(0))
    assert pixels.shape == (3, 500)
    assert pixels.dtype == torch.int64
    assert (int(pixels.min()), int(pixels.max())) == (0, 23)
    assert not torch.equal(pixels[0], pixels[1])


def test_schedule_by_hand() -> None:
    assert cosine_schedule(0, 0, 1000) == pytest.approx(1.0)
    assert cosine_schedule(500, 0, 1000) == pytest.approx(0.525)  # halfway between 1 and 0.05
    assert cosine_schedule(1000, 0, 1000) == cosine_schedule(5000, 0, 1000) == pytest.approx(0.05)
    assert cosine_schedule(9, 20, 1000) == pytest.approx(0.5, abs=1e-3)  # ten of twenty images
    assert cosine_schedule(9, 500, 1000) == pytest.approx(0.1, abs=1e-3)  # a warm-up is a tenth at most
    assert cosine_schedule(0, 2000, 1) == pytest.approx(1.0)

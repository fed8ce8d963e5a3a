from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from coordgan_core.config import Config, DenseHeadConfig, EmbeddingConfig
from coordgan_core.timing import Clock, Part
from coordgan_core.training import profiling
from coordgan_core.training.estimate import Measuring
from tests.core.tiny import tiny_config
from tests.core.training.toys import write_images

CPU = torch.device("cpu")


def config(**changes: object) -> Config:
    embedding = EmbeddingConfig(dim=4, channels=(4, 8), input_px=32, prototype_px=8)
    parts = {"model.embedding": embedding, "model.dense_head": DenseHeadConfig(channels=4)}
    stages = {"train.stages": ("embedding", "joint", "gan", "encoder"), "train.embedding.queries": 8}
    return tiny_config(**(parts | stages | changes))


def test_every_part_of_every_stage_is_found_and_the_parts_are_the_step(tmp_path: Path) -> None:
    images = write_images(tmp_path / "i")
    *steps, found = profiling.profile(config(), images=images, device="cpu", steps=2)
    assert isinstance(found, profiling.Profile)
    assert all(isinstance(step, Measuring) for step in steps)
    assert [stage.name for stage in found.stages] == ["embedding", "joint", "gan", "encoder"]
    assert found.peak_flops > 1e8
    for stage in found.stages:
        assert sum(stage.parts_sec.values()) == pytest.approx(stage.step_sec)
        assert {"data", "forward", "backward", "optimiser"} <= {
            k for k, v in stage.parts_sec.items() if v > 0
        }
        assert (stage.parts_sec["views"] > 0) == (stage.name in ("embedding", "joint"))
        assert (stage.parts_sec["average"] > 0) == (stage.name != "encoder")
        assert stage.images_per_second == pytest.approx(2 / stage.step_sec)
        assert 0 < stage.peak_share < 1
        assert stage.flops > 1e5


def test_stages_are_measured_where_all_their_losses_are_on() -> None:
    later = config(**{"train.gan.structure_swap_from_nimg": 30, "train.embedding.early_px": 32})
    assert profiling.settled_nimg(later, "gan") == 32
    assert profiling.settled_nimg(later, "embedding") >= 0.6 * later.train.embedding.total_nimg
    assert profiling.settled_nimg(later, "joint") == 0


def test_slow_steps_end_a_measurement_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "STAGE_SEC", 0.0)
    short = config(**{"train.stages": ("embedding",)})
    *_, found = profiling.profile(short, images=write_images(tmp_path / "i"), device="cpu", steps=50)
    assert isinstance(found, profiling.Profile)
    assert [stage.steps for stage in found.stages] == [1]


def test_a_part_within_a_part_belongs_to_the_outer() -> None:
    clock = Clock(CPU)
    with clock.listen(), Part("outer"), Part("inner"):
        time.sleep(0.01)
    found = clock.seconds()
    assert set(found) == {"outer"}
    assert found["outer"] >= 0.01
    assert clock.seconds() == {}


def test_nobody_listens_outside_of_a_clock() -> None:
    clock = Clock(CPU)
    with Part("alone"):
        pass
    assert clock.seconds() == {}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["embedding", "joint", "gan", "encoder"])
def test_no_step_waits_for_the_device(tmp_path: Path, name: str) -> None:
    from coordgan_core.training import outputs
    from coordgan_core.training.run import RunSettings
    from coordgan_core.training.stages import build_model

    device, made = torch.device("cuda"), config()
    source = outputs.image_source(RunSettings(made, str(write_images(tmp_path / "i"))))
    source.preload(device)
    model = build_model(made).to(device)
    if name != "embedding":
        assert model.embedding is not None
        model.embedding.set_prototypes(torch.randn(4, 8, 8, device=device))
    stage = profiling.build(name, made, model, source, device)
    for number in range(4):  # the first ones allocate
        if number == 2:
            torch.cuda.set_sync_debug_mode("error")
        try:
            stage.step(source.batch(2 * number, 2, mirror=True, device=device), nimg=2 * number)
        finally:
            torch.cuda.set_sync_debug_mode("default")

"""The loop with the stages that ship: all in one tiny run, cut and resumed, down to the model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coordgan_core.config import Config, DenseHeadConfig, EmbeddingConfig, replace
from coordgan_core.errors import DiskFullError
from coordgan_core.labels import write_label_map
from coordgan_core.snapshot import ModelCard, inspect, load_model, save_model
from coordgan_core.training import events as ev
from coordgan_core.training import pace
from coordgan_core.training.loop import resume, train
from tests.core.tiny import tiny_config
from tests.core.training.toys import assert_same, final_state

STAGES = ("embedding", "joint", "gan", "encoder")


def config(*stages: str) -> Config:
    return tiny_config(
        **{
            "model.embedding": EmbeddingConfig(dim=4, channels=(4, 8), input_px=32, prototype_px=8),
            "model.dense_head": DenseHeadConfig(channels=4),
            "train.stages": stages,
            "train.embedding.total_nimg": 8,
            "train.embedding.queries": 8,
            "train.joint.total_nimg": 8,
            "train.gan.total_nimg": 8,
            "train.encoder.total_nimg": 8,
            "train.snapshot_nimg": 1000,
            "train.batch": 2,
        }
    )


@pytest.fixture
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace.Pace, "stride", lambda self, batch: 1)


@pytest.mark.usefixtures("step_by_step")
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_resumes_bit_for_bit(images: Path, tmp_path: Path, stage: str) -> None:
    list(train(config(stage), images=images, run=tmp_path / "whole", device="cpu"))
    cut = train(config(stage), images=images, run=tmp_path / "cut", device="cpu")
    seen = 0
    while seen < 2:
        seen += isinstance(next(cut), ev.Progress)
    cut.close()
    assert final_state(tmp_path / "cut")["position"]["nimg"] == 4
    list(resume(tmp_path / "cut"))
    assert_same(final_state(tmp_path / "cut"), final_state(tmp_path / "whole"))


def test_all_stages_make_a_model_that_can_be_used(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    held = replace(config(*STAGES), **{"train.perceptual": "embedding", "train.gan.frame": 1.0})
    happened = list(train(held, images=images, run=run, device="cpu"))
    assert [event.stage for event in happened if isinstance(event, ev.StageFinished)] == list(STAGES)
    sheets = [e.path for e in happened if isinstance(e, ev.SheetWritten) and e.kind == "all"]
    assert len(sheets) == 4
    for path in sheets:
        with Image.open(path) as sheet:
            assert min(sheet.size) >= 32
    card = inspect(run / "model.safetensors").card
    assert (card.name, card.data_count, card.trained_nimg) == ("run", 7, 32)
    assert card.data_source == "images"
    model = load_model(run / "model.safetensors")
    assert_same(dict(model.state_dict()), dict(final_state(run)["model"]))


def test_a_training_with_label_maps_ends_calibrated(images: Path, tmp_path: Path) -> None:
    for index in range(3):
        labels = np.zeros((24, 20), np.uint8)
        labels[index : index + 12, 4:16] = 1
        write_label_map(tmp_path / f"labels/{index}.png", labels)
    stages = config("embedding", "joint")
    labelled = train(stages, images=images, run=tmp_path / "run", device="cpu", labels=tmp_path / "labels")
    assert sum(isinstance(event, ev.Validated) for event in labelled) == 2
    first, last = (inspect(path) for path in sorted((tmp_path / "run/snapshots").glob("*.safetensors")))
    assert first.calibration is None
    assert set(first.card.figures) == {"miou", "foreground_iou"}
    assert last.calibration is not None
    assert last.calibration["images"] == 3 * 2  # each of three is the reference for the other two
    assert last.card.figures["ece"] == pytest.approx(last.calibration["ece"], abs=1e-4)
    assert inspect(tmp_path / "run/model.safetensors").calibration == last.calibration


def test_a_training_can_start_from_a_model(images: Path, tmp_path: Path) -> None:
    list(train(config("embedding"), images=images, run=tmp_path / "first", device="cpu"))
    model = tmp_path / "first/model.safetensors"
    second = train(config("joint"), images=images, run=tmp_path / "second", device="cpu", start=model)
    notices = [event.message for event in second if isinstance(event, ev.Notice)]
    tensors = len(load_model(model).state_dict())
    assert notices == [f"{tensors} of the {tensors} tensors come from {model}"]


def test_a_disk_that_fills_up_at_a_snapshot_leaves_the_newest_model(images: Path, tmp_path: Path) -> None:
    """A file size limit of the operating system stands for the full disk: the error is a real one."""
    resource = pytest.importorskip("resource")
    list(train(config("embedding"), images=images, run=tmp_path / "run", device="cpu"))
    model = tmp_path / "run/model.safetensors"
    before = model.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(DiskFullError, match="safetensors"):
            save_model(model, load_model(model), ModelCard())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert model.read_bytes() == before
    assert [path.name for path in (tmp_path / "run").glob(".*")] == []

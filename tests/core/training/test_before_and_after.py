"""What surrounds a training: cropping, the estimate before it, sheets and card, its best snapshot."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.config import Config, DenseHeadConfig, EmbeddingConfig, replace
from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import ConfigError, DataError
from coordgan_core.labels import write_label_map
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.propagation import Reference
from coordgan_core.reports import Estimate
from coordgan_core.snapshot import inspect
from coordgan_core.training import estimate as estimating
from coordgan_core.training import events as ev
from coordgan_core.training import outputs, stages
from coordgan_core.training.best import best_snapshot
from coordgan_core.training.loop import train
from coordgan_core.training.run import RunFolder, RunSettings
from coordgan_core.training.sheets import labels_sheet, sample_strip, sheets_of_a_kind
from tests.core.tiny import images as random_images
from tests.core.tiny import tiny_config
from tests.core.training import toys


def config(**changes: Any) -> Config:
    return tiny_config(
        **{
            "model.embedding": EmbeddingConfig(dim=4, channels=(4, 8), input_px=32, prototype_px=8),
            "model.dense_head": DenseHeadConfig(channels=4),
            "train.stages": ("embedding", "joint"),
            "train.embedding.total_nimg": 8,
            "train.embedding.queries": 8,
            "train.joint.total_nimg": 8,
            **changes,
        }
    )


# --- cropping


def write_marked(folder: Path, count: int = 5) -> Path:
    """Write gray images with a bright square, and label maps of two of them that hold the square."""
    for index in range(count):
        pixels, labels = np.full((40, 60, 3), 50, np.uint8), np.zeros((40, 60), np.uint8)
        left = 10 + 5 * index
        pixels[10:20, left : left + 10] = 250
        labels[10:20, left : left + 10] = 1
        (folder / "i/deep").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / ("i" if index else "i/deep") / f"{index}.png")
        if index in (1, 3):
            write_label_map(folder / f"l/{index}.png", labels)
    return folder / "i"


def test_images_are_cropped_to_their_labels_and_others_to_the_typical_box(tmp_path: Path) -> None:
    images = write_marked(tmp_path)
    wanted = config(**{"model.crop.mode": "labels", "model.crop.margin": 0.0})
    measured = outputs.with_measured_box(wanted, images, tmp_path / "l")
    assert measured.model.crop.box == pytest.approx((20 / 60, 0.25, 30 / 60, 0.5), abs=1e-3)
    settings = RunSettings(measured, str(images), str(tmp_path / "l"))
    source = outputs.image_source(settings)
    bright = {
        path.name: float((source.images([i]) > 0.9).float().mean()) for i, path in enumerate(source.paths)
    }
    assert bright["1.png"] == bright["3.png"] == 1.0
    assert bright["2.png"] == 1.0  # the typical box is its own
    assert bright["4.png"] < 0.1
    with pytest.raises(ConfigError, match="there are no label maps"):
        outputs.with_measured_box(wanted, images, None)


def test_sub_folders_are_taken_or_not(tmp_path: Path) -> None:
    images = write_marked(tmp_path)
    assert len(outputs.image_source(RunSettings(config(), str(images)))) == 5
    assert len(outputs.image_source(RunSettings(config(), str(images), recursive=False))) == 4
    (images / "4.png").unlink()
    with pytest.raises(DataError, match="holds 3 readable images"):
        outputs.image_source(RunSettings(config(), str(images), recursive=False))


def test_the_fingerprint_is_of_pictures_and_not_of_names() -> None:
    draws = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    first, same = ImageSource.from_images(draws), ImageSource.from_images(draws.copy())
    other = ImageSource.from_images(draws[::-1])
    assert first.fingerprint == same.fingerprint != other.fingerprint


# --- the estimate


def test_an_estimate_measures_every_stage_and_writes_nothing(tmp_path: Path) -> None:
    images = toys.write_images(tmp_path / "i")
    *steps, found = estimating.estimate(config(), images=images, run=tmp_path / "r/s", device="cpu", steps=2)
    assert isinstance(found, Estimate)
    assert [(s.stage, s.step) for s in steps if isinstance(s, estimating.Measuring)] == [
        ("embedding", 1), ("embedding", 2), ("joint", 1), ("joint", 2),
    ]  # fmt: skip
    assert [stage.name for stage in found.stages] == ["embedding", "joint"]
    for stage in found.stages:
        assert stage.total_nimg == 8
        assert stage.seconds == pytest.approx(8 / stage.images_per_second)
    assert found.seconds == pytest.approx(sum(stage.seconds for stage in found.stages))
    assert found.images == 8
    assert found.disk_bytes > 8 * 3 * 32 * 32
    assert not (tmp_path / "r").exists()


def test_with_a_time_budget_the_estimate_is_the_budget(tmp_path: Path) -> None:
    images = toys.write_images(tmp_path / "i")
    limited = config(**{"train.minutes": 2.0})
    *_, found = estimating.estimate(limited, images=images, device="cpu", steps=1)
    assert isinstance(found, Estimate)
    assert 100 < found.seconds <= 120


def test_an_estimate_finds_the_batch_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy(toys.ToyStage):
        def step(self, images: torch.Tensor, *, nimg: int) -> Any:
            if len(images) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().step(images, nimg=nimg)

    monkeypatch.setattr(stages, "build_model", lambda _config: toys.ToyModel())
    monkeypatch.setattr(
        stages, "build_stage", lambda name, c, model, _source, device: Greedy(name, c, model, device)
    )
    images = toys.write_images(tmp_path / "i")
    wanted = toys.toy_config(**{"train.batch": 8})
    *_, found = estimating.estimate(wanted, images=images, device="cpu", steps=1)
    assert isinstance(found, Estimate)
    assert found.batch == 4
    assert found.warnings[0].startswith("a batch of 8 does not fit")


# --- sheets and card


@pytest.fixture(scope="module")
def model() -> CoordGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CoordGAN(config().model).eval()


def test_each_stage_has_its_sheets(model: CoordGAN) -> None:
    photos = random_images(count=5)
    assert set(sheets_of_a_kind(model, photos, stage="embedding")) == {"maps"}
    assert set(sheets_of_a_kind(model, photos, stage="joint")) == {
        "maps",
        "reconstruction",
        "texture",
        "structure",
    }
    generated = sheets_of_a_kind(CoordGAN(tiny_config().model).eval(), photos, stage="gan")
    assert set(generated) == {"maps", "texture", "structure"}


def test_a_structure_sheet_is_a_texture_sheet_with_rows_and_columns_exchanged(model: CoordGAN) -> None:
    found = sheets_of_a_kind(model, random_images(count=3), stage="joint")
    texture, structure = found["texture"], found["structure"]
    pitch = 34
    assert texture.shape == structure.shape == (3, 4 * pitch - 2, 4 * pitch - 2)
    for row in range(1, 4):
        for column in range(1, 4):
            here = texture[:, row * pitch : row * pitch + 32, column * pitch : column * pitch + 32]
            there = structure[:, column * pitch : column * pitch + 32, row * pitch : row * pitch + 32]
            assert torch.equal(here, there)


def test_labels_are_shown_over_images_of_any_shape() -> None:
    gray, labels = np.full((20, 40, 3), 100, np.uint8), np.zeros((20, 40), np.uint8)
    labels[:, 20:] = 1
    page = labels_sheet([Reference(gray, labels), Reference(gray.transpose(1, 0, 2).copy(), labels.T.copy())])
    assert page.shape == (3, 2 * 162 - 2, 2 * 162 - 2)
    above, below = page[:, 80, 10:150], page[:, 162 + 80, 10:150]
    assert torch.equal(above[:, :60], below[:, :60])  # background stays clear
    assert not torch.allclose(above[:, 80:], below[:, 80:])


def test_a_finished_run_has_a_card_that_says_where_it_comes_from(tmp_path: Path) -> None:
    images = write_marked(tmp_path)
    cut = config(**{"model.crop.mode": "box", "model.crop.box": (0.0, 0.0, 0.5, 1.0)})
    happened = list(
        train(
            cut,
            images=images,
            run=tmp_path / "run",
            device="cpu",
            labels=tmp_path / "l",
            name="My squares",
            category="squares",
            licence="own use",
        )
    )
    info = inspect(tmp_path / "run/model.safetensors")
    card = info.card
    assert (card.name, card.category, card.licence) == ("My squares", "squares", "own use")
    assert (card.data_count, len(card.data_fingerprint)) == (5, 64)
    assert set(card.figures) >= {"miou", "foreground_iou"}
    assert info.config.crop == cut.model.crop
    with Image.open(io.BytesIO(base64.b64decode(card.sample_strip))) as strip:
        assert strip.size == (5 * 66 - 2, 2 * 66 - 2)
    kinds = {event.kind for event in happened if isinstance(event, ev.SheetWritten)}
    assert kinds == {"all", "maps", "reconstruction", "texture", "structure", "labels"}
    assert all(event.path.is_file() for event in happened if isinstance(event, ev.SheetWritten))
    (first, *_) = (event for event in happened if isinstance(event, ev.Validated))
    assert (first.kind, first.images) == ("labelled", 1)


def test_labels_that_vanish_cost_the_figure_and_not_the_training(tmp_path: Path) -> None:
    images = write_marked(tmp_path)
    seen: list[ev.Event] = []
    for event in train(config(), images=images, run=tmp_path / "run", device="cpu", labels=tmp_path / "l"):
        seen.append(event)
        if isinstance(event, ev.Started):
            (tmp_path / "l/1.png").write_bytes(b"broken")
    assert isinstance(seen[-1], ev.Finished)
    assert any(isinstance(e, ev.Notice) and "labels could not be compared" in e.message for e in seen)


def test_the_strip_needs_no_maps(model: CoordGAN) -> None:
    assert sample_strip(CoordGAN(tiny_config().model).eval(), random_images(), stage="gan")


# --- the best snapshot


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "run", RunSettings(replace(Config()), "photos"))
    (made.path / "snapshots").mkdir()
    return made


def snapshot(run: RunFolder, nimg: int, miou: float | None) -> Path:
    path = run.snapshot_path(0, "joint", nimg)
    path.write_text(str(nimg))
    if miou is not None:
        run.log(ev.Validated("joint", nimg, miou, miou))
    run.log(ev.SnapshotWritten(path, run.model_path, "joint", nimg))
    run.publish(path)
    return path


def test_the_best_snapshot_must_be_clearly_better_than_the_last(run: RunFolder) -> None:
    assert best_snapshot(run) is None
    early = snapshot(run, 1, 0.60)
    snapshot(run, 2, 0.70)
    last = snapshot(run, 3, 0.695)
    found = best_snapshot(run)
    assert found is not None
    assert found.read_text() == last.read_text()
    snapshot(run, 4, 0.50)
    assert best_snapshot(run) == run.snapshot_path(0, "joint", 2)
    run.snapshot_path(0, "joint", 2).unlink()  # the oldest go
    assert best_snapshot(run) == run.snapshot_path(0, "joint", 3)
    assert early.exists()


def test_without_figures_the_newest_is_best(run: RunFolder) -> None:
    snapshot(run, 1, 0.9)
    snapshot(run, 2, None)
    assert best_snapshot(run) == run.model_path


def test_logs_from_before_stay_readable(run: RunFolder) -> None:
    line = {"event": "validated", "stage": "gan", "nimg": 1, "miou": 0.5, "foreground_iou": 0.4}
    (run.path / "stats.jsonl").write_text(json.dumps(line) + "\n")
    (event,) = run.events()
    assert event == ev.Validated("gan", 1, 0.5, 0.4, "labelled", 0)

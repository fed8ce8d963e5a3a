from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import main
from app.commands import demo
from app.domain.project import Project
from app.domain.status import Status
from coordgan_core.config import EmbeddingConfig
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.tiny import tiny_config
from tests.core.training import toys


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CoordGAN(tiny_config().model)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(path, network, ModelCard(name="tiny"))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return toys.write_images(tmp_path / "images", count=3)  # of 20 x 24 pixels, and one that is broken


def test_maps_are_written_beside_the_images(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    assert main(["maps", "--model", str(model), "--images", str(images), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [Path(path).name for path in report["written"]] == ["0.png", "1.png", "2.png"]
    assert [Path(item["image"]).name for item in report["skipped"]] == ["broken.png"]
    pair, image = np.asarray(Image.open(out / "0.png")), np.asarray(Image.open(images / "0.png"))
    assert pair.shape == (24, 40, 3)
    assert np.array_equal(pair[:, :20], image)


def test_swaps_show_both_grids(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "swap.png"
    arguments = ["swap", "--model", str(model), "--images", str(images), "--out", str(out), "--count", "2"]
    assert main(arguments) == 0
    side, gap = 32, 2
    with Image.open(out) as page:
        assert page.size == (3 * (side + gap) - gap, 2 * (3 * (side + gap) - gap + 12))


def test_a_model_without_an_encoder_cannot_swap(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(
        **{"model.encoder": None, "model.embedding": EmbeddingConfig(channels=(4, 8), input_px=32)}
    )
    save_model(tmp_path / "m.safetensors", CoordGAN(config.model), ModelCard())
    arguments = ["--model", str(tmp_path / "m.safetensors"), "--images", str(images)]
    assert main(["swap", *arguments, "--out", str(tmp_path / "swap.png")]) == 1
    assert "has no encoder" in capsys.readouterr().err


def test_points_are_found_again_in_their_own_image(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = ["--point", "5,7", "--point", "15,20"]
    arguments = [
        "--model",
        str(model),
        "--reference",
        str(images / "1.png"),
        "--images",
        str(images),
        *points,
    ]
    assert main(["track", *arguments, "--out", str(tmp_path / "points"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["points"]
    assert set(found) == {"0.png", "1.png", "2.png"}
    for got, wanted in zip(found["1.png"], [(5, 7), (15, 20)], strict=True):
        assert abs(got["x"] - wanted[0]) <= 1.5  # a map of 16 x 16 for 20 x 24 pixels
        assert abs(got["y"] - wanted[1]) <= 1.5
    assert (tmp_path / "points/0.png").is_file()


@pytest.mark.parametrize("point", ["5", "a,b", "20,3", "-1,3"])
def test_points_are_checked(model: Path, images: Path, point: str) -> None:
    arguments = ["--model", str(model), "--reference", str(images / "1.png"), "--images", str(images)]
    assert main(["track", *arguments, f"--point={point}"]) == 2


def test_no_model_is_an_error(images: Path, tmp_path: Path) -> None:
    assert main(["maps", "--model", "nope", "--images", str(images), "--out", str(tmp_path / "x")]) == 1


def test_the_demo_labels_the_sample(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "MODEL", str(model))
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--no-window", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["labelled"], first["already_done"], first["failed"]) == (24, 0, 0)
    assert 0.0 < first["miou"] < 1.0
    assert len(list(Path(first["labels"]).glob("*.png"))) == 24
    assert Path(first["contact_sheet"]).is_file()
    with Project.open(first["images"]) as project:
        assert project.counts()[Status.REFERENCE] == 1
        assert project.counts()[Status.PROPAGATED] == 23
        assert "hair" in project.classes.names
    assert main(["demo", "--out", str(out), "--no-window"]) == 0
    assert "0 now, 24 before" in capsys.readouterr().out

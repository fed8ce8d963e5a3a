from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import main
from app.commands import demo
from app.domain.project import Project
from app.domain.status import Status
from coordgan_core.config import EmbeddingConfig
from coordgan_core.data.images import read_image
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.tiny import awaken, tiny_config
from tests.core.training import toys


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CoordGAN(tiny_config(**{"model.warp.residual": True}).model)
    for part in (network.generator, network.encoder):  # its maps stay near the identity
        awaken(part)
    network.generator.mapping_structure.apply(_asleep)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(path, network, ModelCard(name="tiny"))
    return path


def _asleep(part: torch.nn.Module) -> None:
    if isinstance(getattr(part, "bias", None), torch.nn.Parameter):
        torch.nn.init.zeros_(part.bias)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return toys.write_images(tmp_path / "images", count=3)  # of 20 x 24 pixels, and one that is broken


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_maps_are_written_beside_the_images(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "maps", tmp_path / "sheet.png"
    arguments = ["--model", str(model), "--images", str(images), "--out", str(out), "--sheet", str(sheet)]
    assert main(["maps", *arguments, "--json"]) == 0
    told = events(capsys)
    assert [event["event"] for event in told] == ["map", "map", "map", "skipped", "done"]
    report = told[-1]
    assert [Path(path).name for path in report["written"]] == ["0.png", "1.png", "2.png"]
    assert [Path(item["image"]).name for item in report["skipped"]] == ["broken.png"]
    pair, image = read_image(out / "0.png"), read_image(images / "0.png")
    assert pair.shape == (24, 40, 3)
    assert np.array_equal(pair[:, :20], image)
    with Image.open(report["frame"]) as frame, Image.open(report["average"]) as average:
        assert frame.size == average.size == (128, 128)
        assert average.mode == "RGBA"
    with Image.open(sheet) as page:
        assert page.size[0] > 8 * 192


def test_swaps_show_both_grids(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "swap.png"
    arguments = ["swap", "--model", str(model), "--images", str(images), "--out", str(out), "--count", "2"]
    assert main([*arguments, "--no-captions"]) == 0
    cell, gap, wide, margin = 192, 4, 18, 12  # 32 pixels, six times
    side = 3 * cell + gap + wide + 2 * margin
    with Image.open(out) as page:
        assert page.size == (side, 2 * side)
        grid = np.asarray(page.convert("RGB"))
    upper, lower = grid[:side], grid[side:]
    places = [margin + cell + wide, margin + 2 * cell + wide + gap]
    for r, top in enumerate(places):
        for c, left in enumerate(places):
            render = upper[top : top + cell, left : left + cell]
            turned = lower[places[c] : places[c] + cell, places[r] : places[r] + cell]
            assert np.abs(render.astype(int) - turned).max() <= 1, "structures down above, across below"


def test_pictures_from_elsewhere_give_textures_and_broken_ones_are_told(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    art = toys.write_images(tmp_path / "art", count=1)
    arguments = ["--model", str(model), "--images", str(images / "0.png"), "--textures", str(art)]
    assert main(["swap", *arguments, "--out", str(tmp_path / "a.png"), "--show", "texture", "--json"]) == 0
    told = events(capsys)
    assert [e["event"] for e in told] == ["skipped", "cell", "done"]
    assert told[1] == {"event": "cell", "rows_are": "structure", "row": 0, "column": 0}


def test_reconstructions_and_walks_are_written(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["swap", "--model", str(model), "--images", str(images), "--json", "--out"]
    assert main([*arguments, str(tmp_path / "r.png"), "--show", "reconstruction"]) == 0
    done = events(capsys)[-1]
    assert len(done["differences"]) == 3
    assert all(0 < value < 1 for value in done["differences"].values())
    base = ["--base", str(images / "1.png"), "--directions", "2"]
    assert main([*arguments, str(tmp_path / "w.png"), "--show", "walk", *base]) == 0
    told = events(capsys)
    assert [(e["kind"], e["number"]) for e in told if e["event"] == "direction"] == [
        ("structure", 1),
        ("structure", 2),
        ("texture", 1),
        ("texture", 2),
    ]
    assert told[-1]["directions"]["images"] == 3
    with Image.open(tmp_path / "w.png") as page:
        assert page.size[0] == 8 * 192 + 7 * 4 + 24


def test_drawn_images_come_from_the_spread_of_the_images_or_the_prior(
    model: Path, images: Path, tmp_path: Path
) -> None:
    arguments = ["--images", str(images), "--generated", "2", "--out", str(tmp_path / "g.png")]
    assert main(["swap", "--model", str(model), *arguments, "--show", "structure"]) == 0
    gan = CoordGAN(tiny_config(**{"model.encoder": None}).model)
    awaken(gan.generator)
    save_model(tmp_path / "gan.safetensors", gan, ModelCard())
    assert main(["swap", "--model", str(tmp_path / "gan.safetensors"), *arguments]) == 0


@pytest.mark.parametrize("trained", [True, False])
def test_a_model_without_an_encoder_cannot_swap(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str], trained: bool
) -> None:
    embedding = EmbeddingConfig(channels=(4, 8), input_px=32)
    changes: dict[str, object] = {"model.embedding": embedding}
    network = CoordGAN(tiny_config(**changes, **({"model.encoder": None} if trained else {})).model)
    save_model(tmp_path / "m.safetensors", network, ModelCard())
    arguments = ["--model", str(tmp_path / "m.safetensors"), "--images", str(images)]
    assert main(["swap", *arguments, "--out", str(tmp_path / "swap.png")]) == 1
    assert "has no encoder that was trained" in capsys.readouterr().err


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
    out, sheet = tmp_path / "points", tmp_path / "points.png"
    assert main(["track", *arguments, "--out", str(out), "--sheet", str(sheet), "--json"]) == 0
    told = events(capsys)
    found = told[-1]["points"]
    assert set(found) == {"0.png", "1.png", "2.png"}
    assert told[0] == {"event": "points", "image": "0.png", "points": found["0.png"]}
    for got, wanted in zip(found["1.png"], [(5, 7), (15, 20)], strict=True):
        assert abs(got["x"] - wanted[0]) <= 0.2
        assert abs(got["y"] - wanted[1]) <= 0.2
        assert got["certainty"] > 0.9
    assert (out / "0.png").is_file()
    assert sheet.is_file()


def test_a_folder_without_readable_images_is_an_error(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, toys.write_images(tmp_path / "broken", count=0)):
        arguments = ["--model", str(model), "--images", str(folder), "--out", str(tmp_path / "x")]
        assert main(["maps", *arguments]) == 1
        assert "holds no readable image" in capsys.readouterr().err.replace("\n", " ")


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

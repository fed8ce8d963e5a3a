from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.errors import CheckpointError
from coordgan_core.labels import LabelClasses, write_label_map
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, inspect, save_model
from coordgan_core.training.control import ask
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus
from tests.core.tiny import tiny_config


def write_model(path: Path, name: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, CoordGAN(tiny_config().model), ModelCard(name=name, sample_strip="iVBORw=="))
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_models_come_go_and_change_their_names(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_model(tmp_path / "given.safetensors", "faces")
    assert run("models", "import", file, "--folder", own, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"imported": str(own / "faces.safetensors")}
    assert run("models", "rename", "faces", "people", "--folder", own) == 0
    assert run("models", "describe", "people", "--licence", "own use", "--folder", own) == 0
    assert inspect(own / "people.safetensors").card.licence == "own use"
    assert (
        run("models", "export", own / "people.safetensors", tmp_path / "out.safetensors", "--no-strip") == 0
    )
    assert inspect(tmp_path / "out.safetensors").card.sample_strip == ""
    capsys.readouterr()
    assert run("models", "list", "--folder", own) == 0
    assert "people  own" in capsys.readouterr().out
    assert run("models", "delete", tmp_path / "out.safetensors", "--yes", "--folder", own) == 1
    assert "not one of your models" in capsys.readouterr().err
    assert run("models", "delete", "people", "--yes", "--folder", own) == 0
    assert list(own.iterdir()) == []


@pytest.mark.parametrize("damage", ["pickle", "cut", "version", "shape", "nan"])
def test_import_takes_sound_models_only(
    own: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_model(tmp_path / "bad.safetensors")
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    if damage == "pickle":
        file.write_bytes(b"\x80\x04" + content)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "version":
        changed = header.replace(b'"coordlabel.format":"1"', b'"coordlabel.format":"9"')
        assert changed != header
        file.write_bytes(content[:8] + changed + data)
    elif damage == "shape":
        changed = header.replace(rb"\"code_dim\": 16", rb"\"code_dim\": 24")
        assert changed != header
        file.write_bytes(content[:8] + changed + data)
    else:
        file.write_bytes(content[: 8 + length] + b"\xff" * len(data))
    assert run("models", "import", file, "--folder", own) == 1
    assert "Error: " in capsys.readouterr().err
    assert not own.exists() or not list(own.iterdir())


def test_models_are_compared_on_one_reviewed_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    category = SyntheticCategory(0)
    (tmp_path / "i").mkdir()
    for index in range(3):
        sample = category.sample(index, 48)
        Image.fromarray(sample.image).save(tmp_path / f"i/{index}.png")
        write_label_map(tmp_path / f"l/{index}.png.png", (sample.labels > 0).astype(np.uint8))
    LabelClasses.from_names(["background", "body"]).save(tmp_path / "l/classes.json")
    models = [write_model(tmp_path / f"{name}.safetensors") for name in ("a", "b")]
    words = ["models", "compare", *models, "--images", tmp_path / "i", "--labels", tmp_path / "l"]
    assert run(*words, "--references", "0", "--device", "cpu", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["event"] for line in lines[:-1]} == {"comparing"}
    result = lines[-1]
    assert (result["references"], result["queries"]) == (["0.png"], 2)
    assert [model["name"] for model in result["models"]] == ["a", "b"]
    for model in result["models"]:
        assert 0.0 <= model["miou"] <= 1.0
        assert set(model["per_class"]) == {"background", "body"}
    assert run(*words, "--references", "0", "--references", "1.png", "--device", "cpu") == 0
    assert "2 references, 1 queries" in capsys.readouterr().out
    assert run(*words, "--references", "7") == 1
    assert run("models", "compare", models[0], *words[4:], "--references", "0") == 2


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "runs/one", RunSettings(tiny_config(), "photos"))
    made.write_status(RunStatus("running", "gan", 5, 10))
    return made


def test_a_living_run_is_asked_and_a_dead_one_is_dealt_with(folder: RunFolder) -> None:
    with pytest.raises(CheckpointError, match="no process is training"):
        ask(folder, "pause")
    with folder.locked():
        ask(RunFolder.open(folder.path), "pause")
        assert folder.take_request() == "pause"
        ask(folder, "discard")
        assert folder.path.exists()
    assert ask(folder, "stop") == "it is closed; it has no model yet"
    assert folder.status().state == "finished"
    ask(folder, "discard")
    assert not folder.path.exists()


def test_runs_are_steered_from_the_command_line(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder.path.parent
    for words in (("runs", root), ("runs", "list", root)):
        assert run(*words) == 0
        assert capsys.readouterr().out == "one  paper-128  interrupted  gan 50%\n"
    assert run("runs", "show", folder.path, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["nimg"], shown["model"]) == ("interrupted", 5, None)
    assert run("runs", "show", folder.path) == 0
    assert "state: interrupted" in capsys.readouterr().out
    assert run("runs", "pause", folder.path) == 1
    assert "no process is training" in capsys.readouterr().err
    with folder.locked():
        assert run("runs", "stop", folder.path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["asked"] == "stop"
    assert folder.take_request() == "stop"
    assert run("runs", "discard", folder.path, "--yes") == 0
    assert not folder.path.exists()
    assert run("runs", "--help") == 0


@pytest.mark.parametrize(("count", "found"), [(0, "holds no images"), (3, "holds 3 readable images")])
def test_too_few_images_are_told_and_leave_nothing_behind(
    tmp_path: Path, count: int, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "i").mkdir()
    for index in range(count):
        Image.new("RGB", (20, 20), (index * 60, 0, 0)).save(tmp_path / f"i/{index}.png")
    words = ["train", "--images", tmp_path / "i", "--device", "cpu"]
    assert run(*words, "--check", "--json") == 1
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["event"], report["count"], report["can_train"]) == ("data_report", count, False)
    assert run(*words, "--run", tmp_path / "run") == 1
    assert found in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert run(*words, "--estimate") == 1


def test_broken_files_are_told_and_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "i").mkdir()
    for index in range(5):
        (tmp_path / f"i/{index}.jpg").write_bytes(b"broken")
    words = ["train", "--images", tmp_path / "i", "--device", "cpu"]
    assert run(*words, "--check") == 1
    assert "5 files cannot be read" in capsys.readouterr().out
    assert run(*words, "--run", tmp_path / "run") == 1
    assert "none of the 5 images can be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_devices_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--devices", "--json") == 0
    found = json.loads(capsys.readouterr().out)["devices"]
    assert found[0]["id"] == "cpu"
    assert found[0]["total_bytes"] > 1e9

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.cli import main
from app.domain.model_choice import LabelSource, label_sources
from app.domain.project import Project
from coordgan_core import folder as folder_module
from coordgan_core.labels import LabelClasses, read_label_map, write_label_map
from coordgan_core.model_card import write_with_card
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, inspect, save_model
from tests.core.propagation_stubs import picture
from tests.core.tiny import tiny_config

SHIFTS = [(0.0, 0.0), (0.1, 0.0), (-0.1, 0.1), (0.0, 0.1)]
PARTS = ["background", "box", "left", "right"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CoordGAN(tiny_config().model)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(path, network, ModelCard(name="tiny"))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i, shift in enumerate(SHIFTS):
        image, labels = picture(60 + i, 50, shift)
        Image.fromarray(image).save(tmp_path / "images" / f"p{i}.png")
        write_label_map(tmp_path / "labels" / f"p{i}.png", labels)
    LabelClasses.from_names(PARTS).save(tmp_path / "classes.json")
    return tmp_path


def propagate(model: Path, data: Path, *more: str) -> list[str]:
    pair = ["--reference", str(data / "images" / "p0.png"), "--labels", str(data / "labels" / "p0.png")]
    folders = ["--images", str(data / "images"), "--out", str(data / "out")]
    return ["propagate", "--model", str(model), *pair, *folders, *more]


def test_a_folder_is_labelled_once(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(propagate(model, data, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["labelled"], report["done"], report["failed"]) == (4, 0, 0)
    assert report["runtime"].startswith(("OpenVINO", "PyTorch"))
    assert read_label_map(data / "out" / "labels" / "p3.png").shape == (50, 63)
    assert (data / "out" / "confidence" / "p3.png").is_file()
    assert LabelClasses.load(data / "out" / "classes.json").name(3) == "right"
    assert main(propagate(model, data, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 4


def test_a_bad_image_is_reported_and_the_rest_is_done(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "images" / "bad.jpg").write_bytes(b"\xff\xd8 no image")
    assert main(propagate(model, data, "--json")) == 1
    streams = capsys.readouterr()
    report = json.loads(streams.out)
    assert (report["labelled"], report["failed"]) == (4, 1)
    assert "bad.jpg" in report["failures"]
    assert "bad.jpg" in streams.err


def test_an_interrupted_run_is_completed_by_the_next(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add = folder_module.Manifest.add
    calls = []

    def interrupted(self: folder_module.Manifest, *given: object) -> None:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.Manifest, "add", interrupted)
        assert main(propagate(model, data)) == 130
    capsys.readouterr()
    assert main(propagate(model, data, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["done"] + report["labelled"] == 4
    assert report["done"] >= 3  # what was on disk is noted, the one in whose midst it came too


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ("p1.png", "61 x 50 pixels, its image 60 x 50"),
        ("none.png", "no label map"),
        ("empty.png", "is empty"),
    ],
)
def test_references_that_do_not_fit_are_refused(
    model: Path, data: Path, labels: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_label_map(data / "labels" / "empty.png", picture(60, 50)[1] * 0)
    arguments = propagate(model, data)
    arguments[arguments.index("--labels") + 1] = str(data / "labels" / labels)
    assert main(arguments) == 1
    assert word in capsys.readouterr().err


def test_wrong_usage_exits_with_2(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(propagate(model, data, "--reference", str(data / "images" / "p1.png"))) == 2
    assert "2 references and 1 label maps" in capsys.readouterr().err
    assert main(["propagate", "--model", str(model)]) == 2
    assert main(evaluate(model, data, "p0", "--peers", "telepathy")) == 2
    assert main(evaluate(model, data, "p0", "--protocol", "nope")) == 2
    assert "Traceback" not in capsys.readouterr().err


def evaluate(model: Path, data: Path, references: str, *more: str) -> list[str]:
    folders = ["--images", str(data / "images"), "--labels", str(data / "labels")]
    return ["evaluate", "--model", str(model), *folders, "--references", references, "--size", "32", *more]


def test_evaluating_prints_one_object(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "references.txt").write_text("p0\np1\n")
    references = str(data / "references.txt")
    assert main(evaluate(model, data, references, "--peers", "copy,dis,dis-gradient", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert {
        "miou",
        "foreground_iou",
        "per_class",
        "references",
        "queries",
        "ece",
        "peers",
        "images_per_second",
    } <= set(report)
    assert (report["references"], report["queries"]) == (2, 2)
    assert set(report["per_class"]) == set(PARTS)
    assert set(report["peers"]) == {"copy", "dis", "dis-gradient"}
    assert set(report["peers"]["copy"]) == {"miou", "foreground_iou"}
    assert main(evaluate(model, data, "p0,p1", "--fuse")) == 0
    assert "mean IoU" in capsys.readouterr().out


def test_a_calibration_is_saved_when_asked_and_then_used(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(model.read_bytes())
    assert main(evaluate(own, data, "p0,p1", "--json")) == 0
    before = json.loads(capsys.readouterr().out)
    assert "calibration" not in before
    assert inspect(own).calibration is None
    assert main(evaluate(own, data, "p0,p1", "--save-calibration", "--json")) == 0
    fitted = json.loads(capsys.readouterr().out)["calibration"]
    assert fitted == inspect(own).calibration
    assert fitted["images"] == 6
    assert main(evaluate(own, data, "p0,p1", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["ece"] != before["ece"]
    assert main(propagate(own, data)) == 0
    noted = json.loads((data / "out/propagation.json").read_text())
    assert noted["calibration"]["weights"] == fitted["weights"]
    assert main(evaluate(own, data, "p0", "--save-calibration")) == 0
    assert "calibrated in" in capsys.readouterr().out


def test_a_reference_that_is_not_there_is_named(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(evaluate(model, data, "p9")) == 1
    assert "'p9'" in capsys.readouterr().err


def test_the_report_keeps_the_mark_of_a_model_for_research_use(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = data / "marked.safetensors"
    write_with_card(model, marked, ModelCard(name="cats", data_source="AFHQ", research_use=True))
    assert main(propagate(marked, data, "--json")) == 0
    heard = capsys.readouterr()
    report = json.loads(heard.out)
    assert (report["model"], report["research_use"]) == ("cats", True)
    assert "cats is for research use (trained on: AFHQ)" in " ".join(heard.err.split())
    assert main(["init", str(data / "images")]) == 0
    assert main(["import", str(data / "images"), str(data / "out"), "--yes"]) == 0
    with Project.open(data / "images") as project:
        assert label_sources(project) == (LabelSource("cats", True, "AFHQ"),), "a folder keeps the mark too"
    capsys.readouterr()
    assert main(propagate(model, data, "--json")) == 0
    heard = capsys.readouterr()
    assert (json.loads(heard.out)["research_use"], "research" in heard.err) == (False, False)


def test_a_project_remembers_its_model_and_its_exports_keep_the_mark(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked, images = data / "marked.safetensors", data / "images"
    write_with_card(model, marked, ModelCard(name="cats", data_source="AFHQ", research_use=True))
    assert main(["init", str(images), "--classes", str(data / "classes.json")]) == 0
    assert main(["import", str(images), str(data / "labels"), "--format", "index-png", "--yes"]) in (0, 1)
    assert main(["accept", str(images), "p0.png", "--as", "reference"]) == 0
    capsys.readouterr()
    assert main(["propagate", "--project", str(images)]) == 2, "nothing was propagated before"
    assert "--model" in capsys.readouterr().err
    assert main(["propagate", "--project", str(images), "--model", str(marked), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["research_use"] is True
    assert main(["propagate", "--project", str(images), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "cats", "that of the last time"
    command = ["export", str(images), str(data / "masks"), "--format", "index-png", "--yes", "--json"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["models"] == [{"name": "cats", "research_use": True, "data": "AFHQ"}]
    assert "AFHQ" in report["notes"][0]

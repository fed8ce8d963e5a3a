from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.commands.catalogue import Entry, find_model, list_models, own_models_folder
from coordgan_core.errors import ModelError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.tiny import tiny_config


def test_own_models_lie_where_the_window_looks_for_them() -> None:
    from app.services.settings import Paths

    assert own_models_folder() == Paths.of(None).models


def test_a_model_is_a_file_a_run_or_a_name(tmp_path: Path) -> None:
    for name in ("models/cats.safetensors", "run/model.safetensors", "run/snapshots/0-gan-7.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    models = tmp_path / "models"
    assert find_model(models / "cats.safetensors") == models / "cats.safetensors"
    assert find_model("cats", models) == models / "cats.safetensors"
    assert find_model(tmp_path / "run") == tmp_path / "run/model.safetensors"
    with pytest.raises(ModelError, match=r"no model 'dogs'.*cats"):
        find_model("dogs", models)
    assert Entry(models / "cats.safetensors", "own") in list_models(models)


def test_a_model_that_cannot_be_read_is_listed_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"not a model")
    assert main(["models", "--folder", str(tmp_path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    bad = next(line for line in listed if line["name"] == "bad")
    assert bad["origin"] == "own"
    assert "no safetensors file" in bad["error"]
    assert main(["models", "show", "bad", "--folder", str(tmp_path)]) == 1


def save(path: Path, **card: object) -> None:
    save_model(path, CoordGAN(tiny_config().model), ModelCard(**card))  # type: ignore[arg-type]


def test_a_category_means_its_only_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.commands.catalogue.bundled_models", list)
    save(tmp_path / "tabby.safetensors", category="Cats")
    save(tmp_path / "owl.safetensors", category="birds")
    (tmp_path / "damaged.safetensors").write_bytes(b"")
    assert find_model("cats", tmp_path) == tmp_path / "tabby.safetensors"
    save(tmp_path / "persian.safetensors", category="cats")
    with pytest.raises(ModelError, match="2 models are of that category"):
        find_model("cats", tmp_path)
    save(tmp_path / "cats.safetensors", category="lions")
    assert find_model("cats", tmp_path) == tmp_path / "cats.safetensors", "a name goes before a category"


def test_a_model_for_research_use_is_marked_with_its_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "free.safetensors", category="owls", data_source="my own photographs")
    figures = dict.fromkeys(("miou", "a", "b", "c"), 0.5)
    save(
        tmp_path / "bound.safetensors",
        category="cats",
        data_source="AFHQ",
        research_use=True,
        figures=figures,
    )
    assert main(["models", "list", "--folder", str(tmp_path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "research use" in lines["bound"]
    assert "research use" not in lines["free"]
    assert lines["bound"].count("0.500") == 3, "`models show` prints all figures"
    assert main(["models", "show", "bound", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "research_use: True" in shown
    assert "data_source: AFHQ" in shown
    assert shown.count("0.5") >= 4

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.commands.catalogue import Entry, find_model, list_models, own_models_folder
from coordgan_core.errors import ModelError


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

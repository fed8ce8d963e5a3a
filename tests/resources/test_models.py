"""Every model that ships: small, sound, usable, and honest about what it is."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import torch

import resources
from app.cli import main
from app.commands.catalogue import find_model
from coordgan_core.presets import PRESETS
from coordgan_core.snapshot import inspect, load_model

MAX_BYTES = 16 << 20
MODELS = resources.bundled_models()
RESEARCH = {
    "faces": "UTKFace",
    "faces-wide": "UTKFace",
    "xrays": "Kermany",
    "cats": "AFHQ",
    "cars": "Stanford Cars",
}
"""Models of data that allow research only, and the set that their cards must name."""

each = pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)


def test_the_model_of_the_sample_ships() -> None:
    assert resources.bundled_model("sample") in MODELS
    assert sum(path.stat().st_size for path in MODELS) <= 5 * MAX_BYTES, "what packages grow by"
    with pytest.raises(FileNotFoundError, match="Install the program again"):
        resources.bundled_model("unicorns")
    assert {path.stem for path in MODELS} <= {"sample", *RESEARCH}, "each needs its place in the tests"


@each
def test_a_bundled_model_is_small_sound_and_loads(path: Path) -> None:
    assert path.stat().st_size <= MAX_BYTES
    model = load_model(path)  # header, shapes against its own configuration, finite weights
    assert not model.training
    with torch.inference_mode():
        found = model.correspondence(torch.zeros(1, 3, model.input_px, model.input_px))
    assert bool(found.map.isfinite().all())


@each
def test_its_card_is_complete(path: Path) -> None:
    card = inspect(path).card
    for text in (
        "name",
        "category",
        "description",
        "data_source",
        "device",
        "machine",
        "licence",
        "measured",
    ):
        assert getattr(card, text).strip(), text
    assert card.name == path.stem
    assert card.preset in PRESETS
    assert card.data_count > 0
    assert len(card.data_fingerprint) == 64
    assert card.trained_nimg > 0
    assert card.trained_sec >= 60.0
    assert 0.0 < card.figures["miou"] <= 1.0
    assert "python benchmarks/" in card.measured, "the command that prints the figures"
    assert card.figures["miou"] != 1.0
    date.fromisoformat(card.created)
    assert "/work" not in json.dumps(card.to_json())
    assert "/tmp" not in json.dumps(card.to_json())


@each
def test_a_model_of_research_data_says_so_and_shows_none_of_it(path: Path) -> None:
    card = inspect(path).card
    assert card.research_use is (path.stem in RESEARCH), "what is not known to be free is for research"
    if card.research_use:
        assert RESEARCH[path.stem] in card.data_source
        assert "research use" in card.licence
        assert card.sample_strip == ""


@each
def test_it_is_found_by_its_name_and_its_category(path: Path, tmp_path: Path) -> None:
    assert find_model(path.stem, tmp_path) == path
    assert find_model(inspect(path).card.category, tmp_path) == path


@each
def test_it_can_be_evaluated(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = resources.sample_project()
    words = ["--images", str(sample / "images"), "--labels", str(sample / "truth")]
    words += ["--references", str(sample / "references.txt"), "--limit", "2", "--json"]
    assert main(["evaluate", "--model", str(path), *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["queries"] == 2
    assert 0.0 < report["miou"] <= 1.0


def test_the_list_names_all_of_them_and_marks_those_for_research(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "list", "--folder", str(tmp_path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == [path.stem for path in MODELS]
    for name, line in lines.items():
        assert ("research use" in line) is (name in RESEARCH)

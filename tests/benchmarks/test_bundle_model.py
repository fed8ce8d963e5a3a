"""What ships as a model: small enough, the same labels, a complete card, no picture of the data."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from coordgan_core.config import replace
from coordgan_core.errors import DataError, ModelError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.presets import preset
from coordgan_core.snapshot import ModelCard, inspect, load_model, save_model
from coordgan_core.training import events as ev
from coordgan_core.training.run import RunFolder, RunSettings
from tests.benchmarks.conftest import FOLDER

SMALL = {
    "model.embedding.channels": (8, 8),
    "model.embedding.input_px": 32,
    "model.embedding.prototype_px": 8,
    "model.synthesis.trunk_channels": 8,
    "model.encoder.max_channels": 16,
}
CARD = ModelCard(
    data_count=12,
    data_fingerprint="f" * 64,
    preset="quick-64",
    trained_nimg=100,
    trained_sec=120.0,
    device="cpu",
    sample_strip="cGljdHVyZQ==",
    created="2026-11-23",
)


@pytest.fixture
def tool(script):
    return script("bundle_model")


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = CoordGAN(replace(preset("quick-64"), **SMALL).model).eval()
    made.embedding.set_prototypes(torch.randn(made.config.embedding.dim, 8, 8))
    return made


@pytest.fixture
def run(tmp_path, model):
    """A run whose first snapshot is clearly its best, begun from the model of another run."""
    config = replace(preset("quick-64"), **SMALL)
    before = RunFolder.create(tmp_path / "before", RunSettings(config, "photos"))
    save_model(before.model_path, model, CARD)
    made = RunFolder.create(tmp_path / "run", RunSettings(config, "photos", start=str(before.model_path)))
    for nimg, miou in ((1, 0.6), (2, 0.5)):
        path = made.snapshot_path(0, "joint", nimg)
        save_model(path, model, dataclasses.replace(CARD, trained_nimg=nimg))
        made.log(ev.Validated("joint", nimg, miou, miou))
        made.log(ev.SnapshotWritten(path, made.model_path, "joint", nimg))
        made.publish(path)
    return made


@pytest.fixture
def data(script, tmp_path):
    return script("quality_runs").labelled_sample(tmp_path / "figures", images=4)


def test_the_best_snapshot_is_bundled_with_a_card_that_says_what_it_is(tool, run, data, tmp_path, capsys):
    out = tmp_path / "faces.safetensors"
    words = [str(run.path), "cats", "--data", str(data), "--out", str(out), "--machine", "one core"]
    assert tool.main([*words, "--limit", "2", "--same", "0.5"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["from"] == "0-joint-0000000001.safetensors"
    info = inspect(out)
    card = info.card
    assert (card.name, card.category, card.research_use, card.sample_strip) == ("cats", "cats", True, "")
    assert "AFHQ" in card.data_source
    assert "non-commercial" in card.licence
    assert (card.trained_nimg, card.trained_sec) == (101, 240.0), "what came before counts too"
    assert "4 minutes of training on one core, in 2 trainings" in card.description
    assert {"miou", "miou_fused", "miou_unaligned", "best_flow_miou", "ece"} <= set(card.figures)
    assert "quality.py --model cats --data figures --limit 2" in card.measured
    assert f"{report['same_labels']:.2%} of the labels" in card.measured or report["same_labels"] == 1.0
    assert str(tmp_path) not in json.dumps(card.to_json())
    assert report["same_labels"] == pytest.approx(tool.agreement(run.snapshot_path(0, "joint", 1), out, data))
    load_model(out)


def test_the_figures_are_those_that_the_named_command_prints(tool, script, run, data, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    report = tool.bundle(run.path, "cats", folders=[data], out=out, limit=2, least=0.0)
    capsys.readouterr()
    command = ["--model", str(out), "--data", str(data), "--limit", "2", "--json"]
    assert script("quality").main(command) == 0
    printed = json.loads(capsys.readouterr().out)["folder"]
    figures = report["card"]["figures"]
    for way, name in tool.FIGURES.items():
        assert figures[name] == pytest.approx(printed[way]["miou"], abs=1e-4)
    peers = printed["one reference"]["peers"]
    assert figures["best_flow_miou"] == pytest.approx(max(p["miou"] for p in peers.values()), abs=1e-4)


def test_what_half_precision_changes_stays_in_full_as_far_as_it_fits(tool, model, tmp_path, monkeypatch):
    count = sum(tensor.numel() for tensor in model.state_dict().values())
    maps = ("embedding.", "dense_head.")
    full = sum(tensor.numel() for name, tensor in model.state_dict().items() if name.startswith(maps))
    monkeypatch.setattr(tool, "MAX_MIB", (2 * count + 2 * full) / tool.MIB)
    monkeypatch.setattr(tool, "_HEADER_BYTES", 0)
    halves = tool.halved(model)
    assert halves
    assert not any(name.startswith(maps) for name in halves)
    save_model(tmp_path / "mixed.safetensors", model, ModelCard(), half=halves)
    kept = load_model(tmp_path / "mixed.safetensors").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(kept[name], tensor) or name in halves


def test_what_changes_labels_or_is_too_large_is_not_bundled(tool, run, data, tmp_path, monkeypatch):
    out = tmp_path / "m.safetensors"
    monkeypatch.setattr(tool, "MAX_MIB", 0.01)
    with pytest.raises(ModelError, match="cannot be bundled"):
        tool.bundle(run.path, "cats", folders=[data], out=out)
    monkeypatch.undo()
    monkeypatch.setattr(tool, "agreement", lambda *_, **__: 0.5)
    monkeypatch.setattr(tool, "MAX_MIB", run.model_path.stat().st_size / tool.MIB - 0.001)
    with pytest.raises(ModelError, match=r"50.00% of the labels.*--same 0\.5"):
        tool.bundle(run.path, "cats", folders=[data], out=out)
    assert not out.exists()


def test_without_a_model_or_labels_nothing_is_bundled(tool, run, data, tmp_path):
    for path in run.path.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(ModelError, match="no model yet"):
        tool.bundle(run.path, "cats", folders=[data], out=tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="no run folder"):
        tool.bundle(tmp_path / "none", "cats", folders=[data], out=tmp_path / "m.safetensors")
    with pytest.raises(DataError, match="measure sample on"):
        tool.bundle(tmp_path / "before/model.safetensors", "sample", folders=[], out=tmp_path / "m")


def test_every_set_of_research_data_says_so(script):
    for name, one in script("bundled_sets").SETS.items():
        assert one.category, name
        assert one.data, name
        assert one.licence.startswith("research use") is one.research_use, name


def test_the_page_of_the_models_names_every_set_and_its_terms(script):
    text = (FOLDER.parent / "docs/models.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    sets = script("bundled_sets").SETS
    assert set(rows) == set(sets)
    for name, one in sets.items():
        assert f"| {one.category} |" in rows[name]
        assert ("**research use**" in rows[name]) is one.research_use

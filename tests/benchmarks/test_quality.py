from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from coordgan_core.coords import canonical_grid
from coordgan_core.data.synthetic import SyntheticCategory, pixel_positions
from coordgan_core.errors import ModelError

SIDE = 48


def true_map(sample):
    """Return the whole map of a sample, background included."""
    u, v = sample.deformation.to_canonical(*pixel_positions(SIDE, SIDE))
    return torch.from_numpy(np.stack([u, v])).float()


@pytest.fixture(scope="module")
def samples():
    category = SyntheticCategory(3)
    return [category.sample(i, SIDE) for i in range(3)]


def test_every_part_runs_and_reports_its_figures(script, capsys):
    assert script("quality").main(["--smoke", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"machine", "speed", "synthetic", "folder"}
    assert report["speed"]["images_per_second"] > 0
    assert 0 < report["synthetic"]["maps"]["mean_px"] < 64
    assert set(report["folder"]) == {"name", "one reference", "not aligned", "not refined", "fused"}
    assert set(report["folder"]["one reference"]["peers"]) == {"copy", "dis", "dis-gradient"}
    assert report["folder"]["not refined"]["peers"] == {}


def test_rows_carry_the_bar_of_their_folder(script):
    found = {
        "miou": 0.5,
        "foreground_iou": 0.4,
        "ece": 0.1,
        "peers": {"copy": {"miou": 0.3, "foreground_iou": 0.2}},
    }
    rows = list(
        script("quality").rows({"folder": {"name": "faces-tight", "one reference": found, "fused": found}})
    )
    assert [(r.measured, r.bar, r.aim) for r in rows] == [
        ("0.500 (0.400)", "0.62", "0.74"),
        ("0.300 (0.200)", "", ""),
        ("0.100", "0.08", "0.03"),
        ("0.500 (0.400)", "", ""),
    ]


def test_exact_maps_have_no_error_in_whatever_frame(script, samples):
    quality = script("quality_synthetic")
    maps = [true_map(sample) for sample in samples]
    frame = torch.tensor([[0.8, 0.3], [-0.2, 0.9]])
    other = [torch.einsum("ij,jhw->ihw", frame, m) + 0.1 for m in maps]
    for exact in (maps, other):
        error = quality.summarise(exact, samples)
        assert error.mean_px < 0.05
        assert error.pck_05 == 1.0
        assert error.unmoved_px > 1.0


def test_maps_that_are_off_by_two_pixels_err_by_two_pixels(script, samples):
    quality = script("quality_synthetic")
    identity = canonical_grid(SIDE, SIDE)
    shifted = identity + torch.tensor([2 * 2 / SIDE, 0.0])[:, None, None]
    first = samples[0]
    # the same picture twice: the match is two pixels to the right, but for the last columns
    errors = quality.pair_errors(shifted, identity, first, first)
    columns = quality.true_matches(first, first)[1]
    assert errors[columns < SIDE - 2] == pytest.approx(2.0, abs=1e-3)


def test_positions_between_pixels_are_found(script):
    find = script("quality_synthetic").find
    identity = canonical_grid(8, 16)
    where = torch.tensor([[0.3, 4.75], [7.2, 2.5]])  # (x, y) in pixels, one point a row
    positions = ((2 * where + 1) / torch.tensor([16.0, 8.0]) - 1).T
    assert find(identity, positions) == pytest.approx(where.T.numpy(), abs=1e-4)


def test_a_flat_map_is_survived(script):
    flat = torch.zeros(2, 8, 8)
    assert np.isfinite(script("quality_synthetic").find(flat, torch.zeros(2, 3))).all()


def test_a_model_needs_a_folder(script, capsys):
    assert script("quality").main(["--model", "m"]) == 2
    assert "--data" in capsys.readouterr().err


def test_an_unknown_model_is_told_in_one_line(script, capsys):
    assert script("quality").main(["--speed", "no such model"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Error: ")
    assert message.count("\n") == 1


def test_without_arguments_the_bundled_model_is_measured(script, monkeypatch):
    quality = script("quality")
    asked = []

    def load(model, device):
        asked.append(model)
        raise ModelError("none")

    monkeypatch.setattr(script("quality_runs"), "measure_demo", lambda: {"seconds": 1.0, "miou": 0.5})
    monkeypatch.setattr(quality, "_load", load)
    assert quality.main([]) == 1
    assert asked == ["sample"]


def test_numbers_that_are_none_become_null(script, capsys):
    script("common").print_json({"a": {"b": [math.nan, 1.5]}})
    assert json.loads(capsys.readouterr().out) == {"a": {"b": [None, 1.5]}}


def test_the_machine_is_described(script):
    about = script("common").machine()
    assert about["cpu"]
    assert about["torch"] == torch.__version__
    assert len(about["date"]) == 10


def test_a_folder_alone_gives_one_table_of_all_peers(script, tmp_path, capsys):
    data = script("quality_runs").labelled_sample(tmp_path / "figures", images=3)
    command = ["--data", str(data), "--peers", "copy,dis,dinov2", "--queries", "1"]
    assert script("quality").main(command) == 0
    table = capsys.readouterr().out
    assert "seconds" not in table.splitlines()[0]
    for text in ("figures", "copy", "dis", "foreground", "s preparation", "dinov2 was left out: no weights"):
        assert text in table
    assert script("quality").main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["peers"]
    assert [way["way"] for way in report["ways"]] == ["copy", "dis"]
    assert {way["queries"] for way in report["ways"]} == {2}
    assert report["model"] is None


def test_a_model_and_its_lead_over_the_strongest_peer_are_in_the_same_table(script, tmp_path, capsys):
    data = script("quality_runs").labelled_sample(tmp_path / "sample", images=3)
    command = ["--data", str(data), "--peers", "copy,demons-gradient", "--queries", "1", "--json"]
    pytest.importorskip("SimpleITK")
    assert script("quality").main(command) == 0
    report = json.loads(capsys.readouterr().out)["peers"]
    ways = {way["way"]: way for way in report["ways"]}
    assert report["model"] == "sample"  # the bundled model of that name
    assert list(ways) == [
        "model",
        "model, as slow peers",
        "model, not aligned",
        "copy",
        "demons-gradient",
    ]
    assert ways["model, not aligned"]["miou"] != ways["model"]["miou"]
    assert ways["model"]["miou"] > ways["copy"]["miou"] + 0.1
    best, ahead = script("quality_peers").lead(report["ways"])
    leads = {
        "copy": ways["model"]["miou"] - ways["copy"]["miou"],
        "demons-gradient": ways["model, as slow peers"]["miou"] - ways["demons-gradient"]["miou"],
    }
    assert ahead == pytest.approx(min(leads.values()))
    assert leads[best] == ahead
    script("quality_peers").print_peers(report)
    table = capsys.readouterr().out
    assert "Slow peers: 1 queries" in table
    assert "ahead of the best peer" in table


def test_each_folder_of_the_benchmark_finds_its_bundled_model_and_protocol(script, monkeypatch, tmp_path):
    peers, sets = script("quality_peers"), script("bundled_sets")
    shipped = [tmp_path / f"{name}.safetensors" for name in sets.SETS]
    monkeypatch.setattr(peers, "bundled_models", lambda: shipped)
    found = {name: (peers.bundled_for(tmp_path / name), sets.protocol_for(name)) for name in sets.BARS}
    assert found == {
        "faces-tight": ("faces", "celebamask-7"),
        "faces-wide": ("faces-wide", "celebamask-7"),
        "xrays": ("xrays", ""),
        "cars": ("cars", ""),
        "cats": ("cats", ""),
    }
    assert peers.bundled_for(tmp_path / "dogs") is None
    monkeypatch.setattr(peers, "bundled_models", list)
    assert peers.bundled_for(tmp_path / "cats") is None, "it may not ship yet"


def test_a_model_is_measured_without_alignment_and_with_all_references_fused(script, tmp_path, capsys):
    data = script("quality_runs").labelled_sample(tmp_path / "sample", images=4)
    stems = sorted(path.stem for path in (data / "images").iterdir())
    (data / "references.txt").write_text("\n".join(stems[:2]))
    assert script("quality").main(["--data", str(data), "--peers", "copy", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["peers"]
    ways = {way["way"]: way for way in report["ways"]}
    assert list(ways) == ["model", "model, 2 fused", "model, not aligned", "copy"]
    assert {way["references"] for way in report["ways"]} == {2}
    assert len({round(way["miou"], 6) for way in report["ways"]}) == 4, "four ways, four results"
    best, ahead = script("quality_peers").lead(report["ways"])
    assert (best, ahead) == ("copy", pytest.approx(ways["model"]["miou"] - ways["copy"]["miou"]))


def test_unknown_peers_are_told_before_anything_is_measured(script, tmp_path, capsys):
    assert script("quality").main(["--data", str(tmp_path), "--peers", "sift"]) == 1
    assert "no peer 'sift'" in capsys.readouterr().err


def test_a_published_layout_brings_its_own_references_queries_and_protocol(script, tmp_path):
    from PIL import Image

    for split, count in (("training_data", 6), ("testing_data", 2)):
        (tmp_path / split).mkdir()
        for i in range(count):
            Image.new("RGB", (16, 16)).save(tmp_path / split / f"image_{i}.png")
            np.save(tmp_path / split / f"image_mask{i}.npy", np.full((16, 16), i))
    references, queries, rules = script("quality_runs").load(
        tmp_path, protocol="", limit=0, layout="datasetgan-face-34"
    )
    assert [r.name for r in references] == [f"training_data/image_{i}" for i in range(5)]
    assert sorted(q.name for q in queries) == [
        "testing_data/image_0",
        "testing_data/image_1",
        "training_data/image_5",
    ]
    assert len(rules.class_names) == 34
    assert rules.excluded == (17, 25)


def test_swaps_of_the_bundled_model_and_its_likeness_to_real_images(script, tmp_path, capsys):
    data = script("quality_runs").labelled_sample(tmp_path / "figures", images=4)
    command = ["--swaps", "sample", "--images", str(data / "images"), "--samples", "4"]
    assert script("quality").main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["swaps"]
    assert report["codes"] == "of real images"  # it has no prior
    assert report["swaps"]["pairs"] == 4
    assert set(report["swaps"]["distances"]) >= {"structure", "colour", "map"}
    assert report["structure_kept"] > 0.1
    assert report["texture_kept"] > 0.1
    assert (report["images"]["real"], report["images"]["generated"]) == (4, 4)
    assert report["images"]["random_feature_frechet"] > 0
    script("common").print_report("swaps", script("quality").rows({"swaps": report}), {})
    table = capsys.readouterr().out
    assert "texture swap: structure kept" in table
    assert "not FID" in table


def test_a_model_without_prior_needs_images_for_its_swaps(script, capsys):
    assert script("quality").main(["--swaps", "sample"]) == 1
    assert "--images" in capsys.readouterr().err

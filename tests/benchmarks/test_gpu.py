"""The scripts for a CUDA machine: whether they work is seen on the CPU, what they measure is not."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from coordgan_core.data.images import read_image
from coordgan_core.data.store import read_square
from coordgan_core.errors import CheckpointError, ConfigError, DataError
from tests.benchmarks.conftest import FOLDER

WITHOUT = """
import runpy, sys
for name in ("app", "PySide6", "qtawesome", "appdirs", "pyqtgraph", "yaml", "packaging.version"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script as on a machine that has PyTorch and little else."""


@pytest.fixture
def gpu(monkeypatch):
    """Import a script of ``benchmarks/gpu`` by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER / "gpu"))
    return importlib.import_module


@pytest.fixture
def drawn(gpu, tmp_path):
    """A labelled folder of eight drawn figures."""
    return gpu("quality_runs").labelled_sample(tmp_path / "drawn", images=8)


def state(side=64):
    """What a checkpoint of a stage with a moving average holds."""
    torch.manual_seed(0)
    net, average = nn.Linear(side, side), nn.Linear(side, side)
    adam = torch.optim.AdamW(net.parameters(), fused=True)
    net(torch.ones(1, side)).sum().backward()
    adam.step()
    weights = net.state_dict()
    return {
        "format": 1,
        "model": {f"embedding.{name}": value for name, value in weights.items()},
        "modules": {"embedding": weights, "average": average.state_dict()},
        "optimizers": {"outer": adam.state_dict()},
        "plain": None,
    }


def test_a_pack_holds_the_references_and_as_many_images_as_fit(gpu, drawn, tmp_path):
    pack = gpu("pack")
    told = pack.pack(drawn, tmp_path / "all.zip", px=256, queries=3)
    assert (told["unlabelled"], told["labelled"], told["name"]) == (8, 4, "drawn")
    pack.unpack(tmp_path / "all.zip", tmp_path / "all")
    trained_on = sum(path.stat().st_size for path in (tmp_path / "all/unlabelled").iterdir())
    room = told["mib"] - 0.5 * trained_on / 2**20
    fewer = pack.pack(drawn, tmp_path / "some.zip", px=256, queries=3, mib=room)
    assert 0 < fewer["unlabelled"] < 8
    assert (tmp_path / "some.zip").stat().st_size <= room * 2**20
    assert pack.unpack(tmp_path / "some.zip", tmp_path / "out") == {
        k: v for k, v in fewer.items() if k != "mib"
    }
    assert len(list((tmp_path / "out/unlabelled").iterdir())) == fewer["unlabelled"]
    reference = (tmp_path / "out/references.txt").read_text().split()[0]
    assert (tmp_path / f"out/labels/{reference}.png").read_bytes() == (
        drawn / f"labels/{reference}.png"
    ).read_bytes()
    with pytest.raises(DataError, match="do not fit"):
        pack.pack(drawn, tmp_path / "none.zip", mib=0.001)
    with pytest.raises(DataError, match="cannot be unpacked"):
        pack.unpack(tmp_path / "out/references.txt", tmp_path / "other")


def test_a_pack_takes_one_view_and_mirrors_what_the_table_says(gpu, drawn, tmp_path):
    pack = gpu("pack")
    shutil.copytree(drawn / "images", drawn / "unlabelled")
    names = sorted(path.name for path in (drawn / "unlabelled").iterdir())
    views = ["front34", "front34", "other", "side"]
    rows = [f"{name},{view},{i % 2}" for i, (name, view) in enumerate(zip(names, views, strict=False))]
    table = drawn / "unlabelled.csv"
    table.write_text("\n".join(["name,view_guess,flip_to_face_left", *rows]), encoding="utf-8")
    told = pack.pack(drawn, tmp_path / "one.zip", px=64, queries=2, views="front34")
    assert (told["unlabelled"], told["views"], told["mirrored"]) == (2, "front34", 1)
    pack.unpack(tmp_path / "one.zip", tmp_path / "one")
    straight, mirrored = (
        read_image(path).astype(int) for path in sorted((tmp_path / "one/unlabelled").iterdir())
    )
    first, second = (read_square(drawn / "unlabelled" / name, 64).astype(int) for name in names[:2])
    for found, same, other in ((straight, first, first[:, ::-1]), (mirrored, second[:, ::-1], second)):
        assert np.abs(found - same).mean() < 0.5 * np.abs(found - other).mean()
    with pytest.raises(DataError, match="one of front34, other, side"):
        pack.pack(drawn, tmp_path / "none.zip", views="rear")
    table.write_text("name,view\n", encoding="utf-8")
    with pytest.raises(DataError, match="no table of views"):
        pack.pack(drawn, tmp_path / "none.zip", views="front34")
    table.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        pack.pack(drawn, tmp_path / "none.zip", views="front34")


def test_a_pack_and_what_a_slice_leaves_fit_one_upload(gpu):
    options = gpu("train_model")._parser().parse_args([])
    assert gpu("pack").MAX_MIB + options.mib <= 64.0 - 1.0
    assert options.mib == gpu("slices").CARRIED_MIB == 30.0


@pytest.mark.parametrize("shape", [(3, 5), (256,), (2, 300, 3)])
def test_eight_bits_are_near_and_never_make_a_second_moment_smaller(gpu, shape):
    bits = gpu("eight_bits")
    moment = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    back = bits.unpacked({"a": [bits.packed(moment)]})["a"][0]
    assert back.shape == moment.shape
    assert float((back - moment).abs().max()) <= float(moment.abs().max()) / 127
    squares = moment.square() * torch.logspace(-12, 0, moment.numel()).view(shape)
    squares.view(-1)[0] = 0.0
    kept = bits.unpacked(bits.packed(squares, square=True))
    assert bool((kept >= squares * (1 - 1e-6)).all())
    assert float(kept.view(-1)[0]) == 0.0
    assert float((kept.sqrt() - squares.sqrt()).max()) <= float(squares.max().sqrt()) / 254
    assert bits.packed(moment)["eight_bits"].nbytes == moment.numel()
    assert bits.unpacked(bits.packed(torch.zeros(4))).tolist() == [0.0] * 4


LEVELS = [(0, 0.0), (1, 1e-2), (2, 2e-2), (3, 1e-3)]


@pytest.mark.parametrize(("level", "tolerance"), LEVELS)
def test_each_level_of_loss_is_smaller_and_gives_nearly_the_same_average(gpu, level, tolerance):
    slices, before = gpu("slices"), state()
    after = slices.expand(slices.compact(before, level))
    assert (
        len(slices._bytes(slices.compact(before, level)))
        <= len(slices._bytes(before)) * (1.0, 0.7, 0.45, 0.3)[level]
    )
    for name, value in before["modules"]["average"].items():
        assert after["modules"]["average"][name].dtype == torch.float32
        torch.testing.assert_close(after["modules"]["average"][name], value, atol=tolerance, rtol=tolerance)
    expected = before["modules"]["average" if level == 3 else "embedding"]
    for name, value in expected.items():
        found = after["modules"]["embedding"][name]
        torch.testing.assert_close(found, value, atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(after["model"][f"embedding.{name}"], found)
    if level < 3:
        kept, was = (s["optimizers"]["outer"]["state"][0] for s in (after, before))
        assert kept["step"] == was["step"]
        torch.testing.assert_close(kept["exp_avg_sq"], was["exp_avg_sq"], atol=0.0, rtol=tolerance)
        torch.testing.assert_close(kept["exp_avg"], was["exp_avg"], atol=tolerance, rtol=tolerance)
    else:
        assert after["optimizers"]["outer"]["state"] == {}


def test_a_run_travels_in_parts_and_all_are_needed(gpu, tmp_path, monkeypatch):
    from coordgan_core.training import checkpoint

    slices, run = gpu("slices"), tmp_path / "run"
    monkeypatch.setattr(slices, "PART_MIB", 0.02)
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"images": "elsewhere"}))
    checkpoint.write(run / "checkpoints", "00-1", state())
    told = slices.save(run, tmp_path / "parts")
    assert told["loss_level"] == 0 or told["parts"] <= slices.MAX_PARTS
    parts = sorted((tmp_path / "parts").iterdir())
    assert [part.name for part in parts] == [f"run.part{i}" for i in range(told["parts"])]
    assert all(part.stat().st_size <= 0.02 * 2**20 for part in parts)
    assert slices.load(tmp_path / "parts", tmp_path / "again", images=tmp_path)
    path, damaged = checkpoint.newest(tmp_path / "again/checkpoints")
    assert path.stem == "00-1"
    assert not damaged
    assert json.loads((tmp_path / "again/config.json").read_text())["images"] == str(tmp_path)
    parts[-1].unlink()
    with pytest.raises(CheckpointError, match="lacks a part"):
        slices.load(tmp_path / "parts", tmp_path / "third", images=tmp_path)
    assert not slices.load(tmp_path / "run", tmp_path / "third", images=tmp_path)
    with pytest.raises(CheckpointError, match="to be carried"):
        slices.save(run, tmp_path / "small", mib=0.001)


@pytest.mark.slow
def test_a_training_goes_on_in_the_next_slice(gpu):
    report = gpu("train_model").smoke()
    first, second = report["first"], report["second"]
    assert first["status"]["state"] == "paused"
    assert not first["carried"]["finished"]
    assert first["carried"]["loss_level"] == 2, "the second slice goes on from weights and moments made small"
    assert first["next_upload_mib"] <= 64.0
    assert second["status"]["state"] == "finished"
    assert second["carried"]["finished"]
    assert 0 <= second["labels"]["miou"] <= 1


@pytest.mark.slow
def test_variants_are_measured_once_and_the_next_slice_adds_others(gpu, capsys):
    ablation = gpu("ablation")
    report = ablation.smoke()
    assert set(report["variants"]) == {"no-warm-start", "fast-128"}
    assert report["missing"] == []
    assert capsys.readouterr().err.split() == ["no-warm-start", "fast-128"]
    rows = list(ablation.rows({**report, "missing": ["no-gan"]}))
    assert rows[-1].measured == "not measured"
    assert any(row.what.strip().startswith("by code") for row in rows)


def test_every_variant_is_a_valid_configuration(gpu):
    from coordgan_core.config import replace
    from coordgan_core.presets import preset

    for name in ("ablation", "speed"):
        for base, changes in gpu(name).VARIANTS.values():
            assert replace(preset(base), **changes).preset == base
    with pytest.raises(ConfigError, match="nothing is called"):
        gpu("smoke").chosen("fast-128,none", gpu("speed").VARIANTS)


@pytest.mark.slow
def test_speed_runs_from_the_tree_alone(tmp_path):
    words = [sys.executable, "-c", WITHOUT, str(FOLDER / "gpu/speed.py"), "--smoke", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["training"]) == {"paper-128", "fast-128"}
    for found in report["training"].values():
        assert found["images_per_second"] > 0
        assert sum(found["parts_sec"].values()) == pytest.approx(found["step_sec"])
    assert report["propagation"]["images_per_second"] > 0


def test_the_bars_stand_beside_their_figures(gpu):
    found = {
        "images_per_second": 10.0,
        "parts_sec": {"forward": 0.1, "views": 0.0},
        "memory_bytes": 3e9,
        "peak_share": 0.25,
        "waits": 0,
    }
    report = {"batch": 16, "training": {"paper-128": {**found, "images_per_second": 0.5}, "fast-128": found}}
    rows = {row.what.strip(): row for row in gpu("speed").rows(report)}
    assert (rows["fast-128 over paper-128"].measured, rows["fast-128 over paper-128"].bar) == (
        "20.0 x",
        "15 x",
    )
    assert rows["peak memory"].bar == "8 GB"
    failed = {"batch": 16, "training": {"paper-128": {"images_per_second": 0.0, "error": "out of memory"}}}
    (row,) = gpu("speed").rows(failed)
    assert row.measured == "out of memory"


def test_scripts_name_no_path_outside_of_the_tree():
    for path in Path(FOLDER / "gpu").glob("*.py"):
        assert "/tmp" not in path.read_text(encoding="utf-8")


def test_a_pack_writes_nothing_outside_of_its_folder(gpu, tmp_path):
    packed = tmp_path / "data.pack"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pack.json", "{}")
        archive.writestr("../evil.png", b"")
    with pytest.raises(DataError, match=r"evil"):
        gpu("pack").unpack(packed, tmp_path / "inside")
    assert not (tmp_path / "evil.png").exists()

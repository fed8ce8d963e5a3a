from __future__ import annotations

import json

import pytest
import torch

from coordgan_core.config import replace
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.presets import preset

SMALL = {
    "embedding.channels": (8, 8),
    "embedding.input_px": 32,
    "embedding.prototype_px": 8,
    "synthesis.trunk_channels": 8,
    "encoder.max_channels": 16,
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    small = CoordGAN(replace(preset("quick-64").model, **SMALL)).eval()
    small.embedding.set_prototypes(torch.randn(small.config.embedding.dim, 8, 8))
    return small


@pytest.fixture
def images(model):
    return torch.rand(2, 3, model.input_px, model.input_px) * 2 - 1


def differences(found, expected):
    pairs = (
        (found.map, expected.map),
        (found.reliability, expected.reliability),
        (found.descriptors, expected.descriptors),
    )
    return [float((a - b).abs().max()) for a, b in pairs]


@torch.inference_mode()
def test_eager_engines_give_what_the_model_gives(script, model, images):
    engines = script("inference_engines").ENGINES
    expected = model.correspondence(images)
    assert max(differences(engines["eager float32"](model, 2).correspondence(images), expected)) < 1e-4
    rough = differences(engines["eager bfloat16"](model, 2).correspondence(images), expected)
    assert 0 < max(rough) < 0.2


@pytest.mark.parametrize(
    ("name", "modules"),
    [("ONNX Runtime", ("onnx", "onnxscript", "onnxruntime")), ("OpenVINO float32", ("openvino",))],
)
def test_runtimes_give_what_the_model_gives_for_part_of_a_batch_too(script, model, images, name, modules):
    for needed in modules:
        pytest.importorskip(needed)
    engine = script("inference_engines").ENGINES[name](model, 2)
    with torch.inference_mode():
        assert max(differences(engine.correspondence(images), model.correspondence(images))) < 1e-3
        assert engine.correspondence(images[:1]).map.shape == model.correspondence(images[:1]).map.shape


def test_what_is_not_installed_is_left_out_with_a_note(script, monkeypatch, model):
    engines = script("inference_engines")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(engines.Unavailable, match="onnxruntime is not installed"):
        engines.onnx_runtime(model, 2)
    with pytest.raises(engines.Unavailable, match=r"coordlabel\[runtimes\]"):
        engines.openvino("f32")(model, 2)


def test_the_report_compares_with_eager_float32(script, monkeypatch, capsys):
    inference, engines = script("inference"), script("inference_engines")

    def absent(model, batch):
        raise engines.Unavailable("it is not here")

    monkeypatch.setitem(engines.ENGINES, "OpenVINO float32", absent)
    command = ["--images", "2", "--batch", "2", "--seconds", "0", "--json"]
    assert inference.main([*command, "--engines", "OpenVINO float32,eager bfloat16"]) == 0
    report = json.loads(capsys.readouterr().out)
    base, rough = report["engines"]
    assert base["engine"] == "eager float32"
    assert base["map_agreement"] == base["label_agreement"] == 1.0
    assert 0.9 < rough["map_agreement"] < 1.0
    assert rough["images_per_cpu_second"] > 0
    assert report["skipped"] == {"OpenVINO float32": "it is not here"}


def test_the_fastest_engine_must_leave_the_labels_as_they_are(script):
    inference = script("inference")

    def row(name, speed, agreement):
        return inference.Row(name, 1.0, speed, 1.0, agreement, 0.0)

    rows = [row("base", 1.0, 1.0), row("good", 2.0, 0.996), row("wild", 9.0, 0.99)]
    assert inference.fastest(rows) == "good"
    assert inference.fastest(rows[2:]) is None


def test_labels_of_held_out_figures_are_compared_too(script, capsys):
    command = ["--held-out", "2", "--batch", "2", "--seconds", "0", "--engines", "eager float32", "--json"]
    assert script("inference").main(command) == 0
    (row,) = json.loads(capsys.readouterr().out)["engines"]
    assert row["label_agreement"] == 1.0


def test_unknown_engines_are_told(script, capsys):
    assert script("inference").main(["--engines", "abacus"]) == 2
    assert "no engine 'abacus'" in capsys.readouterr().err

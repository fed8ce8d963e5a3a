import logging
import sys

import numpy as np
import pytest
import torch

from coordgan_core import runtimes
from coordgan_core.config import replace
from coordgan_core.errors import ConfigError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.predictor import Predictor
from coordgan_core.presets import preset
from tests.core.propagation_stubs import ShiftModel

CPU = torch.device("cpu")
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


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (40 + i, 50, 3), dtype=np.uint8) for i in range(5)]


def test_openvino_gives_what_pytorch_gives_whatever_the_batch(model, photographs):
    pytest.importorskip("openvino")
    fast, plain = Predictor(model), Predictor(model, runtime="torch")
    assert fast.runtime.startswith("OpenVINO")
    assert plain.runtime == f"PyTorch {torch.__version__}"
    assert fast.independent
    assert not plain.independent
    found, expected = fast.analyse(photographs), plain.analyse(photographs)
    for a, b in zip(found, expected, strict=True):
        for name in ("map", "reliability", "descriptors"):
            assert torch.allclose(getattr(a, name), getattr(b, name), atol=1e-4), name
    assert torch.equal(fast.analyse(photographs[3:4])[0].map, found[3].map)


def test_more_images_than_threads_are_each_given_their_own_map(model, photographs, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    network = runtimes.OpenVINONetwork(model, model.input_px)
    images = torch.rand(5, 3, model.input_px, model.input_px) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(network.correspondence(images).map, model.correspondence(images).map, atol=1e-4)


def test_without_openvino_pytorch_runs_the_model(model, monkeypatch, caplog):
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.INFO):
        network, name = runtimes.network_for(model, CPU, side=32)
    assert network is model
    assert name.startswith("PyTorch") and runtimes.processor_runtime() == name  # noqa: PT018 - one fact
    assert "OpenVINO is not installed" in caplog.text
    with pytest.raises(ConfigError, match=r"coordlabel\[runtimes\]"):
        runtimes.network_for(model, CPU, "openvino", side=32)


def broken(*_):
    raise RuntimeError("no rule for aten::magic\nand a long trace")


def test_a_model_that_cannot_be_converted_runs_all_the_same_and_the_log_says_why(model, monkeypatch, caplog):
    pytest.importorskip("openvino")
    monkeypatch.setattr(runtimes, "_converted", broken)
    network, name = runtimes.network_for(model, CPU, side=32)
    assert network is model
    assert name.startswith("PyTorch")
    assert "no rule for aten::magic" in caplog.text
    assert "long trace" not in caplog.text
    with pytest.raises(ConfigError, match="aten::magic"):
        runtimes.network_for(model, CPU, "openvino", side=32)


def test_a_network_that_computes_something_else_is_not_taken(model, monkeypatch, caplog):
    pytest.importorskip("openvino")
    other = CoordGAN(model.config).eval()
    other.embedding.set_prototypes(torch.randn(other.config.embedding.dim, 8, 8))
    right = runtimes._converted
    monkeypatch.setattr(runtimes, "_converted", lambda _, side: right(other, side))
    assert runtimes.network_for(model, CPU, side=32)[0] is model
    assert "differs" in caplog.text


def test_other_devices_and_other_objects_are_left_to_themselves(model):
    stub = ShiftModel()
    assert runtimes.network_for(stub, CPU, side=64)[0] is stub
    assert runtimes.network_for(model, torch.device("cuda"), side=32)[0] is model
    with pytest.raises(ConfigError, match="no runtime 'abacus'"):
        runtimes.network_for(model, CPU, "abacus", side=32)


def test_bfloat16_is_computed_by_pytorch_unless_openvino_is_asked_for(model):
    assert Predictor(model, precision="bfloat16").runtime.startswith("PyTorch")


def test_maps_of_structure_codes_are_computed_by_openvino_too(photographs):
    pytest.importorskip("openvino")
    torch.manual_seed(1)
    coded = CoordGAN(replace(preset("quick-64").model, **SMALL)).eval()  # no prototypes: as published
    fast, plain = Predictor(coded, runtime="openvino"), Predictor(coded, runtime="torch")
    for a, b in zip(fast.analyse(photographs[:2]), plain.analyse(photographs[:2]), strict=True):
        assert torch.allclose(a.map, b.map, atol=1e-3)

import json
import math
import pickle
import struct

import numpy as np
import pytest
import torch
from torch import nn

from coordgan_core import config as configuration
from coordgan_core.calibration import Calibration
from coordgan_core.config import ModelConfig
from coordgan_core.errors import ModelError
from coordgan_core.snapshot import (
    ModelCard,
    inspect,
    load_calibration,
    load_model,
    newest_model,
    save_model,
    store_calibration,
)

CARD = ModelCard(name="faces", category="faces", figures={"miou": 0.5}, research_use=True, trained_nimg=12)


class Tiny(nn.Module):
    """Stands for a `CoordGAN`: parameters, a buffer, a configuration."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layer = nn.Linear(4, config.resolution // 32)
        self.register_buffer("steps", torch.tensor([3]))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = Tiny(ModelConfig())
    save_model(tmp_path / "m.safetensors", model, CARD, calibration={"position_sigma": 0.1})
    return tmp_path / "m.safetensors", model


def test_a_model_comes_back_as_it_was_saved(saved):
    path, model = saved
    loaded = load_model(path, build=Tiny)
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    assert loaded.config == model.config
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_inspecting_tells_the_card_without_reading_tensors(saved):
    path, _ = saved
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    path.write_bytes(content[: 8 + length] + b"\xff" * (len(content) - 8 - length))  # tensors are all nan now
    info = inspect(path)
    assert info.card == CARD
    assert info.config == ModelConfig()
    assert info.calibration == {"position_sigma": 0.1}
    assert info.parameters == 4 * 4 + 4 + 1
    with pytest.raises(ModelError, match="not finite"):
        load_model(path, build=Tiny)


@pytest.mark.parametrize("half", [False, True])
def test_storing_a_calibration_changes_nothing_else(tmp_path, half):
    path = tmp_path / "m.safetensors"
    save_model(path, Tiny(ModelConfig()), CARD, half=half)
    assert math.isnan(load_calibration(path).ece)  # the prior
    before, data = split(path)
    fitted = Calibration(weights=(0.1, 0.2, 0.3, 0.4), intercept=-1.0, ece=0.02, images=5)
    store_calibration(path, fitted)
    after, same_data = split(path)
    assert same_data == data
    assert after.pop("__metadata__").items() > before.pop("__metadata__").items()
    assert after == before
    assert load_calibration(path) == fitted
    store_calibration(path, Calibration())
    assert inspect(path).calibration["images"] == 0
    with pytest.raises(ModelError):
        store_calibration(tmp_path / "absent.safetensors", fitted)


def split(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(path, header, data):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)


@pytest.mark.parametrize("low_byte", range(0, 256, 8))
def test_a_header_of_any_length_is_read(saved, low_byte):
    path, _ = saved
    header, data = split(path)
    raw = json.dumps(header).encode()
    raw += b" " * ((low_byte - len(raw)) % 256)
    join(path, raw, data)
    assert path.read_bytes()[0] == low_byte  # 128 is what a pickle begins with
    assert inspect(path).card == CARD


def test_unknown_keys_of_the_card_are_kept(saved):
    path, model = saved
    header, data = split(path)
    card = json.loads(header["__metadata__"]["card"])
    header["__metadata__"]["card"] = json.dumps({**card, "mood": "good", "name": 7})
    header["__metadata__"]["future"] = "x"
    join(path, header, data)
    card = inspect(path).card
    assert card.extra == {"mood": "good"}
    assert card.name == ""  # of a wrong type
    save_model(path, model, card)
    assert inspect(path).card.extra == {"mood": "good"}


def change_first(header, **changes):
    name = next(k for k in header if k != "__metadata__")
    header[name] = {**header[name], **changes}
    return header


HOSTILE = {
    "overlap": lambda h: change_first(
        h, data_offsets=[4, h[next(iter(set(h) - {"__metadata__"}))]["data_offsets"][1]]
    ),
    "absurd shape": lambda h: change_first(h, shape=[2**40, 2**40]),
    "negative shape": lambda h: change_first(h, shape=[-1, 4]),
    "float shape": lambda h: change_first(h, shape=[4.0]),
    "boolean shape": lambda h: change_first(h, shape=[True]),
    "many dimensions": lambda h: change_first(h, shape=[1] * 50),
    "unknown type": lambda h: change_first(h, dtype="F999"),
    "offsets missing": lambda h: change_first(h, data_offsets=None),
    "out of the file": lambda h: change_first(h, shape=[2**20], dtype="F32", data_offsets=[0, 2**22]),
    "tensor is a list": lambda h: {**h, "extra": []},
    "list": lambda h: [h],
    "other program": lambda h: {k: v for k, v in h.items() if k != "__metadata__"},
    "metadata is text": lambda h: {**h, "__metadata__": "x"},
    "no config": lambda h: {
        **h,
        "__metadata__": {k: v for k, v in h["__metadata__"].items() if k != "config"},
    },
    "bad config": lambda h: {**h, "__metadata__": {**h["__metadata__"], "config": '{"resolution": 1000000}'}},
    "config is a list": lambda h: {**h, "__metadata__": {**h["__metadata__"], "config": "[]"}},
    "other configuration": lambda h: {
        **h,
        "__metadata__": {
            **h["__metadata__"],
            "config": json.dumps(configuration.to_dict(ModelConfig(resolution=512))),
        },
    },
    "tensor missing": lambda h: {k: v for k, v in h.items() if k != "layer.bias"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused_with_expectation_and_remedy(saved, name):
    path, _ = saved
    header, data = split(path)
    join(path, HOSTILE[name](header), data)
    with pytest.raises(ModelError) as caught:
        load_model(path, build=Tiny)
    assert caught.value.remedy
    assert str(path) in str(caught.value)


def test_a_model_of_another_version_says_which(saved):
    path, _ = saved
    header, data = split(path)
    header["__metadata__"]["coordlabel.format"] = "99"
    join(path, header, data)
    with pytest.raises(ModelError, match=r"version 99.*Expected version 1"):
        inspect(path)


def test_a_header_that_claims_too_much_is_not_read(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ModelError, match="claims"):
        inspect(path)
    path.write_bytes(struct.pack("<Q", 1000) + b"{}")
    with pytest.raises(ModelError, match="ends inside"):
        inspect(path)
    path.write_bytes(struct.pack("<Q", 40_000) + b"{" * 40_000)
    with pytest.raises(ModelError, match="no JSON"):
        inspect(path)


@pytest.mark.parametrize("size", [0, 5, 8, 200, -1])
def test_a_file_cut_anywhere_is_refused(saved, size):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError):
        load_model(path, build=Tiny)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_pickles_are_recognised_by_content_and_never_opened(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="pickle"):
        load_model(path, build=Tiny)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="pickle"):
        load_model(path, build=Tiny)


def test_missing_files_and_other_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be opened"):
        inspect(tmp_path / "none.safetensors")
    np.save(tmp_path / "a.npy", np.zeros(99))
    with pytest.raises(ModelError, match="no safetensors"):
        inspect(tmp_path / "a.npy")


def test_models_that_are_not_finite_are_not_saved(tmp_path):
    model = Tiny(ModelConfig())
    model.layer.weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        save_model(tmp_path / "m.safetensors", model, CARD)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_model_of_a_run_folder_is_found(tmp_path, saved):
    import os

    path, model = saved
    (tmp_path / "snapshots").mkdir()
    save_model(tmp_path / "snapshots" / "later.safetensors", model, CARD)
    os.utime(path, (1, 1))
    assert newest_model(tmp_path).name == "later.safetensors"
    with pytest.raises(ModelError, match="holds no model"):
        newest_model(tmp_path / "empty")

"""Model files, checkpoints, run folders and messages of the engine, spoilt."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pickle
import random
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coordgan_core.engine import protocol
from coordgan_core.errors import CheckpointError, ModelError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, inspect, load_calibration, load_model, save_model
from coordgan_core.training import checkpoint
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus, find_runs
from tests.core.tiny import tiny_config
from tests.fuzz import mutate
from tests.fuzz.targets import Target, clear


@functools.cache
def a_model() -> bytes:
    """Return a sound model file."""
    stream = Path(os.environ.get("TMPDIR", "/tmp")) / f"fuzz-model-{os.getpid()}.safetensors"
    torch.manual_seed(0)
    save_model(stream, CoordGAN(tiny_config().model).eval(), ModelCard(name="Tiny", category="figures"))
    content = stream.read_bytes()
    stream.unlink()
    return content


class Harm:
    """Unpickling it writes a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return open, (str(self.victim), "w")


def poison(place: Path, chance: random.Random) -> bytes:
    """Return a file that runs code where it is unpickled."""
    harm = Harm(place.parent / "victim")
    if chance.random() < 0.5:
        return pickle.dumps({"model": harm}, protocol=chance.choice([0, 2, 4]))
    stream = io.BytesIO()
    torch.save({"model": harm, "weights": torch.zeros(3)}, stream)
    return stream.getvalue()


def spoiled_model(chance: random.Random) -> bytes:
    """Return a model file with a header that lies."""
    content = a_model()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    how = chance.random()
    if how < 0.2:
        return mutate.spoiled_bytes(content, chance)
    if how < 0.3:
        return (
            struct.pack("<Q", chance.choice([2 << 30, 2**63, 0, 1, length - 1, len(content)])) + content[8:]
        )
    if how < 0.4:
        weights = np.frombuffer(data, np.float32).copy()
        weights[chance.randrange(len(weights))] = chance.choice([np.nan, np.inf, -np.inf])
        data = weights.tobytes()
    elif how < 0.6:
        name = chance.choice([n for n in header if n != "__metadata__"])
        entry = header[name]
        begin, end = entry["data_offsets"]
        entry |= chance.choice(
            [
                {"shape": [2**40, 2**40]},
                {"shape": [-1, *entry["shape"]]},
                {"data_offsets": [max(0, begin - 4), end]},
                {"data_offsets": [0, len(data)]},
                {"data_offsets": [end, begin]},
                {"dtype": chance.choice(["F8", "F64", "I8", "", None])},
                {"shape": [1] * 200},
            ]
        )
    elif how < 0.8:
        key = chance.choice(sorted(header["__metadata__"]))
        value = header["__metadata__"][key]
        spoiled = mutate.spoiled_json(value.encode(), chance).decode("utf-8", "replace")
        header["__metadata__"][key] = chance.choice([spoiled, spoiled, "999", "", "null"])
    else:
        header = mutate.spoiled_value(header, chance)
    try:
        raw = json.dumps(header).encode()
    except RecursionError:  # nested deeper than this end can write
        raw = b"{" + b'"a":[' * 5000
    return struct.pack("<Q", len(raw)) + raw + data


def a_model_file(place: Path, chance: random.Random) -> None:
    """Read a spoilt model file, or a pickle called one: its code never runs."""
    path = place / chance.choice(["m.safetensors", "m.pt", "m.pth", "m"])
    is_pickle = chance.random() < 0.2
    path.write_bytes(poison(place, chance) if is_pickle else spoiled_model(chance))
    for work in (inspect, load_calibration, load_model):
        try:
            work(path)
        except ModelError as error:
            if path.name not in str(error) or not error.remedy:
                raise AssertionError(f"names no file or no remedy: {error}") from error
        else:
            assert not is_pickle, "a pickle was taken for a model"
    assert not (place.parent / "victim").exists(), "code of a model file was run"


def a_checkpoint(place: Path, chance: random.Random) -> None:
    """Read a spoilt or poisoned checkpoint: the code in it never runs."""
    state = {"position": {"nimg": 4, "stage": 0}, "model": {"w": torch.zeros(4, 4)}, "numbers": [1, 2.5, "x"]}
    path = checkpoint.write(place, checkpoint.name_of(0, 4), state)
    if chance.random() < 0.4:
        path.write_bytes(poison(place, chance))
    else:
        path.write_bytes(mutate.spoiled_bytes(path.read_bytes(), chance))
    seal = path.with_suffix(".json")
    if chance.random() < 0.3:
        seal.write_bytes(mutate.spoiled_json(seal.read_bytes(), chance))
    checkpoint.newest(place)
    with contextlib.suppress(CheckpointError):
        checkpoint.read(path)
    assert not (place.parent / "victim").exists(), "code of a checkpoint was run"


def a_run(place: Path, chance: random.Random) -> None:
    """List and open a run whose files were spoilt."""
    run = RunFolder.create(place / "run", RunSettings(tiny_config(), str(place)))
    run.write_status(RunStatus("running", "gan", 4, 10))
    run.write_plan({"gan": 10})
    from coordgan_core.training.events import Notice

    run.log(Notice("hello"))
    for path in sorted(p for p in (place / "run").iterdir() if p.is_file()):
        if chance.random() < 0.5:
            path.write_bytes(mutate.spoiled_json(path.read_bytes(), chance))
    with clear():
        find_runs(place)
    with clear():
        opened = RunFolder.open(place / "run")
        for work in (
            opened.status,
            opened.plan,
            opened.budget,
            opened.take_request,
            lambda: list(opened.events()),
        ):
            with clear():
                work()  # type: ignore[operator]


def a_message(place: Path, chance: random.Random) -> None:
    """Decode spoilt messages between window and engine."""
    arrays = {"labels": np.arange(12, dtype=np.uint8).reshape(3, 4)}
    request = protocol.Request(3, "propagate", 1, {"model": "m", "queries": [{"id": 1}]}, arrays)
    reply = protocol.Reply(3, "event", 1, {"event": "result", "image": 4, "score": 0.5}, arrays)
    for _ in range(20):
        for line in (protocol.encode_request(request), protocol.encode_reply(reply)):
            spoil = chance.choice([mutate.spoiled_bytes, mutate.spoiled_json])
            with clear():
                protocol.decode_request(spoil(line, chance))
            with clear():
                protocol.decode_reply(spoil(line, chance))


TARGETS: Mapping[str, Target] = {
    "model file": a_model_file,
    "checkpoint": a_checkpoint,
    "run": a_run,
    "message": a_message,
}

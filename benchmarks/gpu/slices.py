"""Carry a training from one slice of machine time to the next in few, small files.

A slice ends with the run folder's own records and its newest checkpoint in one archive, cut into parts. Where
the checkpoint is too large, the loss is the smallest that fits:

0. nothing: the next slice goes on bit for bit;
1. optimiser moments, and what moving averages differ from the weights, in bfloat16;
2. weights in float16, those two in 8 bits by blocks (`eight_bits`);
3. averaged weights alone, in float16: they become the weights, and the optimisers start anew.

A file of `pack.py` (32 MiB) and the parts (30 MiB) fit one upload of 64 MiB.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import tree  # noqa: F401
from eight_bits import packed, unpacked
from torch import Tensor

from coordgan_core.errors import CheckpointError
from coordgan_core.files import write_json
from coordgan_core.training import checkpoint

MIB = 2**20
PART_MIB = 16.0
MAX_PARTS = 7
"""With the report eight files."""
CARRIED_MIB = 30.0
"""What all parts may take, if nobody says otherwise."""
LEVELS = range(4)
_RECORDS = ("config.json", "plan.json", "stats.jsonl", "status.json")
_AVERAGES = {"average": ("embedding", "model"), "generator_average": ("generator",)}
"""Name of a stage's moving average: names of what it averages."""


def save(
    run: Path, out: Path, *, mib: float = CARRIED_MIB, finished: bool = False, least: int = 0
) -> dict[str, Any]:
    """Write a run into parts of at most 16 MiB; return how many, their size, and the level of loss.

    Args:
        run: The run folder.
        out: Where the parts go; earlier ones are deleted.
        mib: Most that all parts together may take.
        finished: Keep the finished model in place of a checkpoint.
        least: The level of loss to begin with.

    Raises:
        CheckpointError: It does not fit, or there is nothing to carry.
    """
    records = {name: (run / name).read_bytes() for name in _RECORDS if (run / name).is_file()}
    level = 0
    if finished:
        files = records | {"model.safetensors": (run / "model.safetensors").read_bytes()}
        archive = _zipped(files)
    else:
        path, _ = checkpoint.newest(run / "checkpoints")
        if path is None:
            raise CheckpointError(f"{run} has no checkpoint to carry to the next slice")
        state = checkpoint.read(path)
        for level in LEVELS[least:]:
            archive = _zipped(records | {f"{path.stem}.pt": _bytes(compact(state, level))})
            if len(archive) <= mib * MIB:
                break
    room = min(mib, PART_MIB * MAX_PARTS)
    if len(archive) > room * MIB:
        raise CheckpointError(
            f"what is to be carried has {len(archive) / MIB:.1f} MiB", expected=f"at most {room:g} MiB"
        )
    parts = _write_parts(archive, out)
    return {"parts": parts, "mib": round(len(archive) / MIB, 2), "loss_level": level, "finished": finished}


def load(parts: Path, run: Path, *, images: Path) -> bool:
    """Put a run back together from the parts in a folder; False if it holds none.

    Args:
        parts: The folder.
        run: The run folder to write.
        images: Where the images lie now.

    Raises:
        CheckpointError: A part is missing.
    """
    names = sorted(parts.glob("run.part*"))
    if not names:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(name.read_bytes() for name in names))) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{parts} lacks a part of the run", expected="all parts of one slice"
        ) from error
    run.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name.endswith(".pt"):
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            checkpoint.write(run / "checkpoints", Path(name).stem, expand(state))
        else:
            (run / name).write_bytes(content)
    document = json.loads((run / "config.json").read_text(encoding="utf-8"))
    document["images"] = str(images.resolve())
    write_json(run / "config.json", document)
    return True


def compact(state: Mapping[str, Any], level: int) -> dict[str, Any]:
    """Return a checkpoint's state with the loss of ``level``; tensors that were shared stay shared."""
    changed = dict(state)
    if level == 0 or state["modules"] is None:
        return changed
    modules = {name: dict(values) for name, values in state["modules"].items()}
    if level == LEVELS[-1]:
        changed |= _weights_alone(modules, state)
    else:
        changed |= _rounded(modules, state, eight=level == 2)
    return changed | {"loss_level": level}


def _partners(modules: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return pairs of a moving average and what it averages."""
    return [
        (modules[average], modules[own])
        for average, names in _AVERAGES.items()
        for own in names
        if average in modules and own in modules
    ]


def _rounded(modules: dict[str, dict[str, Any]], state: Mapping[str, Any], *, eight: bool) -> dict[str, Any]:
    """Return modules and optimisers with moments and averages rounded; with ``eight``, weights too."""
    halves = _Halves({})
    for average, own in _partners(modules):
        for name, value in average.items():
            if _is_large(value):
                difference = value - (halves(own[name]).float() if eight else own[name])
                average[name] = packed(difference) if eight else difference.to(torch.bfloat16)
    if not eight:
        optimizers = _mapped(state["optimizers"], lambda t: t.to(torch.bfloat16))
        return {"modules": modules, "optimizers": optimizers}
    averages = {id(average) for average, _ in _partners(modules)}
    own = {name: v if id(v) in averages else _mapped(v, halves) for name, v in modules.items()}
    moments = {name: _moments(values) for name, values in state["optimizers"].items()}
    return {"modules": own, "model": _mapped(dict(state["model"]), halves), "optimizers": moments}


def _moments(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state with its large tensors in 8 bits; squares are packed as such."""
    slots = {
        number: {
            name: packed(value, square=name.endswith("_sq")) if _is_moment(value) else value
            for name, value in slot.items()
        }
        for number, slot in optimizer["state"].items()
    }
    return {**optimizer, "state": slots}


def _weights_alone(modules: dict[str, dict[str, Any]], state: Mapping[str, Any]) -> dict[str, Any]:
    averaged = {
        own[name].data_ptr(): value for average, own in _partners(modules) for name, value in average.items()
    }
    halves = _Halves(averaged)
    return {
        "modules": _mapped(modules, halves),
        "model": _mapped(dict(state["model"]), halves),
        "optimizers": {name: {**values, "state": {}} for name, values in state["optimizers"].items()},
    }


class _Halves:
    """Turns tensors into float16, shared ones into one; those at an address of ``instead`` are replaced."""

    def __init__(self, instead: Mapping[int, Tensor]) -> None:
        self._instead = instead
        self._kept: dict[int, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        tensor = self._instead.get(tensor.data_ptr(), tensor)
        return self._kept.setdefault(tensor.data_ptr(), tensor.to(torch.float16))


def expand(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state that a training resumes from: everything in float32 again."""
    level = state.get("loss_level", 0)
    plain = unpacked({k: v for k, v in state.items() if k != "loss_level"})
    whole: dict[str, Any] = _mapped(plain, Tensor.float)
    if level in (1, 2):
        for average, own in _partners(whole["modules"]):
            for name, value in average.items():
                if _is_large(value):
                    average[name] = own[name] + value
    return whole


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``change`` to all large tensors of numbers in nested containers."""
    if isinstance(value, Tensor):
        return change(value) if _is_large(value) else value
    if isinstance(value, Mapping):
        return {name: _mapped(item, change) for name, item in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


def _is_large(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() > 1  # step counts stay exact


def _is_moment(value: Any) -> bool:
    return isinstance(value, Tensor) and _is_large(value)


def _bytes(state: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _write_parts(archive: bytes, out: Path) -> int:
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("run.part*"):
        old.unlink()
    size = int(PART_MIB * MIB)
    starts = range(0, len(archive), size)
    for number, start in enumerate(starts):
        (out / f"run.part{number}").write_bytes(archive[start : start + size])
    return len(starts)

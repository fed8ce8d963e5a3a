"""Carry a training from one slice of machine time to the next in few, small files.

A slice ends with the run folder's own records and its newest checkpoint in one archive, cut into parts. Where
the checkpoint is too large, the loss is the smallest that fits:

0. nothing: the next slice goes on bit for bit;
1. optimiser moments, and what moving averages differ from the weights, in bfloat16;
2. averaged weights alone, in float16: they become the weights, and the optimisers start anew.
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
from torch import Tensor

from coordgan_core.errors import CheckpointError
from coordgan_core.files import write_json
from coordgan_core.training import checkpoint

MIB = 2**20
PART_MIB = 16.0
MAX_PARTS = 7
"""With the report eight files."""
_RECORDS = ("config.json", "plan.json", "stats.jsonl", "status.json")
_AVERAGES = {"average": ("embedding", "model"), "generator_average": ("generator",)}
"""Name of a stage's moving average: names of what it averages."""


def save(
    run: Path, out: Path, *, mib: float = PART_MIB * MAX_PARTS, finished: bool = False
) -> dict[str, Any]:
    """Write a run into parts of at most 16 MiB; return how many, their size, and the level of loss.

    Args:
        run: The run folder.
        out: Where the parts go; earlier ones are deleted.
        mib: Most that all parts together may take.
        finished: Keep the finished model in place of a checkpoint.

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
        for level in range(3):
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
    partners = [
        (modules[average], modules[own])
        for average, names in _AVERAGES.items()
        for own in names
        if average in modules and own in modules
    ]
    if level == 1:
        for average, own in partners:
            for name, value in average.items():
                average[name] = (value - own[name]).to(torch.bfloat16) if _is_large(value) else value
        changed["optimizers"] = _mapped(state["optimizers"], lambda t: t.to(torch.bfloat16))
    else:
        averaged = {
            own[name].data_ptr(): value for average, own in partners for name, value in average.items()
        }
        kept: dict[int, Tensor] = {}

        def halved(tensor: Tensor) -> Tensor:
            tensor = averaged.get(tensor.data_ptr(), tensor)
            return kept.setdefault(tensor.data_ptr(), tensor.to(torch.float16))

        modules, changed["model"] = _mapped(modules, halved), _mapped(dict(state["model"]), halved)
        changed["optimizers"] = {
            name: {**values, "state": {}} for name, values in state["optimizers"].items()
        }
    return changed | {"modules": modules, "loss_level": level}


def expand(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state that a training resumes from: everything in float32 again."""
    level = state.get("loss_level", 0)
    whole: dict[str, Any] = _mapped({k: v for k, v in state.items() if k != "loss_level"}, Tensor.float)
    if level == 1:
        for average, names in _AVERAGES.items():
            for own in names:
                if average in whole["modules"] and own in whole["modules"]:
                    pair = whole["modules"][average], whole["modules"][own]
                    whole["modules"][average] = {
                        name: pair[1][name] + value if _is_large(value) else value
                        for name, value in pair[0].items()
                    }
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

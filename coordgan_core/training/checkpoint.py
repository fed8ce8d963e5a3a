"""Checkpoints: the full private state of a training, written so that no crash takes the last good one away.

A checkpoint is ``NAME.pt`` and a seal ``NAME.json`` with its length and SHA-256. The seal is written last; a
file without a seal, or with one that does not fit, is not used. Reading runs no code out of the file
(``weights_only=True``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

from coordgan_core.errors import CheckpointError, DiskFullError
from coordgan_core.files import atomic_path, fingerprint, write_json

KEEP = 2
"""Checkpoints that stay: the newest, and the one before in case the newest is damaged later."""


def write(folder: Path, name: str, state: Mapping[str, Any]) -> Path:
    """Write a checkpoint and delete those before the last `KEEP`.

    Args:
        folder: The run's folder of checkpoints.
        name: Sorts after the names of all earlier checkpoints.
        state: Tensors and plain Python values, nested in dicts, lists and tuples.

    Raises:
        DiskFullError: It does not fit; earlier checkpoints are untouched.
    """
    path = folder / f"{name}.pt"
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        sealed = _Hashing(stream)
        try:
            torch.save(dict(state), cast(IO[bytes], sealed))
        except (OSError, RuntimeError) as error:  # PyTorch's writer turns OSError into RuntimeError
            if sealed.error is None:
                raise
            raise _disk_full(path, sealed.error) from error
    write_json(path.with_suffix(".json"), {"bytes": sealed.length, "sha256": sealed.digest.hexdigest()})
    for old in sorted(folder.glob("*.pt"))[:-KEEP]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
    return path


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest checkpoint that is whole, and the damaged ones that were passed over on the way."""
    damaged: list[Path] = []
    for path in sorted(folder.glob("*.pt"), reverse=True):
        if _is_whole(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def name_of(stage: int, nimg: int) -> str:
    """Return the name of the checkpoint at ``nimg`` images of stage number ``stage``; names sort by time."""
    return f"{stage:02d}-{nimg:012d}"


def stage_of(path: Path) -> int:
    """Return the number of the stage that a checkpoint belongs to; that after the last when all are done."""
    return int(path.stem.partition("-")[0])


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything for damaged bytes
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__})",
            expected="a checkpoint of this program",
            remedy="delete it and its .json file; the run then resumes from the one before",
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not a checkpoint", expected="a checkpoint of this program")
    return state


class _Hashing:
    """A file that remembers the length and hash of what was written, and the error that broke it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.length = 0
        self.error: OSError | None = None

    def write(self, content: bytes | memoryview) -> int:
        try:
            self._stream.write(content)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(content)
        size = memoryview(content).nbytes
        self.length += size
        return size

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.error = error
            raise


def _is_whole(path: Path) -> bool:
    try:
        seal = json.loads(path.with_suffix(".json").read_text())
        return bool(path.stat().st_size == seal["bytes"] and fingerprint(path) == seal["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _disk_full(path: Path, error: OSError) -> DiskFullError:
    return DiskFullError(
        f"checkpoint {path} could not be written ({error.strerror})",
        expected="a writable folder with free space",
        remedy="free some space and resume the run; its previous checkpoint is intact",
    )

"""Statistics of a training: means without waiting for the device, and a log that survives being cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordgan_core.errors import DiskFullError

if TYPE_CHECKING:
    from torch import Tensor


class RunningMeans:
    """Means of scalars between two reads; adding never waits for the device, reading does once."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, scalars: Mapping[str, Tensor]) -> None:
        """Add one step's scalars (tensors of one element; a name may be absent from some steps)."""
        for name, value in scalars.items():
            value = value.detach().float().reshape(())
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """Return the means since the last read and forget them.

        Args:
            reduce: Applied to the vector of means first, to average over processes.
        """
        import torch

        if not self._sums:
            return {}
        means = torch.stack([total / self._counts[name] for name, total in self._sums.items()])
        if reduce is not None:
            means = reduce(means)
        result = dict(zip(self._sums, means.tolist(), strict=True))
        self._sums, self._counts = {}, {}
        return result


class JsonLines:
    """Append-only log, one JSON object a line; one cut short by a kill is closed off, and later skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            with path.open("rb+") as stream:
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")

    def write(self, line: str) -> None:
        """Append one line.

        Raises:
            DiskFullError: The disk is full or not writable.
        """
        try:
            with self._path.open("ab") as stream:
                stream.write(line.encode() + b"\n")
        except OSError as error:
            raise DiskFullError(
                f"{self._path} could not be extended ({error.strerror})",
                expected="a writable folder with free space",
                remedy="free some space and resume the run; its last checkpoint is intact",
            ) from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a log of JSON lines, skipping lines that are damaged."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for line in stream:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value

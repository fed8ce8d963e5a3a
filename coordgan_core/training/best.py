"""Which snapshot of a run is its best. Loads no PyTorch."""

from __future__ import annotations

from pathlib import Path

from coordgan_core.training.events import SnapshotWritten, Validated
from coordgan_core.training.run import RunFolder

CLEAR_GAIN = 0.01
"""An earlier snapshot must be better by this mean IoU: the last one is calibrated, and figures are noisy."""


def best_snapshot(run: RunFolder) -> Path | None:
    """Return the snapshot with the best figure, the newest model where none is known; None before any."""
    newest = run.model_path if run.model_path.is_file() else None
    figures: dict[Path, float] = {}
    miou: float | None = None
    last: Path | None = None
    for event in run.events():
        if isinstance(event, Validated):
            miou = event.miou
        elif isinstance(event, SnapshotWritten):
            path = run.path / "snapshots" / event.path.name
            last = path
            if miou is not None:
                figures[path] = miou
            miou = None
    there = {path: figure for path, figure in figures.items() if path.is_file()}
    if not there or last is None or last not in figures:
        return newest
    best = max(there, key=lambda path: there[path])
    return best if figures[best] > figures[last] + CLEAR_GAIN else newest

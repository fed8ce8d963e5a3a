"""Makes the best snapshot of a finished run one of the user's models."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.services.training_values import RunView
from coordgan_core.training.run import RunFolder


def publish(view: RunView, models: Path) -> Path:
    """Copy the best snapshot of a run that has one into the folder ``models``; return the new file.

    Raises:
        DiskFullError: It cannot be written.
    """
    from coordgan_core.files import atomic_path
    from coordgan_core.training.best import best_snapshot

    best = best_snapshot(RunFolder.open(view.path))
    assert best is not None
    stem, number = _file_name(view.name), 1
    target = models / f"{stem}.safetensors"
    while target.exists():
        number += 1
        target = models / f"{stem}-{number}.safetensors"
    with atomic_path(target) as temporary:
        shutil.copyfile(best, temporary)
    return target


def _file_name(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .-")
    return kept[:80] or "model"

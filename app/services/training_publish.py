"""Takes the models of finished runs into the user's list. No Qt."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from app.services.training_queue import Queue, QueueFile
from app.services.training_values import RunState, RunView
from coordgan_core.errors import CoordError
from coordgan_core.training.run import RunFolder

_RETRY_SEC = 30.0  # after a model found no room: it may be large, and disks do not empty within a blink


class Publisher:
    """Copies the best snapshot of a run among the models, under the name of the run.

    Args:
        models: The user's models.
        file: Where it is written down which runs were taken.
        report: Told what went wrong.
    """

    def __init__(self, models: Path, file: QueueFile, report: Callable[[Exception], None]) -> None:
        self._models, self._file, self._report = models, file, report
        self._tried: dict[str, float] = {}

    def collect(self, queue: Queue, views: Iterable[RunView]) -> list[tuple[str, Path]]:
        """Take the model of every run that has finished, once; return their ids and files.

        What finds no room is tried again a while later.
        """
        found = []
        for view in views:
            order, now = queue.get(view.path), time.monotonic()
            if view.state is not RunState.FINISHED or view.model is None or (order and order.model):
                continue
            if now - self._tried.get(view.id, -_RETRY_SEC) < _RETRY_SEC:
                continue
            self._tried[view.id] = now
            try:
                found.append((view.id, self._publish(view)))
            except (CoordError, OSError) as error:
                self._report(error)
        return found if not found or self._noted(found) else []

    def _noted(self, found: list[tuple[str, Path]]) -> bool:
        """Write down which models were taken; where that fails they go again, or they came twice."""
        try:
            with self._file.changing() as queue:
                for run, target in found:
                    queue.known(Path(run)).model = str(target)
        except (CoordError, OSError) as error:
            self._report(error)
            for _, target in found:
                target.unlink(missing_ok=True)
            return False
        return True

    def _publish(self, view: RunView) -> Path:
        from coordgan_core.files import atomic_path
        from coordgan_core.training.best import best_snapshot

        best = best_snapshot(RunFolder.open(view.path))
        assert best is not None
        target = self._free_place(view.name)
        with atomic_path(target) as temporary:
            shutil.copyfile(best, temporary)
        return target

    def _free_place(self, name: str) -> Path:
        stem, number = _file_name(name), 1
        target = self._models / f"{stem}.safetensors"
        while target.exists():
            number += 1
            target = self._models / f"{stem}-{number}.safetensors"
        return target


def _file_name(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .-")
    return kept[:80] or "model"

"""What the window is told of trainings while their disk is full: a real small disk."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.services import training_process as processes
from app.services.training import TrainingService
from app.services.training_values import RunState, TrainRequest
from tests.app.conftest import WaitUntil
from tests.disks import fill, small_disk_at

FAKE = Path(__file__).with_name("fake_trainer.py")
POLL_SEC = 0.03


@pytest.fixture
def service(tmp_path: Path, qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainingService]:
    """The service, with runs, logs, queue and models on a disk of its own."""
    monkeypatch.setattr(processes, "command", lambda *words: [sys.executable, str(FAKE), *words])
    with small_disk_at(tmp_path / "disk", "2m") as disk:
        made = TrainingService(disk / "training", poll_sec=POLL_SEC)
        yield made
        made.close()
        for order in json.loads((disk / "training/queue.json").read_text())["orders"]:
            if processes.is_running(order["pid"]) and order["pid"] != os.getpid():
                os.kill(order["pid"], signal.SIGKILL)


def wanted(kind: str, name: str) -> TrainRequest:
    return TrainRequest(Path("photos"), category=kind, name=name, device="cpu")


def state(service: TrainingService, run: str) -> RunState | None:
    view = service.run(run)
    return None if view is None else view.state


def spin(qapp: QApplication, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        qapp.processEvents()
        time.sleep(0.005)


def test_a_full_disk_is_told_once_and_costs_no_run(
    service: TrainingService, qapp: QApplication, wait_until: WaitUntil, tmp_path: Path
) -> None:
    told: list[str] = []
    service.failed.connect(told.append)
    first = service.start(wanted("long", "first"))
    waits = service.start(wanted("long", "waits"))
    wait_until(lambda: state(service, first) is RunState.RUNNING)
    filler = fill(tmp_path / "disk")

    wait_until(lambda: state(service, first) is RunState.INTERRUPTED)
    view = service.run(first)
    assert view is not None
    assert view.message == "The disk is full. Free some space, then resume it."
    wait_until(lambda: told)
    spin(qapp, 20 * POLL_SEC)
    assert len(told) == len(set(told)), "every look finds the same trouble; it is told once"
    assert state(service, waits) is RunState.QUEUED, "nothing begins that cannot be written down"

    refused = service.start(wanted("long", "refused"))
    wait_until(lambda: service.run(refused) is None)
    assert any("No space left" in text for text in told)
    assert not Path(refused).exists()

    filler.unlink()
    wait_until(lambda: state(service, waits) is RunState.RUNNING)
    service.stop(waits)
    service.resume(first)
    wait_until(lambda: state(service, first) is RunState.RUNNING)


def test_a_model_without_room_is_taken_once_there_is_some(
    service: TrainingService, qapp: QApplication, wait_until: WaitUntil, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("app.services.training_publish._RETRY_SEC", 0.2)
    told, ready = list[str](), list[Path]()
    service.failed.connect(told.append)
    service.modelReady.connect(lambda _run, path: ready.append(path))
    models = tmp_path / "disk/models"
    models.write_text("a file where the folder should be")
    run = service.start(wanted("", "faces"))
    wait_until(lambda: state(service, run) is RunState.FINISHED)
    wait_until(lambda: told)
    spin(qapp, 0.6)
    assert len(told) == 1
    models.unlink()
    wait_until(lambda: ready)
    assert ready == [models / "faces.safetensors"]
    wait_until(lambda: service.run(run).published == ready[0])  # type: ignore[union-attr]
    ready[0].unlink()
    wait_until(lambda: service.run(run).published is None)  # type: ignore[union-attr]
    spin(qapp, 0.4)
    assert len(ready) == 1, "a model that was deleted stays deleted"

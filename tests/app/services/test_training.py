from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication

from app.services import training_process as processes
from app.services.training import TrainingService
from app.services.training_values import RunState, TrainRequest
from coordgan_core.config import Config
from coordgan_core.labels import write_label_map
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus
from tests.app.conftest import WaitUntil

FAKE = Path(__file__).with_name("fake_trainer.py")
Open = Callable[[], TrainingService]


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "command", lambda *words: [sys.executable, str(FAKE), *words])


@pytest.fixture
def opened(tmp_path: Path, qapp: QApplication) -> Iterator[Open]:
    """Return what opens the service, as a window does; all are closed at the end, and all trainings ended."""
    made: list[TrainingService] = []

    def open_service() -> TrainingService:
        made.append(TrainingService(tmp_path / "training", poll_sec=0.03))
        return made[-1]

    yield open_service
    for service in made:
        service.close()
    for pid in pids(tmp_path):
        if processes.is_running(pid):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while processes._children and time.monotonic() < until:
        processes.reap()
        time.sleep(0.01)


def orders(folder: Path) -> list[dict[str, Any]]:
    path = folder / "training/queue.json"
    return list(json.loads(path.read_text())["orders"]) if path.exists() else []


def pids(folder: Path) -> list[int]:
    return [order["pid"] for order in orders(folder) if order["pid"]]


def wanted(kind: str = "", name: str = "faces", device: str = "cpu", **more: Any) -> TrainRequest:
    return TrainRequest(Path("photos"), category=kind, name=name, device=device, **more)


def state(service: TrainingService, run: str) -> RunState | None:
    view = service.run(run)
    return None if view is None else view.state


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def test_a_run_goes_from_the_queue_to_a_model_in_the_list(
    opened: Open, wait_until: WaitUntil, tmp_path: Path
) -> None:
    service, ready = opened(), list[tuple[str, Path]]()
    service.modelReady.connect(lambda run, path: ready.append((run, path)))
    run = service.start(wanted(name="my faces"))
    service.attach(run)
    assert state(service, run) is RunState.QUEUED
    wait_until(lambda: state(service, run) is RunState.FINISHED and ready)
    view = service.run(run)
    assert view is not None
    assert (view.name, view.preset, view.fraction, view.is_alive) == ("my faces", "paper-128", 1.0, False)
    assert ready == [(run, tmp_path / "models/my faces.safetensors")]
    assert ready[0][1].read_bytes() == b"a model"
    wait_until(lambda: len(service.history(run).notes) >= 2)
    losses = service.history(run).curves["loss"]
    assert losses.values[:2] == (1.0, 0.5)
    assert losses.nimg[-1] == 40
    assert losses.seconds[-1] == 2.0
    assert service.history(run).notes[-1].text == "Finished: all stages are done"
    assert service.log_text(run) == "the trainer begins"
    service.close()
    again = opened()
    wait_until(lambda: state(again, run) is RunState.FINISHED)
    assert len(list((tmp_path / "models").iterdir())) == 1  # it is taken into the list once


def test_runs_queue_for_a_device_and_others_do_not_wait(opened: Open, wait_until: WaitUntil) -> None:
    service = opened()
    first, second, third = (service.start(wanted("long", name)) for name in "abc")
    elsewhere = service.start(wanted("long", "d", "cuda:0"))
    wait_until(lambda: state(service, first) is RunState.RUNNING)
    wait_until(lambda: state(service, elsewhere) is RunState.RUNNING)
    places = {view.name: view.place for view in service.runs()}
    assert places == {"a": 0, "b": 1, "c": 2, "d": 0}
    service.move(third, 1)
    wait_until(lambda: [service.run(third).place, service.run(second).place] == [1, 2])  # type: ignore[union-attr]
    service.stop(first)
    wait_until(lambda: state(service, third) is RunState.RUNNING)
    assert state(service, second) is RunState.QUEUED
    service.pause(second)
    wait_until(lambda: state(service, second) is RunState.PAUSED)
    service.discard(third)
    wait_until(lambda: service.run(third) is None)
    service.resume(second)
    wait_until(lambda: state(service, second) is RunState.RUNNING)


@pytest.mark.parametrize("kind", ["long", "lingers"])
def test_a_paused_run_goes_on_where_it_was(opened: Open, wait_until: WaitUntil, kind: str) -> None:
    """Its process may be about to end still when it is asked to go on."""
    service = opened()
    run = service.start(wanted(kind))
    service.attach(run)
    wait_until(lambda: "loss" in service.history(run).curves)
    service.pause(run)
    wait_until(lambda: state(service, run) is RunState.PAUSED)
    assert service.run(run).can_resume  # type: ignore[union-attr]
    before = service.history(run).curves["loss"].nimg
    service.resume(run)
    wait_until(lambda: len(service.history(run).curves["loss"].nimg) > len(before) + 2)
    points = service.history(run).curves["loss"].nimg
    assert list(points) == [float(i + 1) for i in range(len(points))]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_closing_the_window_leaves_the_training_alive_and_no_zombie_stays(
    opened: Open, wait_until: WaitUntil, tmp_path: Path
) -> None:
    service = opened()
    run, waiting = service.start(wanted("long", "a")), service.start(wanted("", "b"))
    wait_until(lambda: state(service, run) is RunState.RUNNING)
    (pid,) = pids(tmp_path)
    assert os.getsid(pid) != os.getsid(0)  # no hang-up of ours reaches it
    service.close()
    seen = RunFolder.open(run).status().nimg
    deadline = time.monotonic() + 5
    while RunFolder.open(run).status().nimg < seen + 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    again = opened()
    wait_until(lambda: state(again, run) is RunState.RUNNING)
    again.attach(run)
    wait_until(lambda: "loss" in again.history(run).curves)
    again.stop(run)
    wait_until(lambda: state(again, run) is RunState.FINISHED)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert not is_zombie(pid)
    wait_until(lambda: state(again, waiting) is RunState.FINISHED)  # the queue goes on


def test_a_killed_run_says_so_and_can_be_resumed(opened: Open, wait_until: WaitUntil, tmp_path: Path) -> None:
    service = opened()
    run = service.start(wanted("long"))
    wait_until(lambda: state(service, run) is RunState.RUNNING)
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    wait_until(lambda: state(service, run) is RunState.INTERRUPTED)
    view = service.run(run)
    assert view is not None
    assert view.can_resume
    assert "can be resumed" in view.message
    service.resume(run)
    wait_until(lambda: state(service, run) is RunState.RUNNING)


def test_a_run_that_cannot_begin_says_why_and_can_be_tried_again(opened: Open, wait_until: WaitUntil) -> None:
    service = opened()
    run = service.start(wanted("broken"))
    wait_until(lambda: state(service, run) is RunState.FAILED)
    view = service.run(run)
    assert view is not None
    assert view.message == "the folder holds no images. Expected JPEG. Choose another folder."
    service.resume(run)
    wait_until(lambda: state(service, run) is RunState.STARTING)
    wait_until(lambda: state(service, run) is RunState.FAILED)
    service.discard(run)
    wait_until(lambda: service.run(run) is None)


def test_what_is_asked_while_it_loads_is_done_once_it_can_hear(opened: Open, wait_until: WaitUntil) -> None:
    service = opened()
    run = service.start(wanted("slow"))
    wait_until(lambda: state(service, run) is RunState.STARTING)
    service.discard(run)
    wait_until(lambda: service.run(run) is not None and service.run(run).asked == "discard")  # type: ignore[union-attr]
    wait_until(lambda: service.run(run) is None, timeout_sec=15)
    assert not Path(run).exists()


def test_labels_are_laid_down_for_the_trainer(opened: Open, wait_until: WaitUntil, tmp_path: Path) -> None:
    write_label_map(tmp_path / "there/a.png", np.ones((2, 2), np.uint8))
    service = opened()
    run = service.start(wanted("long", labels={"deep/a.jpg": tmp_path / "there/a.png"}))
    wait_until(lambda: state(service, run) is RunState.RUNNING)
    assert (Path(run) / "labels/deep/a.jpg.png").is_file()
    assert service.names() == ["faces"]
    assert service.start(wanted()) != run


def test_a_run_of_a_newer_version_is_listed_and_left_alone(
    opened: Open, wait_until: WaitUntil, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "training/runs/newer", RunSettings(Config(), "photos"))
    document = json.loads((folder.path / "config.json").read_text())
    (folder.path / "config.json").write_text(json.dumps(document | {"format": 99, "program": "9.9"}))
    service, told = opened(), list[str]()
    service.failed.connect(told.append)
    wait_until(lambda: state(service, str(folder.path)) is RunState.UNREADABLE)
    assert "written by version 9.9" in service.run(str(folder.path)).message  # type: ignore[union-attr]
    for ask in (service.resume, service.discard, service.stop):
        told.clear()
        ask(str(folder.path))
        wait_until(lambda: told)
        assert "update the program" in told[0].lower()
    assert (folder.path / "config.json").exists()


def test_a_damaged_queue_is_put_aside_and_runs_are_found(
    opened: Open, wait_until: WaitUntil, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "training/runs/one", RunSettings(Config(), "photos"))
    folder.write_status(RunStatus("running", "gan", 5, 10))
    (tmp_path / "training/queue.json").write_text('{"orders": [')
    service, told = TrainingService(tmp_path / "other"), list[str]()
    service.close()
    service = opened()
    service.failed.connect(told.append)
    wait_until(lambda: told)
    assert "could not be read" in told[0]
    assert state(service, str(folder.path)) is RunState.INTERRUPTED
    assert (tmp_path / "training/queue.damaged.json").exists()


def test_a_run_from_the_command_line_can_be_listed_and_closed(
    opened: Open, wait_until: WaitUntil, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "far", RunSettings(Config(), "photos"))
    folder.write_status(RunStatus("paused", "gan", 5, 10))
    service = opened()
    run = service.add_folder(folder.path)
    wait_until(lambda: state(service, run) is RunState.PAUSED)
    service.stop(run)
    wait_until(lambda: state(service, run) is RunState.FINISHED)
    assert service.run(run).message == "stopped; it has no model yet"  # type: ignore[union-attr]
    service.discard(run)
    wait_until(lambda: service.run(run) is None)


def test_the_windows_loop_is_not_held_up(opened: Open, qapp: QApplication) -> None:
    service = opened()
    run = service.start(wanted("long"))
    service.attach(run)
    longest, began = 0.0, time.monotonic()
    while time.monotonic() < began + 2.0 or state(service, run) is not RunState.RUNNING:
        assert time.monotonic() < began + 60.0
        before = time.thread_time()  # of this thread alone: other programs do not count
        qapp.processEvents()
        longest = max(longest, time.thread_time() - before)
        time.sleep(0.002)
    assert longest < 0.05

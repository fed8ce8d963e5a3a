"""The Training tab with nothing faked: from a folder to labels of a model that was trained in the window.

The run has no end of its own: it goes on while the window is closed, is found again, and stopped when asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app.domain.status import Status
from app.launch import Running
from app.services.job_values import JobState
from app.services.propagation import PropagationRequest
from app.services.sample import prepare_sample
from app.services.training_values import RunState, RunView
from app.ui.pages.train.page import TrainPage

pytestmark = pytest.mark.slow

PATIENCE_SEC = 150.0
SMALL: dict[str, Any] = {
    "model.resolution": 32,
    "model.mapping.code_dim": 16,
    "model.warp.resolution": 16,
    "model.warp.width": 16,
    "model.synthesis.trunk_channels": 16,
    "model.synthesis.trunk_blocks": 1,
    "model.synthesis.upsample_channels": (8,),
    "model.encoder.channels": 4,
    "model.encoder.max_channels": 16,
    "model.encoder.downsamplings": 2,
    "model.encoder.structure_channels": 4,
    "model.encoder.texture_channels": 16,
    "model.embedding.dim": 8,
    "model.embedding.channels": (8, 16),
    "model.embedding.input_px": 32,
    "model.embedding.prototype_px": 8,
    "model.dense_head.channels": 4,
    "train.batch": 4,
    "train.minutes": 0.0,
    "train.checkpoint_sec": 5.0,
    "train.snapshot_nimg": 200,
    "train.embedding.total_nimg": 16,
    "train.embedding.warmup_nimg": 8,
    "train.embedding.queries": 64,
    "train.embedding.prototype_images": 8,
    "train.joint.total_nimg": 50_000_000,
}
"""`quick-64` with networks of a thousandth of the work, and a second stage that only ends when it is told."""


class Beats:
    """How long the window's loop was away between two beats of a timer.

    Time in which the thread could run and other programs had the processor says nothing about the window
    and is taken off where the system tells it. Another thread of ours that holds the interpreter while it
    waits for the processor cannot be told apart, so that one beat in twenty may be late for it; computing
    itself never may.
    """

    def __init__(self) -> None:
        self.away_ms: list[float] = []
        self.computing_ms: list[float] = []
        self._before = (_unhindered_sec(), time.thread_time())
        self._timer = QTimer(interval=5)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = (_unhindered_sec(), time.thread_time())
        self.away_ms.append(1000 * (now[0] - self._before[0]))
        self.computing_ms.append(1000 * (now[1] - self._before[1]))
        self._before = now

    def restart(self) -> None:
        self.away_ms, self.computing_ms = [], []
        self._before = (_unhindered_sec(), time.thread_time())

    def usual_longest_ms(self) -> float:
        return sorted(self.away_ms)[int(0.95 * len(self.away_ms))]

    def stop(self) -> None:
        self._timer.stop()


def _unhindered_sec() -> float:
    """Return the time, less what this thread has waited for a processor so far."""
    told = Path("/proc/thread-self/schedstat")
    waited = int(told.read_text().split()[1]) / 1e9 if told.exists() else 0.0
    return (time.monotonic() if told.exists() else time.thread_time()) - waited


def wait(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE_SEC
    while not condition():
        assert time.monotonic() < until, what
        QApplication.processEvents()
        time.sleep(0.002)


def open_window(qapp: QApplication, profile: Path) -> tuple[Running, TrainPage]:
    running = Running(qapp, profile)
    running.show(None)
    running.window.show_page("train")
    page = running.window.host.page("train")
    assert isinstance(page, TrainPage)
    return running, page


def close_window(running: Running) -> None:
    running.close()
    QApplication.processEvents()


def view_of(page: TrainPage, run_id: str) -> RunView:
    view = page.training.run(run_id)
    assert view is not None
    return view


def processes_of(run_id: str) -> list[int]:
    """Return the processes whose command line names the run, and the zombies among our own."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            state = (place / "stat").read_text().rpartition(")")[2].split()
            words = (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        is_ours = int(state[1]) == os.getpid()
        if run_id in words or (is_ours and state[0] == "Z"):
            found.append(int(place.name))
    return found


def start_training(page: TrainPage) -> str:
    """Go through the steps as a person would; return the run."""
    setup = page.setup
    wait(lambda: setup.check.report is not None, f"no data check: {setup.check.problem.text}")
    assert setup.check.report is not None
    assert setup.check.report.count == 24
    assert not setup.check.sheet.image.isNull() or setup.check.report.contact_sheet is not None
    assert setup.check.report.can_train
    assert setup.draft.labels, "the reference of the project goes along"
    for key, value in SMALL.items():
        setup.preset.fields.set(key, value)
    assert setup.preset.is_valid, setup.preset.problem.text
    setup.device.choices["cpu"].click()
    setup.start.names["name"].setText("drawn")
    setup.start.names["category"].setText("figures")
    setup.start.start.click()
    assert page.rail.current != "new", setup.start.problem.text
    return page.rail.current


def test_from_data_check_over_a_closed_window_to_a_propagation(qapp: QApplication, tmp_path: Path) -> None:
    profile, images = tmp_path / "profile", prepare_sample(tmp_path / "sample")
    running, page = open_window(qapp, profile)
    try:
        assert running.window.open_project(images)
        running.window.show_page("train")
        run_id = start_training(page)
        wait(lambda: view_of(page, run_id).stage == "joint", "the second stage did not begin")
    finally:
        close_window(running)

    running, page = open_window(qapp, profile)
    beats = Beats()
    try:
        wait(lambda: page.training.run(run_id) is not None, "the run was not found again")
        page.show_place(run_id)
        panel = page.run_panel
        before = view_of(page, run_id)
        assert before.is_alive, f"closing the window ended the training: {before}"
        wait(lambda: panel.curves.losses.lines, "no curves")
        wait(lambda: view_of(page, run_id).nimg > before.nimg > 0, "the training stands still")
        beats.restart()
        seen = view_of(page, run_id).nimg
        wait(lambda: len(beats.away_ms) > 150 and view_of(page, run_id).nimg > seen, "no beats")
        assert max(beats.computing_ms) < 50, "the window computed for too long at a stretch"
        assert beats.usual_longest_ms() < 50, "the window waited for something"
        wait(lambda: panel.sheets.kind, "no sheet")
        wait(lambda: view_of(page, run_id).model is not None, "no snapshot")
        wait(lambda: "foreground_iou" in page.training.history(run_id).curves, "no quality on the reference")

        panel.header.stop.click()
        wait(lambda: view_of(page, run_id).state is RunState.FINISHED, "it did not stop")
        wait(lambda: not processes_of(run_id), "a process is left")

        assert propagate(running, images) == 3
    finally:
        beats.stop()
        close_window(running)
        qapp.setStyleSheet("")


def propagate(running: Running, images: Path) -> int:
    """Label three images with the model that was trained; return how many have labels."""
    assert running.window.open_project(images)
    workspace = running.window.workspace
    assert workspace is not None
    wait(lambda: workspace.browser.model.rowCount() == 24, "the project did not open")
    models: list[Any] = []
    running.engine.models(models.append)
    wait(lambda: models, "the engine does not answer")
    own = next(model for model in models[0] if model.name == "drawn")
    assert own.category == "figures"
    project = workspace.project
    references = tuple(project.references())
    queries = tuple(int(i) for i in project.ids("") if int(i) not in references)[:3]
    job = running.window.flows.propagate(PropagationRequest(own.id, references, queries))
    assert job is not None
    wait(lambda: running.jobs.view(job).is_over, "the propagation does not end")
    assert running.jobs.view(job).state is JobState.DONE, running.jobs.view(job).message
    return project.counts()[Status.PROPAGATED]

"""A window's services with the real engine: the engine is killed, or the window is, while results come."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QTimer

from app.domain.project import Project
from app.services.changes import Changes
from app.services.engine import EngineClient
from app.services.job_values import JobState
from app.services.jobs import JobRunner
from app.services.propagation import PropagationRequest, start_propagation
from app.services.session import Session
from coordgan_core.engine.backend import FLOW_MODEL
from tests.faults.processes import Tell


def propagate(tell: Tell, folder: Path, seed: int) -> None:
    """Propagate without end by the real engine; tell each image that is stored, and each engine that died."""
    application = QCoreApplication([])
    jobs, engine = JobRunner(), EngineClient()
    session = Session(Project.open(folder), jobs=jobs)
    project = session.project
    reference = project.references()[0]
    queries = tuple(int(i) for i in project.ids() if int(i) != reference)
    engine.crashed.connect(lambda text: tell("engine died", text))
    engine.stateChanged.connect(
        lambda state: tell("engine", engine._child.process_id) if state == "ready" else None  # type: ignore[union-attr]
    )

    def stored(changes: object) -> None:
        if isinstance(changes, Changes) and changes.labels:
            tell("stored", sorted(changes.labels))

    def again(job: int = 0) -> None:
        if job and jobs.view(job).state is not JobState.DONE:
            tell("job ended", jobs.view(job).message)
        start_propagation(session, engine, jobs, PropagationRequest(FLOW_MODEL, (reference,), queries))

    session.changed.connect(stored)
    jobs.finished.connect(again)
    QTimer.singleShot(0, again)
    tell("ready")
    application.exec()


def is_gone(process: int, seconds: float = 8.0) -> bool:
    """Return whether a process ends within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{process}/status")
        if status.exists() and "\nState:\tZ" in status.read_text():
            return True  # it waits to be collected
        time.sleep(0.05)
    return False


def kill(process: int) -> None:
    """Send SIGKILL to an engine."""
    os.kill(process, signal.SIGKILL)

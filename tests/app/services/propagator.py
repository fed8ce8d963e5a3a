"""Services of a window, to be killed: propagates by the real engine without end, tells each stored image."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QTimer

from app.domain.project import Project
from app.services.changes import Changes
from app.services.engine import EngineClient
from app.services.jobs import JobRunner
from app.services.propagation import PropagationRequest, start_propagation
from app.services.session import Session
from coordgan_core.engine.backend import FLOW_MODEL


def main() -> None:
    application = QCoreApplication([])
    jobs, engine = JobRunner(), EngineClient()
    session = Session(Project.open(Path(sys.argv[1])), jobs=jobs)
    project = session.project
    reference = project.references()[0]
    queries = tuple(int(i) for i in project.ids() if int(i) != reference)

    def tell(changes: Changes) -> None:
        lines = [f"stored {i}\n" for i in changes.labels]
        sys.stdout.write("".join(lines))
        sys.stdout.flush()

    def again(_job: int = 0) -> None:
        start_propagation(session, engine, jobs, PropagationRequest(FLOW_MODEL, (reference,), queries))
        child = engine._child
        if child is not None:
            sys.stdout.write(f"engine {child.process_id}\n")

    session.changed.connect(tell)
    jobs.finished.connect(again)
    QTimer.singleShot(0, again)
    application.exec()


main()

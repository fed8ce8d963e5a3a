"""The real window, offscreen, under load; a process of its own, which prints figures as one line of JSON.

python -m tests.load.window soak PROJECT --seconds 900     # random actions without end
python -m tests.load.window many PROJECT                   # all images: open, filter, propagate, export
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent, QPointF, QTimer
from PySide6.QtWidgets import QApplication, QDialog

from app import launch
from app.domain.project import Sort
from app.domain.status import Status
from app.services.engine import EngineClient
from app.services.propagation import PropagationRequest
from app.services.transfer import start_export
from app.ui.workspace import Workspace
from tests.faults.window import drag
from tests.load.memory import memory_mb, peak_mb
from tests.load.stub_engine import MODEL

FILTERS = (
    "",
    "",
    "image1",
    "status:propagated,edited",
    "score:<0.7",
    "label:nose",
    "-label:nose",
    "name:*3.png",
)
FORMATS = ("index-png", "pascal-voc", "coco", "labelme")
DIALOGS = (
    "label.propagate",
    "file.export",
    "file.import",
    "file.settings",
    "help.shortcuts",
    "help.diagnostics",
)
TOGGLES = ("view.grid", "review.toggle", "view.jobs", "view.heat", "view.classes")
STRANDED_SEC = 300.0


class Desk:
    """The application with an engine that has a stub of a model."""

    def __init__(self, profile: Path) -> None:
        application = launch.make_application()
        application.setQuitOnLastWindowClosed(False)
        self.engine = EngineClient(command=[sys.executable, "-m", "tests.load.stub_engine"])
        self.running = launch.Running(application, profile, self.engine)
        self.window = self.running.window
        self.running.show(None)

    @property
    def workspace(self) -> Workspace:
        """The open project."""
        assert self.window.workspace is not None
        return self.window.workspace

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Let the window work until a condition holds."""
        until = time.monotonic() + STRANDED_SEC
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(what)
            QApplication.processEvents()
            time.sleep(0.0005)

    def open(self, folder: Path) -> None:
        """Open a project and wait for its first image and the end of its scan."""
        over: list[bool] = []
        assert self.window.open_project(folder), self.window.welcome.notice.text()
        self.workspace.session.scanProgress.connect(lambda _found, finished: over.append(finished))
        self.wait(lambda: self.workspace.canvas.has_image, "the first image")
        self.wait(lambda: any(over), "the scan")

    def over(self, job: int | None) -> None:
        """Wait for the end of a job, and tell what went wrong."""
        assert job is not None
        jobs = self.window.context.jobs
        done, since = -1, time.monotonic()
        while not (view := jobs.view(job)).is_over:
            QApplication.processEvents()
            time.sleep(0.0005)
            if view.progress.done != done:
                done, since = view.progress.done, time.monotonic()
            if time.monotonic() - since > STRANDED_SEC:
                raise TimeoutError(f"{view.title} stands still at {view.progress}")
        assert view.state == "done", view.message
        assert not view.errors, view.errors[:3]

    def propagate(self) -> None:
        """Propagate from the references to all other images."""
        project = self.workspace.project
        references = tuple(project.references())
        queries = tuple(int(i) for i in project.ids() if int(i) not in set(references))
        self.over(self.window.flows.propagate(PropagationRequest(MODEL, references, queries)))

    def export(self, format_name: str, ids: list[int] | None = None) -> int:
        """Export images (all by default) and return how many files that made."""
        workspace = self.workspace
        out = Path(tempfile.mkdtemp(prefix="out-", dir=workspace.project.folder.parent))
        wanted = [int(i) for i in workspace.project.ids()] if ids is None else ids
        self.over(start_export(workspace.session, self.window.context.jobs, wanted, format_name, out))
        count = sum(1 for path in out.rglob("*") if path.is_file())
        shutil.rmtree(out)
        return count

    def dialog(self, action: str) -> None:
        """Open a dialog and leave it."""
        returned: list[bool] = []

        def leave() -> None:
            found = QApplication.activeModalWidget()
            if isinstance(found, QDialog):
                QTimer.singleShot(30, found, found.reject)
            elif not returned:
                QTimer.singleShot(5, self.window, leave)

        QTimer.singleShot(5, self.window, leave)
        self.window.actions_by_id[action].trigger()
        returned.append(True)

    def close(self) -> None:
        """Take everything down."""
        self.running.close()
        settle()


def settle() -> None:
    """Let deferred deletions happen, and collect what is in circles."""
    for _ in range(3):
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QApplication.processEvents()
    gc.collect()


def act(desk: Desk, folder: Path, chance: random.Random) -> str:
    """Do one thing that a person does, and return its name."""
    workspace = desk.workspace
    canvas, session = workspace.canvas, workspace.session
    what = chance.random()
    if what < 0.55 and canvas.has_image and workspace.document is not None:
        workspace.options.pick_class(chance.choice(workspace.project.classes.ids[1:]))
        width, height = canvas.width(), canvas.height()
        drag(
            canvas,
            [QPointF(chance.uniform(0.2, 0.8) * width, chance.uniform(0.2, 0.8) * height) for _ in range(4)],
        )
        return "stroke"
    if what < 0.70:
        session.undo() if chance.random() < 0.6 else session.redo()
        return "undo or redo"
    if what < 0.80:
        workspace.step(chance.choice([-1, 1]))
        return "switch"
    if what < 0.86:
        workspace.browser.search.setText(chance.choice(FILTERS))
        workspace.browser.set_sort(chance.choice(list(Sort)))
        workspace.browser.apply_search()
        return "filter"
    if what < 0.90:
        session.set_status([workspace.image_id], chance.choice([Status.ACCEPTED, Status.REJECTED]))
        return "status"
    if what < 0.93:
        desk.window.actions_by_id[chance.choice(TOGGLES)].trigger()
        return "view"
    if what < 0.95:
        assert session.flush()
        return "save"
    return rarely(desk, folder, chance)


def rarely(desk: Desk, folder: Path, chance: random.Random) -> str:
    """Do one of the larger things."""
    what = chance.random()
    if what < 0.25:
        return propagation(desk)
    if what < 0.35:
        desk.window.flows.undo_last_batch()
        return "propagation undone"
    if what < 0.60:
        desk.export(chance.choice(FORMATS))
        return "export"
    if what < 0.90:
        desk.dialog(chance.choice(DIALOGS))
        return "dialog"
    desk.wait(lambda: not desk.window.context.jobs.is_busy, "jobs")
    desk.open(folder)
    return "reopening"


def propagation(desk: Desk) -> str:
    """Propagate to all images but one, whatever they were before."""
    session, project = desk.workspace.session, desk.workspace.project
    assert session.flush()
    reference = next(iter(project.references()), -1)
    if reference < 0 or not project.labels(reference).any():
        labelled = [int(i) for i in project.ids() if project.labels(int(i)).any()]
        if not labelled:
            return "nothing to propagate"
        reference = labelled[0]
    others = [int(i) for i in project.ids() if int(i) != reference]
    session.set_status(others, Status.UNLABELLED)
    session.set_status([reference], Status.REFERENCE)
    assert session.flush()
    desk.propagate()
    return "propagation"


def soak(desk: Desk, folder: Path, seconds: float, *, seed: int = 2) -> dict[str, float]:
    """Act at random; return how memory grows, from a third of the time to the end."""
    chance = random.Random(seed)
    desk.open(folder)
    began, samples, counts = time.monotonic(), [], dict[str, int]()
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(50):
            name = act(desk, folder, chance)
            counts[name] = counts.get(name, 0) + 1
            QApplication.processEvents()
        settle()
        samples.append((passed, memory_mb()))
        sys.stderr.write(f"{passed:.0f} s, {sum(counts.values())} actions, {samples[-1][1]:.1f} MB\n")
    found: dict[str, float] = dict(sorted(counts.items()))
    found["actions"] = sum(counts.values())
    early = [mb for passed, mb in samples if 0.3 * seconds <= passed < 0.45 * seconds] or [samples[-1][1]]
    late = [mb for passed, mb in samples if passed >= 0.85 * seconds] or [samples[-1][1]]
    found["memory_mb"] = statistics.median(late)
    found["growth"] = statistics.median(late) / statistics.median(early) - 1
    found["cpu_s"] = time.process_time()
    return found


def many(desk: Desk, folder: Path) -> dict[str, float]:
    """Open, filter, propagate, export and close a project of many images; processor time of this process."""
    found: dict[str, float] = {}
    settle()
    empty, clock = memory_mb(), time.process_time

    def timed(name: str, work: Callable[[], object]) -> None:
        began = clock()
        work()
        found[name] = clock() - began

    timed("open_cpu_s", lambda: desk.open(folder))
    project = desk.workspace.project
    ids = [int(i) for i in project.ids()]
    project.set_status([ids[0]], Status.REFERENCE)
    slowest = 0.0
    for query in FILTERS:
        began = clock()
        desk.workspace.browser.search.setText(query)
        desk.workspace.browser.apply_search()
        QApplication.processEvents()
        slowest = max(slowest, clock() - began)
    found["slowest_filter_cpu_s"] = slowest
    desk.workspace.browser.search.setText("")
    desk.workspace.browser.apply_search()
    timed("propagate_cpu_s", desk.propagate)
    assert len(project.ids("status:propagated")) == len(ids) - 1
    timed("export_cpu_s", lambda: desk.export("index-png"))
    found["memory_mb"] = memory_mb() - empty
    found["peak_mb"] = peak_mb() - empty
    timed("close_cpu_s", desk.window.close_project)
    timed("reopen_cpu_s", lambda: desk.open(folder))
    return found


def main() -> int:
    """Run one of the loads and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.window", description=__doc__)
    parser.add_argument("load", choices=["soak", "many"])
    parser.add_argument("project", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="profile-", dir=given.project.parent) as profile:
        desk = Desk(Path(profile))
        if given.load == "soak":
            found = soak(desk, given.project, given.seconds)
        else:
            found = many(desk, given.project)
        desk.close()
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

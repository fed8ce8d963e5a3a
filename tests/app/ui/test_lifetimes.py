"""What has been closed is gone: jobs that stay in the list keep no project, session or label map alive."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from app.domain.classes import ImportClasses, MergeClasses
from app.domain.label_map import rectangle_region
from app.domain.status import Status
from app.services.propagation import PropagationRequest
from app.services.transfer import start_export, start_import
from tests.app.conftest import settle, write_images
from tests.app.ui.conftest import Desk


def work_in(desk: Desk, folder: Path) -> list[weakref.ref[object]]:
    """Paint, propagate, export, import and merge in a new project; return what must die with it."""
    write_images(folder / "images", 4)
    workspace = desk.open(folder / "images")
    project, session, jobs = workspace.project, workspace.session, desk.running.jobs
    desk.wait(lambda: len(project.ids()) == 4)
    session.change_classes(ImportClasses(("nose", "eye")))
    desk.wait(lambda: project.classes.by_name("eye"))
    document = workspace.document
    assert document is not None
    document.paint_region(rectangle_region(4, 4, 20, 20, document.shape), 1, "Box")
    desk.saved()
    reference, *others = (int(i) for i in project.ids())
    session.set_reference(reference, True)
    desk.wait(lambda: project.row(reference).status is Status.REFERENCE)
    desk.window.flows.propagate(PropagationRequest("figures", (reference,), tuple(others)))
    desk.wait(lambda: not jobs.is_busy and session.undo_text == "Propagate")
    start_export(session, jobs, [reference, *others], "index-png", folder / "out")
    desk.wait(lambda: not jobs.is_busy)
    start_import(session, jobs, "index-png", folder / "out", overwrite=True)
    desk.wait(lambda: not jobs.is_busy and session.undo_text == "Import labels")
    session.change_classes(MergeClasses(1, 2))
    desk.wait(lambda: not jobs.is_busy and session.undo_text != "Import labels")
    return [weakref.ref(each) for each in (project, session, document)]


def test_a_closed_project_is_kept_alive_by_nothing(desk: Desk, tmp_path: Path) -> None:
    alive = work_in(desk, tmp_path)
    titles = [view.title for view in desk.running.jobs.views()]
    assert len(titles) == 4
    assert desk.window.close_project()
    settle()
    gc.collect()
    settle()
    assert [view.title for view in desk.running.jobs.views()] == titles, "the list still tells what was done"
    assert [ref() for ref in alive] == [None, None, None]

"""The main road by mouse and keyboard: sample project, paint, undo, propagate, review, export, reopen."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QDialog

from app.domain.status import Status
from app.services.propagation import PropagationRequest
from tests.app.ui.conftest import Desk, drag

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def answer(desk: Desk, kind: type[QDialog]) -> None:
    """Accept the next dialog of a kind, as soon as its primary button can be pressed."""

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind) and dialog.primary.isEnabled():  # type: ignore[attr-defined]
            dialog.primary.click()  # type: ignore[attr-defined]
        else:
            QTimer.singleShot(5, desk.window, look)

    QTimer.singleShot(5, desk.window, look)


def propagate(desk: Desk) -> None:
    from app.ui.dialogs.propagate import PropagateDialog

    answer(desk, PropagateDialog)
    desk.press(Qt.Key.Key_B, CTRL)
    project = desk.workspace.project
    desk.wait(lambda: not desk.running.jobs.is_busy)
    desk.wait(lambda: project.counts()[Status.PROPAGATED] > 0)


def test_from_the_sample_project_to_reviewed_images_and_back(desk: Desk) -> None:
    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    desk.wait(lambda: workspace.browser.model.rowCount() == 24)
    reference = workspace.project.references()[0]
    assert workspace.image_id == reference, "the labelled image is the first to be seen"

    # paint a part by hand, undo, redo
    desk.press(Qt.Key.Key_D)
    assert workspace.image_id != reference
    painted = workspace.image_id
    desk.wait(lambda: workspace.canvas.has_image)
    desk.press(Qt.Key.Key_B)
    desk.press(Qt.Key.Key_2)
    assert workspace.options.class_id == 2
    document = workspace.document
    assert document is not None
    middle = document.width / 2
    drag(workspace.canvas, [(middle - 20, 40), (middle, 40), (middle + 20, 40)])
    stroke = document.labels.copy()
    assert (stroke == 2).sum() > 40 * workspace.options.brush_px * 0.8
    desk.press(Qt.Key.Key_Z, CTRL)
    assert not document.labels.any()
    desk.press(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(document.labels, stroke)
    desk.saved()

    # the folder
    propagate(desk)
    counts = workspace.project.counts()
    assert counts[Status.PROPAGATED] == 22, "not the reference, and not the image painted by hand"
    assert workspace.project.row(painted).status is Status.EDITED

    # three by keyboard, least certain first
    desk.press(Qt.Key.Key_R, CTRL)
    queue = list(workspace.review.controller.queue)
    assert workspace.review.is_active
    assert workspace.image_id == queue[0]
    desk.wait(lambda: workspace.canvas.has_image)
    desk.press(Qt.Key.Key_Return)
    assert workspace.image_id == queue[1]
    desk.press(Qt.Key.Key_Backspace)
    assert workspace.image_id == queue[2]
    desk.press(Qt.Key.Key_Return)
    desk.saved()
    project = workspace.project
    assert [project.row(i).status for i in queue[:3]] == [Status.ACCEPTED, Status.REJECTED, Status.ACCEPTED]

    # close and come back
    folder = project.images_folder
    desk.window.actions_by_id["file.close"].trigger()
    assert desk.window.workspace is None
    again = desk.open(folder)
    assert again.project.counts()[Status.PROPAGATED] == 19
    np.testing.assert_array_equal(again.project.labels(painted), stroke)
    assert [r.path for r in desk.window.context.recent.items()] == [folder]


def test_undo_can_be_pressed_in_the_moment_a_stroke_ends(desk: Desk) -> None:
    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    actions = desk.window.actions_by_id
    assert not actions["edit.undo"].isEnabled()
    drag(workspace.canvas, [(20, 20), (60, 20)])
    # no turn of the event loop: with a slow computer the key waits right behind the mouse
    assert actions["edit.undo"].isEnabled()
    actions["edit.undo"].trigger()
    assert actions["edit.redo"].isEnabled()
    assert not actions["edit.undo"].isEnabled()


def test_export_writes_what_its_dry_run_has_listed(desk: Desk, tmp_path: Path) -> None:
    from app.domain import formats
    from app.ui.dialogs.exporting import ExportDialog

    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    dialog = ExportDialog(workspace.project, [], workspace.worker, desk.window)
    dialog.out.setText(str(tmp_path / "out"))
    dialog.format.setCurrentIndex(dialog.format.findData("pascal-voc"))
    dialog.check()
    assert not dialog.primary.isEnabled(), "nothing can be written before it is known what"
    desk.wait(dialog.primary.isEnabled)
    listed = dialog.list.toPlainText().splitlines()
    assert listed
    list(formats.export(workspace.project, dialog.ids(), dialog.format_name, dialog.folder))
    missing = [name for name in listed if not (tmp_path / "out" / name).exists() and not Path(name).exists()]
    assert not missing
    dialog.deleteLater()


def test_a_whole_propagation_is_one_step_back(desk: Desk) -> None:
    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    desk.wait(lambda: workspace.browser.model.rowCount() == 24)
    propagate(desk)
    desk.wait(lambda: workspace.session.can_undo)
    assert workspace.project.counts()[Status.PROPAGATED] == 23
    desk.press(Qt.Key.Key_Z, CTRL)
    desk.wait(lambda: workspace.project.counts()[Status.PROPAGATED] == 0)
    desk.wait(lambda: not desk.running.jobs.is_busy)


def test_the_cursor_glows_on_the_reference(desk: Desk) -> None:
    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    propagate(desk)
    desk.press(Qt.Key.Key_R, CTRL)
    desk.wait(lambda: desk.engine.linked)
    desk.wait(lambda: workspace.canvas.has_image)
    desk.wait(lambda: workspace.review._ready)
    workspace.canvas.hovered.emit(100, 60)
    marker = workspace.review.pane.view.marker
    assert marker is not None
    # the fake engine links equal positions: the glow must stand on the same pixel's centre
    assert (marker.x, marker.y) == pytest.approx((100.5, 60.5), abs=0.51)
    # the next image has another match for the cursor that did not move
    links = len(desk.engine.linked)
    desk.press(Qt.Key.Key_Return)
    desk.wait(lambda: workspace.canvas.has_image and len(desk.engine.linked) > links)
    desk.wait(lambda: workspace.review._ready)
    assert workspace.review.pane.view.marker is not None
    assert workspace.review.pane.view.marker is not marker
    workspace.canvas.left.emit()
    assert workspace.review.pane.view.marker is None


def test_propagating_again_after_a_restart_asks_nothing(desk: Desk) -> None:
    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    desk.wait(lambda: workspace.browser.model.rowCount() == 24)
    propagate(desk)
    folder = workspace.project.images_folder
    model = workspace.project.runs()[0].details["model"]
    desk.window.actions_by_id["file.close"].trigger()
    project = desk.open(folder).project
    second = int(project.ids("status:propagated")[0])
    project.set_status([second], Status.REFERENCE)
    desk.window.flows.propagate_again()
    desk.wait(lambda: not desk.running.jobs.is_busy)
    desk.wait(lambda: len([r for r in project.runs() if r.kind == "propagation"]) == 2)
    newest = project.runs()[0].details
    assert newest["model"] == model
    assert newest["category"] == "figures"
    assert second in newest["references"]


def test_no_turn_of_the_event_loop_works_long_during_a_propagation(desk: Desk) -> None:
    desk.window.open_sample()
    workspace = desk.workspace
    desk.wait(lambda: workspace.canvas.has_image)
    desk.wait(lambda: workspace.browser.model.rowCount() == 24)
    references = tuple(workspace.project.references())
    queries = tuple(int(i) for i in workspace.project.ids("") if int(i) not in references)
    job = desk.window.flows.propagate(PropagationRequest("figures", references, queries))
    assert job is not None
    longest = 0.0
    while not desk.running.jobs.view(job).is_over:
        # the thread's own time: what other programs of this machine take does not count
        began = time.thread_time()
        QApplication.processEvents()
        longest = max(longest, time.thread_time() - began)
    assert longest < 0.05, f"{1000 * longest:.0f} ms"

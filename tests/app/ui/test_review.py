"""The review: order, decisions, what comes next, what is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.domain.project import Project, Result
from app.domain.status import Status
from app.services.changes import Changes
from app.ui.workspace import Workspace
from tests.app.ui.conftest import Desk, drag

SCORES = (0.9, 0.4, 0.7, 0.2, 0.6)


@pytest.fixture
def propagated(project: Project) -> Path:
    """Six images: the first is the reference, the others were propagated with known scores."""
    ids = [int(i) for i in project.ids("")]
    project.set_status(ids[:1], Status.REFERENCE)
    batch = project.batches.begin("propagation", "Propagate", {"model": "figures", "category": "figures"})
    for image, score in zip(ids[1:], SCORES, strict=True):
        labels = np.zeros((32, 48), np.uint8)
        labels[8:16] = 1
        if image % 2:
            labels[20:24] = 2
        confidence = np.full((32, 48), score, np.float32)
        scores = {1: 1 - score, 2: score} if image % 2 else {1: 1 - score}
        project.batches.write_result(batch, image, Result(labels, confidence, score, scores))
    project.batches.finish(batch)
    folder = project.images_folder
    project.close()
    return folder


@pytest.fixture
def reviewing(desk: Desk, propagated: Path) -> Workspace:
    workspace = desk.open(propagated)
    desk.wait(lambda: workspace.browser.model.rowCount() == 6)
    desk.press(Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert workspace.review.is_active
    return workspace


def scores(workspace: Workspace) -> list[float]:
    rows = workspace.project.rows(workspace.review.controller.queue)
    return [round(row.confidence or 0.0, 2) for row in rows]


def test_the_least_certain_image_comes_first(reviewing: Workspace) -> None:
    assert scores(reviewing) == sorted(SCORES)
    assert reviewing.image_id == reviewing.review.controller.queue[0]


def test_deciding_takes_images_out_and_counts_them(desk: Desk, reviewing: Workspace) -> None:
    queue = list(reviewing.review.controller.queue)
    desk.press(Qt.Key.Key_Return)
    desk.press(Qt.Key.Key_Backspace)
    desk.saved()
    controller = reviewing.review.controller
    assert controller.queue == queue[2:]
    counts = controller.counts()
    assert (counts.left, counts.accepted, counts.rejected) == (3, 1, 1)
    assert reviewing.image_id == queue[2]


def test_skipped_images_come_back_at_the_end(desk: Desk, reviewing: Workspace) -> None:
    queue = list(reviewing.review.controller.queue)
    for _ in queue[:-1]:
        desk.press(Qt.Key.Key_N)
    assert reviewing.image_id == queue[-1]
    desk.press(Qt.Key.Key_N)
    assert reviewing.image_id == queue[0], "all were skipped: once more from the beginning"


def test_the_last_decision_ends_the_review_quietly(desk: Desk, reviewing: Workspace) -> None:
    for _ in SCORES:
        desk.press(Qt.Key.Key_Return)
    desk.saved()
    assert reviewing.review.controller.queue == []
    assert reviewing.review.controller.current is None
    assert "Nothing is left" in desk.window.statusBar().currentMessage()
    desk.press(Qt.Key.Key_Return)  # and nothing breaks


def test_a_decision_can_be_taken_back(desk: Desk, reviewing: Workspace) -> None:
    first = reviewing.review.controller.queue[0]
    desk.press(Qt.Key.Key_Return)
    desk.wait(lambda: reviewing.session.can_undo)
    desk.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.wait(lambda: reviewing.project.row(first).status is Status.PROPAGATED)
    desk.wait(lambda: first in reviewing.review.controller.queue)


def test_a_class_can_set_the_order(reviewing: Workspace) -> None:
    bar = reviewing.review.bar
    bar.order.setCurrentIndex(bar.order.findData(1))
    rows = reviewing.project.rows(reviewing.review.controller.queue)
    sure = [reviewing.project.class_confidence(row.id)[1] for row in rows]
    assert sure == sorted(sure)


def test_any_tool_fixes_in_place_and_the_fix_is_human_work(desk: Desk, reviewing: Workspace) -> None:
    desk.wait(lambda: reviewing.canvas.has_image)
    image = reviewing.image_id
    reviewing.options.pick_class(2)
    drag(reviewing.canvas, [(5, 5), (20, 5)])
    desk.saved()
    desk.wait(lambda: reviewing.project.row(image).status is Status.EDITED)
    assert (reviewing.project.provenance(image) == 2).any()


def test_enter_belongs_to_an_open_polygon_first(desk: Desk, reviewing: Workspace) -> None:
    desk.wait(lambda: reviewing.canvas.has_image)
    image = reviewing.image_id
    reviewing.canvas.set_tool("polygon")
    for corner in [(5, 5), (30, 5), (30, 25)]:
        drag(reviewing.canvas, [corner])
    reviewing.canvas.setFocus()
    desk.press(Qt.Key.Key_Return)
    assert reviewing.image_id == image, "the polygon is closed; the image is not accepted"
    desk.press(Qt.Key.Key_Return)
    assert reviewing.image_id != image


def test_the_suggestion_says_why_and_leads_there(desk: Desk, reviewing: Workspace) -> None:
    bar = reviewing.review.bar
    desk.wait(lambda: reviewing.review.controller.suggestion is not None)
    found = reviewing.review.controller.suggestion
    assert found is not None
    assert found.image_id == reviewing.review.controller.queue[0]
    assert found.reason in bar._suggestion.text()
    desk.press(Qt.Key.Key_N)
    bar._go.click()
    assert reviewing.image_id == found.image_id


def test_the_heat_map_follows_the_setting_and_the_image(desk: Desk, reviewing: Workspace) -> None:
    assert reviewing.canvas.compositor.look.heat
    desk.wait(lambda: reviewing.canvas.compositor.confidence is not None)
    shown = reviewing.canvas.compositor.confidence
    assert shown is not None
    assert set(np.unique(shown)) == {round(255 * min(SCORES))}
    desk.press(Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert not reviewing.review.is_active
    assert not reviewing.canvas.compositor.look.heat
    assert reviewing.review.pane.isHidden()


def test_results_that_come_while_reviewing_join_the_queue(desk: Desk, reviewing: Workspace) -> None:
    project = reviewing.project
    first = reviewing.review.controller.queue[0]
    desk.press(Qt.Key.Key_Backspace)
    desk.saved()
    batch = project.batches.begin("propagation", "Propagate", {"model": "figures"})
    labels = np.ones((32, 48), np.uint8)
    taken = project.batches.write_result(batch, first, Result(labels, None, 0.55))
    project.batches.finish(batch)
    assert taken, "rejected labels are the machine's to replace"
    reviewing.session.tell(Changes(frozenset({first}), frozenset({first})))
    desk.wait(lambda: first in reviewing.review.controller.queue)

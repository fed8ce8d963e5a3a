"""Watching runs: curves, sheets through time, log, and nothing lost without being asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication, QMessageBox

from app.services.training_values import Curve, Note, RunHistory, RunState, RunView, Sheet
from app.ui.pages.train.curves import pen_colour, smoothed
from app.ui.pages.train.page import TrainPage
from app.ui.pages.train.words import count_text, size_text, state_text
from tests.app.ui.conftest import Wait
from tests.app.ui.train_fakes import FakeLibrary, FakeTraining, shown_page

RUNNING = RunView(
    id="a",
    name="wings",
    path=Path("a"),
    state=RunState.RUNNING,
    preset="quick-64",
    images="/images",
    device="cpu",
    stage="joint",
    stage_index=1,
    stages=("embedding", "joint"),
    nimg=14_000,
    total_nimg=26_000,
    fraction=0.72,
    images_per_second=36.2,
    left_sec=430.0,
)


def curve(name: str, *values: float) -> Curve:
    places = tuple(1000.0 * i for i in range(len(values)))
    return Curve(name, places, tuple(each / 100 for each in places), values)


@pytest.fixture
def training(qapp: object) -> FakeTraining:
    return FakeTraining()


@pytest.fixture
def page(training: FakeTraining, tmp_path: Path) -> Iterator[TrainPage]:
    with shown_page(training, FakeLibrary(), tmp_path / "profile") as made:
        yield made


def answer(text: str) -> None:
    """Click a button of the question that comes next."""

    def click() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(button for button in box.buttons() if text in button.text()).click()

    QTimer.singleShot(0, click)


def test_a_run_is_attached_while_it_is_looked_at_and_only_then(
    page: TrainPage, training: FakeTraining
) -> None:
    training.put(RUNNING)
    training.put(replace(RUNNING, id="b", name="cars"))
    page.show_place("a")
    assert training.attached == {"a"}
    page.show_place("b")
    assert training.attached == {"b"}
    page.show_place("models")
    assert training.attached == set()
    page.show_place("a")
    page.left()
    assert training.attached == set(), "nobody looks at it"
    page.entered()
    assert training.attached == {"a"}
    page.close_page()
    assert training.attached == set()
    assert training.is_closed


def test_the_run_that_was_looked_at_is_attached_again_after_a_restart(
    page: TrainPage, training: FakeTraining
) -> None:
    training.put(RUNNING)
    page.show_place("a")
    state = page.state()
    page.show_place("new")
    training.views.clear()
    page.restore_state(state)
    assert page.rail.current == "new", "the service has not looked at the runs yet"
    training.put(RUNNING)
    assert page.rail.current == "a"
    assert training.attached == {"a"}


def test_the_head_tells_stage_pace_and_time_left(page: TrainPage, training: FakeTraining) -> None:
    training.put(RUNNING)
    page.show_place("a")
    head = page.run_panel.header
    assert head.name.text() == "wings"
    assert "Stage 2 of 2" in head.stage.text()
    assert "7 min left" in head.left.text()
    assert head.bar.value() == 720
    assert not head.pause.isHidden()
    assert head.resume.isHidden()
    training.put(replace(RUNNING, asked="pause"))
    assert head.state.text() == "Pausing…"
    assert not head.pause.isEnabled(), "it was asked already"


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (RunState.QUEUED, {"pause", "earlier"}),
        (RunState.RUNNING, {"pause", "stop"}),
        (RunState.PAUSED, {"resume"}),
        (RunState.INTERRUPTED, {"resume"}),
        (RunState.FAILED, {"resume"}),
        (RunState.FINISHED, {"use"}),
        (RunState.UNREADABLE, set()),
    ],
)
def test_each_state_offers_what_is_possible(
    page: TrainPage, training: FakeTraining, state: RunState, shown: set[str]
) -> None:
    model = Path("m.safetensors") if state is RunState.FINISHED else None
    training.put(replace(RUNNING, state=state, place=2, model=model, message="Because of the disk."))
    page.show_place("a")
    head = page.run_panel.header
    names = ("pause", "resume", "stop", "use", "earlier")
    assert {name for name in names if not getattr(head, name).isHidden()} == shown
    assert head.notice.text == "Because of the disk."
    assert state_text(training.views["a"])


def test_curves_are_drawn_and_follow_the_run(
    page: TrainPage, training: FakeTraining, wait_until: Wait
) -> None:
    told = {
        "equivariance": curve("equivariance", 3, 2, 1),
        "dense": curve("dense", 1, math.nan, 0.5),
        "images_per_second": curve("images_per_second", 90, 91, 92),
        "foreground_iou": curve("foreground_iou", 0.2, 0.5),
        "miou": curve("miou", 0.3, 0.6),
    }
    training.put(RUNNING, RunHistory("a", {}))
    page.show_place("a")
    panel = page.run_panel.curves
    assert panel._quality_part.currentWidget() is not panel.quality, "no quality: says how to get one"
    training.put(RUNNING, RunHistory("a", told, quality_kind="copies"))
    wait_until(lambda: set(panel.losses.lines) == {"equivariance", "dense"})
    assert set(panel.legend) == {"equivariance", "dense"}
    assert set(panel.quality.lines) == {"foreground_iou"}, "without the background, which is easy"
    assert panel.quality.latest.text() == "50.0%"
    assert "copies of your only reference" in panel.quality.note.text()
    assert panel.speed.latest.text().startswith("92")
    panel.axis.setCurrentIndex(1)
    xs, _ = panel.losses.lines["equivariance"].getOriginalDataset()
    assert list(xs) == pytest.approx([0, 10 / 60, 20 / 60])
    panel.legend["dense"].click()
    assert not panel.losses.lines["dense"].isVisible()
    panel.logarithmic.click()
    assert panel.losses.lines["equivariance"].isVisible()


def test_a_loss_has_the_colour_of_its_legend_whatever_was_shown_before(
    page: TrainPage, training: FakeTraining, wait_until: Wait
) -> None:
    losses = page.run_panel.curves.losses
    for run, names in (("a", ("loss", "warp", "swap")), ("b", ("warp", "dense", "loss"))):
        training.put(replace(RUNNING, id=run), RunHistory(run, {name: curve(name, 2, 1) for name in names}))
        page.show_place(run)
        wait_until(lambda names=names: set(losses.lines) == set(names))
        shown = [losses.lines[name].opts["pen"].color() for name in page.run_panel.curves.legend]
        assert shown == [QColor(pen_colour(place)) for place in range(3)]


def test_smoothing_is_unbiased_and_leaves_gaps() -> None:
    assert smoothed([2.0, 2.0, 2.0], 0.9) == pytest.approx([2.0] * 3)
    assert smoothed([1.0, 3.0], 0.0) == [1.0, 3.0]
    found = smoothed([1.0, math.nan, 1.0], 0.5)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(1.0)


def test_sheets_follow_the_newest_until_one_looks_back(
    page: TrainPage, training: FakeTraining, tmp_path: Path, wait_until: Wait
) -> None:
    def sheet(kind: str, nimg: int) -> Sheet:
        path = tmp_path / f"{kind}-{nimg}.png"
        picture = QImage(8, 4, QImage.Format.Format_RGB32)
        picture.fill(QColor(nimg % 256, 0, 0))
        picture.save(str(path))
        return Sheet(kind, path, "joint", nimg)

    first = (sheet("reconstruction", 10), sheet("maps", 10), sheet("reconstruction", 20), sheet("maps", 20))
    training.put(RUNNING, RunHistory("a", sheets=first))
    page.show_place("a")
    panel = page.run_panel.sheets
    assert panel.picture.source == first[2].path
    assert [kind for kind, made in panel.buttons.items() if not made.isHidden()] == ["reconstruction", "maps"]
    wait_until(lambda: not panel.picture.image.isNull())
    panel.time.setValue(0)
    assert panel.picture.source == first[0].path
    panel.buttons["maps"].click()
    assert panel.picture.source == first[1].path, "another kind, the same moment"
    later = (*first, sheet("maps", 30))
    training.put(RUNNING, RunHistory("a", sheets=later))
    wait_until(lambda: panel.time.maximum() == 2)
    assert panel.picture.source == first[1].path, "who looks back is left alone"
    panel.newest.click()
    assert panel.picture.source == later[-1].path


def test_notes_and_log_are_shown(page: TrainPage, training: FakeTraining, wait_until: Wait) -> None:
    halved = Note("warning", "Memory ran out: the batch goes from 24 to 12 images.", 1.0)
    training.put(RUNNING, RunHistory("a", notes=(Note("info", "Started.", 0.0), halved)))
    page.show_place("a")
    log = page.run_panel.log
    assert "24 to 12" in log.notes.item(1).text()
    log.tabs.setCurrentIndex(1)
    wait_until(lambda: "log of a" in log.text.toPlainText())


def test_pause_resume_and_stop_reach_the_service(page: TrainPage, training: FakeTraining) -> None:
    training.put(RUNNING)
    page.show_place("a")
    head = page.run_panel.header
    head.pause.click()
    head.stop.click()
    training.put(replace(RUNNING, state=RunState.PAUSED))
    head.resume.click()
    training.put(replace(RUNNING, state=RunState.QUEUED, place=3))
    head.earlier.click()
    assert [a for a in training.asked if a[0] not in ("devices", "cancel_estimate", "cancel_check")] == [
        ("pause", "a"),
        ("stop", "a"),
        ("resume", "a"),
        ("move", "a", 2),
    ]


def test_discarding_asks_first(page: TrainPage, training: FakeTraining) -> None:
    training.put(RUNNING)
    page.show_place("a")
    answer("Cancel")
    page.run_panel.header.discard.trigger()
    assert ("discard", "a") not in training.asked
    answer("Delete")
    page.run_panel.header.discard.trigger()
    assert ("discard", "a") in training.asked
    assert page.rail.current == "new"
    assert page.rail.list.count() == 0


def test_the_list_of_runs_tells_each_and_leads_there(page: TrainPage, training: FakeTraining) -> None:
    training.put(RUNNING)
    training.put(replace(RUNNING, id="b", name="cars", state=RunState.FAILED, message="The disk is full."))
    item = page.rail.list.item(1)
    assert "The disk is full." in item.toolTip()
    page.rail.list.setCurrentRow(1)
    assert page.rail.current == "b"
    assert page.run_panel.header.name.text() == "cars"
    training.put(replace(training.views["b"], state=RunState.RUNNING, fraction=0.5, message=""))
    assert "50%" in page.rail.list.item(1).toolTip()


def test_what_the_service_could_not_do_is_said_until_dismissed(
    page: TrainPage, training: FakeTraining
) -> None:
    training.failed.emit("The run folder is of a newer version: update the program.")
    assert "newer version" in page.problem.text
    assert not page.problem.isHidden()


def test_sizes_and_counts_in_words() -> None:
    assert [size_text(n) for n in (0, 2048, 5 << 20, 3 << 30)] == ["0 kB", "2 kB", "5 MB", "3.0 GB"]
    assert [count_text(n) for n in (850, 12_400, 4_800_000)] == ["850", "12.4 k", "4.8 M"]

"""Setting up a training, with a service that only remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QCheckBox, QLineEdit, QSpinBox

from app.domain.status import Status
from app.services.training_values import (
    Advice,
    DataReport,
    DeviceInfo,
    Estimate,
    RunState,
    RunView,
    TrainRequest,
)
from app.ui.pages.train.crop_box import moved, resized
from app.ui.pages.train.form import FieldRow
from app.ui.pages.train.form_dialog import FormDialog, matching
from app.ui.pages.train.page import TrainPage
from tests.app.ui.conftest import Desk, Wait, send_mouse
from tests.app.ui.train_fakes import FIELDS, FakeLibrary, FakeTraining, shown_page

GOOD = (Advice("good", "Enough images."),)


@pytest.fixture
def training(qapp: object) -> FakeTraining:
    return FakeTraining()


@pytest.fixture
def page(training: FakeTraining, tmp_path: Path) -> Iterator[TrainPage]:
    """The Training tab alone, with services of the tests."""
    with shown_page(training, FakeLibrary(), tmp_path / "profile") as made:
        yield made


@pytest.fixture
def page_of_window(desk: Desk, training: FakeTraining) -> Iterator[TrainPage]:
    """The Training tab of the window, with services of the tests."""
    library = FakeLibrary()
    made = TrainPage(desk.window, training=training, library=library)
    desk.window.host._pages["train"] = made
    desk.window.host.addWidget(made)
    desk.window.show_page("train")
    yield made
    library.deleteLater()
    training.deleteLater()


def report(folder: Path, **values: Any) -> DataReport:
    plain: dict[str, Any] = {
        "images": folder,
        "count": 120,
        "sizes": ((256, 256, 120),),
        "smallest": (256, 256),
        "unreadable": (),
        "duplicates": (),
        "alignment": 0.6,
        "alignment_text": "Framed alike.",
        "advice": GOOD,
        "contact_sheet": None,
        "preset": "quick-64",
        "can_train": True,
    }
    return DataReport(**{**plain, **values})


def checks(training: FakeTraining) -> list[tuple[Any, ...]]:
    return [asked for asked in training.asked if asked[0] == "check"]


def test_a_project_is_offered_and_checked_and_only_then_may_be_trained(
    desk: Desk, images: Path, page_of_window: TrainPage, training: FakeTraining
) -> None:
    page = page_of_window
    assert not page.setup.start.start.isEnabled()
    desk.open(images)
    desk.window.show_page("train")
    desk.wait(lambda: checks(training))
    assert checks(training)[-1][1] == images
    assert "checked" in page.setup.start.why.text()
    training.checkDone.emit(report(images))
    assert page.setup.start.start.isEnabled()
    assert page.setup.check.number.state == "done"


def test_a_report_about_another_folder_is_not_taken(
    page: TrainPage, training: FakeTraining, tmp_path: Path
) -> None:
    page.setup.draft.choose_images(tmp_path, own_folder=True)
    page.setup.begin_check()
    training.checkDone.emit(report(tmp_path / "before"))
    assert page.setup.check.report is None
    assert not page.setup.start.start.isEnabled()


def test_the_check_says_what_it_found_and_offers_the_preset_that_fits(
    page: TrainPage, training: FakeTraining, tmp_path: Path
) -> None:
    page.setup.draft.choose_images(tmp_path, own_folder=True)
    page.setup.begin_check()
    training.checkProgress.emit(30, 120)
    assert (page.setup.check.bar.value(), page.setup.check.bar.maximum()) == (30, 120)
    found = report(
        tmp_path, unreadable=(("cut.jpg", "cut off"),), duplicates=(("a.jpg", "b.jpg"),), preset="fast-128"
    )
    training.checkDone.emit(found)
    assert "cut.jpg: cut off" in page.setup.check.details.toPlainText()
    assert "a.jpg = b.jpg" in page.setup.check.details.toPlainText()
    assert not page.setup.preset.cards["fast-128"].fits.isHidden()
    page.setup.check.presetAsked.emit("fast-128")
    assert page.setup.draft.now.preset == "fast-128"


@pytest.mark.parametrize(
    "sentence", ["There is no image in this folder.", "3 images: at least 8 are needed."]
)
def test_images_that_cannot_be_used_stop_the_start_and_say_why(
    page: TrainPage, training: FakeTraining, tmp_path: Path, sentence: str
) -> None:
    page.setup.draft.choose_images(tmp_path, own_folder=True)
    page.setup.begin_check()
    training.checkFailed.emit(sentence)
    assert page.setup.check.problem.text == sentence
    assert not page.setup.start.start.isEnabled()
    assert page.setup.start.why.text()
    page.setup.begin_check()
    training.checkDone.emit(report(tmp_path, can_train=False, advice=(Advice("error", sentence),)))
    assert not page.setup.start.start.isEnabled()


def test_everything_chosen_is_in_the_request(page: TrainPage, training: FakeTraining, tmp_path: Path) -> None:
    setup = page.setup
    setup.draft.choose_images(tmp_path, own_folder=True)
    setup.images.recursive.click()
    setup.images.modes["box"].click()
    setup.images.box.boxChanged.emit((0.1, 0.2, 0.9, 1.0))
    setup.preset.cards["quick-64"].clicked.emit()
    setup.preset.fields.set("train.batch", 8)
    training.devicesFound.emit(
        (DeviceInfo("cpu", "Processor"), DeviceInfo("cuda:0", "Card", 1 << 30, 2 << 30))
    )
    setup.device.choices["cuda:0"].click()
    for field, text in (("name", "wings"), ("category", "wing"), ("licence", "CC BY")):
        setup.start.names[field].setText(text)
    setup.begin_check()
    training.checkDone.emit(report(tmp_path))
    setup.start.start.click()
    asked = next(asked[1] for asked in training.asked if asked[0] == "start")
    wanted = {"train.batch": 8, "model.crop.mode": "box", "model.crop.box": (0.1, 0.2, 0.9, 1.0)}
    assert asked == TrainRequest(
        tmp_path,
        "quick-64",
        wanted,
        "cuda:0",
        recursive=False,
        name="wings",
        category="wing",
        licence="CC BY",
    )
    assert page.rail.current == "run-1", "the run that began is shown"
    assert setup.draft.now.name == "", "the next run has a name of its own"


def test_labels_of_the_project_go_along_and_allow_cropping_where_they_are(
    desk: Desk, images: Path, page_of_window: TrainPage
) -> None:
    page = page_of_window
    workspace = desk.open(images)
    document = workspace.session.document
    assert document is not None
    labels = document.labels.copy()
    labels[2:9, 3:12] = 1
    document.set_labels(labels, "paint")
    desk.saved()
    workspace.session.set_status([workspace.image_id], Status.REFERENCE)
    desk.saved()
    name = workspace.project.row(workspace.image_id).path
    path = workspace.project.label_path(workspace.image_id)
    desk.window.show_page("train")
    desk.wait(lambda: page.setup.draft.labels)
    assert page.setup.draft.labels == {name: path}
    assert page.setup.images.modes["labels"].isEnabled()


def test_a_changed_setting_makes_the_estimate_stale(
    page: TrainPage, training: FakeTraining, tmp_path: Path
) -> None:
    setup = page.setup
    setup.draft.choose_images(tmp_path, own_folder=True)
    setup.begin_check()
    training.checkDone.emit(report(tmp_path))
    setup.start.measure.click()
    assert training.asked[-1][0] == "estimate"
    training.estimateDone.emit(
        Estimate("cpu", 600, 9 << 30, 8 << 30, 1 << 20, 1 << 30, 24, 40, warnings=("Too much memory.",))
    )
    assert setup.start.estimate is not None
    assert setup.start.problem.text == "Too much memory."
    setup.preset.fields.set("train.batch", 8)
    assert setup.start.estimate is None
    assert ("cancel_estimate",) in training.asked
    training.estimateFailed.emit("The trial ran out of memory: choose a smaller batch.")
    assert "smaller batch" in setup.start.problem.text


def test_runs_before_it_are_said(page: TrainPage, training: FakeTraining, tmp_path: Path) -> None:
    page.setup.draft.choose_images(tmp_path, own_folder=True)
    page.setup.begin_check()
    training.checkDone.emit(report(tmp_path))
    training.put(RunView("a", "first", Path("a"), RunState.RUNNING, device="cpu"))
    assert "queue" in page.setup.start.start.text()
    assert "1 run" in page.setup.start.why.text()
    waits = RunView("b", "second", Path("b"), RunState.QUEUED, device="cpu", place=1)
    training.put(waits)
    assert "1 waiting" in page.setup.device.choices["cpu"].accessibleDescription()


def test_scrolling_over_a_number_or_a_choice_does_not_change_it(page: TrainPage) -> None:
    rows = {info.key: FieldRow(page.setup.preset.fields, info) for info in FIELDS}
    for key in ("train.batch", "train.precision"):
        control = rows[key].editor.control
        wheel = QWheelEvent(
            QPointF(5, 5), control.mapToGlobal(QPointF(5, 5)), QPoint(), QPoint(0, -120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(control, wheel)
        assert not wheel.isAccepted(), "the page takes it and scrolls"
    assert page.setup.preset.fields.changes == {}
    for each in rows.values():
        each.deleteLater()


# -- the form ------------------------------------------------------------------------------------------


def test_every_kind_of_field_has_an_editor_that_tells_its_value(page: TrainPage) -> None:
    fields = page.setup.preset.fields
    rows = {info.key: FieldRow(fields, info) for info in FIELDS}
    spin, switch = rows["train.batch"].editor.control, rows["train.mirror"].editor.control
    assert isinstance(spin, QSpinBox)
    assert isinstance(switch, QCheckBox)
    spin.setValue(12)
    switch.click()
    rows["train.precision"].editor.control.setCurrentIndex(2)
    channels = rows["model.embedding.channels"].editor.control
    assert isinstance(channels, QLineEdit)
    channels.setText("8, 16")
    channels.editingFinished.emit()
    assert fields.changes == {
        "train.batch": 12,
        "train.mirror": True,
        "train.precision": "bfloat16",
        "model.embedding.channels": (8, 16),
    }
    rows["train.batch"].reset.click()
    assert "train.batch" not in fields.changes
    assert spin.value() == 24
    for each in rows.values():
        each.deleteLater()


@pytest.mark.parametrize(("text", "said"), [("abc", "no number"), ("-3", "0 or more")])
def test_what_is_no_value_is_said_and_stops_the_start(
    page: TrainPage, training: FakeTraining, tmp_path: Path, text: str, said: str
) -> None:
    page.setup.draft.choose_images(tmp_path, own_folder=True)
    page.setup.begin_check()
    training.checkDone.emit(report(tmp_path))
    minutes = next(
        row for row in page.setup.preset.findChildren(FieldRow) if row.info.key == "train.minutes"
    ).editor.control
    assert isinstance(minutes, QLineEdit)
    minutes.setText(text)
    minutes.editingFinished.emit()
    assert said in page.setup.preset.problem.text
    assert not page.setup.start.start.isEnabled() or not page.setup.preset.is_valid
    page.setup.preset.fields.reset()
    assert page.setup.preset.is_valid


def test_the_service_has_the_last_word_on_settings(page: TrainPage) -> None:
    page.setup.preset.fields.set("train.batch", 7)
    assert page.setup.preset.problem.text == "The batch is odd: choose an even number."
    assert not page.setup.preset.is_valid


def test_the_form_finds_fields_by_name_key_and_explanation() -> None:
    assert [info.key for info in matching(FIELDS, "batch")][0] == "train.batch"
    assert [info.key for info in matching(FIELDS, "fold-over")] == ["train.joint.fold"]
    assert [info.key for info in matching(FIELDS, "joint fold")] == ["train.joint.fold"]
    assert matching(FIELDS, "nothing like it") == []


def test_the_form_shows_basic_fields_first_and_all_on_demand(qapp: object, wait_until: Wait) -> None:
    dialog = FormDialog(FIELDS, {}, lambda changes: "", "Quick")

    def shown() -> set[str]:
        return {row.info.key for row in dialog.findChildren(FieldRow) if not row.isHidden()}

    assert shown() == {"train.batch", "train.minutes", "train.mirror"}
    assert dialog.groups.count() == 1
    dialog.advanced.setChecked(True)
    wait_until(lambda: dialog.groups.count() == 4)
    assert "train.precision" in shown()
    dialog.search.setText("fold")
    wait_until(lambda: shown() == {"train.joint.fold"})
    dialog.fields.set("train.joint.fold", 0.5)
    assert dialog.changes == {"train.joint.fold": 0.5}
    dialog.fields.set_wrong("train.joint.fold", "no number")
    assert not dialog.primary.isEnabled()
    dialog.reset.click()
    assert dialog.changes == {}
    assert dialog.primary.isEnabled()
    dialog.deleteLater()


# -- the template box ----------------------------------------------------------------------------------


def test_the_box_stays_inside_the_image_and_never_vanishes() -> None:
    assert moved((0.2, 0.2, 0.6, 0.6), 1.0, -1.0) == (0.6, 0.0, 1.0, 0.4)
    left, top, right, bottom = resized((0.2, 0.2, 0.6, 0.6), "rb", 0.0, 0.0)
    assert (left, top) == (0.2, 0.2)
    assert right > left
    assert bottom > top
    assert resized((0.2, 0.2, 0.6, 0.6), "lt", -3.0, -3.0) == (0.0, 0.0, 0.6, 0.6)


def test_the_box_is_dragged_with_the_mouse_and_moved_with_the_keys(
    images: Path, page: TrainPage, wait_until: Wait
) -> None:
    page.setup.draft.choose_images(images, own_folder=True)
    page.setup.images.modes["box"].click()
    box = page.setup.images.box
    wait_until(lambda: not box.image.isNull())
    area = box.area()
    start = QPointF(area.x() + 1, area.y() + 1)
    end = QPointF(area.x() + area.width() / 4, area.y() + area.height() / 2)
    send_mouse(box, QEvent.Type.MouseButtonPress, start)
    send_mouse(box, QEvent.Type.MouseMove, end)
    send_mouse(box, QEvent.Type.MouseButtonRelease, end)
    left, top, right, bottom = page.setup.draft.now.box
    assert (left, top) == pytest.approx((0.25, 0.5), abs=0.05)
    assert (right, bottom) == (1.0, 1.0)
    QTest.keyClick(box, Qt.Key.Key_Left)
    assert page.setup.draft.now.box[0] == pytest.approx(left - 0.01, abs=1e-6)


def test_cards_and_buttons_are_reached_with_the_keyboard_and_have_names(page: TrainPage) -> None:
    card = page.setup.preset.cards["fast-256"]
    assert card.focusPolicy() & Qt.FocusPolicy.TabFocus
    QTest.keyClick(card, Qt.Key.Key_Space)
    assert page.setup.draft.now.preset == "fast-256"
    for field in page.setup.findChildren(QLineEdit):
        if not isinstance(field.parent(), QAbstractSpinBox):
            assert field.accessibleName(), field
    assert card.accessibleName().startswith("Fast, 256 px")


def test_choices_are_there_after_a_restart(page: TrainPage, training: FakeTraining) -> None:
    page.setup.draft.choose_preset("fast-128")
    page.setup.draft.set_recursive(False)
    page.setup.draft.now.licence = "CC0"
    state = page.state()
    page.setup.draft.choose_preset("quick-64")
    page.restore_state(state)
    now = page.setup.draft.now
    assert (now.preset, now.recursive, now.licence) == ("fast-128", False, "CC0")
    page.restore_state(b"rubbish")
    page.restore_state(b'{"place": "gone", "draft": "{\\"preset\\": 7}"}')
    assert page.rail.current == "new"
    assert page.setup.draft.now.preset == "fast-128"

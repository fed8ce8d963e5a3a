"""Dialogs, driven by their widgets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from app.domain.status import Status
from app.services.diagnostics import CrashReport
from app.services.job_values import JobError, JobProgress, JobState
from app.services.jobs import JobControl
from app.services.models import ModelInfo
from app.services.settings import SETTINGS
from app.ui.dialogs.diagnostics import CrashDialog, DiagnosticsDialog
from app.ui.dialogs.palette import CommandPalette
from app.ui.dialogs.propagate import PropagateDialog
from app.ui.dialogs.settings import SettingsDialog
from app.ui.dialogs.shortcuts import ShortcutEditor, ShortcutSheet
from app.ui.dialogs.welcome import when_text
from app.ui.texts import duration
from app.ui.theme.tokens import DARK, LIGHT, STATUS_COLOURS, Tokens, contrast
from tests.app.ui.conftest import Desk
from tests.app.ui.fakes import FIGURES, FLOW


def texts(widget: QWidget) -> str:
    return "\n".join(found.text() for found in widget.findChildren(QLabel))


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=lambda t: t.name)
def test_text_can_be_read_on_every_surface(tokens: Tokens) -> None:
    for surface in ("window", "surface", "raised"):
        for text in ("text", "muted", "accent", "good", "warn", "bad", "reference", "edited"):
            assert contrast(getattr(tokens, text), getattr(tokens, surface)) >= 4.5, (text, surface)
    assert contrast(tokens.on_accent, tokens.accent) >= 4.5
    assert set(STATUS_COLOURS) == {str(status) for status in Status}


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_setting_has_an_editor_that_changes_it_and_can_be_reset(desk: Desk) -> None:
    dialog = SettingsDialog(desk.running.settings, desk.window)
    assert set(dialog.editors) == {setting.key for setting in SETTINGS}
    opacity = dialog.editors["canvas.opacity"]
    opacity.setValue(0.8)  # type: ignore[attr-defined]
    assert desk.running.settings.get("canvas.opacity") == pytest.approx(0.8)
    dialog._resets["canvas.opacity"].click()  # type: ignore[attr-defined]
    assert opacity.value() == pytest.approx(0.5)  # type: ignore[attr-defined]
    theme = dialog.editors["general.theme"]
    theme.setCurrentIndex(theme.findData("dark"))  # type: ignore[attr-defined]
    assert desk.window.context.theme.tokens is DARK, "a change holds at once"
    theme.setCurrentIndex(theme.findData("light"))  # type: ignore[attr-defined]
    assert desk.window.context.theme.tokens is LIGHT
    dialog.deleteLater()


def test_the_palette_runs_what_is_typed(desk: Desk) -> None:
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.canvas.has_image)
    QApplication.processEvents()
    palette = CommandPalette(desk.window.actions_by_id, desk.window)
    palette.show()
    QTest.keyClicks(palette.field, "outl onl")
    assert palette.model.item(0).text() == "Outlines only"
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert desk.workspace.canvas.compositor.look.contours
    palette.deleteLater()


def test_the_palette_offers_nothing_that_cannot_be_done(desk: Desk) -> None:
    palette = CommandPalette(desk.window.actions_by_id, desk.window)
    names = [palette.model.item(i).text() for i in range(palette.model.rowCount())]
    assert "Open folder" in names
    assert "Accept and go on" not in names
    QTest.keyClick(palette.field, Qt.Key.Key_Down)
    assert palette.view.currentIndex().row() == 1
    palette.deleteLater()


def test_the_sheet_names_every_shortcut(desk: Desk) -> None:
    sheet = ShortcutSheet(desk.window.actions_by_id.keys, desk.window)
    shown = texts(sheet)
    for word in ("Ctrl+B", "Propagate", "Backspace", "Space + drag, middle button", "1 … 9, 0"):
        assert word in shown
    sheet.deleteLater()


def test_the_editor_refuses_conflicts_and_keeps_only_changes(desk: Desk) -> None:
    editor = ShortcutEditor("own", {}, desk.window)
    assert editor.primary.isEnabled()
    editor.assign("tool.brush", ("E",))
    assert not editor.primary.isEnabled()
    assert "Brush" in editor._notice.text
    assert "Eraser" in editor._notice.text
    editor.assign("tool.eraser", ("Q",))
    assert editor.primary.isEnabled()
    assert editor.changes == {"tool.brush": ("E",), "tool.eraser": ("Q",)}
    editor.assign("tool.brush", ("B",))
    assert editor.changes == {"tool.eraser": ("Q",)}
    editor.preset.setCurrentIndex(editor.preset.findData("cvat"))
    assert editor.changes == {}
    editor.deleteLater()


def open_propagate(desk: Desk) -> PropagateDialog:
    workspace = desk.workspace
    dialog = PropagateDialog(workspace.project, desk.engine, selected=[], shown=[], parent=desk.window)
    desk.wait(lambda: dialog.model is not None or not desk.engine.known)
    return dialog


def test_propagation_says_what_it_will_do_and_spares_human_work(desk: Desk) -> None:
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    project = desk.workspace.project
    project.set_status([int(project.ids("-status:reference")[0])], Status.ACCEPTED)
    dialog = open_propagate(desk)
    assert "22 images receive labels" in dialog.notice.text
    assert "1 image is yours" in dialog.notice.text
    request = dialog.request()
    assert request is not None
    assert request.references == tuple(project.references())
    assert request.category == dialog.model.category  # type: ignore[union-attr]
    dialog.references.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert not dialog.primary.isEnabled()
    dialog.deleteLater()


def test_another_category_than_before_is_warned_about(desk: Desk) -> None:
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    batches = desk.workspace.project.batches
    batches.finish(batches.begin("propagation", "Propagate", {"category": "cats", "model": "x"}))
    dialog = open_propagate(desk)
    dialog.choose(FIGURES)
    assert not dialog.mismatch.isHidden()
    assert "cats" in dialog.mismatch.text
    assert "figures" in dialog.mismatch.text
    dialog.choose(FLOW)
    assert dialog.mismatch.isHidden()
    dialog.deleteLater()


def test_what_a_model_knows_is_said_before_it_is_used(desk: Desk) -> None:
    path = "/models/mine.safetensors"
    mine = ModelInfo(path, "mine", "", path, {"data_count": 4000}, builtin=False)
    desk.engine.known = [FLOW, mine]
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    dialog = open_propagate(desk)
    assert dialog.model == mine, "a trained model goes before the stop-gap"
    shown = texts(dialog)
    assert "No trained model" not in shown
    assert "from 4,000 images" in shown
    assert dialog.mismatch.isHidden(), "its card says nothing about a category"
    dialog.choose(FIGURES)
    assert "knows figures" in dialog.mismatch.text
    dialog.deleteLater()


def test_without_a_trained_model_two_ways_on_are_offered(desk: Desk) -> None:
    desk.engine.known = [FLOW]
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    dialog = open_propagate(desk)
    shown = texts(dialog)
    assert "No trained model" in shown
    assert "optical flow" in shown
    assert dialog.primary.isEnabled()
    asked: list[bool] = []
    dialog.trainAsked.connect(lambda: asked.append(True))
    dialog._ask_training()
    assert asked
    dialog.deleteLater()


def test_crash_report_and_diagnostics_can_be_read_and_copied(desk: Desk, tmp_path: Path) -> None:
    crash = CrashDialog(CrashReport(tmp_path / "crash.txt", 0.0, "KeyError: nose"), desk.window)
    assert crash._text == "KeyError: nose"
    about = DiagnosticsDialog({"Qt": "6"}, desk.running.settings.paths, desk.window)
    assert str(tmp_path / "profile") in about.text
    about._copy()
    assert QApplication.clipboard().text() == about.text
    crash.deleteLater()
    about.deleteLater()


def test_a_job_shows_progress_errors_and_obeys(desk: Desk) -> None:
    jobs = desk.running.jobs
    go_on: list[bool] = []

    def work(_control: JobControl):  # type: ignore[no-untyped-def]
        yield JobError("cut.jpg", "the file ends too early", 5)
        done = 0
        while not go_on:
            done = min(done + 1, 50)
            yield JobProgress(done, 100, "")
            time.sleep(0.002)

    job = jobs.start("Count", work, kind="export")
    from app.ui.panels.jobs_panel import JobsPanel

    panel = desk.window.findChild(JobsPanel)
    assert panel is not None
    card = panel._cards[job]
    desk.wait(lambda: "50 of 100" in card._state.text())
    assert "1 error" in card._errors_button.text()
    assert "cut.jpg" in card._errors.item(0).text()
    asked: list[int] = []
    panel.imageAsked.connect(asked.append)
    card._errors.itemActivated.emit(card._errors.item(0))
    assert asked == [5]
    card._pause.click()
    assert jobs.view(job).state is JobState.PAUSED
    assert "paused" in card._state.text()
    card._resume.click()
    card._cancel.click()
    desk.wait(lambda: jobs.view(job).is_over)
    assert "cancelled" in card._state.text()
    card._remove.click()
    desk.wait(lambda: job not in panel._cards)


def test_a_job_that_runs_is_asked_about_before_the_project_closes(
    desk: Desk, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open(images)

    def work(_control: JobControl):  # type: ignore[no-untyped-def]
        while True:
            yield JobProgress(1, 2)
            time.sleep(0.002)

    desk.running.jobs.start("Forever", work)
    answers = [False, True]
    monkeypatch.setattr(desk.window, "_may_stop_jobs", lambda: answers.pop(0))
    assert not desk.window.close_project()
    assert desk.window.workspace is not None
    assert desk.window.close_project()
    assert not desk.running.jobs.is_busy


def test_times_are_said_as_people_say_them() -> None:
    assert [duration(s) for s in (8.2, 59.7, 60, 3600, 4800)] == [
        "8 s",
        "1 min",
        "1 min",
        "1 h",
        "1 h 20 min",
    ]
    now = 1_000_000.0
    assert when_text(now - 5, now) == "just now"
    assert when_text(now - 3 * 3600, now) == "3 hours ago"
    assert when_text(now - 86400, now) == "1 day ago"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_window_is_painted_in_both_appearances(desk: Desk, images: Path, theme: str) -> None:
    desk.running.settings.set("general.theme", theme)
    desk.open(images)
    picture: QPixmap = desk.window.grab()
    corner = picture.toImage().pixelColor(picture.width() - 3, 60)
    assert (corner.lightness() > 128) == (theme == "light")


def test_the_appearance_follows_the_system_unless_told_otherwise(
    desk: Desk, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the offscreen platform has no colour scheme to change: what it would say is said in its place
    theme = desk.window.context.theme
    theme.set_appearance("system")
    for dark in (True, False):
        monkeypatch.setattr(theme, "system_is_dark", lambda dark=dark: dark)
        qapp.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
        assert theme.tokens is (DARK if dark else LIGHT)
    theme.set_appearance("light")
    monkeypatch.setattr(theme, "system_is_dark", lambda: True)
    qapp.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert theme.tokens is LIGHT


def test_a_dialog_that_is_gone_is_not_answered(desk: Desk) -> None:
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    cancelled: list[int] = []
    desk.engine.cancel = cancelled.append  # type: ignore[method-assign]
    dialog = PropagateDialog(desk.workspace.project, desk.engine, selected=[], shown=[], parent=desk.window)
    dialog.reject()
    assert cancelled
    dialog._no_models("The engine could not be started.")
    assert "could not be started" in texts(dialog)
    dialog.deleteLater()


CARD = {"research_use": True, "data_source": "AFHQ, the cats", "licence": "CC BY-NC 4.0"}
CATS = ModelInfo("/m/cats.safetensors", "cats", "cats", "/m/cats.safetensors", CARD, builtin=True)
CARS = ModelInfo("/m/cars.safetensors", "cars", "cars", "/m/cars.safetensors", {}, builtin=True)


def test_a_model_for_research_use_is_marked_where_it_is_chosen_and_in_the_record(desk: Desk) -> None:
    desk.engine.known = [FLOW, CATS]
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    dialog = open_propagate(desk)
    assert dialog.model == CATS
    assert not dialog.research.isHidden()
    assert "AFHQ" in dialog.research.text
    shown = texts(dialog)
    assert "research use" in shown
    assert "Trained on: AFHQ, the cats" in shown
    request = dialog.request()
    assert request is not None
    assert (request.details["research_use"], request.details["model_data"]) == (True, "AFHQ, the cats")
    dialog.choose(FLOW)
    assert dialog.research.isHidden()
    request = dialog.request()
    assert request is not None
    assert request.details["research_use"] is False
    dialog.deleteLater()


def test_no_model_is_chosen_where_nothing_speaks_for_one(desk: Desk) -> None:
    desk.engine.known = [FLOW, CATS, CARS]
    desk.window.open_sample()
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 24)
    project = desk.workspace.project
    dialog = PropagateDialog(project, desk.engine, selected=[], shown=[], parent=desk.window)
    desk.wait(lambda: dialog._cards)
    assert dialog.model is None
    assert not dialog.primary.isEnabled()
    assert "Choose a model" in dialog.notice.text
    dialog.choose(CARS)
    assert dialog.primary.isEnabled()
    dialog.deleteLater()

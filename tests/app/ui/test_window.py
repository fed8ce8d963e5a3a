"""The window as a whole: start, light imports, folders that come by mouse, what is remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QDialog

from app.domain.classes import AddClass
from app.domain.status import Status
from app.launch import Running
from app.services import diagnostics
from tests.app.conftest import write_images
from tests.app.ui.conftest import Desk, drag
from tests.app.ui.fakes import FakeEngine

_PROBE = """
import json, sys, time
began = time.perf_counter()
from app import launch
from PySide6.QtCore import QTimer
app = launch.make_application()
def told():
    heavy = [name for name in ("torch", "cv2", "skimage", "scipy") if name in sys.modules]
    print(json.dumps({"heavy": heavy, "windows": len(app.topLevelWindows())}))
    for widget in app.topLevelWidgets():
        widget.close()
QTimer.singleShot(300, told)
raise SystemExit(launch.main(sys.argv[1:]))
"""


def test_the_real_main_shows_a_window_without_anything_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, "--profile", str(tmp_path / "profile")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["heavy"] == []
    assert told["windows"] >= 1
    assert (tmp_path / "profile").is_dir()


def test_a_dropped_folder_is_opened(desk: Desk, images: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(images / "image0.png"))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    desk.window.dropEvent(event)
    assert desk.workspace.project.images_folder == images
    assert "images" in desk.window.windowTitle()


def test_a_folder_that_cannot_be_opened_is_explained(desk: Desk, tmp_path: Path) -> None:
    assert not desk.window.open_project(tmp_path / "nowhere")
    assert "nowhere" in desk.window.welcome.notice.text
    assert not desk.window.welcome.notice.isHidden()


def test_an_empty_folder_waits_for_images(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert desk.window.open_project(tmp_path / "new")
    assert desk.workspace.image_id == -1
    assert desk.workspace.document is None
    for action in ("image.next", "edit.clear", "image.reference", "tool.wand", "view.fit"):
        desk.window.actions_by_id[action].trigger()


def test_an_unreadable_image_is_shown_with_its_reason(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    write_images(folder, 1)
    (folder / "broken.png").write_bytes(b"no picture")
    assert desk.window.open_project(folder)
    desk.wait(lambda: desk.workspace.browser.model.rowCount() == 2)
    desk.wait(lambda: desk.workspace.canvas.has_image)
    assert desk.workspace.project.row(desk.workspace.image_id).path == "image0.png", (
        "the first that can be shown"
    )
    broken = desk.workspace.project.find("broken.png")
    assert broken is not None
    desk.workspace.open_image(broken)
    assert not desk.workspace.canvas.has_image
    assert "broken.png" in desk.workspace.canvas.message
    good = desk.workspace.project.find("image0.png")
    assert good is not None
    desk.workspace.open_image(good)
    desk.wait(lambda: desk.workspace.canvas.has_image)


def test_the_last_image_wins_when_one_goes_through_them_fast(desk: Desk, images: Path) -> None:
    workspace = desk.open(images)
    desk.wait(lambda: workspace.browser.model.rowCount() == 6)
    for _ in range(5):
        workspace.step(1)
    last = int(workspace.browser.model.ids[-1])
    assert workspace.image_id == last
    desk.wait(lambda: workspace.canvas.has_image)
    shown = workspace.canvas.image
    assert shown is not None
    np.testing.assert_array_equal(shown, np.asarray(Image.open(images / "image5.png")))


def test_a_second_window_reads_only(desk: Desk, images: Path, qapp: QApplication, tmp_path: Path) -> None:
    desk.open(images)
    other = Running(qapp, tmp_path / "other", FakeEngine())
    try:
        assert other.window.open_project(images)
        workspace = other.window.workspace
        assert workspace is not None
        assert workspace.project.read_only
        assert "reading only" in workspace.problem.text
        desk.wait(lambda: workspace.canvas.has_image)
        drag(workspace.canvas, [(10, 10), (20, 20)])
        assert workspace.document is not None
        assert not workspace.document.labels.any()
    finally:
        other.close()
        other.engine.deleteLater()


def test_classes_are_added_chosen_and_taken_back(desk: Desk, images: Path) -> None:
    workspace = desk.open(images)
    workspace.classes.add("wing")
    desk.wait(lambda: workspace.project.classes.by_name("wing") is not None)
    wing = workspace.project.classes.by_name("wing")
    assert wing is not None
    desk.wait(lambda: workspace.options.class_id == wing.id)
    assert workspace.classes.model.row_of(wing.id) == 1
    workspace.session.change_classes(AddClass("tail"))
    desk.wait(lambda: workspace.classes.model.rowCount() == 3)
    workspace.classes.model.move(workspace.project.classes.by_name("tail").id, 1)  # type: ignore[union-attr]
    desk.wait(lambda: workspace.project.classes.names == ("background", "tail", "wing"))
    desk.press(Qt.Key.Key_1)
    assert workspace.options.class_id == workspace.project.classes.by_name("tail").id  # type: ignore[union-attr]
    workspace.classes.set_flags(wing.id, visible=False)
    desk.wait(lambda: wing.id in workspace.project.classes.hidden_ids)
    desk.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.wait(lambda: not workspace.project.classes.hidden_ids)


def test_marking_a_reference_shows_in_the_browser_and_can_be_undone(desk: Desk, images: Path) -> None:
    workspace = desk.open(images)
    image = workspace.image_id
    desk.press(Qt.Key.Key_R)
    desk.wait(lambda: workspace.project.row(image).status is Status.REFERENCE)
    desk.wait(lambda: workspace.session.can_undo)
    assert desk.window.actions_by_id["image.reference"].isChecked()
    desk.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.wait(lambda: workspace.project.row(image).status is Status.UNLABELLED)


def test_searching_leads_next_and_previous(desk: Desk, images: Path) -> None:
    workspace = desk.open(images)
    desk.wait(lambda: workspace.browser.model.rowCount() == 6)
    workspace.browser.search.setText("image3")
    workspace.browser.apply_search()
    workspace.step(1)
    assert workspace.project.row(workspace.image_id).path == "image3.png"


def test_panels_stay_where_they_were_left(desk: Desk, images: Path) -> None:
    desk.open(images)
    desk.window.actions_by_id["view.navigator"].trigger()
    QApplication.processEvents()
    assert desk.window.docks["navigator"].isHidden()
    desk.window.close_project()
    desk.open(images)
    assert desk.window.docks["navigator"].isHidden()
    assert not desk.window.docks["classes"].isHidden()


def test_display_brightness_never_reaches_the_image(desk: Desk, images: Path) -> None:
    workspace = desk.open(images)
    before = (images / "image0.png").read_bytes()
    workspace.canvas.set_look(brightness=0.5, contrast=0.3)
    workspace.canvas.grab()
    assert (images / "image0.png").read_bytes() == before
    desk.window.actions_by_id["view.reset_display"].trigger()
    assert workspace.canvas.compositor.look.tone() is None


def test_a_crash_is_offered_once_at_the_next_start(desk: Desk) -> None:
    try:
        raise KeyError("nose")
    except KeyError as error:
        report = desk.running.reporter.write(error)
    assert report is not None
    desk.running._offer_crash_report()
    dialog = desk.window.findChild(QDialog)
    assert dialog is not None
    dialog.accept()
    assert diagnostics.pending_report(desk.running.settings.paths) is None


@pytest.mark.parametrize("name", ["rgba.png", "grey16.png", "palette.png", "cmyk.jpg"])
def test_unusual_pixels_are_shown(desk: Desk, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    modes = {"rgba.png": "RGBA", "palette.png": "P", "cmyk.jpg": "CMYK"}
    if name == "grey16.png":
        Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(folder / name)
    else:
        Image.new("RGB", (30, 20), (200, 30, 30)).convert(modes[name]).save(folder / name)
    workspace = desk.open(folder)
    assert workspace.canvas.image is not None
    assert workspace.canvas.image.shape == (20, 30, 3)


def test_painting_without_any_class_asks_for_one(
    desk: Desk, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = desk.open(images)
    asked: list[bool] = []
    monkeypatch.setattr(workspace.classes, "ask_new", lambda: asked.append(True))
    drag(workspace.canvas, [(5, 5), (20, 20)])
    desk.wait(lambda: asked)
    assert workspace.document is not None
    assert not workspace.document.can_undo
    workspace.classes.add("wing")
    desk.wait(lambda: workspace.options.class_id == 1)
    drag(workspace.canvas, [(5, 5), (20, 20)])
    assert workspace.document.labels.any()
    assert len(asked) == 1


def test_export_and_import_by_the_menus(
    desk: Desk, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.ui import flows
    from app.ui.dialogs.exporting import ExportDialog
    from app.ui.dialogs.importing import ImportDialog

    out = tmp_path / "out"

    def fill(dialog: QDialog) -> bool:
        if isinstance(dialog, ExportDialog):
            dialog.format.setCurrentIndex(dialog.format.findData("index-png"))
            dialog.out.setText(str(out))
            dialog.check()
        if isinstance(dialog, ImportDialog):
            dialog.path.setText(str(out))
            dialog._probe()
        desk.wait(lambda: dialog.primary.isEnabled())  # type: ignore[attr-defined]
        return dialog.primary.isEnabled()  # type: ignore[attr-defined,no-any-return]

    monkeypatch.setattr(flows, "_accepted", fill)
    workspace = desk.open(images)
    workspace.classes.add("wing")
    desk.wait(lambda: workspace.options.class_id == 1)
    drag(workspace.canvas, [(5, 5), (20, 20)])
    assert workspace.document is not None
    painted = workspace.document.labels.copy()
    image = workspace.image_id
    desk.saved()
    desk.window.actions_by_id["file.export"].trigger()
    desk.wait(lambda: not desk.running.jobs.is_busy)
    assert list(out.rglob("*.png"))

    # into a second project of the same images
    other = tmp_path / "other"
    write_images(other, 6)
    again = desk.open(other)
    desk.wait(lambda: again.browser.model.rowCount() == 6)
    desk.window.actions_by_id["file.import"].trigger()
    desk.wait(lambda: not desk.running.jobs.is_busy)
    desk.wait(lambda: again.project.classes.by_name("wing") is not None)
    target = again.project.find(f"image{image - 1}.png")
    assert target is not None
    desk.wait(lambda: again.project.labels(target).any())
    np.testing.assert_array_equal(again.project.labels(target), painted)
    desk.wait(lambda: again.session.can_undo)
    desk.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.wait(lambda: not again.project.labels(target).any())
    desk.wait(lambda: not desk.running.jobs.is_busy)

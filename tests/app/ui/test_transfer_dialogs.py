"""Export and import dialogs: every format, choices, losses before, classes to confirm, own work kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.classes import table_from_names
from app.domain.formats import FORMATS, ExportOptions
from app.domain.formats.base import ExportItem
from app.ui.dialogs.class_mapping import STATE
from app.ui.dialogs.exporting import ExportDialog
from app.ui.dialogs.importing import ImportDialog
from tests.app.domain.test_import_export import with_hole
from tests.app.ui.conftest import Desk


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three label maps in CVAT's format, one of no image; the classes eye, left ear and tail."""
    table = table_from_names(["eye", "left ear", "tail"])
    labels = np.zeros((32, 48), np.uint8)
    labels[:10], labels[10:20], labels[20:] = 1, 2, 3
    items = [
        ExportItem(i, f"{n}.png", n, tmp_path, lambda: labels)
        for i, n in enumerate(["image0", "image1", "other"])
    ]
    list(FORMATS["cvat-images"].write(tmp_path / "source", items, table, ExportOptions()))
    return tmp_path / "source"


def looked(desk: Desk, source: Path) -> ImportDialog:
    workspace = desk.workspace
    dialog = ImportDialog(workspace.project, workspace.worker, desk.window)
    dialog.path.setText(str(source))
    dialog._probe()
    desk.wait(lambda: dialog.report is not None)
    return dialog


def test_an_import_is_looked_at_before_anything_changes(desk: Desk, images: Path, source: Path) -> None:
    project = desk.open(images).project
    before = (project.classes, len(project.runs()))
    dialog = looked(desk, source / "annotations.xml")
    assert dialog.format_name == "cvat-images"
    assert "2 images get labels" in dialog.notice.text
    assert "New classes: eye, left ear, tail" in dialog.notice.text
    assert "Fits no image: other" in dialog.details.toPlainText()
    assert "No label map: image2.png" in dialog.details.toPlainText()
    assert dialog.mapping == {1: "eye", 2: "left ear", 3: "tail"}
    assert (project.classes, len(project.runs())) == before
    dialog.deleteLater()


def test_classes_can_be_renamed_merged_and_left_out(desk: Desk, images: Path, source: Path) -> None:
    workspace = desk.open(images)
    workspace.classes.add("wing")
    desk.wait(lambda: workspace.project.classes.by_name("wing") is not None)
    dialog = looked(desk, source)
    dialog.classes.box(1).setCurrentText("wing")
    dialog.classes.box(2).setCurrentText(dialog.classes.left_out)
    dialog.classes.box(3).setEditText("feather")
    states = [dialog.classes.item(i, STATE).text() for i in range(3)]
    assert states == ["", "left out", "new class"]
    assert dialog.mapping == {1: "wing", 3: "feather"}
    assert "New classes: feather" in dialog.notice.text
    dialog.deleteLater()


def test_own_work_is_replaced_only_by_an_explicit_choice(desk: Desk, images: Path, source: Path) -> None:
    project = desk.open(images).project
    with_hole(project, 0)
    dialog = looked(desk, source)
    assert dialog.overwrite.isVisibleTo(dialog)
    assert not dialog.replaces
    assert "1 image is yours and stays" in dialog.notice.text
    assert "1 image gets labels" in dialog.notice.text
    dialog.overwrite.setChecked(True)
    assert dialog.replaces
    assert "2 images get labels" in dialog.notice.text
    dialog.check()
    desk.wait(lambda: dialog.report is not None)
    assert not dialog.replaces, "allowed for one look, not for the next"
    dialog.deleteLater()


def test_what_cannot_be_read_is_said(desk: Desk, images: Path, tmp_path: Path) -> None:
    desk.open(images)
    bad = tmp_path / "annotations.xml"
    bad.write_text('<!DOCTYPE a [<!ENTITY x "boom">]><annotations>&x;</annotations>')
    workspace = desk.workspace
    dialog = ImportDialog(workspace.project, workspace.worker, desk.window)
    dialog.path.setText(str(bad))
    dialog._probe()
    desk.wait(lambda: "declares" in dialog.notice.text)
    assert not dialog.primary.isEnabled()
    assert not dialog.classes.isVisibleTo(dialog)
    dialog.deleteLater()


def test_a_label_map_of_another_size_is_told_before(desk: Desk, images: Path, tmp_path: Path) -> None:
    desk.open(images)
    (tmp_path / "pngs").mkdir()
    Image.fromarray(np.ones((5, 5), np.uint8)).save(tmp_path / "pngs/image0.png")
    dialog = looked(desk, tmp_path / "pngs")
    assert "5 x 5 pixels" in dialog.details.toPlainText()
    assert not dialog.primary.isEnabled(), "nothing would be imported"
    dialog.deleteLater()


def test_every_format_can_be_chosen_with_its_choices(desk: Desk, images: Path, tmp_path: Path) -> None:
    workspace = desk.open(images)
    with_hole(workspace.project, 0)
    dialog = ExportDialog(workspace.project, [], workspace.worker, desk.window)
    dialog.out.setText(str(tmp_path / "out"))
    for place, (name, each) in enumerate(FORMATS.items()):
        dialog.format.setCurrentIndex(place)
        assert dialog.format_name == name
        assert list(dialog.choices) == [c.key for c in each.choices]
        assert dialog.options.choices == {c.key: next(iter(c.values)) for c in each.choices}
        assert dialog.validation.isVisibleTo(dialog) == each.splits
        desk.wait(dialog.primary.isEnabled)
        assert dialog.list.toPlainText()
    dialog.deleteLater()


def test_losses_are_shown_before_the_export(desk: Desk, images: Path, tmp_path: Path) -> None:
    workspace = desk.open(images)
    with_hole(workspace.project, 0)
    dialog = ExportDialog(workspace.project, [], workspace.worker, desk.window)
    dialog.out.setText(str(tmp_path / "out"))
    dialog.format.setCurrentIndex(dialog.format.findData("yolo-seg"))
    desk.wait(dialog.primary.isEnabled)
    assert "Every pixel comes back" in dialog.notice.text
    dialog.choices["holes"].setCurrentIndex(1)
    assert not dialog.primary.isEnabled()
    desk.wait(dialog.primary.isEnabled)
    assert "image0.png: keeps an IoU of 0.640" in dialog.list.toPlainText()
    assert not (tmp_path / "out").exists()
    dialog.deleteLater()


def test_labels_of_a_model_for_research_use_keep_its_mark_in_an_export(
    desk: Desk, images: Path, tmp_path: Path
) -> None:
    workspace = desk.open(images)
    with_hole(workspace.project, 0)
    details = {"model_name": "cats", "research_use": True, "model_data": "AFHQ"}
    workspace.project.batches.finish(workspace.project.batches.begin("propagation", "Propagate", details))
    dialog = ExportDialog(workspace.project, [], workspace.worker, desk.window)
    dialog.out.setText(str(tmp_path / "out"))
    desk.wait(dialog.primary.isEnabled)
    assert "the model cats, which is for research use (trained on: AFHQ)" in dialog.notice.text
    dialog.deleteLater()

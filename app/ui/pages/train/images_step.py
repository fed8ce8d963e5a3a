"""Step 1: which images, and what of each of them the networks see."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QButtonGroup, QCheckBox, QDoubleSpinBox, QFileDialog, QRadioButton, QWidget

from app.services.tasks import Task, Worker
from app.services.translations import mark
from app.ui.pages.train.crop_box import CropBox
from app.ui.pages.train.draft import CROP_MODES, Draft
from app.ui.pages.train.folder_images import first_images
from app.ui.pages.train.step import StepCard
from app.ui.texts import tr
from app.ui.widgets.basics import ElidedLabel, Notice, button, column, icon_button, label, row
from app.ui.widgets.wheel import spare_from_wheel

_TITLES = {
    "whole": (mark("Whole image"), mark("Squeezed to a square; best when the images are alike already.")),
    "centre": (mark("Centre"), mark("The largest square in the middle.")),
    "labels": (
        mark("Where the labels are"),
        mark("Around your labels; in other images, their usual place."),
    ),
    "box": (mark("A box you draw"), mark("The same part of every image.")),
}


class ImagesStep(StepCard):
    """The folder, its sub-folders, and the cropping."""

    def __init__(self, draft: Draft, worker: Worker) -> None:
        self._draft, self._worker = draft, worker
        self._project: Path | None = None
        self._samples: list[Path] = []
        self._sample = 0
        self._task: Task[list[Path]] | None = None
        self.path = ElidedLabel()
        self.path.setAccessibleName(tr("Folder of the images"))
        self.choose = button(tr("Choose…"), self.ask_folder, icon_name="mdi6.folder-open-outline")
        self.use_project = button(tr("Use the open project"), self._take_project, kind="quiet")
        self.recursive = QCheckBox(tr("Sub-folders too"))
        self.recursive.toggled.connect(draft.set_recursive)
        where = row(self.path, self.use_project, self.choose)
        where.setStretch(0, 1)
        self.problem = Notice(level="bad")
        self.problem.hide()
        crops = self._make_crops()
        super().__init__(1, tr("Images"), column(where, self.recursive, self.problem, crops, spacing=8))
        draft.imagesChanged.connect(self.refresh)
        self.refresh()

    def _make_crops(self) -> QWidget:
        self.modes: dict[str, QRadioButton] = {}
        self._texts: dict[str, ElidedLabel] = {}
        self._group = QButtonGroup(self._worker)
        rows = []
        for mode in CROP_MODES:
            title, text = _TITLES[mode]
            made = QRadioButton(tr(title))
            made.setAccessibleDescription(tr(text))
            made.clicked.connect(lambda _on=False, mode=mode: self._draft.set_crop(mode))
            self._group.addButton(made)
            self.modes[mode] = made
            self._texts[mode] = _explained(tr(text))
            line = row(made, self._texts[mode], spacing=8)
            line.setStretch(1, 1)
            rows.append(line)
        self._make_margin()
        self._make_box()
        part = QWidget()
        part.setLayout(
            column(label(tr("Cropping"), "muted"), *rows, self.margin_row, self.box_part, spacing=3)
        )
        return part

    def _make_margin(self) -> None:
        self.margin = QDoubleSpinBox()
        self.margin.setRange(0, 100)
        self.margin.setDecimals(0)
        self.margin.setValue(15)
        self.margin.setSuffix(" %")
        self.margin.setAccessibleName(tr("Room around the labels"))
        self.margin.setFixedWidth(90)
        self.margin.setKeyboardTracking(False)
        spare_from_wheel(self.margin)
        self.margin.valueChanged.connect(lambda value: self._draft.set_margin(value / 100))
        self.margin_row = QWidget()
        self.margin_row.setLayout(
            row(26, label(tr("Room around the labels"), "muted"), self.margin, None, spacing=8)
        )

    def _make_box(self) -> None:
        self.box = CropBox(self._worker)
        self.box.setFixedHeight(230)
        self.box.boxChanged.connect(self._draft.set_box)
        self.box_name = label("", "muted")
        earlier = icon_button("mdi6.chevron-left", tr("Previous image"), lambda: self._show_sample(-1))
        later = icon_button("mdi6.chevron-right", tr("Next image"), lambda: self._show_sample(1))
        self.box_part = QWidget()
        self.box_part.setLayout(
            column(self.box, row(None, earlier, self.box_name, later, None, spacing=4), spacing=4)
        )

    # -- the folder --------------------------------------------------------------------------------

    def set_project(self, folder: Path | None) -> None:
        """Offer the open project's images, and use them unless another folder was picked."""
        self._project = folder
        if folder is not None and not self._draft.now.own_folder:
            self._draft.choose_images(folder, own_folder=False)
        self.refresh()

    def ask_folder(self) -> None:
        """Let a folder be picked."""
        start = str(self._draft.now.images or "")
        found = QFileDialog.getExistingDirectory(self, tr("Images to train on"), start)
        if found:
            self._draft.choose_images(Path(found), own_folder=True)

    def _take_project(self) -> None:
        if self._project is not None:
            self._draft.choose_images(self._project, own_folder=False)

    def refresh(self) -> None:
        """Show what is chosen."""
        now = self._draft.now
        self.path.setText(str(now.images) if now.images is not None else tr("No folder chosen yet"))
        self.use_project.setVisible(self._project is not None and now.images != self._project)
        self.choose.setText(" " + (tr("Another folder…") if now.images else tr("Choose a folder…")))
        self.recursive.setChecked(now.recursive)
        self.set_state("done" if now.images is not None else "")
        self.modes[now.crop].setChecked(True)
        can_use_labels = bool(self._draft.labels)
        self.modes["labels"].setEnabled(can_use_labels or now.crop == "labels")
        why = tr(_TITLES["labels"][1]) if can_use_labels else tr("No image of this folder has labels yet.")
        self._texts["labels"].setText(why)
        self.modes["labels"].setAccessibleDescription(why)
        self.margin_row.setVisible(now.crop == "labels")
        self.box_part.setVisible(now.crop == "box")
        self.box.set_box(now.box)
        if now.crop == "box":
            self._find_samples()

    # -- the template ------------------------------------------------------------------------------

    def _find_samples(self) -> None:
        folder, recursive = self._draft.now.images, self._draft.now.recursive
        if folder is None:
            self.box.say(tr("Choose a folder first"))
            return
        if self._samples and self._samples[0].is_relative_to(folder):
            return
        if self._task is not None:
            self._task.cancel()
        self.box.say(tr("Looking for an image…"))
        self._task = self._worker.run(lambda: first_images(folder, recursive=recursive), self._take_samples)

    def _take_samples(self, found: list[Path]) -> None:
        self._samples, self._sample = found, 0
        if not found:
            self.box.load(None)
            self.box.say(tr("There is no image in this folder"))
            self.box_name.setText("")
        else:
            self._show_sample(0)

    def _show_sample(self, step: int) -> None:
        if self._samples:
            self._sample = (self._sample + step) % len(self._samples)
            self.box.load(self._samples[self._sample])
            self.box_name.setText(self._samples[self._sample].name)


def _explained(text: str) -> ElidedLabel:
    made = ElidedLabel(text)
    made.setProperty("role", "muted")
    return made

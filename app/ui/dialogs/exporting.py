"""Export of label maps, with a dry run that says what will be written and what will be lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QWidget,
)

from app.domain.formats import FORMATS, ExportOptions, ExportReport
from app.domain.model_choice import research_notes
from app.domain.project import Project
from app.services.tasks import Task, Worker
from app.ui.dialogs.base import Dialog
from app.ui.texts import plural, tr
from app.ui.widgets.basics import Notice, button, column, label, row

_LISTED = 200
Ranges = tuple[tuple[str, Callable[[], list[int]]], ...]


def export_ranges(project: Project, selected: list[int]) -> Ranges:
    """Return the choices of what to export: title -> image ids."""

    def asked(query: str) -> Callable[[], list[int]]:
        return lambda: [int(i) for i in project.ids(query)]

    ranges: Ranges = (
        (tr("Reviewed images (accepted, edited, references)"), asked("status:accepted,edited,reference")),
        (tr("All labelled images"), asked("status:accepted,edited,reference,propagated")),
    )
    if len(selected) > 1:
        title = plural(len(selected), "The selected image", "The {n} selected images")
        ranges = (*ranges, (title, lambda: selected))
    return ranges


class ExportDialog(Dialog):
    """Format, place and range; below them what would be written and what the format cannot hold."""

    def __init__(
        self, project: Project, selected: list[int], worker: Worker, parent: QWidget | None = None
    ) -> None:
        super().__init__(
            tr("Export"), tr("Images stay where they are; only copies of the labels are written."), parent
        )
        self._project = project
        self._worker = worker
        self._looking: Task[ExportReport] | None = None
        self._ranges = export_ranges(project, selected)
        self.format = QComboBox()
        for name, each in FORMATS.items():
            self.format.addItem(each.title, name)
        self.range = QComboBox()
        for title, _ in self._ranges:
            self.range.addItem(title)
        self.out = QLineEdit(str(project.images_folder.parent / f"{project.images_folder.name}-labels"))
        browse = button(tr("Choose…"), self._browse)
        self.copy_images = QCheckBox(tr("Copy the images too"))
        self.own_colours = QCheckBox(tr("Use the colours of this project"))
        self.own_colours.setToolTip(tr("Instead of the colours that the format is known by"))
        self.validation = QSpinBox()
        self.validation.setRange(0, 90)
        self.validation.setSuffix(" %")
        self.validation.setMinimumWidth(72)
        self.validation.setAccessibleName(tr("Part of the images for validation"))
        self.validation.setToolTip(tr("An image keeps its side when others come"))
        self.validation_title = label(tr("Validation"))
        self.choices: dict[str, QComboBox] = {}
        self.choice_rows = QFormLayout()
        self.choice_rows.setContentsMargins(0, 0, 0, 0)
        self.notice = Notice()
        self.list = QPlainTextEdit()
        self.list.setReadOnly(True)
        self.format.currentIndexChanged.connect(self._take_format)
        self.range.currentIndexChanged.connect(self.check)
        self.own_colours.toggled.connect(self.check)
        self.validation.valueChanged.connect(self.check)
        self.out.editingFinished.connect(self.check)
        self.copy_images.toggled.connect(self.check)
        self.finished.connect(self._stop_looking)
        self._lay_out(browse)
        self._take_format()

    def _lay_out(self, browse: QWidget) -> None:
        form = column(
            label(tr("Format"), "section"),
            self.format,
            4,
            self.choice_rows,
            6,
            label(tr("Images"), "section"),
            self.range,
            6,
            label(tr("Folder"), "section"),
            row(self.out, browse),
            row(self.copy_images, 12, self.own_colours, None, self.validation_title, self.validation),
            6,
            label(tr("What will be written"), "section"),
            self.notice,
            self.list,
            spacing=4,
        )
        self.finish(form, tr("Export"))
        self.resize(620, 620)

    @property
    def format_name(self) -> str:
        """The chosen format."""
        return str(self.format.currentData())

    @property
    def folder(self) -> Path:
        """Where to."""
        return Path(self.out.text()).expanduser()

    @property
    def options(self) -> ExportOptions:
        """How to write."""
        splits = FORMATS[self.format_name].splits
        return ExportOptions(
            copy_images=self.copy_images.isChecked(),
            project_colors=self.own_colours.isChecked(),
            validation_share=self.validation.value() / 100 if splits else 0.0,
            choices={key: str(box.currentData()) for key, box in self.choices.items()},
        )

    def ids(self) -> list[int]:
        """Return the images to export."""
        return self._ranges[self.range.currentIndex()][1]()

    def _take_format(self) -> None:
        """Offer what the chosen format lets a person decide, and look."""
        chosen = FORMATS[self.format_name]
        while self.choice_rows.rowCount():
            self.choice_rows.removeRow(0)
        self.choices = {}
        for choice in chosen.choices:
            box = QComboBox()
            box.setAccessibleName(choice.title)
            for value, title in choice.values.items():
                box.addItem(title, value)
            box.currentIndexChanged.connect(self.check)
            self.choice_rows.addRow(label(choice.title, "muted"), box)
            self.choices[choice.key] = box
        for each in (self.validation_title, self.validation):
            each.setVisible(chosen.splits)
        self.own_colours.setVisible(chosen.own_colors)
        self.check()

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Export to"), self.out.text())
        if path:
            self.out.setText(path)
            self.check()

    def check(self) -> None:
        """Run dry in a worker: list the files and what would be lost."""
        from app.domain.formats import export_report

        self._stop_looking()
        self.primary.setEnabled(False)
        self.notice.show_text(tr("Looking what will be written…"), "info")
        project, ids, name = self._project, self._ranges[self.range.currentIndex()][1], self.format_name
        out, options = self.folder, self.options
        self._looking = self._worker.run(
            lambda: export_report(project, ids(), name, out, options), self._show, self._refuse
        )

    def _stop_looking(self) -> None:
        """Have nobody told what was found for an older choice."""
        if self._looking is not None:
            self._looking.cancel()

    def _show(self, report: ExportReport) -> None:
        if not report.images:
            self._refuse(tr("None of these images has labels yet."))
            return
        files = report.files
        self.primary.setEnabled(True)
        lines = [
            plural(report.images, "{n} image", "{n} images")
            + "  ·  "
            + plural(len(files), "{n} file", "{n} files")
        ]
        if report.skipped:
            lines.append(plural(len(report.skipped), "{n} image is left out", "{n} images are left out"))
        if report.lossless:
            lines.append(tr("Every pixel comes back from this format"))
        notes = research_notes(self._project)
        lines += [*report.warnings, *notes]
        self.notice.show_text("\n".join(lines), "warn" if report.warnings or notes else "good")
        shown = list(files[:_LISTED])
        if len(files) > _LISTED:
            shown.append(tr("… and {n} more", n=f"{len(files) - _LISTED:,}"))
        self.list.setPlainText("\n".join(self._losses(report) + shown))

    def _losses(self, report: ExportReport) -> list[str]:
        """Return what comes back of each image that loses pixels, the worst first."""
        worst = sorted((iou, image) for image, iou in report.iou.items() if iou < 1.0)[:_LISTED]
        paths = {r.id: r.path for r in self._project.rows([image for _, image in worst])}
        return [
            tr("{name}: keeps an IoU of {iou}", name=paths.get(image, ""), iou=f"{iou:.3f}")
            for iou, image in worst
        ]

    def _refuse(self, reason: str) -> None:
        self.primary.setEnabled(False)
        self.notice.show_text(reason, "warn")
        self.list.setPlainText("")

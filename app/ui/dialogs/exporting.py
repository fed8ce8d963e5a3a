"""Export and import of label maps, each with a dry run that says what will happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QLineEdit, QPlainTextEdit, QWidget

from app.domain.formats import FORMATS, ExportOptions, ExportReport, ImportReport
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
        self.notice = Notice()
        self.list = QPlainTextEdit()
        self.list.setReadOnly(True)
        for box in (self.format, self.range):
            box.currentIndexChanged.connect(self.check)
        self.out.editingFinished.connect(self.check)
        self.copy_images.toggled.connect(self.check)
        self.finished.connect(self._stop_looking)
        self._lay_out(browse)
        self.check()

    def _lay_out(self, browse: QWidget) -> None:
        form = column(
            label(tr("Format"), "section"),
            self.format,
            6,
            label(tr("Images"), "section"),
            self.range,
            6,
            label(tr("Folder"), "section"),
            row(self.out, browse),
            row(self.copy_images, 12, self.own_colours, None),
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
        return ExportOptions(
            copy_images=self.copy_images.isChecked(), project_colors=self.own_colours.isChecked()
        )

    def ids(self) -> list[int]:
        """Return the images to export."""
        return self._ranges[self.range.currentIndex()][1]()

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
        lines += report.warnings
        self.notice.show_text("\n".join(lines), "warn" if report.warnings else "good")
        shown = list(files[:_LISTED])
        if len(files) > _LISTED:
            shown.append(tr("… and {n} more", n=f"{len(files) - _LISTED:,}"))
        self.list.setPlainText("\n".join(shown))

    def _refuse(self, reason: str) -> None:
        self.primary.setEnabled(False)
        self.notice.show_text(reason, "warn")
        self.list.setPlainText("")


class ImportDialog(Dialog):
    """Format and place; below them what matches and what would be replaced."""

    def __init__(self, project: Project, worker: Worker, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("Import labels"),
            tr("Labels that a person made in this project stay; the import can be undone."),
            parent,
        )
        self._project = project
        self._worker = worker
        self._looking: Task[str] | Task[ImportReport] | None = None
        self.mapping: Mapping[int, str] | None = None
        self.format = QComboBox()
        for name, each in FORMATS.items():
            self.format.addItem(each.title, name)
        self.path = QLineEdit()
        self.path.setPlaceholderText(tr("Folder or file with labels"))
        self.notice = Notice(tr("Choose where the labels are."))
        self.path.editingFinished.connect(self._probe)
        self.finished.connect(self._stop_looking)
        self.format.currentIndexChanged.connect(self.check)
        form = column(
            label(tr("From"), "section"),
            row(self.path, button(tr("Choose…"), self._browse)),
            6,
            label(tr("Format"), "section"),
            self.format,
            6,
            self.notice,
            None,
            spacing=4,
        )
        self.finish(form, tr("Import"))
        self.primary.setEnabled(False)
        self.resize(560, 400)

    @property
    def format_name(self) -> str:
        """The chosen format."""
        return str(self.format.currentData())

    @property
    def source(self) -> Path:
        """Where from."""
        return Path(self.path.text()).expanduser()

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Import from"), str(self._project.images_folder))
        if path:
            self.path.setText(path)
            self._probe()

    def _probe(self) -> None:
        """Choose the format that fits best, and look."""
        self._begin()
        if self.path.text():
            source = self.source
            self._looking = self._worker.run(
                lambda: max(FORMATS, key=lambda name: FORMATS[name].probe(source)), self._take, self._refuse
            )

    def _take(self, name: str) -> None:
        self.format.blockSignals(True)
        self.format.setCurrentIndex(self.format.findData(name))
        self.format.blockSignals(False)
        self.check()

    def check(self) -> None:
        """Run dry in a worker: what matches, what is missing."""
        from app.domain.formats import import_report

        self._begin()
        if self.path.text():
            project, name, source = self._project, self.format_name, self.source
            self._looking = self._worker.run(
                lambda: import_report(project, name, source), self._show, self._refuse
            )

    def _begin(self) -> None:
        self._stop_looking()
        self.primary.setEnabled(False)
        text = tr("Looking what is there…") if self.path.text() else tr("Choose where the labels are.")
        self.notice.show_text(text, "info")

    def _stop_looking(self) -> None:
        """Have nobody told what was found for an older choice."""
        if self._looking is not None:
            self._looking.cancel()

    def _refuse(self, reason: str) -> None:
        self.notice.show_text(reason, "bad")

    def _show(self, report: ImportReport) -> None:
        self.mapping = report.mapping
        count = len(set(report.matched) - set(report.protected))
        lines = [plural(count, "{n} image gets labels", "{n} images get labels")]
        if report.protected:
            lines.append(
                plural(len(report.protected), "{n} image is yours and stays", "{n} images are yours and stay")
            )
        if report.new_classes:
            lines.append(tr("New classes: {names}", names=", ".join(report.new_classes)))
        lines += report.warnings
        self.primary.setEnabled(count > 0)
        self.notice.show_text("\n".join(lines), "warn" if report.warnings or not count else "good")

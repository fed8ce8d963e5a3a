"""Import of label maps: a dry run, the classes to confirm, and whether a person's work may go."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QLineEdit, QPlainTextEdit, QWidget

from app.domain.formats import FORMATS, ImportReport, new_classes
from app.domain.project import Project
from app.services.tasks import Task, Worker
from app.ui.dialogs.base import Dialog
from app.ui.dialogs.class_mapping import ClassMapping
from app.ui.texts import plural, tr
from app.ui.widgets.basics import Notice, button, column, label, row

_LISTED = 200


class ImportDialog(Dialog):
    """Place and format; below them what matches, which class becomes which, and what would be replaced."""

    def __init__(self, project: Project, worker: Worker, parent: QWidget | None = None) -> None:
        super().__init__(
            tr("Import labels"),
            tr("Nothing changes before you confirm; the whole import is one step that can be undone."),
            parent,
        )
        self._project = project
        self._worker = worker
        self._looking: Task[str] | Task[ImportReport] | None = None
        self.report: ImportReport | None = None
        self.format = QComboBox()
        self.format.setAccessibleName(tr("Format"))
        for name, each in FORMATS.items():
            self.format.addItem(each.title, name)
        self.path = QLineEdit()
        self.path.setPlaceholderText(tr("Folder or file with labels"))
        self.path.setAccessibleName(tr("Where the labels are"))
        self.notice = Notice(tr("Choose where the labels are."))
        self.classes = ClassMapping()
        self.overwrite = QCheckBox()
        self.overwrite.hide()
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setAccessibleName(tr("Images"))
        self.path.editingFinished.connect(self._probe)
        self.finished.connect(self._stop_looking)
        self.format.currentIndexChanged.connect(self.check)
        self.classes.changed.connect(self._sum_up)
        self.overwrite.toggled.connect(self._sum_up)
        self._lay_out()
        self.primary.setEnabled(False)

    def _lay_out(self) -> None:
        self._classes_title = label(tr("Classes"), "section")
        self._images_title = label(tr("Images"), "section")
        self._filler = QWidget()
        place = row(
            self.path, button(tr("Folder…"), self._browse_folder), button(tr("File…"), self._browse_file)
        )
        form = column(
            label(tr("From"), "section"),
            place,
            6,
            label(tr("Format"), "section"),
            self.format,
            6,
            self.notice,
            self.overwrite,
            6,
            self._classes_title,
            self.classes,
            6,
            self._images_title,
            self.details,
            self._filler,
            spacing=4,
        )
        form.setStretchFactor(self.classes, 3)
        form.setStretchFactor(self.details, 1)
        form.setStretchFactor(self._filler, 1)
        self._show_lists(visible=False)
        self.finish(form, tr("Import"))
        self.resize(680, 720)

    @property
    def format_name(self) -> str:
        """The chosen format."""
        return str(self.format.currentData())

    @property
    def source(self) -> Path:
        """Where from."""
        return Path(self.path.text()).expanduser()

    @property
    def mapping(self) -> dict[int, str]:
        """Class id of the source -> name of the class it becomes; those that are left out are not in it."""
        return self.classes.mapping

    @property
    def replaces(self) -> bool:
        """Whether a person's work may be replaced."""
        return self.overwrite.isVisibleTo(self) and self.overwrite.isChecked()

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Import from"), self._start_folder())
        self._take_path(path)

    def _browse_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, tr("Import from"), self._start_folder(), tr("Labels (*.json *.xml *.zip);;All files (*)")
        )
        self._take_path(path)

    def _start_folder(self) -> str:
        return self.path.text() or str(self._project.images_folder.parent)

    def _take_path(self, path: str) -> None:
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
        """Run dry in a worker: what matches, what is missing, which classes there are."""
        from app.domain.formats import import_report

        self._begin()
        if self.path.text():
            project, name, source = self._project, self.format_name, self.source
            self._looking = self._worker.run(
                lambda: import_report(project, name, source), self._show, self._refuse
            )

    def _begin(self) -> None:
        self._stop_looking()
        self.report = None
        self.primary.setEnabled(False)
        self._show_lists(visible=False)
        text = tr("Looking what is there…") if self.path.text() else tr("Choose where the labels are.")
        self.notice.show_text(text, "info")

    def _stop_looking(self) -> None:
        """Have nobody told what was found for an older choice."""
        if self._looking is not None:
            self._looking.cancel()

    def _refuse(self, reason: str) -> None:
        self.notice.show_text(reason, "bad")

    def _show_lists(self, *, visible: bool) -> None:
        for each in (self._classes_title, self.classes, self._images_title, self.details):
            each.setVisible(visible)
        self._filler.setVisible(not visible)
        if not visible:
            self.overwrite.hide()
            self.overwrite.setChecked(False)  # what was allowed for one source is not for the next

    def _show(self, report: ImportReport) -> None:
        self.report = report
        self.classes.show_classes(report, self._project.classes)
        self._show_lists(visible=True)
        count = len(report.protected)
        self.overwrite.setVisible(count > 0)
        self.overwrite.setText(
            plural(
                count,
                "Also replace your own work in {n} image",
                "Also replace your own work in {n} images",
            )
        )
        self.details.setPlainText("\n".join(self._details(report)))
        self._sum_up()

    def _sum_up(self) -> None:
        """Say what an import would do with the classes and the choice as they are now."""
        report = self.report
        if report is None:
            return
        kept = set() if self.replaces else set(report.protected)
        count = len(set(report.matched) - kept - set(report.unfit))
        lines = [plural(count, "{n} image gets labels", "{n} images get labels")]
        if kept:
            lines.append(plural(len(kept), "{n} image is yours and stays", "{n} images are yours and stay"))
        elif report.protected:
            lines.append(tr("Your own work in them is replaced; undoing the import brings it back"))
        if report.missing:
            lines.append(
                plural(len(report.missing), "{n} image has no label map", "{n} images have no label map")
            )
        new = new_classes(self._project.classes, self.mapping.values())
        if new:
            lines.append(tr("New classes: {names}", names=", ".join(new)))
        room = 256 - len(self._project.classes.classes)
        if len(new) > room:
            lines.append(tr("There is room for {n} more classes: map some onto others", n=room))
        lines += [w for w in report.warnings if not _is_told(w)]
        self.primary.setEnabled(count > 0 and len(new) <= room)
        careful = bool(report.unfit or report.extra or self.replaces or not count)
        text = "\n".join(lines)
        self.notice.show_text(text, "bad" if len(new) > room else "warn" if careful else "good")

    def _details(self, report: ImportReport) -> list[str]:
        paths = {r.id: r.path for r in self._project.rows([*report.unfit, *report.missing[:_LISTED]])}
        lines = [tr("Cannot be taken: {reason}", reason=reason) for reason in report.unfit.values()]
        lines += [tr("Fits no image: {name}", name=name) for name in report.extra[:_LISTED]]
        lines += [tr("No label map: {name}", name=paths[i]) for i in report.missing[:_LISTED] if i in paths]
        if max(len(report.extra), len(report.missing)) > _LISTED:
            lines.append(tr("… and more"))
        return lines or [tr("Every label map fits its image.")]


def _is_told(warning: str) -> bool:
    """Return whether the summary says the same in its own words."""
    told = ("images stay as they are", "classes are added", "than there is room for")
    return any(text in warning for text in told)

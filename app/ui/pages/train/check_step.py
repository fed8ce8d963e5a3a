"""Step 2: what the images are like, and what that means for the training."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPlainTextEdit, QProgressBar, QWidget

from app.services.tasks import Worker
from app.services.training_values import Advice, DataReport
from app.ui.pages.train.flow import FlowLayout
from app.ui.pages.train.picture import Picture
from app.ui.pages.train.step import StepCard
from app.ui.pages.train.words import images_text
from app.ui.texts import plural, tr
from app.ui.theme import icon
from app.ui.widgets.basics import Notice, button, clear, column, icon_button, label, row

_LEVELS = {
    "good": ("mdi6.check-circle-outline", "good"),
    "hint": ("mdi6.lightbulb-on-outline", "accent"),
    "warning": ("mdi6.alert-outline", "warn"),
    "error": ("mdi6.alert-circle-outline", "bad"),
}
_NAMED = 200


def figures_of(report: DataReport) -> list[tuple[str, str]]:
    """Return the figures of a check: value and name."""
    found = [(f"{report.count:,}", plural(report.count, "image", "images"))]
    if report.sizes:
        width, height, count = report.sizes[0]
        name = tr("size of all") if count == report.count else tr("usual size")
        found.append((f"{width} × {height}", name))
    if report.alignment is not None:
        found.append((f"{report.alignment:.2f}", tr("alike, 0 to 1")))
    similar = sum(len(group) - 1 for group in report.duplicates)
    found.append((f"{similar:,}", tr("near-duplicates")))
    found.append((f"{len(report.unreadable):,}", tr("unreadable")))
    return found


def details_of(report: DataReport) -> str:
    """Return the files that were found wanting, line by line."""
    lines = [f"{name}: {reason}" for name, reason in report.unreadable[:_NAMED]]
    lines += [" = ".join(group) for group in report.duplicates[:_NAMED]]
    return "\n".join(lines)


class CheckStep(StepCard):
    """Progress, figures, advice and the contact sheet."""

    againAsked = Signal()  # noqa: N815
    presetAsked = Signal(str)  # noqa: N815

    def __init__(self, worker: Worker) -> None:
        self.report: DataReport | None = None
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the data check"))
        self.words = label("", "muted", wrap=True)
        self.problem = Notice(level="bad")
        figures = QWidget()
        self._figures = FlowLayout(figures, spacing=8)
        self._advice = column(spacing=6)
        name = tr("Contact sheet: the images as the networks will see them")
        self.sheet = Picture(worker, name, fill_width=True)
        self.caption = label("", "faint", wrap=True)
        self.more = button("", self._toggle_details, kind="quiet", icon_name="mdi6.chevron-down")
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setFixedHeight(110)
        self.details.setAccessibleName(tr("Files the check names"))
        self.found = QWidget()
        self.found.setLayout(
            column(
                figures,
                self._advice,
                row(self.more, None),
                self.details,
                self.sheet,
                self.caption,
                spacing=10,
            )
        )
        again = icon_button("mdi6.refresh", tr("Check again"), lambda: self.againAsked.emit())
        body = column(self.bar, self.words, self.problem, self.found, spacing=8)
        super().__init__(2, tr("Data check"), body, again)
        self.again = again
        self.show_nothing()

    def _only(self, *shown: QWidget) -> None:
        for part in (self.bar, self.words, self.problem, self.found):
            part.setVisible(part in shown)

    def show_nothing(self) -> None:
        """Wait for a folder."""
        self.report = None
        self.words.setText(tr("Choose a folder of images; they are checked before anything is trained."))
        self._only(self.words)
        self.again.setEnabled(False)
        self.set_state("")

    def show_progress(self, done: int, total: int) -> None:
        """Show how far the check is."""
        self.report = None
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        text = tr("Looking at image {done} of {total}", done=f"{done:,}", total=f"{total:,}")
        self.words.setText(text if total else tr("Looking for images…"))
        self._only(self.bar, self.words)
        self.again.setEnabled(True)
        self.set_state("")

    def show_problem(self, text: str) -> None:
        """Show why there is no result."""
        self.report = None
        self.problem.show_text(text, "bad")
        self._only(self.problem)
        self.again.setEnabled(True)
        self.set_state("bad")

    def show_report(self, report: DataReport, preset: str) -> None:
        """Show the result; a button offers the preset that fits, where it is another than the chosen one."""
        self.report = report
        clear(self._figures)
        for value, name in figures_of(report):
            self._figures.addWidget(_figure(value, name))
        clear(self._advice)
        for advice in report.advice:
            self._advice.addWidget(_advice_row(advice))
        if report.can_train and report.preset and report.preset != preset:
            use = button(tr("Use {preset}", preset=report.preset))
            use.clicked.connect(lambda: self.presetAsked.emit(report.preset))
            self._advice.addLayout(row(28, use, None, spacing=0))
        self._show_details(report)
        self.sheet.setVisible(report.contact_sheet is not None)
        self.sheet.load(report.contact_sheet, again=True)
        self.caption.setText(report.alignment_text)
        self.caption.setVisible(bool(report.alignment_text))
        self._only(self.found)
        self.again.setEnabled(True)
        self.set_state("done" if report.can_train else "bad", images_text(report.count))

    def _show_details(self, report: DataReport) -> None:
        text = details_of(report)
        self.details.setPlainText(text)
        self.details.hide()
        self.more.setVisible(bool(text))
        count = len(report.unreadable) + sum(len(group) for group in report.duplicates)
        self.more.setText(" " + plural(count, "Show the file it is about", "Show the {n} files it is about"))

    def _toggle_details(self) -> None:
        self.details.setVisible(self.details.isHidden())
        self.more.setIcon(icon("mdi6.chevron-down" if self.details.isHidden() else "mdi6.chevron-up"))


def _figure(value: str, name: str) -> QWidget:
    made = QWidget()
    made.setObjectName("figure")
    number = label(value, "heading")
    layout = column(number, label(name, "muted"), spacing=0)
    layout.setContentsMargins(10, 8, 10, 8)
    made.setLayout(layout)
    made.setAccessibleName(f"{value} {name}")
    return made


def _advice_row(advice: Advice) -> QWidget:
    name, token = _LEVELS.get(advice.level, _LEVELS["hint"])
    picture = label()
    picture.setPixmap(icon(name, token).pixmap(18, 18))
    text = label(advice.text[:1].upper() + advice.text[1:], wrap=True)
    made = QWidget()
    layout = row(picture, text, spacing=10)
    layout.setStretch(1, 1)
    made.setLayout(layout)
    made.setAccessibleName(advice.text)
    return made

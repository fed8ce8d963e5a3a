"""Step 5: what it will take, what it is called, and the start."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QProgressBar, QWidget

from app.services.training_values import Estimate
from app.ui.pages.train.draft import Draft
from app.ui.pages.train.step import StepCard
from app.ui.pages.train.words import count_text, size_text, stage_text
from app.ui.texts import duration, plural, tr
from app.ui.widgets.basics import Notice, button, clear, column, label, row


def estimate_figures(found: Estimate) -> list[tuple[str, str, bool]]:
    """Return what a training takes: value, name, and whether it is too much."""
    memory = size_text(found.memory_bytes)
    disk = size_text(found.disk_bytes)
    too_large = bool(found.memory_total_bytes) and found.memory_bytes > found.memory_total_bytes
    return [
        (duration(found.seconds), tr("to train"), False),
        (memory, tr("memory, of {n}", n=size_text(found.memory_total_bytes)), too_large),
        (
            disk,
            tr("disk, {n} free", n=size_text(found.disk_free_bytes)),
            found.disk_bytes > found.disk_free_bytes,
        ),
    ]


class StartStep(StepCard):
    """The estimate, the names for the model's card, and the button a person came for."""

    estimateAsked = Signal()  # noqa: N815
    startAsked = Signal()  # noqa: N815

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.estimate: Estimate | None = None
        self._waiting, self._reason = 0, ""
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the estimate"))
        self.words = label("", "muted", wrap=True)
        self._figures = row(spacing=8)
        self.found = QWidget()
        self.stages = label("", "muted", wrap=True)
        self.found.setLayout(column(self._figures, self.stages, spacing=6))
        self.problem = Notice(level="bad")
        self.measure = button(
            tr("Estimate"), lambda: self.estimateAsked.emit(), icon_name="mdi6.timer-outline"
        )
        self.start = button(
            tr("Start training"), lambda: self.startAsked.emit(), kind="primary", icon_name="mdi6.play"
        )
        self.why = label("", "muted", wrap=True)
        body = column(
            self._make_names(),
            self.bar,
            self.words,
            self.found,
            self.problem,
            spacing=10,
        )
        super().__init__(5, tr("Names and estimate"), body)
        self.show_stale()

    def _make_names(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        now = self._draft.now
        self.names: dict[str, QLineEdit] = {}
        for place, (field, title, hint) in enumerate(
            (
                ("name", tr("Name"), tr("made up if empty")),
                ("category", tr("What the images show"), tr("such as faces, or wings")),
                ("licence", tr("Licence note"), tr("terms of use, for the model's card")),
            )
        ):
            edit = QLineEdit(getattr(now, field))
            edit.setPlaceholderText(hint)
            edit.setAccessibleName(title)
            edit.textChanged.connect(lambda text, field=field: setattr(now, field, text))
            grid.addWidget(label(title, "muted"), place, 0)
            grid.addWidget(edit, place, 1)
            self.names[field] = edit
        return grid

    def refresh_names(self) -> None:
        """Show the names of the draft."""
        for field, edit in self.names.items():
            edit.setText(getattr(self._draft.now, field))

    def _only(self, *shown: QWidget) -> None:
        for part in (self.bar, self.words, self.found, self.problem):
            part.setVisible(part in shown)

    def show_stale(self) -> None:
        """Say that nothing is measured for what is chosen now."""
        self.estimate = None
        self.words.setText(
            tr("Ten steps of each stage are tried on the device to tell time, memory and disk.")
        )
        self._only(self.words)
        self.set_state("")

    def show_measuring(self, text: str) -> None:
        """Show what is being measured."""
        self.words.setText(text)
        self._only(self.bar, self.words)

    def show_problem(self, text: str) -> None:
        """Show why there is no estimate, or no start."""
        self.problem.show_text(text, "bad")
        self._only(self.problem)
        self.set_state("bad")

    def show_estimate(self, found: Estimate) -> None:
        """Show what it will take."""
        self.estimate = found
        clear(self._figures)
        for value, name, too_much in estimate_figures(found):
            self._figures.addWidget(_figure(value, name, too_much=too_much), 1)
        self.stages.setText(
            "\n".join(
                tr(
                    "{stage}: {count} images at {rate} a second, {time}",
                    stage=stage_text(stage.name),
                    count=count_text(stage.total_nimg),
                    rate=f"{stage.images_per_second:.3g}",
                    time=duration(stage.seconds),
                )
                for stage in found.stages
            )
        )
        self.stages.setVisible(bool(found.stages))
        shown: list[QWidget] = [self.found]
        if found.warnings:
            self.problem.show_text("\n".join(found.warnings), "warn")
            shown.append(self.problem)
        self._only(*shown)
        self._show_why()
        self.set_state("done", tr("about {time}", time=duration(found.seconds)))

    def allow(self, reason: str, waiting: int) -> None:
        """Offer the start, or say what is missing; `waiting` runs are before it in the queue."""
        self.start.setEnabled(not reason)
        self.measure.setEnabled(not reason)
        self.start.setText(" " + (tr("Add to the queue") if waiting else tr("Start training")))
        self._waiting, self._reason = waiting, reason
        self._show_why()

    def _show_why(self) -> None:
        """Say beside the buttons what is missing, or what it will take and what is before it."""
        parts = []
        if self.estimate is not None:
            parts += [f"{value} {name}" for value, name, _ in estimate_figures(self.estimate)]
        if self._waiting:
            text = plural(
                self._waiting, "{n} run is before it on this device", "{n} runs are before it on this device"
            )
            parts.append(text)
        self.why.setText(self._reason or "  ·  ".join(parts))


def _figure(value: str, name: str, *, too_much: bool) -> QWidget:
    made = QWidget()
    made.setObjectName("figure")
    number = label(value, "heading")
    layout = column(number, label(name, "bad" if too_much else "muted", wrap=True), spacing=0)
    layout.setContentsMargins(12, 8, 12, 8)
    made.setLayout(layout)
    made.setAccessibleName(f"{value} {name}")
    return made

"""The job dock: what runs, how far it is, what went wrong; pause, cancel, resume."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.services.job_values import JobState, JobView
from app.services.jobs import JobRunner
from app.ui.texts import duration, plural, tr
from app.ui.theme import icon
from app.ui.widgets.basics import (
    EmptyState,
    button,
    column,
    icon_button,
    label,
    row,
    set_property,
    set_role,
)

_ICONS = {
    "propagation": "mdi6.creation",
    "export": "mdi6.export-variant",
    "import": "mdi6.import",
    "training": "mdi6.school-outline",
}
_STATE_TEXTS = {
    JobState.QUEUED: "waiting",
    JobState.RUNNING: "running",
    JobState.PAUSED: "paused",
    JobState.DONE: "done",
    JobState.CANCELLED: "cancelled",
    JobState.FAILED: "failed",
}
_ERRORS_SHOWN = 500


def progress_text(view: JobView) -> str:
    """Return how far a job is: `128 of 300 · 12.4 images/s · 14 s left`."""
    progress = view.progress
    parts = []
    if progress.total:
        parts.append(tr("{done} of {total}", done=f"{progress.done:,}", total=f"{progress.total:,}"))
    elif progress.done:
        parts.append(f"{progress.done:,}")
    if view.state is JobState.RUNNING:
        if progress.per_sec > 0:
            parts.append(tr("{rate} images/s", rate=f"{progress.per_sec:.3g}"))
        if progress.left_sec is not None and progress.left_sec > 0:
            parts.append(tr("{time} left", time=duration(progress.left_sec)))
        if progress.text:
            parts.append(progress.text)
    else:
        parts.append(tr(_STATE_TEXTS[view.state]))
        if view.message:
            parts.append(view.message)
    return "  ·  ".join(parts)


class JobCard(QFrame):
    """One job."""

    imageAsked = Signal(int)  # noqa: N815

    def __init__(self, runner: JobRunner, job_id: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._runner = runner
        self._id = job_id
        self._errors_known = -1
        self._picture = label()
        self._title = label("", "section")
        self._state = label("", "muted")
        self._bar = QProgressBar(textVisible=False, minimum=0, maximum=1000)
        self._pause = icon_button("mdi6.pause", tr("Pause"), lambda: runner.pause(job_id))
        self._resume = icon_button("mdi6.play", tr("Resume"), lambda: runner.resume(job_id))
        self._cancel = icon_button("mdi6.stop", tr("Cancel"), lambda: runner.cancel(job_id))
        self._remove = icon_button("mdi6.close", tr("Remove from the list"), lambda: runner.remove(job_id))
        self._errors_button = button("", self._toggle_errors, kind="quiet", icon_name="mdi6.alert-outline")
        self._errors = QListWidget()
        self._errors.setProperty("kind", "boxed")
        self._errors.setMaximumHeight(110)
        self._errors.hide()
        self._errors.itemActivated.connect(self._error_chosen)
        self._errors.itemClicked.connect(self._error_chosen)
        buttons = row(self._errors_button, self._pause, self._resume, self._cancel, self._remove, spacing=2)
        head = row(self._picture, column(self._title, self._state, spacing=1), buttons, spacing=10)
        head.setStretch(1, 1)
        layout = column(head, self._bar, self._errors, spacing=8)
        layout.setContentsMargins(12, 9, 8, 10)
        self.setLayout(layout)
        self.refresh()

    def refresh(self) -> None:
        """Show how the job stands."""
        view = self._runner.view(self._id)
        name = _ICONS.get(view.kind, "mdi6.cog-outline")
        self._picture.setPixmap(icon(name, "accent").pixmap(22, 22))
        self._title.setText(view.title)
        self._state.setText(progress_text(view))
        set_role(self._state, "bad" if view.state is JobState.FAILED else "muted")
        self._bar.setMaximum(1000 if view.progress.total or view.is_over else 0)
        done = view.state is JobState.DONE
        self._bar.setValue(1000 if done else round(1000 * view.progress.fraction))
        states = {JobState.FAILED: "failed", JobState.DONE: "done", JobState.PAUSED: "paused"}
        set_property(self._bar, "state", states.get(view.state, ""))
        ended = view.is_over
        self._pause.setVisible(view.can_pause and view.state is JobState.RUNNING)
        self._resume.setVisible(view.state is JobState.PAUSED)
        self._cancel.setVisible(view.can_cancel and not ended)
        self._remove.setVisible(ended)
        self._show_errors(view)

    def _show_errors(self, view: JobView) -> None:
        count = len(view.errors)
        self._errors_button.setVisible(count > 0)
        if count == self._errors_known:
            return
        self._errors_known = count
        self._errors_button.setText(plural(count, "{n} error", "{n} errors"))
        for error in view.errors[self._errors.count() : _ERRORS_SHOWN]:
            item = QListWidgetItem(f"{error.name}: {error.message}")
            item.setToolTip(error.message)
            item.setData(Qt.ItemDataRole.UserRole, error.image_id)
            self._errors.addItem(item)

    def _toggle_errors(self) -> None:
        self._errors.setVisible(not self._errors.isVisible())

    def _error_chosen(self, item: QListWidgetItem) -> None:
        image_id = item.data(Qt.ItemDataRole.UserRole)
        if image_id is not None:
            self.imageAsked.emit(int(image_id))


class JobsPanel(QWidget):
    """All jobs, the newest first."""

    imageAsked = Signal(int)  # noqa: N815

    def __init__(self, runner: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._cards: dict[int, JobCard] = {}
        self._list = QVBoxLayout()
        self._list.setContentsMargins(10, 2, 10, 8)
        self._list.setSpacing(8)
        self._list.addStretch(1)
        inside = QWidget()
        inside.setObjectName("page")
        inside.setLayout(self._list)
        self._scroll = QScrollArea(widgetResizable=True)
        self._scroll.setWidget(inside)
        self._empty = EmptyState(
            "mdi6.progress-clock",
            tr("Nothing is running"),
            tr("Propagation, export and training show here."),
            compact=True,
        )
        layout = column(self._scroll, self._empty, spacing=0)
        self.setLayout(layout)
        runner.added.connect(self._added)
        runner.changed.connect(self._changed)
        runner.finished.connect(self._changed)
        runner.removed.connect(self._removed)
        for view in runner.views():
            self._added(view.id)
        self._sync()

    def _added(self, job_id: int) -> None:
        if job_id in self._cards:
            return
        card = JobCard(self._runner, job_id)
        card.imageAsked.connect(self.imageAsked)
        self._cards[job_id] = card
        self._list.insertWidget(0, card)
        self._sync()

    def _changed(self, job_id: int) -> None:
        if job_id in self._cards:
            self._cards[job_id].refresh()

    def _removed(self, job_id: int) -> None:
        card = self._cards.pop(job_id, None)
        if card is not None:
            self._list.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._sync()

    def _sync(self) -> None:
        self._empty.setVisible(not self._cards)
        self._scroll.setVisible(bool(self._cards))

"""The five steps of a new training on one screen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.domain.project import Project
from app.services.tasks import Worker
from app.services.training import TrainingService
from app.services.training_values import ALIVE, DataReport, Estimate, RunState
from app.ui.pages.train.check_step import CheckStep
from app.ui.pages.train.device_step import DeviceStep
from app.ui.pages.train.draft import Draft
from app.ui.pages.train.folder_images import labelled_images
from app.ui.pages.train.images_step import ImagesStep
from app.ui.pages.train.preset_step import PresetStep
from app.ui.pages.train.start_step import StartStep
from app.ui.texts import tr
from app.ui.widgets.basics import ElidedLabel, column, label, row

_WAIT_MS = 500
"""After the last change of folder or cropping, until the check begins."""
_TWO_COLUMNS_PX = 900
_LEAST_PX = 430


class SetupView(QWidget):
    """Images, data check, preset, device, estimate, start."""

    started = Signal(str)
    """Id of the run that was put into the queue."""

    def __init__(self, training: TrainingService, worker: Worker) -> None:
        super().__init__()
        self.training, self.worker = training, worker
        self.draft = Draft(self)
        self.images = ImagesStep(self.draft, worker)
        self.check = CheckStep(worker)
        self.preset = PresetStep(self.draft, training)
        self.device = DeviceStep(self.draft, training)
        self.start = StartStep(self.draft)
        self._is_checking = False
        self._project: Project | None = None
        self._wait = QTimer(self, singleShot=True, interval=_WAIT_MS)
        self._wait.timeout.connect(self.begin_check)
        self._lay_out()
        self._connect()
        self._allow()

    def _lay_out(self) -> None:
        left = _side(self.images, self.check)
        right = _side(self.preset, self.device, self.start)
        self._columns = row(left, right, spacing=12)
        heading = label(tr("New training"), "title")
        text = ElidedLabel(
            tr("Fit a model to a folder of images of one kind of thing. No labels are needed.")
        )
        text.setProperty("role", "muted")
        inside = QWidget()
        inside.setObjectName("page")
        inside.setMaximumWidth(1500)
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(16, 4, 16, 4)
        layout.setSpacing(4)
        head = row(heading, 6, text, spacing=8)
        head.setStretch(2, 1)
        layout.addLayout(head)
        layout.addSpacing(6)
        layout.addLayout(self._columns)
        self.area = QScrollArea(widgetResizable=True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inside)
        foot = row(self.start.why, self.start.measure, self.start.start, spacing=8)
        foot.setStretch(0, 1)
        bar = QFrame()
        bar.setObjectName("bar")
        foot.setContentsMargins(16, 10, 12, 10)
        bar.setLayout(foot)
        lower = row(bar)
        lower.setContentsMargins(16, 0, 26, 0)
        whole = column(self.area, lower, spacing=8)
        whole.setStretch(0, 1)
        self.setLayout(whole)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Stand the steps side by side where there is room."""
        super().resizeEvent(event)
        wide = event.size().width() >= _TWO_COLUMNS_PX
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        self._columns.setDirection(direction)

    def _connect(self) -> None:
        training, draft = self.training, self.draft
        draft.imagesChanged.connect(self._images_changed)
        draft.trainingChanged.connect(self._training_changed)
        training.checkProgress.connect(self._check_progress)
        training.checkDone.connect(self._checked)
        training.checkFailed.connect(self._check_failed)
        training.estimateProgress.connect(self.start.show_measuring)
        training.estimateDone.connect(self._estimated)
        training.estimateFailed.connect(self.start.show_problem)
        training.runsChanged.connect(self._allow)
        self.check.againAsked.connect(self.begin_check)
        self.check.presetAsked.connect(draft.choose_preset)
        self.start.estimateAsked.connect(self._estimate)
        self.start.startAsked.connect(self.begin)

    def refresh(self) -> None:
        """Show the draft after it was restored."""
        self.images.refresh()
        self.preset.refresh()
        self.device.show_devices(self.training.devices)
        self.start.refresh_names()

    def restyle(self) -> None:
        """Draw what the stylesheet does not reach in the colours in use."""
        if self.check.report is not None:
            self.check.show_report(self.check.report, self.draft.now.preset)

    # -- the project -------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Offer the images of the open project, and what is labelled in it."""
        self._project = project
        self._find_labels()
        self.images.set_project(project.images_folder if project is not None else None)

    def _find_labels(self) -> None:
        project, folder = self._project, self.draft.now.images
        if project is not None and folder is None:
            folder = project.images_folder
        self.draft.labels = {}
        if project is None or folder is None:
            return

        def found(labels: dict[str, Path]) -> None:
            self.draft.labels = labels
            self.images.refresh()

        self.worker.run(lambda: labelled_images(project, folder), found, lambda _error: None)

    # -- the check ---------------------------------------------------------------------------------

    def _images_changed(self) -> None:
        self._find_labels()
        self.training.cancel_check()
        self.preset.recommend("")
        if self.draft.now.images is None:
            self.check.show_nothing()
        else:
            self.check.show_progress(0, 0)
            self._wait.start()
        self._allow()

    def begin_check(self) -> None:
        """Check the chosen images now."""
        now = self.draft.now
        self._wait.stop()
        if now.images is None:
            return
        self._is_checking = True
        self.check.show_progress(0, 0)
        self.training.check(
            now.images,
            recursive=now.recursive,
            changes=self.draft.crop_changes(),
            labels=dict(self.draft.labels),
        )
        self._allow()

    def _check_progress(self, done: int, total: int) -> None:
        if self._is_checking:
            self.check.show_progress(done, total)

    def _checked(self, report: DataReport) -> None:
        if report.images != self.draft.now.images:
            return
        self._is_checking = False
        self.check.show_report(report, self.draft.now.preset)
        self.preset.recommend(report.preset if report.can_train else "")
        self._allow()

    def _check_failed(self, text: str) -> None:
        self._is_checking = False
        self.check.show_problem(text)
        self._allow()

    # -- the start ---------------------------------------------------------------------------------

    def _training_changed(self) -> None:
        self.training.cancel_estimate()
        self.start.show_stale()
        report = self.check.report
        if report is not None:
            self.check.show_report(report, self.draft.now.preset)
        self._allow()

    def _missing(self) -> str:
        """Return what has to be done before a start, "" if nothing."""
        if self.draft.now.images is None:
            return tr("Choose a folder of images first.")
        report = self.check.report
        if report is None:
            failed = not self.check.problem.isHidden()
            return (
                tr("The images cannot be used as they are.")
                if failed
                else tr("The images are being checked.")
            )
        if not report.can_train:
            return tr("These images cannot be trained on; see the data check.")
        return "" if self.preset.is_valid else tr("A setting cannot be used; see above.")

    def _allow(self) -> None:
        busy = {*ALIVE, RunState.QUEUED}
        device = self.draft.now.device
        before = sum(view.state in busy and view.device == device for view in self.training.runs())
        self.start.allow(self._missing(), before)

    def _estimate(self) -> None:
        request = self.draft.request()
        if request is not None:
            self.start.show_measuring(tr("Starting the trial…"))
            self.training.estimate(request)

    def _estimated(self, found: Estimate) -> None:
        self.start.show_estimate(found)

    def begin(self) -> None:
        """Put the run into the queue of its device."""
        request = self.draft.request()
        if request is None or self._missing():
            return
        try:
            run_id = self.training.start(request)
        except Exception as error:  # noqa: BLE001  a typed error says what to do; any other must not end the window
            self.start.show_problem(str(error))
            return
        self.draft.now.name = ""
        self.start.refresh_names()
        self.started.emit(run_id)


def _side(*steps: QWidget) -> QWidget:
    """Return a column that is as wide as its neighbour, whatever is in it."""
    made = QWidget()
    made.setLayout(column(*steps, None, spacing=12))
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    made.setMinimumWidth(_LEAST_PX)
    return made

"""One run: head, curves, sheets and log. Reads what the service tells; asks before anything is lost."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import QFrame, QMessageBox, QScrollArea, QSplitter, QWidget

from app.services.tasks import Worker
from app.services.training import TrainingService
from app.services.training_values import RunState
from app.ui.pages.train.curves_panel import CurvesPanel
from app.ui.pages.train.log_panel import LogPanel
from app.ui.pages.train.run_header import RunHeader
from app.ui.pages.train.sheets_panel import SheetsPanel
from app.ui.texts import tr
from app.ui.widgets.basics import column

_DRAW_MS = 400
"""Least time between two drawings of the curves; the eye needs no more, and the window keeps its breath."""
_LOG_MS = 1000
_SIDE_BY_SIDE_PX = 880


class RunPanel(QWidget):
    """The run that is looked at."""

    modelAsked = Signal(object)  # noqa: N815
    """Path of a model that shall be shown in the list."""
    discarded = Signal(str)

    def __init__(self, training: TrainingService, worker: Worker) -> None:
        super().__init__()
        self.training = training
        self.run_id = ""
        self.header = RunHeader()
        self.curves = CurvesPanel()
        self.sheets = SheetsPanel(worker)
        self.log = LogPanel()
        self._draw = QTimer(self, singleShot=True, interval=_DRAW_MS)
        self._draw.timeout.connect(self._show_history)
        self._log_timer = QTimer(self, interval=_LOG_MS)
        self._log_timer.timeout.connect(self._show_log)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        across = QSplitter(Qt.Orientation.Horizontal)
        across.addWidget(_panel(self.curves))
        across.addWidget(_panel(self.sheets))
        across.setSizes([580, 520])
        self.across = across
        self.down = QSplitter(Qt.Orientation.Vertical)
        self.down.addWidget(across)
        self.down.addWidget(_panel(self.log, margin=6))
        self.down.setSizes([560, 150])
        self.down.setStretchFactor(0, 1)
        self.curves.setMinimumSize(380, 400)
        self.sheets.setMinimumSize(380, 260)
        self.log.setMinimumHeight(110)
        for splitter in (self.across, self.down):
            splitter.setHandleWidth(8)
            splitter.setChildrenCollapsible(False)
        area = QScrollArea(widgetResizable=True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(self.down)
        self.down.setAutoFillBackground(False)
        layout = column(self.header, area, spacing=12)
        layout.setStretch(1, 1)
        layout.setContentsMargins(16, 4, 16, 12)
        self.setLayout(layout)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Stand curves and sheets side by side where there is room."""
        super().resizeEvent(event)
        wide = event.size().width() >= _SIDE_BY_SIDE_PX
        self.across.setOrientation(Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical)

    def _connect(self) -> None:
        training, header = self.training, self.header
        training.runChanged.connect(self._run_changed)
        training.runsChanged.connect(self.refresh)
        training.historyChanged.connect(self._history_changed)
        header.pauseAsked.connect(lambda: training.pause(self.run_id))
        header.resumeAsked.connect(lambda: training.resume(self.run_id))
        header.stopAsked.connect(self._stop)
        header.discardAsked.connect(self._discard)
        header.earlierAsked.connect(self._earlier)
        header.modelAsked.connect(self._ask_model)
        header.folderAsked.connect(
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(self.run_id)) if self.run_id else None
        )
        self.log.tabs.currentChanged.connect(lambda _place: self._show_log())

    def attach(self, run_id: str) -> None:
        """Follow a run; the one before is followed no more."""
        if run_id == self.run_id:
            return
        self.detach()
        self.run_id = run_id
        self.sheets.show_sheets(())
        self.log.show_notes(())
        self.log.show_log("")
        self.training.attach(run_id)
        self.refresh()
        self._show_history()
        self._log_timer.start()

    def detach(self) -> None:
        """Follow no run; it goes on by itself."""
        self._draw.stop()
        self._log_timer.stop()
        self.curves.stop()
        if self.run_id:
            self.training.detach(self.run_id)
        self.run_id = ""

    def refresh(self) -> None:
        """Show how the run stands."""
        view = self.training.run(self.run_id) if self.run_id else None
        if view is not None:
            self.header.show_run(view)

    def restyle(self) -> None:
        """Take the colours of the appearance in use."""
        self.curves.restyle()
        self.curves.redraw()
        self.refresh()

    def _run_changed(self, run_id: str) -> None:
        if run_id == self.run_id:
            self.refresh()

    def _history_changed(self, run_id: str) -> None:
        if run_id == self.run_id and not self._draw.isActive():
            self._draw.start()

    def _show_history(self) -> None:
        if not self.run_id:
            return
        history = self.training.history(self.run_id)
        self.curves.show_history(history)
        self.sheets.show_sheets(history.sheets)
        self.log.show_notes(history.notes)
        self._show_log()

    def _show_log(self) -> None:
        if self.run_id and self.log.shows_log:
            self.log.show_log(self.training.log_text(self.run_id))

    # -- what can be lost --------------------------------------------------------------------------

    def _stop(self) -> None:
        self.training.stop(self.run_id)

    def _discard(self) -> None:
        view = self.training.run(self.run_id)
        if view is None:
            return
        going = view.is_alive or view.can_resume or view.state is RunState.QUEUED
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle(tr("Stop and discard") if going else tr("Delete the run"))
        box.setText(tr("Delete everything that “{name}” has made so far?", name=view.name))
        box.setInformativeText(
            tr("Curves, sheets, checkpoints and snapshots go. A model that is in the model list stays.")
        )
        delete = box.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        box.exec()
        chosen = box.clickedButton()
        box.deleteLater()
        if chosen is delete:
            gone = self.run_id
            self.detach()
            self.training.discard(gone)
            self.discarded.emit(gone)

    def _earlier(self) -> None:
        view = self.training.run(self.run_id)
        if view is not None and view.place > 1:
            self.training.move(self.run_id, view.place - 1)

    def _ask_model(self) -> None:
        view = self.training.run(self.run_id)
        if view is not None and view.model is not None:
            self.modelAsked.emit(view.published or view.model)


def _panel(content: QWidget, margin: int = 14) -> QFrame:
    made = QFrame()
    made.setObjectName("panel")
    layout = column(content)
    layout.setContentsMargins(margin, margin, margin, margin)
    made.setLayout(layout)
    return made

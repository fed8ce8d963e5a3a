"""The head of a run: its name and state, how far each stage is, and what can be done with it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QProgressBar, QToolButton, QWidget

from app.services.training_values import RunState, RunView
from app.ui.pages.train.words import STATE_BARS, STATE_ICONS, count_text, stage_text, state_text
from app.ui.texts import duration, tr
from app.ui.theme import icon
from app.ui.widgets.basics import ElidedLabel, Notice, button, column, label, row, set_property

_UNITS = 1000


class RunHeader(QWidget):
    """Emits what is asked for; the view above asks back where something would be lost."""

    pauseAsked = Signal()  # noqa: N815
    resumeAsked = Signal()  # noqa: N815
    stopAsked = Signal()  # noqa: N815
    discardAsked = Signal()  # noqa: N815
    modelAsked = Signal()  # noqa: N815
    folderAsked = Signal()  # noqa: N815
    earlierAsked = Signal()  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.name = label("", "title")
        self.name.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._picture = label()
        self.state = label("", "muted")
        self.facts = ElidedLabel()
        self.facts.setProperty("role", "faint")
        self.bar = QProgressBar()
        self.bar.setRange(0, _UNITS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the training"))
        self.stage = label("", "muted")
        self.left = label("", "muted")
        self.notice = Notice()
        self.notice.hide()
        self._make_buttons()
        state = row(self._picture, self.state, 6, self.facts, spacing=6)
        state.setStretch(3, 1)
        head = row(
            column(self.name, state, spacing=2),
            self.earlier,
            self.pause,
            self.resume,
            self.stop,
            self.use,
            self.more,
            spacing=8,
        )
        head.setStretch(0, 1)
        layout = column(
            head,
            2,
            self.bar,
            row(self.stage, None, self.left),
            self.notice,
            spacing=6,
        )
        self.setLayout(layout)

    def _make_buttons(self) -> None:
        self.pause = button(tr("Pause"), self.pauseAsked.emit, icon_name="mdi6.pause")
        self.resume = button(tr("Resume"), self.resumeAsked.emit, kind="primary", icon_name="mdi6.play")
        self.stop = button(tr("Stop and keep"), self.stopAsked.emit, icon_name="mdi6.stop")
        self.stop.setToolTip(tr("Ends the training; the newest model stays and can be used."))
        self.use = button(
            tr("Show the model"), self.modelAsked.emit, kind="primary", icon_name="mdi6.cube-outline"
        )
        self.earlier = button(tr("Earlier"), self.earlierAsked.emit, icon_name="mdi6.arrow-up")
        self.earlier.setToolTip(tr("Begin before the run that waits in front of it"))
        self.more = QToolButton()
        self.more.setIcon(icon("mdi6.dots-horizontal"))
        self.more.setIconSize(QSize(18, 18))
        self.more.setAccessibleName(tr("More"))
        self.more.setToolTip(tr("More"))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(self)
        self.open_folder = QAction(icon("mdi6.folder-open-outline"), tr("Show the folder of the run"), menu)
        self.open_folder.triggered.connect(lambda _on=False: self.folderAsked.emit())
        self.discard = QAction(icon("mdi6.delete-outline"), tr("Stop and discard…"), menu)
        self.discard.triggered.connect(lambda _on=False: self.discardAsked.emit())
        menu.addAction(self.open_folder)
        menu.addSeparator()
        menu.addAction(self.discard)
        self.more.setMenu(menu)

    def show_run(self, view: RunView) -> None:
        """Show how a run stands."""
        self.name.setText(view.name)
        name, token = STATE_ICONS[view.state]
        self._picture.setPixmap(icon(name, token).pixmap(16, 16))
        going = view.state is RunState.RUNNING and not view.asked
        self.state.setText(tr("Running") if going else state_text(view))
        facts = [view.preset, view.device, view.images]
        self.facts.setText("  ·  ".join(fact for fact in facts if fact))
        self.bar.setValue(round(view.fraction * _UNITS))
        set_property(self.bar, "state", STATE_BARS.get(view.state, ""))
        self._show_stage(view)
        self._show_notice(view)
        self._show_buttons(view)

    def _show_stage(self, view: RunView) -> None:
        text = ""
        if view.stage and view.stages and view.state is not RunState.FINISHED:
            text = tr(
                "Stage {n} of {all}: {stage}",
                n=view.stage_index + 1,
                all=len(view.stages),
                stage=stage_text(view.stage),
            )
            if view.total_nimg:
                text += "  ·  " + tr(
                    "{done} of {total} images seen",
                    done=count_text(view.nimg),
                    total=count_text(view.total_nimg),
                )
        self.stage.setText(text)
        self.stage.setVisible(bool(text))
        parts = []
        if view.state is RunState.RUNNING:
            if view.images_per_second > 0:
                parts.append(tr("{rate} images/s", rate=f"{view.images_per_second:.3g}"))
            if view.left_sec > 0:
                parts.append(tr("{time} left", time=duration(view.left_sec)))
            parts.append(f"{view.fraction:.0%}")
        self.left.setText("  ·  ".join(parts))

    def _show_notice(self, view: RunView) -> None:
        levels = {
            RunState.FAILED: "bad",
            RunState.UNREADABLE: "bad",
            RunState.INTERRUPTED: "warn",
            RunState.FINISHED: "good",
        }
        text = view.message
        if view.state is RunState.INTERRUPTED and not text:
            text = tr("The process ended without a word. Resume goes on from the last checkpoint.")
        self.notice.setVisible(bool(text))
        self.notice.show_text(text, levels.get(view.state, "info"))  # type: ignore[arg-type]

    def _show_buttons(self, view: RunView) -> None:
        waits = view.state is RunState.QUEUED
        self.pause.setVisible(view.is_alive or waits)
        self.pause.setEnabled(view.can_pause or waits)
        self.pause.setText(" " + (tr("Leave the queue") if waits else tr("Pause")))
        self.resume.setVisible(view.can_resume)
        self.stop.setVisible(view.is_alive or (view.can_resume and view.model is not None))
        self.stop.setEnabled(not view.asked)
        self.use.setVisible(view.state is RunState.FINISHED and view.model is not None)
        self.earlier.setVisible(waits)
        self.earlier.setEnabled(view.place > 1)
        alive = view.is_alive or view.can_resume or waits
        self.discard.setText(tr("Stop and discard…") if alive else tr("Delete the run…"))

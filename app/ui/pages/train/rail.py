"""The left side of the page: a new training, the models, and every run."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
)

from app.services.training import TrainingService
from app.services.training_values import RunState, RunView
from app.ui.pages.train.words import STATE_ICONS, state_text
from app.ui.texts import tr
from app.ui.theme import colour, icon
from app.ui.widgets.basics import column, icon_button, label, row

_ROW_PX = 54
_VIEW = Qt.ItemDataRole.UserRole
NEW, MODELS = "new", "models"


class RunDelegate(QStyledItemDelegate):
    """Draws a run: state, name, how it stands, and a thin bar while it goes."""

    def sizeHint(  # noqa: N802
        self,
        option: QStyleOptionViewItem,  # noqa: ARG002
        index: QModelIndex | QPersistentModelIndex,  # noqa: ARG002
    ) -> QSize:
        """Return the same height for every run."""
        return QSize(120, _ROW_PX)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one run."""
        view: RunView = index.data(_VIEW)
        area: QRect = option.rect.adjusted(2, 2, -2, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if selected or hovered:
            painter.setBrush(colour("accent_soft" if selected else "hover"))
            painter.drawRoundedRect(area, 7, 7)
        name, token = STATE_ICONS[view.state]
        icon(name, token).paint(painter, QRect(area.x() + 8, area.y() + 8, 18, 18))
        text = area.adjusted(34, 6, -8, -6)
        painter.setPen(colour("text"))
        metrics = option.fontMetrics
        title = metrics.elidedText(view.name, Qt.TextElideMode.ElideMiddle, text.width())
        painter.drawText(text, int(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft), title)
        painter.setPen(colour("muted"))
        below = metrics.elidedText(state_text(view), Qt.TextElideMode.ElideRight, text.width())
        line = text.adjusted(0, metrics.height() + 1, 0, 0)
        painter.drawText(line, int(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft), below)
        if view.is_alive or view.state in (RunState.PAUSED, RunState.INTERRUPTED):
            self._bar(painter, QRect(text.x(), area.bottom() - 5, text.width(), 3), view)
        painter.restore()

    @staticmethod
    def _bar(painter: QPainter, area: QRect, view: RunView) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("pressed"))
        painter.drawRoundedRect(area, 1.5, 1.5)
        done = QRect(area.x(), area.y(), round(area.width() * view.fraction), area.height())
        if done.width() > 0:
            painter.setBrush(colour("accent" if view.is_alive else "warn"))
            painter.drawRoundedRect(done, 1.5, 1.5)


class Rail(QFrame):
    """Where one goes on this page; `chosen` tells ``new``, ``models`` or the id of a run."""

    chosen = Signal(str)
    addAsked = Signal()  # noqa: N815

    def __init__(self, training: TrainingService) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._training = training
        self.current = NEW
        self.buttons = {
            NEW: self._entry("mdi6.plus-circle-outline", tr("New training"), NEW),
            MODELS: self._entry("mdi6.cube-outline", tr("Models"), MODELS),
        }
        add = icon_button(
            "mdi6.folder-plus-outline", tr("Show a run that lies in another folder"), self.addAsked.emit
        )
        head = row(label(tr("Runs"), "section"), None, add)
        head.setContentsMargins(8, 8, 2, 0)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Runs"))
        self.list.setItemDelegate(RunDelegate(self.list))
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setStyleSheet("QListWidget { background: transparent; }")
        self.list.currentItemChanged.connect(self._picked)
        self.list.itemClicked.connect(lambda item: self._picked(item, None))
        self.empty = label(tr("None yet. A run shows here from its start on."), "faint", wrap=True)
        self.empty.setContentsMargins(8, 4, 8, 0)
        layout = column(*self.buttons.values(), head, self.empty, self.list, spacing=4)
        layout.setStretch(4, 1)
        layout.setContentsMargins(8, 8, 8, 8)
        self.setLayout(layout)
        self.setFixedWidth(236)
        training.runsChanged.connect(self.reload)
        training.runChanged.connect(self._run_changed)
        self.reload()
        self.show_current(NEW)

    def _entry(self, icon_name: str, text: str, place: str) -> QToolButton:
        made = QToolButton()
        made.setProperty("kind", "entry")
        made.setText("  " + text)
        made.setIcon(icon(icon_name))
        made.setIconSize(QSize(18, 18))
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setCheckable(True)
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.clicked.connect(lambda _on=False: self._go(place))
        return made

    def refresh_icons(self) -> None:
        """Tint the icons anew."""
        self.buttons[NEW].setIcon(icon("mdi6.plus-circle-outline"))
        self.buttons[MODELS].setIcon(icon("mdi6.cube-outline"))
        self.list.viewport().update()

    def reload(self) -> None:
        """Show the runs there are now."""
        self.list.blockSignals(True)  # noqa: FBT003
        self.list.clear()
        for view in self._training.runs():
            item = QListWidgetItem()
            self.list.addItem(item)
            self._fill(item, view)
        self.list.blockSignals(False)  # noqa: FBT003
        has_runs = self.list.count() > 0
        self.empty.setVisible(not has_runs)
        self.list.setVisible(True)
        self.show_current(self.current)

    def _fill(self, item: QListWidgetItem, view: RunView) -> None:
        item.setData(_VIEW, view)
        words = f"{view.name}: {state_text(view)}"
        item.setData(Qt.ItemDataRole.AccessibleTextRole, words)
        item.setToolTip("\n".join(part for part in (view.name, state_text(view), view.message) if part))

    def _run_changed(self, run_id: str) -> None:
        view = self._training.run(run_id)
        for place in range(self.list.count()):
            item = self.list.item(place)
            if view is not None and item.data(_VIEW).id == run_id:
                self._fill(item, view)

    def show_current(self, current: str) -> None:
        """Mark where the page is, without going there."""
        self.current = current
        for place, made in self.buttons.items():
            made.setChecked(place == current)
        self.list.blockSignals(True)  # noqa: FBT003
        ids = [self.list.item(i).data(_VIEW).id for i in range(self.list.count())]
        self.list.setCurrentRow(ids.index(current) if current in ids else -1)
        self.list.blockSignals(False)  # noqa: FBT003

    def _picked(self, item: QListWidgetItem | None, _before: QListWidgetItem | None) -> None:
        if item is not None:
            self._go(item.data(_VIEW).id)

    def _go(self, place: str) -> None:
        changed = place != self.current
        self.show_current(place)
        if changed:
            self.chosen.emit(place)

"""The command palette: every action by name."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.ui.actions import ACTION_BY_ID, ACTIONS, ActionRegistry
from app.ui.actions.layout import SECTIONS
from app.ui.texts import tr
from app.ui.theme import colour, icon

_ID = Qt.ItemDataRole.UserRole
_KEYS = Qt.ItemDataRole.UserRole + 1
_SECTION = Qt.ItemDataRole.UserRole + 2


def score(words: str, text: str) -> int:
    """Return how well typed words fit a text, 0 for not at all.

    Each word must begin a word of the text (best), stand inside it, or be spelled by its letters in order.
    """
    text = text.lower()
    total = 1
    for word in words.lower().split():
        if text.startswith(word):
            total += 8
        elif f" {word}" in text:
            total += 6
        elif word in text:
            total += 3
        elif _is_subsequence(word, text):
            total += 1
        else:
            return 0
    return total


def _is_subsequence(word: str, text: str) -> bool:
    letters = iter(text)
    return all(letter in letters for letter in word)


class _Delegate(QStyledItemDelegate):
    """Icon, text, section and keys of an action."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # type: ignore[override]  # noqa: N802, ARG002
        return QSize(420, 36)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:  # type: ignore[override]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = option.rect
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accent_soft"))
            painter.drawRoundedRect(QRectF(rect).adjusted(6, 1, -6, -1), 6, 6)
        spec = ACTION_BY_ID[index.data(_ID)]
        icon(spec.icon or "mdi6.circle-small", "muted").paint(
            painter, QRect(rect.left() + 16, rect.top() + 9, 18, 18)
        )
        painter.setPen(colour("text"))
        text = rect.adjusted(46, 0, -16, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, index.data())
        keys = index.data(_KEYS)
        painter.setPen(colour("muted"))
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, keys)
        width = painter.fontMetrics().horizontalAdvance(index.data()) + 12
        painter.setPen(colour("faint"))
        painter.drawText(text.adjusted(width, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, index.data(_SECTION))
        painter.restore()


class CommandPalette(QDialog):
    """Type a part of a name, press Enter."""

    def __init__(self, actions: ActionRegistry, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self._actions = actions
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        frame = QFrame()
        frame.setObjectName("card")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(8, 8, 8, 8)
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("What do you want to do?"))
        self.field.setAccessibleName(tr("Command"))
        self.field.textChanged.connect(self._filter)
        self.field.returnPressed.connect(self.run)
        self.field.installEventFilter(self)
        self.view = QListView()
        self.view.setStyleSheet("background: transparent;")
        self.view.setUniformItemSizes(True)
        self.view.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.model = QStandardItemModel(self)
        self.view.setModel(self.model)
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.clicked.connect(lambda _index: self.run())
        layout.addWidget(self.field)
        layout.addWidget(self.view)
        self.resize(560, 420)
        where = parent.mapToGlobal(parent.rect().topLeft())
        self.move(where.x() + (parent.width() - self.width()) // 2, where.y() + 84)
        self._filter("")
        self.field.setFocus()

    def _filter(self, text: str) -> None:
        self.model.clear()
        found = []
        for place, spec in enumerate(ACTIONS):
            if not self._actions[spec.id].isEnabled() or spec.id == "help.palette":
                continue
            section = tr(SECTIONS[spec.id.partition(".")[0]])
            fits = score(text, f"{tr(spec.text)} {section}")
            if fits:
                found.append((-fits, len(spec.text), place, spec, section))
        for _, _, _, spec, section in sorted(found, key=lambda each: each[:3]):
            item = QStandardItem(tr(spec.text).rstrip("…"))
            keys = self._actions[spec.id].shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            item.setData(spec.id, _ID)
            item.setData(keys, _KEYS)
            item.setData(section, _SECTION)
            self.model.appendRow(item)
        self.view.setCurrentIndex(self.model.index(0, 0))

    def run(self) -> None:
        """Close and do what is chosen."""
        index = self.view.currentIndex()
        if not index.isValid():
            return
        action = self._actions[index.data(_ID)]
        self.close()
        action.trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Let the arrow keys move through the list while the field keeps the focus."""
        if watched is self.field and event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}.get(
                Qt.Key(event.key())
            )
            if step is not None:
                place = min(max(self.view.currentIndex().row() + step, 0), self.model.rowCount() - 1)
                self.view.setCurrentIndex(self.model.index(place, 0))
                return True
        return super().eventFilter(watched, event)

"""The classes: choose, add, rename, recolour, reorder, lock, hide, merge, delete."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
)
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QFileDialog,
    QInputDialog,
    QListView,
    QMenu,
    QMessageBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.domain import classes as cl
from app.services.session import Session
from app.ui.canvas.options import ToolOptions
from app.ui.panels.classes_model import CLASS_ROLE, ClassesModel
from app.ui.texts import plural, tr
from app.ui.theme import colour, icon
from app.ui.widgets.basics import EmptyState, button, column, row

Index = QModelIndex | QPersistentModelIndex
_HEIGHT = 32


class _ClassDelegate(QStyledItemDelegate):
    """Swatch, name, key, lock and eye of a class."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802, ARG002
        return QSize(150, _HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        found = index.data(CLASS_ROLE)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = option.rect
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accent_soft" if selected else "hover"))
            painter.drawRoundedRect(QRectF(rect).adjusted(4, 1, -4, -1), 6, 6)
        self._draw_swatch(painter, swatch_rect(rect), found)
        lock, eye = flag_rects(rect)
        if found.locked or hovered:
            icon(
                "mdi6.lock" if found.locked else "mdi6.lock-open-variant-outline",
                "text" if found.locked else "faint",
            ).paint(painter, lock)
        if found.id and (not found.visible or hovered):
            icon(
                "mdi6.eye-off-outline" if not found.visible else "mdi6.eye-outline",
                "muted" if not found.visible else "faint",
            ).paint(painter, eye)
        text = QRect(swatch_rect(rect).right() + 10, rect.top(), 0, rect.height())
        text.setRight(lock.left() - 30)
        painter.setPen(colour("text" if found.visible else "faint"))
        name = painter.fontMetrics().elidedText(found.name, Qt.TextElideMode.ElideRight, text.width())
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)
        self._draw_key(painter, QRect(lock.left() - 27, rect.top(), 22, rect.height()), index.row())
        painter.restore()

    def _draw_swatch(self, painter: QPainter, box: QRect, found: cl.LabelClass) -> None:
        painter.setPen(QPen(colour("strong_border"), 1))
        if found.id:
            painter.setPen(QPen(QColor(*found.color).darker(125), 1))
            painter.setBrush(QColor(*found.color))
        else:
            painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(box).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if not found.id:
            painter.drawLine(box.bottomLeft() + QPoint(3, -3), box.topRight() + QPoint(-3, 3))

    def _draw_key(self, painter: QPainter, box: QRect, place: int) -> None:
        if place > 9:
            return
        cap = QRectF(box.center().x() - 8, box.center().y() - 8, 17, 17)
        painter.setPen(QPen(colour("border"), 1))
        painter.setBrush(colour("raised"))
        painter.drawRoundedRect(cap, 4, 4)
        painter.setPen(colour("muted"))
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, str(place))


def swatch_rect(rect: QRect) -> QRect:
    """Return where the colour of a row is."""
    return QRect(rect.left() + 13, rect.center().y() - 8, 18, 18)


def flag_rects(rect: QRect) -> tuple[QRect, QRect]:
    """Return where lock and eye of a row are."""
    y = rect.center().y() - 7
    return QRect(rect.right() - 46, y, 16, 16), QRect(rect.right() - 26, y, 16, 16)


class _ClassList(QListView):
    """Clicks on lock and eye are not clicks on the class."""

    def __init__(self, panel: ClassesPanel) -> None:
        super().__init__()
        self._panel = panel

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            lock, eye = flag_rects(self.visualRect(index))
            where = event.position().toPoint()
            found = index.data(CLASS_ROLE)
            if lock.adjusted(-3, -6, 3, 6).contains(where):
                self._panel.set_flags(found.id, locked=not found.locked)
                return
            if found.id and eye.adjusted(-3, -6, 3, 6).contains(where):
                self._panel.set_flags(found.id, visible=not found.visible)
                return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and swatch_rect(self.visualRect(index)).contains(event.position().toPoint()):
            self._panel.ask_colour(index.data(CLASS_ROLE).id)
            return
        super().mouseDoubleClickEvent(event)


class ClassesPanel(QWidget):
    """The list of classes; asks the session for every change, each of which can be undone."""

    def __init__(self, session: Session, options: ToolOptions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._options = options
        self._awaited = ""
        self.model = ClassesModel()
        self.model.setParent(self)  # its connections name this panel: neither would ever go without the other
        self.model.renameAsked.connect(lambda i, name: self._change(cl.RenameClass(i, name)))
        self.model.reorderAsked.connect(lambda ids: self._change(cl.ReorderClasses(ids)))
        self.view = _ClassList(self)
        self.view.setModel(self.model)
        self.view.setItemDelegate(_ClassDelegate(self.view))
        self.view.setMouseTracking(True)
        self.view.setUniformItemSizes(True)
        self.view.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.view.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._menu)
        self.view.setAccessibleName(tr("Classes"))
        self.view.selectionModel().currentChanged.connect(self._chosen)
        add = button(tr("Add class"), self.ask_new, kind="quiet", icon_name="mdi6.plus")
        foot = row(add, None)
        foot.setContentsMargins(8, 0, 8, 6)
        self._hint = EmptyState(
            "mdi6.palette-outline",
            tr("No classes yet"),
            tr("Add the parts that you want to label."),
            compact=True,
        )
        layout = column(self.view, self._hint, foot, spacing=2)
        layout.setStretch(0, 1)
        self.setLayout(layout)
        self.setMinimumWidth(236)
        options.changed.connect(self._option_changed)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes as the project has them now."""
        classes = self._session.project.classes
        self.model.set_table(classes)
        self._hint.setVisible(len(classes.ids) < 2)
        made = classes.by_name(self._awaited) if self._awaited else None
        if made is not None:
            self._awaited = ""
            self._options.pick_class(made.id)
        self._option_changed("class_id")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for room for eight classes."""
        return QSize(250, 8 * _HEIGHT + 52)

    def _option_changed(self, name: str) -> None:
        if name == "class_id":
            place = self.model.row_of(self._options.class_id)
            self.view.setCurrentIndex(self.model.index(place))

    def _chosen(self, current: QModelIndex, _before: QModelIndex) -> None:
        found = current.data(CLASS_ROLE)
        if found is not None:
            self._options.pick_class(found.id)

    # -- changes -----------------------------------------------------------------------------------

    def _change(self, change: cl.ClassChange) -> None:
        try:
            self._session.change_classes(change)
        except Exception as error:  # noqa: BLE001  every refusal is said, whatever its type
            QMessageBox.warning(self, tr("Classes"), str(error))

    def set_flags(self, class_id: int, *, locked: bool | None = None, visible: bool | None = None) -> None:
        """Lock or unlock, show or hide a class."""
        self._change(cl.SetClassFlags(class_id, locked=locked, visible=visible))

    def toggle_lock(self, class_id: int) -> None:
        """Lock an unlocked class and the other way round."""
        found = self._session.project.classes.get(class_id)
        if found is not None:
            self.set_flags(class_id, locked=not found.locked)

    def ask_new(self) -> None:
        """Ask for the name of a new class, add it and make it the current one."""
        name, accepted = QInputDialog.getText(self, tr("Add class"), tr("Name of the part"))
        if accepted and name.strip():
            self.add(name.strip())

    def ask_first(self) -> None:
        """Ask for the first class, once the mouse button that wanted to paint is up again."""
        QTimer.singleShot(0, self, self.ask_new)

    def add(self, name: str) -> None:
        """Add a class and make it the current one."""
        self._awaited = name
        self._change(cl.AddClass(name))

    def ask_colour(self, class_id: int) -> None:
        """Let a colour be chosen."""
        found = self._session.project.classes.get(class_id)
        if found is None or not class_id:
            return
        chosen = QColorDialog.getColor(QColor(*found.color), self, tr("Colour of {name}", name=found.name))
        if chosen.isValid():
            self._change(cl.RecolorClass(class_id, (chosen.red(), chosen.green(), chosen.blue())))

    def ask_import(self) -> None:
        """Add the classes of a text file, one name a line."""
        path, _ = QFileDialog.getOpenFileName(
            self, tr("Import classes"), "", tr("Text (*.txt *.names);;All files (*)")
        )
        if path:
            self._change(cl.ImportClasses(cl.read_label_list(Path(path))))

    def ask_merge(self, source: int, target: int) -> None:
        """Say what a merge would change and do it when confirmed."""
        self._confirm(cl.MergeClasses(source, target), tr("Merge classes"), tr("Merge"))

    def ask_delete(self, class_id: int) -> None:
        """Say what deleting would change and do it when confirmed."""
        self._confirm(cl.DeleteClass(class_id), tr("Delete class"), tr("Delete"))

    def _confirm(self, change: cl.ClassChange, title: str, verb: str) -> None:
        preview = self._session.project.preview(change)
        box = QMessageBox(QMessageBox.Icon.Question, title, preview.text, parent=self)
        box.setInformativeText(
            plural(
                preview.images,
                "{n} image changes. This can be undone.",
                "{n} images change. This can be undone.",
            )
        )
        yes = box.addButton(verb, QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is yes:
            self._change(change)

    def _menu(self, where: QPoint) -> None:
        index = self.view.indexAt(where)
        menu = QMenu(self)
        menu.addAction(icon("mdi6.plus"), tr("Add class…"), self.ask_new)
        menu.addAction(icon("mdi6.import"), tr("Import a list of classes…"), self.ask_import)
        found = index.data(CLASS_ROLE) if index.isValid() else None
        if found is not None and found.id:
            menu.addSeparator()
            menu.addAction(icon("mdi6.pencil"), tr("Rename"), partial(self.view.edit, index))
            menu.addAction(icon("mdi6.palette"), tr("Colour…"), lambda: self.ask_colour(found.id))
            merge = menu.addMenu(icon("mdi6.call-merge"), tr("Merge into"))
            for other in self._session.project.classes.classes:
                if other.id not in (0, found.id):
                    merge.addAction(other.name, partial(self.ask_merge, found.id, other.id))
            merge.setEnabled(not merge.isEmpty())
            menu.addSeparator()
            menu.addAction(
                icon("mdi6.delete-outline", "bad"), tr("Delete…"), lambda: self.ask_delete(found.id)
            )
        menu.exec(self.view.viewport().mapToGlobal(where))
        menu.deleteLater()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Repaint in the colours of a new theme."""
        if event.type() == QEvent.Type.PaletteChange:
            self.view.viewport().update()
        super().changeEvent(event)

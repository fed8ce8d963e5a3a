"""The label classes as a Qt model; what is dragged to another place is reordered by the session."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QPersistentModelIndex, Qt, Signal

from app.domain.classes import ClassTable, LabelClass

Index = QModelIndex | QPersistentModelIndex
CLASS_ROLE = Qt.ItemDataRole.UserRole
_MIME = "application/x-coordlabel-class"


class ClassesModel(QAbstractListModel):
    """Rows are classes in display order; changes are asked for by signals, never made here."""

    renameAsked = Signal(int, str)  # noqa: N815
    reorderAsked = Signal(object)  # noqa: N815
    """Tuple of all ids in the new order."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: tuple[LabelClass, ...] = ()

    def set_table(self, table: ClassTable) -> None:
        """Show another table of classes."""
        if [c.id for c in table.classes] == [c.id for c in self._classes]:
            self._classes = table.classes
            if self._classes:
                self.dataChanged.emit(self.index(0), self.index(len(self._classes) - 1))
            return
        self.beginResetModel()
        self._classes = table.classes
        self.endResetModel()

    def row_of(self, class_id: int) -> int:
        """Return the row of a class, -1 when it does not exist."""
        return next((i for i, c in enumerate(self._classes) if c.id == class_id), -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """Return the number of classes."""
        return 0 if parent.isValid() else len(self._classes)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return name or class."""
        if not index.isValid() or not 0 <= index.row() < len(self._classes):
            return None
        found = self._classes[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return found.name
        if role == CLASS_ROLE:
            return found
        return None

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802
        """Ask for another name; the new name appears when the project has it."""
        name = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or not name:
            return False
        found = self._classes[index.row()]
        if name != found.name:
            self.renameAsked.emit(found.id, name)
        return False

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Let all but background be renamed and dragged."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self._classes[index.row()].id:
            flags |= Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsDragEnabled
        return flags

    def supportedDropActions(self) -> Qt.DropAction:  # noqa: N802
        """Move, never copy."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:  # noqa: N802
        """Return the private type of a dragged class."""
        return [_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: N802
        """Pack the dragged class."""
        data = QMimeData()
        data.setData(_MIME, str(self._classes[indexes[0].row()].id).encode())
        return data

    def dropMimeData(  # noqa: N802
        self,
        data: QMimeData,
        action: Qt.DropAction,  # noqa: ARG002
        row: int,
        column: int,  # noqa: ARG002
        parent: Index,
    ) -> bool:
        """Ask for the new order; background stays first."""
        if not data.hasFormat(_MIME):
            return False
        dragged = int(bytes(data.data(_MIME).data()).decode())
        target = row if row >= 0 else parent.row() if parent.isValid() else len(self._classes)
        self.move(dragged, target)
        return False

    def move(self, class_id: int, target: int) -> None:
        """Ask that a class stand before the one now at row `target`."""
        order = [c.id for c in self._classes]
        place = order.index(class_id)
        target = max(target, 1)
        order.insert(target, class_id)
        del order[place if place < target else place + 1]
        if order != [c.id for c in self._classes]:
            self.reorderAsked.emit(tuple(order))

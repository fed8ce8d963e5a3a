"""The table in which a person sends each class of a source where it belongs."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.domain.classes import ClassTable
from app.domain.formats import ImportReport
from app.ui.texts import tr
from app.ui.widgets.basics import set_property

FOUND, IMAGES, BECOMES, STATE = range(4)
_ROW_HEIGHT_PX = 38


class ClassMapping(QTableWidget):
    """One row a class of the source: its name, in how many images it is, and what it becomes."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 4, parent)
        self._ids: list[int] = []
        self._known: set[str] = set()
        self.setHorizontalHeaderLabels([tr("In the source"), tr("Images"), tr("Becomes"), ""])
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT_PX)
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(tr("Which class becomes which"))
        set_property(self, "kind", "boxed")
        header = self.horizontalHeader()
        header.setSectionResizeMode(FOUND, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(IMAGES, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(BECOMES, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(STATE, QHeaderView.ResizeMode.Fixed)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.resizeSection(STATE, 96)
        header.setHighlightSections(False)

    def show_classes(self, report: ImportReport, classes: ClassTable) -> None:
        """Show the classes of a dry run; each becomes what the report proposes."""
        self._ids = list(report.mapping)
        self._known = {name.casefold() for name in classes.names[1:]}
        self.setRowCount(0)
        self.setRowCount(len(self._ids))
        for place, (class_id, proposed) in enumerate(report.mapping.items()):
            name = report.names.get(class_id) or tr("number {n}", n=class_id)
            self.setItem(place, FOUND, QTableWidgetItem(name))
            count = QTableWidgetItem(f"{report.images.get(class_id, 0):,}")
            count.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(place, IMAGES, count)
            self.setItem(place, STATE, QTableWidgetItem())
            self.setCellWidget(place, BECOMES, self._box(name, proposed, classes))
            self._tell(place)

    def _box(self, name: str, proposed: str, classes: ClassTable) -> QComboBox:
        box = QComboBox()
        box.setEditable(True)
        box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        box.setAccessibleName(tr("What {name} becomes", name=name))
        names = list(classes.names[1:])
        known = next((n for n in names if n.casefold() == proposed.casefold()), None)
        box.addItems(names if known else [*names, proposed])
        box.addItem(self.left_out)
        box.setCurrentIndex(box.findText(known or proposed, Qt.MatchFlag.MatchExactly))
        box.currentTextChanged.connect(self._edited)
        return box

    @property
    def left_out(self) -> str:
        """The entry of classes that become background."""
        return tr("(leave out)")

    @property
    def mapping(self) -> dict[int, str]:
        """Class id of the source -> name of the class it becomes; those that are left out are not in it."""
        chosen = {class_id: self._chosen(place) for place, class_id in enumerate(self._ids)}
        return {class_id: name for class_id, name in chosen.items() if name}

    def box(self, class_id: int) -> QComboBox:
        """Return the field in which a class of the source is sent somewhere."""
        found = self.cellWidget(self._ids.index(class_id), BECOMES)
        assert isinstance(found, QComboBox)
        return found

    def _chosen(self, place: int) -> str:
        box = self.cellWidget(place, BECOMES)
        text = box.currentText().strip() if isinstance(box, QComboBox) else ""
        return "" if text in (self.left_out, "") or text.casefold() == "background" else text

    def _edited(self) -> None:
        for place in range(self.rowCount()):
            self._tell(place)
        self.changed.emit()

    def _tell(self, place: int) -> None:
        """Say whether a class is new, known, or left out."""
        chosen, item = self._chosen(place), self.item(place, STATE)
        text = tr("new class") if chosen else tr("left out")
        if item is not None:
            item.setText("" if chosen.casefold() in self._known else text)

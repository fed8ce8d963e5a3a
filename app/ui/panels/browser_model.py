"""The images of the project as a Qt model: ids at once, rows when somebody looks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from app.domain.project import ImageRow, Project, Sort
from app.ui.texts import tr

Index = QModelIndex | QPersistentModelIndex
ID_ROLE = Qt.ItemDataRole.UserRole
ROW_ROLE = Qt.ItemDataRole.UserRole + 1

_PAGE = 64
_PAGES_KEPT = 64
_MANY = 200
"""Changed rows from which one signal for all is cheaper than one for each."""


class BrowserModel(QAbstractListModel):
    """The ids that match a query, in order; rows of the index are read a page at a time and forgotten again.

    Nothing here is done for every row, so that 100,000 images cost one query and one array.
    """

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self._places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._pages: OrderedDict[int, dict[int, ImageRow]] = OrderedDict()
        self.query = ""
        self.order = Sort.NAME
        self.descending = False

    @property
    def ids(self) -> NDArray[np.int64]:
        """The image ids in display order."""
        return self._ids

    def load(self) -> None:
        """Ask the index again; raises `SearchError` for a query that cannot be understood."""
        ids = self._project.ids(self.query, sort=self.order, descending=self.descending)
        old = self._ids
        if len(ids) >= len(old) and np.array_equal(ids[: len(old)], old):
            self._extend(ids)
            return
        self.beginResetModel()
        self._ids, self._places = ids, None
        self._pages.clear()
        self.endResetModel()

    def _extend(self, ids: NDArray[np.int64]) -> None:
        """Take more images at the end without disturbing selection and scroll position."""
        known = len(self._ids)
        self._pages.clear()
        if len(ids) > known:
            self.beginInsertRows(QModelIndex(), known, len(ids) - 1)
            self._ids, self._places = ids, None
            self.endInsertRows()
        if known:
            self.dataChanged.emit(self.index(0), self.index(known - 1))

    def set_query(self, query: str) -> None:
        """Show only what matches; on an error the list stays as it is."""
        before, self.query = self.query, query
        try:
            self.load()
        except Exception:
            self.query = before
            raise

    def set_sort(self, sort: Sort, *, descending: bool) -> None:
        """Order the list."""
        self.order, self.descending = sort, descending
        self.load()

    def row_of(self, image_id: int) -> int:
        """Return the place of an image in the list, -1 when it is not in it."""
        rows = self.rows_of([image_id])
        return int(rows[0]) if len(rows) else -1

    def rows_of(self, image_ids: Iterable[int]) -> NDArray[np.int64]:
        """Return the places of those images that are in the list, in no particular order."""
        if not len(self._ids):
            return np.zeros(0, np.int64)
        if self._places is None:
            places = np.argsort(self._ids, kind="stable")
            self._places = places, self._ids[places]
        places, ordered = self._places
        wanted = np.fromiter(image_ids, np.int64)
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        found: NDArray[np.int64] = places[at[ordered[at] == wanted]]
        return found

    def refresh(self, image_ids: Iterable[int]) -> None:
        """Read the rows of these images again."""
        places = self.rows_of(image_ids)
        if len(places) > _MANY:
            self.refresh_all()
            return
        for place in places:
            self._pages.pop(int(place) // _PAGE, None)
            index = self.index(int(place))
            self.dataChanged.emit(index, index)

    def refresh_all(self) -> None:
        """Read all rows again, when somebody looks."""
        self._pages.clear()
        if len(self._ids):
            self.dataChanged.emit(self.index(0), self.index(len(self._ids) - 1))

    def image_row(self, place: int) -> ImageRow | None:
        """Return what the index knows of the image at a place; None when it has just been removed."""
        page = place // _PAGE
        rows = self._pages.get(page)
        if rows is None:
            wanted = [int(i) for i in self._ids[page * _PAGE : (page + 1) * _PAGE]]
            rows = {found.id: found for found in self._project.rows(wanted)}
            self._pages[page] = rows
            while len(self._pages) > _PAGES_KEPT:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(page)
        return rows.get(int(self._ids[place]))

    # -- Qt ----------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """Return the number of images."""
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return name, id, row or tooltip of an image."""
        place = index.row()
        if not index.isValid() or not 0 <= place < len(self._ids):
            return None
        if role == ID_ROLE:
            return int(self._ids[place])
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, ROW_ROLE):
            return None
        found = self.image_row(place)
        if found is None or role == ROW_ROLE:
            return found
        if role == Qt.ItemDataRole.DisplayRole:
            return found.path
        return _tooltip(found)


def _tooltip(found: ImageRow) -> str:
    lines = [found.path]
    if found.width:
        lines.append(tr("{w} × {h} pixels", w=found.width, h=found.height))
    lines.append(tr(str(found.status)).capitalize())
    if found.confidence is not None:
        lines.append(tr("Confidence {p} %", p=round(100 * found.confidence)))
    if found.missing:
        lines.append(tr("The file is not there any more"))
    lines += [text for text in (found.problem, found.note) if text]
    return "\n".join(lines)

"""The image browser: search, sort, list or grid, and the images themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from PySide6.QtCore import (
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    QStringListModel,
    Qt,
    QTimer,
    QUrl,
    Signal,
)
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QCompleter,
    QLineEdit,
    QListView,
    QMenu,
    QStackedWidget,
    QWidget,
)

from app.domain.project import Project, Sort
from app.domain.search import SearchError, complete
from app.domain.status import Status
from app.services.thumbnails import ThumbnailLoader
from app.ui.panels.browser_delegate import BrowserDelegate
from app.ui.panels.browser_model import ID_ROLE, BrowserModel, Index
from app.ui.texts import plural, tr
from app.ui.theme import icon
from app.ui.theme.tokens import STATUS_COLOURS, STATUS_ICONS
from app.ui.widgets.basics import EmptyState, column, icon_button, label, row

_SEARCH_DELAY_MS = 120
_VISIBLE_DELAY_MS = 40
_OPEN_DELAY_MS = 90
LIST_WIDTH = 210

_SORTS: tuple[tuple[Sort, str, bool], ...] = (
    (Sort.NAME, "Name", False),
    (Sort.CONFIDENCE, "Least certain first", False),
    (Sort.STATUS, "Status", False),
    (Sort.DATE, "Newest first", True),
)


_MENU: tuple[tuple[Status, str], ...] = (
    (Status.ACCEPTED, "Accept"),
    (Status.REJECTED, "Reject"),
    (Status.REFERENCE, "Use as reference"),
)
"""What the context menu does with the selected images."""


def completions(text: str, cursor: int, class_names: Iterable[str]) -> list[str]:
    """Return the whole searches that the word under the cursor could lead to."""
    word_start = text[:cursor].rfind(" ") + 1
    word = text[word_start:cursor]
    start = word_start + (max(word.rfind(":"), word.rfind(",")) + 1 if ":" in word else word.startswith("-"))
    return [text[:start] + choice + text[cursor:] for choice in complete(text, cursor, class_names)]


class ImageList(QListView):
    """A list view whose items never change their size: new data need no new layout.

    Qt's own lays out all items again, which for 100,000 images takes longer than everything else that is done
    when a machine has labelled one.
    """

    def dataChanged(  # noqa: N802
        self, first: Index, last: Index, roles: Sequence[int] = ()
    ) -> None:
        """Paint the items that changed."""
        QAbstractItemView.dataChanged(self, first, last, list(roles))


class BrowserPanel(QWidget):
    """All images of the project; emits the one to open."""

    opened = Signal(int)
    """Image id to show in the canvas."""
    selectionChanged = Signal()  # noqa: N815
    statusAsked = Signal(object, object)  # noqa: N815
    """Ids and the `Status` they shall get."""

    def __init__(self, project: Project, thumbnails: ThumbnailLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._thumbnails = thumbnails
        self.model = BrowserModel(project)
        self.delegate = BrowserDelegate(thumbnails, self)
        self._make_search()
        self._make_view()
        self._found = label("", "muted")
        self._error = label("", "bad", wrap=True)
        self._error.hide()
        self._pages = QStackedWidget()
        self._pages.addWidget(self.view)
        self._empty = EmptyState("mdi6.image-search-outline", tr("No image matches"), compact=True)
        self._pages.addWidget(self._empty)
        head = column(self.search, self._error, row(self.sort_box, None, self._found), spacing=6)
        head.setContentsMargins(10, 4, 10, 4)
        layout = column(head, self._pages, spacing=2)
        layout.setContentsMargins(0, 0, 0, 6)
        self.setLayout(layout)
        self.setMinimumWidth(LIST_WIDTH)
        thumbnails.ready.connect(self._thumbnail_ready)

    def _make_search(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search, or status:propagated"))
        self.search.setToolTip(
            tr(
                "Part of the name, or:<br><code>status:propagated,edited</code><br><code>score:&lt;0.7</code>"
                "<br><code>label:nose</code> &nbsp; <code>-label:nose</code><br><code>name:*.png</code>"
                "<br><code>is:human</code> &nbsp; <code>is:missing</code>"
            )
        )
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Search images"))
        self.search.addAction(icon("mdi6.magnify", "faint"), QLineEdit.ActionPosition.LeadingPosition)
        self._words = QStringListModel(self)
        completer = QCompleter(self._words, self)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self.search.setCompleter(completer)
        self._search_timer = QTimer(self, singleShot=True, interval=_SEARCH_DELAY_MS)
        self._search_timer.timeout.connect(self.apply_search)
        self.search.textEdited.connect(self._typed)
        self.search.textChanged.connect(lambda _text: self._search_timer.start())
        self.sort_box = QComboBox()
        self.sort_box.setAccessibleName(tr("Order"))
        for _, text, _ in _SORTS:
            self.sort_box.addItem(tr(text))
        self.sort_box.currentIndexChanged.connect(self._sort_chosen)

    def _make_view(self) -> None:
        view = ImageList()
        view.setModel(self.model)
        view.setItemDelegate(self.delegate)
        view.setUniformItemSizes(True)
        view.setMouseTracking(True)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setResizeMode(QListView.ResizeMode.Adjust)
        view.setAccessibleName(tr("Images"))
        view.clicked.connect(self._clicked)
        view.activated.connect(self._clicked)
        view.selectionModel().currentChanged.connect(self._moved)
        view.selectionModel().selectionChanged.connect(lambda _new, _old: self.selectionChanged.emit())
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._menu)
        self._open_timer = QTimer(self, singleShot=True, interval=_OPEN_DELAY_MS)
        self._open_timer.timeout.connect(self._open_current)
        self._visible_timer = QTimer(self, singleShot=True, interval=_VISIBLE_DELAY_MS)
        self._visible_timer.timeout.connect(self._tell_visible)
        view.verticalScrollBar().valueChanged.connect(lambda _value: self._visible_timer.start())
        self.view = view

    # -- what is shown -----------------------------------------------------------------------------

    def load(self) -> None:
        """Ask the index again, keeping the selection and the place."""
        selected = self.selected_ids()
        place = self.view.verticalScrollBar().value()
        self.model.load()
        self._show_counts()
        if selected and not self.view.selectionModel().hasSelection():
            self._select(selected)
            self.view.verticalScrollBar().setValue(place)
        self._visible_timer.start()

    def _show_counts(self) -> None:
        shown = self.model.rowCount()
        self._pages.setCurrentIndex(0 if shown else 1)
        filtered = bool(self.model.query.strip())
        self._empty.title.setText(tr("No image matches") if filtered else tr("No images yet"))
        self._found.setText(
            plural(shown, "{n} found", "{n} found") if filtered else plural(shown, "{n} image", "{n} images")
        )

    def refresh(self, image_ids: Iterable[int]) -> None:
        """Show these images anew."""
        self.model.refresh(image_ids)

    def set_grid(self, grid: bool) -> None:
        """Show the images as a grid of thumbnails, or as a list with details."""
        if grid == self.delegate.grid:
            return
        self.delegate.grid = grid
        self._set_width()
        flow = QListView.Flow.LeftToRight if grid else QListView.Flow.TopToBottom
        self.view.setFlow(flow)
        self.view.setWrapping(grid)
        self.view.doItemsLayout()
        current = self.view.currentIndex()
        if current.isValid():
            self.view.scrollTo(current)
        self._visible_timer.start()

    def _set_width(self) -> None:
        """Leave room for two columns of the grid."""
        cell = self.delegate.grid_px + 12
        self.setMinimumWidth(2 * cell + 24 if self.delegate.grid and cell < 200 else LIST_WIDTH)

    def set_thumbnail_px(self, side_px: int) -> None:
        """Make the squares of the grid another size."""
        if side_px != self.delegate.grid_px:
            self.delegate.grid_px = side_px
            self._set_width()
            self.view.doItemsLayout()
            self._visible_timer.start()

    def set_sort(self, sort: Sort) -> None:
        """Choose the order."""
        self.sort_box.setCurrentIndex([each[0] for each in _SORTS].index(sort))

    def _sort_chosen(self, index: int) -> None:
        sort, _, descending = _SORTS[index]
        self.model.set_sort(sort, descending=descending)
        self._show_counts()
        self.show_current(self.delegate.current_id)
        self._visible_timer.start()

    # -- search ------------------------------------------------------------------------------------

    def _typed(self, text: str) -> None:
        found = completions(text, self.search.cursorPosition(), self._project.classes.names)
        self._words.setStringList(found)

    def apply_search(self) -> None:
        """Show what matches the search box; say what is wrong with it otherwise."""
        self._search_timer.stop()
        try:
            self.model.set_query(self.search.text())
        except SearchError as error:
            self._error.setText(str(error))
            self._error.show()
            return
        self._error.hide()
        self._show_counts()
        self._visible_timer.start()

    # -- selection ---------------------------------------------------------------------------------

    def selected_ids(self) -> list[int]:
        """Return the ids of the selected images."""
        return [int(index.data(ID_ROLE)) for index in self.view.selectionModel().selectedIndexes()]

    def _select(self, image_ids: list[int]) -> None:
        model = self.view.selectionModel()
        for place in self.model.rows_of(image_ids):
            model.select(self.model.index(int(place)), QItemSelectionModel.SelectionFlag.Select)

    def _moved(self, current: QModelIndex, _before: QModelIndex) -> None:
        """Open what the arrow keys come to; a moment later, so that holding one does not open all."""
        if self.view.hasFocus() and current.isValid():
            self._open_timer.start()

    def _open_current(self) -> None:
        index = self.view.currentIndex()
        if index.isValid():
            self.opened.emit(int(index.data(ID_ROLE)))

    def _clicked(self, index: QModelIndex) -> None:
        self.opened.emit(int(index.data(ID_ROLE)))

    def _menu(self, where: QPoint) -> None:
        ids = self.selected_ids()
        if not ids:
            return
        menu = QMenu(self)
        title = plural(len(ids), "{n} image", "{n} images")
        menu.addSection(title)
        for status, text in _MENU:
            picture = icon(STATUS_ICONS[status], STATUS_COLOURS[status])
            menu.addAction(picture, tr(text), partial(self.statusAsked.emit, ids, status))
        menu.addSeparator()
        show = menu.addAction(icon("mdi6.folder-open-outline"), tr("Show in the file manager"))
        show.triggered.connect(lambda: self._show_file(ids[0]))
        menu.exec(self.view.viewport().mapToGlobal(where))
        menu.deleteLater()

    def _show_file(self, image_id: int) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._project.image_path(image_id).parent)))

    def show_current(self, image_id: int) -> None:
        """Mark the image that the canvas shows and bring it into view."""
        before = self.delegate.current_id
        self.delegate.current_id = image_id
        place = self.model.row_of(image_id)
        if place >= 0 and self.view.currentIndex().row() != place:
            # not by the view, which would look at the keys held: Ctrl+R, say, would add to the selection
            command = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.view.selectionModel().setCurrentIndex(self.model.index(place), command)
        if place >= 0:
            self.view.scrollTo(self.model.index(place))
        self.model.refresh([i for i in (before, image_id) if i >= 0])

    def neighbour(self, step: int) -> int | None:
        """Return the image `step` places after the current one, None at the ends of the list."""
        place = self.model.row_of(self.delegate.current_id)
        target = place + step if place >= 0 else 0
        if 0 <= target < self.model.rowCount():
            return int(self.model.ids[target])
        return None

    # -- thumbnails --------------------------------------------------------------------------------

    def visible_ids(self) -> list[int]:
        """Return the ids whose items are in view, with one screen more on each side."""
        port = self.view.viewport().rect()
        first = self.view.indexAt(port.topLeft() + port.center() * 0.02)
        last = self.view.indexAt(port.bottomRight())
        count = self.model.rowCount()
        if not count:
            return []
        size = self.delegate.sizeHint(None, first)  # type: ignore[arg-type]
        a_screen = max(port.width() // max(size.width(), 1), 1) if self.delegate.grid else 1
        a_screen *= port.height() // max(size.height(), 1) + 2
        top = first.row() if first.isValid() else 0
        bottom = last.row() if last.isValid() else min(top + a_screen, count - 1)
        return [int(i) for i in self.model.ids[max(top - a_screen, 0) : bottom + a_screen]]

    def _tell_visible(self) -> None:
        self._thumbnails.set_visible(self.visible_ids())

    def _thumbnail_ready(self, image_id: int) -> None:
        for place in self.model.rows_of([image_id]):
            self.view.update(self.model.index(int(place)))

    def title_buttons(self) -> list[QWidget]:
        """Return the buttons for the dock's title."""
        return [
            icon_button("mdi6.view-list-outline", tr("List"), lambda: self.set_grid(False)),
            icon_button("mdi6.view-grid-outline", tr("Grid"), lambda: self.set_grid(True)),
        ]

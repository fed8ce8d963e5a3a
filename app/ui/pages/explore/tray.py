"""The tray: which images a view works on, with everything to choose them by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QMenu, QScrollArea, QToolButton, QWidget

from app.services.explore import ExploreService, Source
from app.ui.pages.explore.sources import SourceSet
from app.ui.texts import tr
from app.ui.theme import colour, icon
from app.ui.widgets.basics import column, icon_button, label, row

_SIDE_PX = 44
_GAP_PX = 4

Choice = tuple[str, Callable[[], list[Source]]]
"""An entry of the menu and what it brings."""


class Tray(QFrame):
    """Shows a `SourceSet` as a strip of thumbnails; files and folders can be dropped on it.

    Args:
        title: What these images are for.
        sources: The set.
        service: Makes thumbnails and lists folders.
        choices: Returns what the menu offers beside files.
        hint: What to do while it is empty.
    """

    said = Signal(str)

    def __init__(
        self,
        title: str,
        sources: SourceSet,
        service: ExploreService,
        choices: Callable[[], list[Choice]],
        hint: str = "",
    ) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAcceptDrops(True)
        self.sources = sources
        self._service = service
        self._choices = choices
        self.title = title
        self._heading = label("", "section")
        self.hint = label(hint or tr("Drop pictures here, or choose some with +"), "muted", wrap=True)
        self.strip = _Strip(sources, service)
        self._scroll = QScrollArea()
        self._scroll.setWidget(self.strip)
        self._scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFixedHeight(_SIDE_PX + 12)
        self.add_button = icon_button("mdi6.plus", tr("Add images: {title}", title=title))
        self.add_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.add_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.add_button.setMenu(self.menu)
        self.clear_button = icon_button(
            "mdi6.close", tr("Take all out: {title}", title=title), lambda: sources.set([])
        )
        head = row(self._heading, None, self.add_button, self.clear_button, spacing=2)
        body = column(head, self._scroll, self.hint, spacing=2)
        body.setContentsMargins(12, 6, 8, 6)
        self.setLayout(body)
        sources.changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        count = len(self.sources)
        self._heading.setText(f"{self.title} · {count}" if count else self.title)
        self._scroll.setVisible(count > 0)
        self.hint.setVisible(count == 0)
        self.clear_button.setEnabled(count > 0)
        self.strip.refresh()

    def fill_menu(self) -> None:
        """Offer what there is now."""
        self.menu.clear()
        for text, make in self._choices():
            action = self.menu.addAction(text)
            action.triggered.connect(lambda _checked=False, make=make: self._take(make()))
        if self.menu.actions():
            self.menu.addSeparator()
        files = self.menu.addAction(icon("mdi6.folder-open-outline"), tr("Choose files…"))
        files.triggered.connect(lambda _checked=False: self.ask_files())

    def ask_files(self) -> None:
        """Let pictures be chosen on disk."""
        kinds = tr("Pictures") + " (*.jpg *.jpeg *.png *.webp *.tif *.tiff *.bmp *.gif)"
        paths, _ = QFileDialog.getOpenFileNames(self, self.title, "", kinds)
        self.add_paths([Path(path) for path in paths])

    def add_paths(self, paths: list[Path]) -> None:
        """Add files, and the images of folders."""
        if paths:
            self._service.find_images(paths, self._add_found)

    def _add_found(self, found: list[Path]) -> None:
        if not found:
            self.said.emit(tr("There is no picture among these files"))
            return
        self._told(self.sources.add(Source(path) for path in found))

    def _take(self, sources: list[Source]) -> None:
        if not sources:
            self.said.emit(tr("There are no such images"))
        elif all(source.path is None for source in sources):
            self._told(self.sources.add(sources))
        else:
            self.sources.set(sources)

    def _told(self, left_out: int) -> None:
        if left_out:
            self.said.emit(tr("{n} left out: there is room for {most}", n=left_out, most=self.sources.most))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take pictures and folders."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Add what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        self.add_paths(paths)
        event.acceptProposedAction()


class _Strip(QWidget):
    """The thumbnails; a click takes one out."""

    def __init__(self, sources: SourceSet, service: ExploreService) -> None:
        super().__init__()
        self.setObjectName("page")
        self._sources, self._service = sources, service
        self._over = -1
        self.setMouseTracking(True)
        service.thumbnailReady.connect(lambda _source: self.update())

    def refresh(self) -> None:
        """Make room for what there is."""
        count = len(self._sources)
        self._over = -1
        self.resize(QSize(max(1, count * (_SIDE_PX + _GAP_PX)), _SIDE_PX + 2))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the thumbnails that can be seen, cut to squares."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for place, source in enumerate(self._sources.items):
            rect = self._rect(place)
            if not rect.intersects(event.rect()):
                continue
            picture = self._service.thumbnail(source)
            if picture is None or picture.isNull():
                painter.fillRect(rect, colour("hover"))
                text = source.title if source.path is None else ("" if picture is None else "?")
                painter.setPen(colour("muted"))
                painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
            else:
                side = min(picture.width(), picture.height())
                left, top = (picture.width() - side) // 2, (picture.height() - side) // 2
                painter.drawImage(rect, picture, QRect(left, top, side, side))
            if place == self._over:
                painter.fillRect(rect, QColor(0, 0, 0, 130))
                icon("mdi6.close", "on_accent").paint(painter, rect.adjusted(12, 12, -12, -12))
        painter.end()

    @staticmethod
    def _rect(place: int) -> QRect:
        return QRect(place * (_SIDE_PX + _GAP_PX), 1, _SIDE_PX, _SIDE_PX)

    def _at(self, event: QMouseEvent) -> int:
        at = event.position().toPoint()
        return next((i for i in range(len(self._sources)) if self._rect(i).contains(at)), -1)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Offer to take out what lies under the mouse."""
        self._over = self._at(event)
        items = self._sources.items
        tip = tr("{name}: click to take it out", name=items[self._over].title) if self._over >= 0 else ""
        self.setToolTip(tip)
        self.update()

    def leaveEvent(self, event: object) -> None:  # noqa: N802, ARG002
        """Offer nothing."""
        self._over = -1
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take out what was clicked."""
        place = self._at(event)
        if place >= 0:
            self._sources.remove(self._sources.items[place])

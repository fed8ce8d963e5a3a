"""A board on the screen: scrolls, wraps, follows the mouse, enlarges what lies under it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QScrollArea, QWidget

from app.ui.pages.explore.board import GAP, WIDE_GAP, Board, Painting, Tile, flow
from app.ui.pages.explore.loupe import Loupe
from app.ui.theme.icons import current_tokens

_LOUPE_MS = 350
_FLOW_CELL = 168.0
_GRID_CELL = 104.0
_LEAST_CELL, _MOST_CELL = 40.0, 420.0
_SCROLL_PX = 14
_PAINT_SEC = 0.012


class BoardView(QScrollArea):
    """Shows a `Board`, or groups of tiles that wrap as the width allows."""

    hovered = Signal(object, float, float)
    """Key of a tile and normalised (x, y) in its picture."""
    unhovered = Signal()
    clicked = Signal(object, float, float)

    def __init__(self, name: str, *, has_loupe: bool = True) -> None:
        super().__init__()
        self.setWidgetResizable(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.surface = _Surface(self, has_loupe=has_loupe)
        self.surface.setAccessibleName(name)
        self.setWidget(self.surface)
        self._groups: list[list[Tile]] | None = None
        self._board = Board()
        self._zoom = 1.0
        self._most = _MOST_CELL
        self._wrapped: tuple[object, int, float] = (None, 1, 0.0)

    @property
    def board(self) -> Board:
        """What is shown."""
        return self._board

    @property
    def painting(self) -> Painting:
        """How it is painted."""
        return self.surface.painting

    def limit_cell(self, most: float) -> None:
        """Let pictures grow no larger than this."""
        self._most = most

    def set_board(self, board: Board) -> None:
        """Show a board, as large as the view allows."""
        self._groups = None
        self._board = board
        self._arrange()

    def set_groups(self, groups: Sequence[Sequence[Tile]]) -> None:
        """Show groups of tiles side by side, as many a row as fit."""
        self._groups = [list(group) for group in groups]
        self._arrange()

    def set_zoom(self, zoom: float) -> None:
        """Enlarge pictures by a factor; 1 is what fits best."""
        self._zoom = zoom
        self._arrange()

    def set_pixels(self, pixels: bool) -> None:  # noqa: FBT001
        """Enlarge by repeating pixels, or smoothly."""
        self.painting.pixels = pixels
        self.surface.update()

    def refresh(self) -> None:
        """Paint anew in the colours of the theme."""
        self.painting.tokens = current_tokens()
        self.painting.font = self.font()
        self.surface.update()

    def _arrange(self) -> None:
        width = max(80.0, self.width() - _SCROLL_PX - 8.0)
        height = max(80.0, self.height() - 8.0)
        if self._groups is not None:
            size = max((len(group) for group in self._groups), default=1)
            cell = self._wrap(size, width, height)
        else:
            cell = self._fitting(width, height) * self._zoom
        self.surface.show_board(self._board, max(_LEAST_CELL, min(self._most, cell)))

    def _wrap(self, size: int, width: float, height: float) -> float:
        """Put as many groups into a row as make them largest while all are seen; return the side of cells.

        Where that would be too small they have their usual size, and the view scrolls.
        """
        assert self._groups is not None
        captions = any(tile.caption for group in self._groups for tile in group)
        known = (len(self._groups), size, width, height, self._zoom, captions)
        if known == self._wrapped[0]:  # as when only marks have moved
            self._board = flow(self._groups, self._wrapped[1])
            return self._wrapped[2]
        per_row, cell = self._best_wrap(size, width, height)
        self._wrapped = known, per_row, cell
        return cell

    def _best_wrap(self, size: int, width: float, height: float) -> tuple[int, float]:
        assert self._groups is not None
        wanted = _FLOW_CELL * self._zoom
        usual = max(1, int((width + WIDE_GAP) // (size * (wanted + GAP) + WIDE_GAP - GAP)))
        best = (wanted * 0.8, usual)
        for per_row in range(1, len(self._groups) + 1):
            board = flow(self._groups, per_row)
            used = board.size(0.0, captions=self.painting.captions)[1]
            cell = min(board.cell_for_width(width), (height - used) / len(board.rows), wanted * 1.8)
            best = max(best, (cell, per_row))
        self._board = flow(self._groups, best[1])
        if best[1] == usual and best[0] == wanted * 0.8:
            return usual, min(self._board.cell_for_width(width), wanted * 1.5)
        return best[1], best[0]

    def _fitting(self, width: float, height: float) -> float:
        """Return the largest cell at which the whole board is seen, if that is not too small."""
        wide = self._board.cell_for_width(width)
        rows = max(1, len(self._board.rows))
        used = self._board.size(0.0, captions=self.painting.captions)[1]
        return max(min(wide, (height - used) / rows), min(wide, _GRID_CELL))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Wrap anew."""
        super().resizeEvent(event)
        self._arrange()


class _Surface(QWidget):
    """What scrolls."""

    def __init__(self, view: BoardView, *, has_loupe: bool) -> None:
        super().__init__()
        self._view = view
        self.setObjectName("page")
        self.setMouseTracking(True)
        self.painting = Painting(current_tokens(), view.font())
        self._board = Board()
        self._cell = 100.0
        self._under: Tile | None = None
        self._loupe = Loupe(self, self.painting) if has_loupe else None
        self._look = QTimer(self, singleShot=True, interval=_LOUPE_MS)
        self._look.timeout.connect(self._enlarge)
        self._mouse = QPoint()
        self._finish = QTimer(self, singleShot=True, interval=0)
        self._finish.timeout.connect(self.update)

    def show_board(self, board: Board, cell: float) -> None:
        self._board, self._cell = board, cell
        width, height = board.size(cell, captions=self.painting.captions)
        self.resize(QSize(round(width) + 8, round(height) + 8))
        self.update()
        if self._loupe is not None and self._under is not None:
            self._under = next((t for t, _ in self._places() if t.key == self._under.key), None)

    def _places(self) -> list[tuple[Tile, QRectF]]:
        found = self._board.places(self._cell, captions=self.painting.captions)
        return [(tile, place.translated(4, 4)) for tile, place in found]

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the tiles that can be seen."""
        painter = QPainter(self)
        self.painting.ratio = self.devicePixelRatioF()
        self.painting.until = time.monotonic() + _PAINT_SEC
        self.painting.unfinished, self.painting.made = False, 0
        seen = QRectF(event.rect()).adjusted(0, -30, 0, 30)
        for tile, place in self._places():
            if place.intersects(seen):
                self.painting.paint(painter, tile, place)
        painter.end()
        if self.painting.unfinished:
            self._finish.start()

    def tile_at(self, at: QPointF) -> tuple[Tile, QRectF] | None:
        """Return the tile whose picture lies under a position, and where its picture is."""
        for tile, place in self._places():
            rect = tile.fitted(place)
            if rect.contains(at) and tile.image is not None:
                return tile, rect
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell what lies under the mouse, and enlarge it when it rests."""
        found = self.tile_at(event.position())
        self._mouse = event.globalPosition().toPoint()
        if found is None:
            self._leave()
            return
        tile, rect = found
        if self._loupe is not None and (self._under is None or tile.key != self._under.key):
            self._loupe.hide()
            self._look.start()
        self._under = tile
        self._view.hovered.emit(tile.key, *_normalised(event.position(), rect))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell what was clicked."""
        found = self.tile_at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self._view.clicked.emit(found[0].key, *_normalised(event.position(), found[1]))

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Let go of what lay under the mouse."""
        super().leaveEvent(event)
        self._leave()

    def hideEvent(self, event: QEvent) -> None:  # noqa: N802
        """Take the loupe along."""
        self._leave()
        super().hideEvent(event)  # type: ignore[arg-type]

    def _leave(self) -> None:
        self._look.stop()
        if self._loupe is not None:
            self._loupe.hide()
        if self._under is not None:
            self._under = None
            self._view.unhovered.emit()

    def _enlarge(self) -> None:
        if self._loupe is not None and self._under is not None and self._cell < Loupe.SIDE_PX:
            self._loupe.show_tile(self._under, self._mouse)


def _normalised(at: QPointF, rect: QRectF) -> tuple[float, float]:
    x = 2 * (at.x() - rect.left()) / rect.width() - 1
    y = 2 * (at.y() - rect.top()) / rect.height() - 1
    return max(-1.0, min(1.0, x)), max(-1.0, min(1.0, y))

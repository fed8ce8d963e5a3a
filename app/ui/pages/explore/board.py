"""A board of pictures in rows: one description that is painted on the screen and into a PNG alike."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from app.ui.theme.tokens import Tokens

GAP = 4.0
"""Between two pictures, in pixels of the screen."""
WIDE_GAP = 18.0
"""Between groups, and behind heads."""
LINE = 20.0
"""Height of a caption."""
SAVED_CELL_PX = 192
"""Least side of a picture in a PNG; pictures of the model are enlarged by whole factors."""
UNSURE = 0.25
"""Certainty below which a mark is an open, dotted ring."""
_MAX_SAVED_PX = 16_000
_MOST_SCALED = 900
_LEAST_SCALED = 2  # each time, so that it ends


@dataclass(frozen=True)
class Mark:
    """A point on a picture: normalised (x, y), its colour, and how sure it is."""

    x: float
    y: float
    colour: tuple[int, int, int]
    certainty: float = 1.0
    is_hover: bool = False


@dataclass(frozen=True)
class Tile:
    """One place of a board.

    Args:
        image: What it shows; None while it is awaited.
        caption: Below it.
        key: What the view knows it by.
        aspect: Width by height it is shown with; None is the image's own.
        text: Shown in place of an image.
        problem: Why there is no image.
        is_head: Stands for a whole row or column.
        marks: Points on it.
        detail: What the loupe says about it.
        parts: What it is made of, shown below it in the loupe: pictures and their names.
        is_chosen: Framed.
    """

    image: QImage | None = None
    caption: str = ""
    key: Hashable = None
    aspect: float | None = None
    text: str = ""
    problem: str = ""
    is_head: bool = False
    marks: tuple[Mark, ...] = ()
    detail: str = ""
    is_chosen: bool = False
    parts: tuple[tuple[QImage | None, str], ...] = ()

    def fitted(self, cell: QRectF) -> QRectF:
        """Return where in its cell the picture lies."""
        if self.image is None or self.image.isNull():
            return cell
        aspect = self.aspect or self.image.width() / max(1, self.image.height())
        width, height = cell.width(), cell.height()
        if aspect >= 1:
            height = width / aspect
        else:
            width = height * aspect
        left, top = cell.center().x() - width / 2, cell.center().y() - height / 2
        return QRectF(left, top, width, height)


@dataclass(frozen=True)
class Board:
    """Rows of tiles.

    Args:
        rows: Of equal length; None leaves a place empty.
        group: A wide gap follows after every so many columns; 0 is none.
        has_heads: The first row and column are heads, with a wide gap behind them.
    """

    rows: tuple[tuple[Tile | None, ...], ...] = ()
    group: int = 0
    has_heads: bool = False

    @property
    def columns(self) -> int:
        """Tiles a row."""
        return max((len(row) for row in self.rows), default=0)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not any(tile is not None for row in self.rows for tile in row)

    def _left(self, column: int, cell: float) -> float:
        left = column * (cell + GAP)
        if self.has_heads and column > 0:
            left += WIDE_GAP - GAP
        if self.group:
            left += (column // self.group) * (WIDE_GAP - GAP)
        return left

    def _tops(self, cell: float, *, captions: bool) -> list[float]:
        tops, top = [], 0.0
        for number, row in enumerate(self.rows):
            tops.append(top)
            line = LINE if captions and any(tile is not None and tile.caption for tile in row) else 0.0
            behind = WIDE_GAP if self.has_heads and number == 0 else GAP
            top += cell + line + (behind if line == 0 else max(behind, 2 * GAP))
        return [*tops, top]

    def size(self, cell: float, *, captions: bool) -> tuple[float, float]:
        """Return width and height for cells of a side."""
        if not self.rows:
            return 0.0, 0.0
        return self._left(self.columns - 1, cell) + cell, self._tops(cell, captions=captions)[-1] - GAP

    def cell_for_width(self, width: float) -> float:
        """Return the side of cells that fill a width."""
        if not self.columns:
            return width
        return (width - self._left(self.columns - 1, 0.0)) / self.columns

    def places(self, cell: float, *, captions: bool) -> list[tuple[Tile, QRectF]]:
        """Return every tile with its cell."""
        tops = self._tops(cell, captions=captions)
        found = []
        for row, top in zip(self.rows, tops, strict=False):
            for column, tile in enumerate(row):
                if tile is not None:
                    found.append((tile, QRectF(self._left(column, cell), top, cell, cell)))
        return found


def flow(groups: Sequence[Sequence[Tile]], per_row: int) -> Board:
    """Return a board with so many groups of tiles a row."""
    if not groups:
        return Board()
    size = max(len(group) for group in groups)
    per_row = max(1, min(per_row, len(groups)))
    rows: list[tuple[Tile | None, ...]] = []
    for start in range(0, len(groups), per_row):
        row: list[Tile | None] = []
        for group in groups[start : start + per_row]:
            row += [*group, *[None] * (size - len(group))]
        rows.append((*row, *[None] * (size * per_row - len(row))))
    return Board(tuple(rows), group=size)


@dataclass
class Painting:
    """How a board is painted.

    Args:
        tokens: Colours.
        font: Of captions.
        captions: Whether there are any.
        pixels: Enlarge by repeating pixels; else smoothly.
        ratio: Device pixels a pixel.
        until: When to stop scaling pictures nicely, on the clock of `time.monotonic`.
    """

    tokens: Tokens
    font: QFont
    captions: bool = True
    pixels: bool = False
    ratio: float = 1.0
    until: float = math.inf
    unfinished: bool = False
    made: int = 0
    scaled: dict[tuple[int, int, int, bool], QImage] = field(default_factory=dict)

    def paint(self, painter: QPainter, tile: Tile, cell: QRectF) -> None:
        """Paint one tile into its cell, the caption below it."""
        painter.setFont(self.font)
        if tile.image is not None and not tile.image.isNull():
            self._picture(painter, tile, tile.fitted(cell))
        elif tile.text:
            self._text(painter, cell, tile.text, "muted")
        else:
            self._blank(painter, cell, tile)
        if self.captions and tile.caption:
            below = QRectF(cell.left(), cell.bottom() + 2, cell.width(), LINE - 2)
            painter.setPen(QColor(self.tokens.text if tile.is_head else self.tokens.muted))
            text = QFontMetricsF(self.font).elidedText(
                tile.caption, Qt.TextElideMode.ElideMiddle, below.width()
            )
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, text)

    def _picture(self, painter: QPainter, tile: Tile, rect: QRectF) -> None:
        assert tile.image is not None
        left, top = round(rect.left() * self.ratio), round(rect.top() * self.ratio)
        size = QSize(max(1, round(rect.width() * self.ratio)), max(1, round(rect.height() * self.ratio)))
        target = QRectF(
            left / self.ratio, top / self.ratio, size.width() / self.ratio, size.height() / self.ratio
        )
        painter.drawImage(target, self._enlarged(tile.image, size))
        if tile.is_chosen:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self.tokens.accent), 3))
            painter.drawRect(target.adjusted(1.5, 1.5, -1.5, -1.5))
        for mark in tile.marks:
            paint_mark(painter, mark, target)

    def _enlarged(self, image: QImage, size: QSize) -> QImage:
        """Return a picture in its size; where time is up it is drawn roughly, and `unfinished`."""
        key = (image.cacheKey(), size.width(), size.height(), self.pixels)
        if key in self.scaled:
            return self.scaled[key]
        if time.monotonic() > self.until and self.made >= _LEAST_SCALED:
            self.unfinished = True
            return image
        self.made += 1
        repeat = self.pixels and size.width() > image.width()
        mode = Qt.TransformationMode
        if len(self.scaled) > _MOST_SCALED:
            self.scaled.clear()
        self.scaled[key] = image.scaled(
            size,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            mode.FastTransformation if repeat else mode.SmoothTransformation,
        )
        return self.scaled[key]

    def _blank(self, painter: QPainter, cell: QRectF, tile: Tile) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.tokens.bad_soft if tile.problem else self.tokens.hover))
        painter.drawRoundedRect(cell, 4, 4)
        if tile.problem:
            self._text(painter, cell.adjusted(6, 6, -6, -6), tile.problem, "bad")

    def _text(self, painter: QPainter, cell: QRectF, text: str, token: str) -> None:
        painter.setPen(QColor(getattr(self.tokens, token)))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(cell, int(flags), text)


def paint_mark(painter: QPainter, mark: Mark, target: QRectF) -> None:
    """Paint a point: full where it is sure, an open dashed ring where it is not."""
    centre = QPointF(
        target.left() + (mark.x + 1) / 2 * target.width(), target.top() + (mark.y + 1) / 2 * target.height()
    )
    radius = max(3.5, min(9.0, target.width() / 26)) * (1.25 if mark.is_hover else 1.0)
    colour = QColor(*mark.colour)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setClipRect(target.adjusted(-radius, -radius, radius, radius))
    is_sure = mark.certainty >= UNSURE
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(0, 0, 0, 170), 3.4))
    painter.drawEllipse(centre, radius, radius)
    pen = QPen(QColor(255, 255, 255) if is_sure and not mark.is_hover else colour, 2)
    if not is_sure:
        pen.setStyle(Qt.PenStyle.DotLine)
    painter.setPen(pen)
    if is_sure and not mark.is_hover:
        colour.setAlphaF(0.45 + 0.55 * min(1.0, mark.certainty))
        painter.setBrush(colour)
    painter.drawEllipse(centre, radius, radius)
    painter.restore()


def saved_cell(board: Board) -> int:
    """Return the side of a cell in a PNG: a whole multiple of the model's pictures, at least 192 pixels."""
    sides = [
        max(tile.image.width(), tile.image.height())
        for row in board.rows
        for tile in row
        if tile is not None and not tile.is_head and tile.image is not None and not tile.image.isNull()
    ]
    if not sides:
        return SAVED_CELL_PX
    own = max(sides) if min(sides) >= SAVED_CELL_PX else min(sides)
    return own * math.ceil(max(SAVED_CELL_PX, max(sides)) / own)


def draw_board(board: Board, painting: Painting, *, margin: int = 16) -> QImage:
    """Draw a board at full size on the background of the theme; a null image if that is too large."""
    cell = saved_cell(board)
    width, height = board.size(cell, captions=painting.captions)
    full = QSize(math.ceil(width) + 2 * margin, math.ceil(height) + 2 * margin)
    if max(full.width(), full.height()) > _MAX_SAVED_PX:
        return QImage()
    picture = QImage(full, QImage.Format.Format_RGB32)
    picture.fill(QColor(painting.tokens.window))
    painter = QPainter(picture)
    painter.translate(margin, margin)
    own = replace(painting, ratio=1.0, until=math.inf, scaled={})
    for tile, place in board.places(cell, captions=painting.captions):
        own.paint(painter, tile, place)
    painter.end()
    return picture

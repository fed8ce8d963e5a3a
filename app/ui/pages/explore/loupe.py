"""The loupe: a picture enlarged beside the mouse, with what it is made of."""

from __future__ import annotations

import math
from dataclasses import replace

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.ui.pages.explore.board import Painting, Tile

_PAD = 10
_TEXT_PX = 44
_PART_PX = 56
_OFF = 18


class Loupe(QWidget):
    """Floats over the window and takes no mouse.

    Args:
        owner: Over whose pictures it floats.
        painting: How they are painted.
    """

    SIDE_PX = 320

    def __init__(self, owner: QWidget, painting: Painting) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setParent(owner)
        self._owner = owner
        self._painting = painting
        self._tile = Tile()
        self.hide()

    def show_tile(self, tile: Tile, mouse: QPoint) -> None:
        """Show a tile beside a position of the screen, inside of the window."""
        window = self._owner.window()
        if self.parentWidget() is not window:
            self.setParent(window)
        self._tile = tile
        below = _PART_PX + _PAD if tile.parts else _TEXT_PX if tile.detail or tile.caption else 0
        height = self.SIDE_PX + 2 * _PAD + below
        self.resize(self.SIDE_PX + 2 * _PAD, height)
        at = window.mapFromGlobal(mouse)
        x = at.x() + _OFF if at.x() + _OFF + self.width() < window.width() else at.x() - _OFF - self.width()
        y = max(4, min(at.y() - self.height() // 2, window.height() - self.height() - 4))
        self.move(max(4, x), y)
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        """Paint the card, the picture and its text."""
        tokens = self._painting.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(tokens.strong_border))
        painter.setBrush(QColor(tokens.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)
        cell = QRectF(_PAD, _PAD, self.SIDE_PX, self.SIDE_PX)
        bare = replace(self._tile, caption="", is_chosen=False)
        painting = replace(self._painting, ratio=self.devicePixelRatioF(), until=math.inf, scaled={})
        painting.paint(painter, bare, cell)
        painter.setPen(QColor(tokens.text))
        if self._tile.parts:
            self._paint_parts(painter, painting, cell.bottom() + _PAD)
            painter.end()
            return
        below = QRectF(_PAD, cell.bottom() + 4, self.SIDE_PX, _TEXT_PX - 2)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(below, int(flags), self._tile.detail or self._tile.caption)
        painter.end()

    def _paint_parts(self, painter: QPainter, painting: Painting, top: float) -> None:
        """Paint what the picture is made of: small pictures with their names."""
        width = self.SIDE_PX / len(self._tile.parts)
        for place, (image, name) in enumerate(self._tile.parts):
            left = _PAD + place * width
            painting.paint(painter, Tile(image), QRectF(left, top, _PART_PX, _PART_PX))
            words = QRectF(left + _PART_PX + 6, top, width - _PART_PX - 10, _PART_PX)
            painter.setPen(QColor(painting.tokens.text))
            painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap), name)

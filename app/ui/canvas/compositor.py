"""Paint image, labels and heat map into one backing picture, only where something changed.

Everything is sampled at the resolution of the screen, so the cost of a change is its area on the screen: a
brush event costs the same on a passport photo and on a 24-megapixel image, and there is no second copy of the
label map that could disagree with the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, QSize
from PySide6.QtGui import QColor, QImage, QPainter

from app.ui.canvas.pyramid import Pyramid
from app.ui.canvas.viewport import Viewport

GRID_SCALE = 14.0
"""Widget pixels an image pixel from which the pixel grid shows."""


@dataclass(frozen=True)
class Look:
    """How the image and its labels are shown; changes nothing but the display."""

    opacity: float = 0.45
    overlay: bool = True
    contours: bool = False
    heat: bool = False
    grid: bool = True
    grid_scale: float = GRID_SCALE
    smooth: bool = True
    brightness: float = 0.0
    contrast: float = 0.0

    def tone(self) -> NDArray[np.uint8] | None:
        """Return the table of brightness and contrast (both -1 to 1), None where they change nothing."""
        if not self.brightness and not self.contrast:
            return None
        gain = np.tan((self.contrast * 0.98 + 1) * np.pi / 4)
        values = (np.arange(256) / 255 - 0.5) * gain + 0.5 + self.brightness
        table: NDArray[np.uint8] = np.clip(np.round(values * 255), 0, 255).astype(np.uint8)
        return table


class Compositor:
    """The picture behind the canvas: image, tone, labels, heat map and pixel grid."""

    def __init__(self, viewport: Viewport) -> None:
        self.viewport = viewport
        self.look = Look()
        self.pyramid: Pyramid | None = None
        self.labels: NDArray[np.uint8] | None = None
        self.confidence: NDArray[np.uint8] | None = None
        self.backing = QImage()
        self.peek = False
        self._background = QColor("#202020")
        self._ratio = 1.0
        self._fill = np.zeros(256, np.uint32)
        self._line = np.zeros(256, np.uint32)
        self._palette: NDArray[np.uint8] = np.zeros((256, 3), np.uint8)
        self._hidden: frozenset[int] = frozenset()

    def resize(self, size: QSize, ratio: float) -> None:
        """Make the backing picture fit the widget."""
        wide, high = round(size.width() * ratio), round(size.height() * ratio)
        self._ratio = ratio
        self.backing = QImage(max(wide, 1), max(high, 1), QImage.Format.Format_RGB32)
        self.backing.setDevicePixelRatio(1.0)

    def set_background(self, colour: QColor) -> None:
        """Use this colour around the image; the caller renders anew when it changed."""
        self._background = colour

    def set_look(self, **changes: object) -> None:
        """Change how things are shown; the caller renders anew."""
        self.look = replace(self.look, **changes)  # type: ignore[arg-type]
        self._tables()

    def set_palette(self, palette: NDArray[np.uint8], hidden: frozenset[int] = frozenset()) -> None:
        """Use the colours `uint8 [256, 3]` of the classes; hidden classes are not shown."""
        self._palette, self._hidden = palette, hidden
        self._tables()

    def _tables(self) -> None:
        fill = 0.0 if self.look.contours else self.look.opacity
        self._fill = _premultiplied(self._palette, fill, self._hidden)
        strength = 1.0 if self.look.contours else min(0.25 + self.look.opacity, 1.0)
        self._line = _premultiplied(self._palette, strength, self._hidden)

    def device_rect(self, x0: float, y0: float, x1: float, y1: float, margin: int = 3) -> QRect:
        """Return the device pixels that a box in image coordinates touches."""
        left, top = self.viewport.to_widget(x0, y0)
        right, bottom = self.viewport.to_widget(x1, y1)
        scale = self._ratio
        rect = QRect(int(np.floor(left * scale)), int(np.floor(top * scale)), 0, 0)
        rect.setRight(int(np.ceil(right * scale)))
        rect.setBottom(int(np.ceil(bottom * scale)))
        return rect.adjusted(-margin, -margin, margin, margin).intersected(self.backing.rect())

    def render(self, rect: QRect) -> None:
        """Paint the device pixels of `rect` anew."""
        rect = rect.intersected(self.backing.rect())
        if rect.isEmpty():
            return
        painter = QPainter(self.backing)
        painter.setClipRect(rect)
        painter.fillRect(rect, self._background)
        if self.pyramid is not None:
            self._draw_image(painter, rect)
        painter.end()
        inside = rect.intersected(self._image_rect())
        if self.pyramid is None or inside.isEmpty():
            return
        self._apply_tone(inside)
        painter = QPainter(self.backing)
        if self._shows_heat:
            self._draw_heat(painter, inside)
        if self.look.overlay and self.labels is not None and not self.peek:
            self._draw_labels(painter, inside)
        if self.look.grid and self.viewport.scale >= self.look.grid_scale:
            self._draw_grid(painter, inside)
        painter.end()

    @property
    def _shows_heat(self) -> bool:
        return self.look.heat and self.confidence is not None and not self.peek

    def _image_rect(self) -> QRect:
        return self.device_rect(0, 0, self.viewport.width, self.viewport.height, margin=0)

    def _draw_image(self, painter: QPainter, rect: QRect) -> None:
        """Draw the whole image pixels below `rect`, so that neighbouring calls meet without a seam."""
        assert self.pyramid is not None
        view, ratio = self.viewport, self._ratio
        margin = 2.0 + 2.0 / view.scale
        x0, y0 = view.to_image(rect.left() / ratio, rect.top() / ratio)
        x1, y1 = view.to_image((rect.right() + 1) / ratio, (rect.bottom() + 1) / ratio)
        x0, y0 = max(np.floor(x0 - margin), 0.0), max(np.floor(y0 - margin), 0.0)
        x1, y1 = min(np.ceil(x1 + margin), view.width), min(np.ceil(y1 + margin), view.height)
        if x1 <= x0 or y1 <= y0:
            return
        left, top = view.to_widget(x0, y0)
        scale = view.scale * ratio
        target = QRectF(left * ratio, top * ratio, (x1 - x0) * scale, (y1 - y0) * scale)
        self.pyramid.draw(painter, target, QRectF(x0, y0, x1 - x0, y1 - y0), scale, smooth=self.look.smooth)

    def _apply_tone(self, rect: QRect) -> None:
        table = self.look.tone()
        if table is None:
            return
        view = np.frombuffer(self.backing.bits(), np.uint8)
        rows = view.reshape(self.backing.height(), self.backing.bytesPerLine())
        part = rows[rect.top() : rect.bottom() + 1, rect.left() * 4 : (rect.right() + 1) * 4]
        part[...] = table[part]

    def _sample(self, values: NDArray[np.uint8], rect: QRect, pad: int = 0) -> NDArray[np.uint8]:
        """Return the values under the device pixels of `rect`, with `pad` more on every side."""
        view = self.viewport
        columns = view.columns(rect.left() - pad, rect.width() + 2 * pad, self._ratio)
        rows = view.rows(rect.top() - pad, rect.height() + 2 * pad, self._ratio)
        columns = np.clip(columns, 0, values.shape[1] - 1)
        rows = np.clip(rows, 0, values.shape[0] - 1)
        block = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        found: NDArray[np.uint8] = block.take(rows - rows[0], axis=0).take(columns - columns[0], axis=1)
        return found

    def _draw_labels(self, painter: QPainter, rect: QRect) -> None:
        """Draw the classes; above a heat map as outlines only, so that both can be read."""
        assert self.labels is not None
        reach = max(round(self._ratio * (2 if self.look.contours else 1)), 1)
        sampled = self._sample(self.labels, rect, reach)
        inner = sampled[reach:-reach, reach:-reach]
        picture = np.zeros(inner.shape, np.uint32) if self._shows_heat else self._fill[inner]
        edge = _edges(sampled, reach)
        picture[edge] = self._line[inner[edge]]
        _draw_pixels(painter, rect, picture)

    def _draw_heat(self, painter: QPainter, rect: QRect) -> None:
        assert self.confidence is not None
        _draw_pixels(painter, rect, HEAT[self._sample(self.confidence, rect)])

    def _draw_grid(self, painter: QPainter, rect: QRect) -> None:
        view, ratio = self.viewport, self._ratio
        painter.setPen(QColor(128, 128, 128, 70))
        columns = view.columns(rect.left(), rect.width() + 1, ratio)
        for column in range(max(int(columns[0]), 0), min(int(columns[-1]) + 1, view.width) + 1):
            x = round(view.to_widget(column, 0)[0] * ratio)
            if rect.left() <= x <= rect.right():
                painter.drawLine(x, rect.top(), x, rect.bottom())
        rows = view.rows(rect.top(), rect.height() + 1, ratio)
        for row in range(max(int(rows[0]), 0), min(int(rows[-1]) + 1, view.height) + 1):
            y = round(view.to_widget(0, row)[1] * ratio)
            if rect.top() <= y <= rect.bottom():
                painter.drawLine(rect.left(), y, rect.right(), y)


def _edges(padded: NDArray[np.uint8], reach: int) -> NDArray[np.bool_]:
    """Return which inner pixels have another class within `reach` pixels left, right, above or below."""
    inner = padded[reach:-reach, reach:-reach]
    edge = np.zeros(inner.shape, np.bool_)
    for step in range(1, reach + 1):
        near, far = reach - step, reach + step
        edge |= inner != padded[reach:-reach, near : near + inner.shape[1]]
        edge |= inner != padded[reach:-reach, far : far + inner.shape[1]]
        edge |= inner != padded[near : near + inner.shape[0], reach:-reach]
        edge |= inner != padded[far : far + inner.shape[0], reach:-reach]
    return edge


def _premultiplied(palette: NDArray[np.uint8], alpha: float, hidden: frozenset[int]) -> NDArray[np.uint32]:
    """Return the colours as premultiplied ARGB words; background and hidden classes are clear."""
    words: NDArray[np.uint32] = np.full(256, round(alpha * 255) << 24, np.uint32)
    for channel, shift in ((0, 16), (1, 8), (2, 0)):
        words |= np.round(palette[:, channel] * alpha).astype(np.uint32) << shift
    words[[0, *hidden]] = 0
    return words


def _draw_pixels(painter: QPainter, rect: QRect, words: NDArray[np.uint32]) -> None:
    words = np.ascontiguousarray(words)
    fmt = QImage.Format.Format_ARGB32_Premultiplied
    painter.drawImage(rect.topLeft(), QImage(words.data, rect.width(), rect.height(), rect.width() * 4, fmt))


def _heat_table() -> NDArray[np.uint32]:
    """Return confidence (0 to 255) -> colour: sure is clear, unsure glows from amber to magenta."""
    doubt = 1.0 - np.arange(256) / 255
    alpha = np.clip((doubt - 0.04) * 1.7, 0.0, 0.72)
    stops = np.array([[255, 214, 90], [255, 138, 61], [232, 62, 88], [158, 24, 132]], np.float64)
    position = np.clip(doubt * 1.5, 0, 1) * (len(stops) - 1)
    base = np.minimum(position.astype(int), len(stops) - 2)
    part = (position - base)[:, None]
    colours = (stops[base] * (1 - part) + stops[base + 1] * part) * alpha[:, None]
    red, green, blue = (np.round(colours[:, i]).astype(np.uint32) for i in range(3))
    words: NDArray[np.uint32] = (
        (np.round(alpha * 255).astype(np.uint32) << 24) | (red << 16) | (green << 8) | blue
    )
    return words


HEAT = _heat_table()
"""uint32 [256]: premultiplied ARGB of each confidence."""

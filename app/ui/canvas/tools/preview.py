"""Draw a region that is not painted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor, QImage, QPainter

from app.ui.canvas.viewport import Viewport

if TYPE_CHECKING:
    from app.domain.label_map import Region


def draw_region(
    painter: QPainter, viewport: Viewport, region: Region, tint: QColor, alpha: int = 130
) -> None:
    """Tint a region in widget coordinates, sampled at the resolution of the widget.

    Args:
        painter: Of the canvas, in widget coordinates.
        viewport: Where the image is.
        region: Mask in a box of the image.
        tint: Its colour.
        alpha: 0 to 255.
    """
    box = region.box
    left, top = viewport.to_widget(box.x0, box.y0)
    right, bottom = viewport.to_widget(box.x1, box.y1)
    x0, y0 = max(int(left), 0), max(int(top), 0)
    x1, y1 = (
        min(int(np.ceil(right)), int(viewport.view_width)),
        min(int(np.ceil(bottom)), int(viewport.view_height)),
    )
    if x1 <= x0 or y1 <= y0:
        return
    columns = viewport.columns(x0, x1 - x0, 1.0) - box.x0
    rows = viewport.rows(y0, y1 - y0, 1.0) - box.y0
    wide = (columns >= 0) & (columns < box.width)
    high = (rows >= 0) & (rows < box.height)
    mask = region.mask[np.clip(rows, 0, box.height - 1)][:, np.clip(columns, 0, box.width - 1)]
    mask = mask & high[:, None] & wide[None, :]
    part = alpha / 255
    word = (alpha << 24) | (int(tint.red() * part) << 16) | (int(tint.green() * part) << 8)
    word |= int(tint.blue() * part)
    words = np.where(mask, np.uint32(word), np.uint32(0))
    fmt = QImage.Format.Format_ARGB32_Premultiplied
    painter.drawImage(QPoint(x0, y0), QImage(words.data, x1 - x0, y1 - y0, (x1 - x0) * 4, fmt))

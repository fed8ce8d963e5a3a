"""Paint one image of the browser: thumbnail, name, status badge, confidence."""

from __future__ import annotations

from pathlib import PurePosixPath

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.domain.project import ImageRow
from app.domain.status import Status
from app.services.thumbnails import ThumbnailLoader
from app.ui.panels.browser_model import ID_ROLE, ROW_ROLE
from app.ui.texts import tr
from app.ui.theme import colour, icon
from app.ui.theme.tokens import STATUS_COLOURS, STATUS_ICONS

Index = QModelIndex | QPersistentModelIndex

LIST_THUMB_PX = 48
LIST_ASKED_PX = 72
ASKED = 1.45
"""Longer side asked for, in squares: the square shows the middle part of an image only."""


class BrowserDelegate(QStyledItemDelegate):
    """Draws a row of the list or a cell of the grid; holds no widget per row."""

    def __init__(self, thumbnails: ThumbnailLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self.grid = False
        self.grid_px = 116
        self.current_id = -1

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802, ARG002
        """Return the one size all items have."""
        return QSize(self.grid_px + 12, self.grid_px + 32) if self.grid else QSize(180, LIST_THUMB_PX + 12)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one image."""
        found = index.data(ROW_ROLE)
        if not isinstance(found, ImageRow):
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self._draw_background(painter, option)
        ratio = painter.device().devicePixelRatioF()
        if self.grid:
            self._draw_cell(painter, option.rect, found, int(index.data(ID_ROLE)), ratio)
        else:
            self._draw_line(painter, option.rect, found, int(index.data(ID_ROLE)), ratio)
        painter.restore()

    def _draw_background(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        box = QRectF(option.rect).adjusted(3, 1.5, -3, -1.5)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setBrush(colour("accent_soft"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(colour("hover"))
        else:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(box, 7, 7)

    def _draw_line(
        self, painter: QPainter, rect: QRect, found: ImageRow, image_id: int, ratio: float
    ) -> None:
        thumb = QRect(rect.left() + 9, rect.top() + 6, LIST_THUMB_PX, LIST_THUMB_PX)
        self._draw_thumbnail(painter, thumb, found, image_id, ratio)
        left = thumb.right() + 11
        text = QRect(left, rect.top() + 9, rect.right() - left - 34, 20)
        painter.setPen(colour("muted" if is_broken(found) else "text"))
        metrics = painter.fontMetrics()
        name = PurePosixPath(found.path).name
        painter.drawText(
            text,
            Qt.AlignmentFlag.AlignVCenter,
            metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, text.width()),
        )
        below = QRect(left, text.bottom() + 1, text.width() + 24, 18)
        painter.setPen(colour("muted"))
        note = metrics.elidedText(subtitle(found), Qt.TextElideMode.ElideRight, below.width())
        if found.confidence is not None:
            self._draw_confidence(painter, QRectF(left, below.center().y() - 1, 56, 4), found.confidence)
            below.setLeft(left + 64)
            note = f"{round(found.confidence * 100)} %"
            painter.setPen(colour("muted"))
        painter.drawText(below, Qt.AlignmentFlag.AlignVCenter, note)
        self._draw_badge(painter, QPointF(rect.right() - 20, text.center().y() + 1), found, filled=False)

    def _draw_cell(
        self, painter: QPainter, rect: QRect, found: ImageRow, image_id: int, ratio: float
    ) -> None:
        left = rect.left() + (rect.width() - self.grid_px) // 2
        thumb = QRect(left, rect.top() + 6, self.grid_px, self.grid_px)
        self._draw_thumbnail(painter, thumb, found, image_id, ratio)
        self._draw_badge(painter, QPointF(thumb.right() - 11, thumb.top() + 12), found, filled=True)
        if found.confidence is not None:
            bar = QRectF(thumb.left() + 6, thumb.bottom() - 9, thumb.width() - 12, 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(0, 0, 0, 120))
            painter.drawRoundedRect(bar.adjusted(-2, -2, 2, 2), 4, 4)
            self._draw_confidence(painter, bar, found.confidence)
        text = QRect(thumb.left(), thumb.bottom() + 3, thumb.width(), 19)
        painter.setPen(colour("text"))
        name = PurePosixPath(found.path).name
        short = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, text.width())
        painter.drawText(text, Qt.AlignmentFlag.AlignCenter, short)

    def _draw_thumbnail(
        self, painter: QPainter, box: QRect, found: ImageRow, image_id: int, ratio: float
    ) -> None:
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(box), 6, 6)
        painter.save()
        painter.setClipPath(shape, Qt.ClipOperation.IntersectClip)
        painter.fillRect(box, colour("hover"))
        picture = None
        if not is_broken(found):
            picture = self._thumbnails.get(
                image_id, round(ASKED * self.grid_px) if self.grid else LIST_ASKED_PX, ratio
            )
        if picture is not None and not picture.isNull():
            painter.drawImage(QRectF(box), picture, _cover(picture))
        elif is_broken(found):
            icon("mdi6.image-broken-variant", "faint").paint(painter, box.adjusted(12, 12, -12, -12))
        painter.restore()
        if image_id == self.current_id:
            painter.setPen(QPen(colour("accent"), 2.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(box).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)

    def _draw_confidence(self, painter: QPainter, bar: QRectF, value: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("pressed"))
        painter.drawRoundedRect(bar, 2, 2)
        painter.setBrush(colour("good" if value >= 0.85 else "warn" if value >= 0.6 else "bad"))
        painter.drawRoundedRect(
            QRectF(bar.left(), bar.top(), max(bar.width() * value, 3.0), bar.height()), 2, 2
        )

    def _draw_badge(self, painter: QPainter, centre: QPointF, found: ImageRow, *, filled: bool) -> None:
        status = "failed" if is_broken(found) else str(found.status)
        if filled and status == "unlabelled":
            return
        if filled:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("surface"))
            painter.drawEllipse(centre, 10, 10)
        size = 14
        box = QRect(round(centre.x() - size / 2), round(centre.y() - size / 2), size, size)
        icon(STATUS_ICONS[status], STATUS_COLOURS[status]).paint(painter, box)


def is_broken(found: ImageRow) -> bool:
    """Return whether the image cannot be shown."""
    return found.missing or bool(found.problem)


def subtitle(found: ImageRow) -> str:
    """Return the second line of an image: what is wrong with it, or its status."""
    if found.missing:
        return tr("not found")
    if found.problem or found.status is Status.FAILED:
        return found.problem or found.note
    return tr(str(found.status))


def _cover(picture: QImage) -> QRectF:
    """Return the largest centred square of a picture."""
    side = min(picture.width(), picture.height())
    return QRectF((picture.width() - side) / 2, (picture.height() - side) / 2, side, side)

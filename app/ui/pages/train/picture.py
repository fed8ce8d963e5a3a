"""A picture from a file: read in a worker, scaled sharply, with words when there is none."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageReader, QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.services.tasks import Task, Worker
from app.ui.theme import colour

_RADIUS = 8


def read_picture(source: Path | bytes) -> QImage:
    """Return a picture upright, null if it cannot be read; for a worker."""
    if isinstance(source, bytes):
        return QImage.fromData(QByteArray(source))
    reader = QImageReader(str(source))
    reader.setAutoTransform(True)
    return reader.read()


class Picture(QWidget):
    """Shows one picture as large as fits.

    Args:
        worker: Reads the file.
        name: Accessible name.
        align: Where the picture stands when the widget is larger.
        least: Smallest useful size.
        fill_width: Be exactly as high as the picture is at the width there is.
    """

    shown = Signal()

    def __init__(
        self,
        worker: Worker,
        name: str,
        *,
        align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignCenter,
        least: QSize | None = None,
        fill_width: bool = False,
    ) -> None:
        super().__init__()
        self._worker = worker
        self._align = align
        self._least = least or QSize(120, 80)
        self._fill_width = fill_width
        self._task: Task[QImage] | None = None
        self.image = QImage()
        self.words = ""
        self.source: Path | bytes | None = None
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def load(self, source: Path | bytes | None, *, again: bool = False) -> None:
        """Show another picture, or the same file `again`; the old one stays until it is there."""
        if source == self.source and not again:
            return
        self.source = source
        if self._task is not None:
            self._task.cancel()
        if not source:
            self.show_image(QImage())
            return
        self._task = self._worker.run(lambda: read_picture(source), self.show_image)

    def show_image(self, image: QImage) -> None:
        """Show this picture."""
        self.image = image
        self._fit_height()
        self.updateGeometry()
        self.update()
        self.shown.emit()

    def _fit_height(self) -> None:
        if self._fill_width and not self.image.isNull():
            self.setFixedHeight(self.heightForWidth(self.width()))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the shape of the picture."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit_height()

    def say(self, words: str) -> None:
        """Show words where there is no picture."""
        self.words = words
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the picture's own size."""
        return self._least if self.image.isNull() else self.image.size().expandedTo(self._least)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Stay useful."""
        return self._least

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """Keep the shape of the picture."""
        return not self.image.isNull()

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Return the height at which the picture fills the width."""
        if self.image.isNull():
            return self._least.height()
        return max(1, round(width * self.image.height() / self.image.width()))

    def area(self) -> QRectF:
        """Return where the picture is drawn."""
        if self.image.isNull():
            return QRectF(self.rect())
        size = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left = 0.0 if self._align & Qt.AlignmentFlag.AlignLeft else (self.width() - size.width()) / 2
        top = 0.0 if self._align & Qt.AlignmentFlag.AlignTop else (self.height() - size.height()) / 2
        return QRectF(left, top, size.width(), size.height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        """Draw the picture with round corners, or the words."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        area, path = self.area(), QPainterPath()
        path.addRoundedRect(area, _RADIUS, _RADIUS)
        if self.image.isNull():
            painter.fillPath(path, colour("hover"))
            painter.setPen(colour("muted"))
            inside = area.adjusted(12, 8, -12, -8)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(inside, int(flags), self.words)
        else:
            painter.setClipPath(path)
            ratio = self.devicePixelRatioF()
            wanted = (area.size() * ratio).toSize()
            scaled = self.image.scaled(
                wanted, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
            painter.drawImage(area, scaled)
        self.paint_over(painter, area)
        painter.end()

    def paint_over(self, painter: QPainter, area: QRectF) -> None:
        """Draw something on top of the picture."""

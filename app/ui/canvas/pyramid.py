"""An image at halving sizes, so that drawing it small costs what is seen and not what it holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

Pixels = NDArray[np.uint8]
_SMALLEST = 384


class Pyramid:
    """The levels of one image; level `n` is the image shrunk by `2 ** n`.

    Args:
        image: `uint8 [H, W, 3]`, RGB.
        levels: Smaller levels as `shrink` makes them; without any, everything is drawn from the image itself.
    """

    def __init__(self, image: Pixels, levels: tuple[Pixels, ...] = ()) -> None:
        self.image = image
        self._arrays = (image, *levels)
        self._images = [_wrap(array) for array in self._arrays]

    @property
    def is_complete(self) -> bool:
        """Whether there is a level for every scale."""
        return len(self._arrays) > 1 or max(self.image.shape[:2]) <= _SMALLEST

    @property
    def nbytes(self) -> int:
        """Memory of the shrunk levels."""
        return sum(array.nbytes for array in self._arrays[1:])

    def draw(
        self, painter: QPainter, target: QRectF, source: QRectF, scale: float, *, smooth: bool = True
    ) -> None:
        """Draw a part of the image.

        Args:
            painter: Where to; its clip limits the work.
            target: Rectangle of the painter, in its coordinates.
            source: Part of the image, in image coordinates.
            scale: Device pixels an image pixel; decides the level and whether to interpolate.
            smooth: Average when drawn small, instead of leaving pixels out.
        """
        level = 0
        while smooth and level + 1 < len(self._images) and scale * 2 ** (level + 1) <= 1.0:
            level += 1
        between = scale < 2.0 and (len(self._images) > 1 or scale > 0.5)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth and between)
        own = self._images[level]
        fx, fy = own.width() / self.image.shape[1], own.height() / self.image.shape[0]
        part = QRectF(source.x() * fx, source.y() * fy, source.width() * fx, source.height() * fy)
        painter.drawImage(target, own, part)


def shrink(image: Pixels) -> tuple[Pixels, ...]:
    """Return the image at 1/2, 1/4, ... down to a few hundred pixels; for a worker.

    OpenCV is imported here and not at the top, so that the first window comes up without it.
    """
    import cv2

    levels = []
    current = image
    while max(current.shape[:2]) > _SMALLEST and min(current.shape[:2]) > 1:
        size = (max(current.shape[1] // 2, 1), max(current.shape[0] // 2, 1))
        current = np.asarray(cv2.resize(current, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        levels.append(current)
    return tuple(levels)


def _wrap(array: Pixels) -> QImage:
    """Return a QImage over the array's memory; the caller keeps the array alive."""
    height, width = array.shape[:2]
    return QImage(array.data, width, height, array.strides[0], QImage.Format.Format_RGB888)

"""The mapping between an image and the widget that shows it: scale, offset, and how they may change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_SCALE = 0.005
MAX_SCALE = 64.0
_STEPS = (
    0.05,
    0.0667,
    0.1,
    0.125,
    0.167,
    0.25,
    0.333,
    0.5,
    0.667,
    1,
    1.5,
    2,
    3,
    4,
    6,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
)


class Viewport:
    """Where an image of `width` x `height` pixels lies in a widget.

    Image coordinates run from 0 to `width` over the pixels' outer edges: pixel `i` covers `[i, i + 1)`.
    Widget coordinates are logical pixels; `widget = image * scale + offset`.
    """

    def __init__(self) -> None:
        self.width = 1
        self.height = 1
        self.view_width = 1.0
        self.view_height = 1.0
        self.scale = 1.0
        self.x = 0.0
        self.y = 0.0
        self.fitted = True

    def set_image(self, width: int, height: int) -> None:
        """Show another image; the view stays where it is when the size is the same, else it fits."""
        same = (width, height) == (self.width, self.height)
        self.width, self.height = width, height
        if not same or self.fitted:
            self.fit()

    def set_view(self, width: float, height: float) -> None:
        """Follow a change of the widget's size; what was in the centre stays there."""
        dx, dy = (width - self.view_width) / 2, (height - self.view_height) / 2
        self.view_width, self.view_height = max(width, 1.0), max(height, 1.0)
        if self.fitted:
            self.fit()
        else:
            self.x, self.y = self.x + dx, self.y + dy
            self._keep_in_sight()

    def fit(self, margin: float = 16.0) -> None:
        """Show the whole image, centred, never above 8 widget pixels an image pixel."""
        room_x = max(self.view_width - 2 * margin, 8.0)
        room_y = max(self.view_height - 2 * margin, 8.0)
        self.scale = min(room_x / self.width, room_y / self.height, 8.0)
        self.x = (self.view_width - self.width * self.scale) / 2
        self.y = (self.view_height - self.height * self.scale) / 2
        self.fitted = True

    def zoom_at(self, x: float, y: float, factor: float) -> None:
        """Multiply the scale; the image point under the widget point `(x, y)` stays under it."""
        scale = min(max(self.scale * factor, MIN_SCALE), MAX_SCALE)
        u, v = self.to_image(x, y)
        self.scale = scale
        self.x, self.y = x - u * scale, y - v * scale
        self.fitted = False
        self._keep_in_sight()

    def zoom_to(self, scale: float) -> None:
        """Show the image at `scale` widget pixels an image pixel, around the widget's centre."""
        self.zoom_at(self.view_width / 2, self.view_height / 2, scale / self.scale)

    def step(self, direction: int) -> float:
        """Return the factor to the next larger (1) or smaller (-1) round scale."""
        if direction > 0:
            return next((s for s in _STEPS if s > self.scale * 1.01), _STEPS[-1]) / self.scale
        return next((s for s in reversed(_STEPS) if s < self.scale / 1.01), _STEPS[0]) / self.scale

    def pan(self, dx: float, dy: float) -> None:
        """Move the image by widget pixels."""
        self.x += dx
        self.y += dy
        self.fitted = False
        self._keep_in_sight()

    def centre_on(self, x: float, y: float) -> None:
        """Bring an image point into the centre of the widget."""
        self.x = self.view_width / 2 - x * self.scale
        self.y = self.view_height / 2 - y * self.scale
        self.fitted = False
        self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        """Leave at least 48 widget pixels of the image in view, so that it cannot be lost."""
        edge = 48.0
        self.x = min(max(self.x, edge - self.width * self.scale), self.view_width - edge)
        self.y = min(max(self.y, edge - self.height * self.scale), self.view_height - edge)

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Return the image coordinates of a widget point."""
        return (x - self.x) / self.scale, (y - self.y) / self.scale

    def to_widget(self, x: float, y: float) -> tuple[float, float]:
        """Return the widget point of image coordinates."""
        return x * self.scale + self.x, y * self.scale + self.y

    def pixel_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return the image pixel (column, row) under a widget point, None outside the image."""
        u, v = self.to_image(x, y)
        column, row = int(np.floor(u)), int(np.floor(v))
        return (column, row) if 0 <= column < self.width and 0 <= row < self.height else None

    def visible(self) -> tuple[float, float, float, float]:
        """Return the part of the image in view: (x0, y0, x1, y1) in image coordinates."""
        x0, y0 = self.to_image(0, 0)
        x1, y1 = self.to_image(self.view_width, self.view_height)
        return max(x0, 0.0), max(y0, 0.0), min(x1, float(self.width)), min(y1, float(self.height))

    def columns(self, first: int, count: int, ratio: float) -> NDArray[np.int64]:
        """Return the image column under the centre of each of `count` device columns; outside ones too."""
        centres = (np.arange(first, first + count) + 0.5) / ratio
        found: NDArray[np.int64] = np.floor((centres - self.x) / self.scale).astype(np.int64)
        return found

    def rows(self, first: int, count: int, ratio: float) -> NDArray[np.int64]:
        """Return the image row under the centre of each of `count` device rows; outside ones too."""
        centres = (np.arange(first, first + count) + 0.5) / ratio
        found: NDArray[np.int64] = np.floor((centres - self.y) / self.scale).astype(np.int64)
        return found

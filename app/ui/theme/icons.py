"""Icons by name, tinted by the theme, sharp at every pixel ratio."""

from __future__ import annotations

import qtawesome
from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPixmap

from app.ui.theme.tokens import LIGHT, Tokens

_state: dict[str, Tokens] = {"tokens": LIGHT}
_cache: dict[tuple[str, str], QIcon] = {}


class _Engine(QIconEngine):
    """Draws an icon of the font in the colours in use when it is painted, once a size.

    For no size at all, as squeezed buttons ask, it draws nothing.
    """

    def __init__(self, name: str, token: str) -> None:
        super().__init__()
        self._name, self._token = name, token
        self._tokens = ""
        self._pixmaps: dict[tuple[int, int, QIcon.Mode, QIcon.State], QPixmap] = {}

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._token)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        if rect.isEmpty():
            return
        ratio = painter.device().devicePixelRatioF()
        picture = self.pixmap(rect.size() * ratio, mode, state)
        painter.drawPixmap(rect, picture)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        if size.isEmpty():
            return QPixmap()
        tokens = _state["tokens"]
        if self._tokens != tokens.name:
            self._tokens, self._pixmaps = tokens.name, {}
        key = (size.width(), size.height(), mode, state)
        if key not in self._pixmaps:
            tint = getattr(tokens, self._token)
            drawn = qtawesome.icon(self._name, color=tint, color_disabled=tokens.faint, color_on=tint)
            self._pixmaps[key] = drawn.pixmap(size, 1.0, mode, state)
        return self._pixmaps[key]


def use_tokens(tokens: Tokens) -> None:
    """Tint all icons asked for from now on in the colours of `tokens`."""
    _state["tokens"] = tokens
    _cache.clear()


def current_tokens() -> Tokens:
    """Return the colours in use."""
    return _state["tokens"]


def colour(token: str) -> QColor:
    """Return the colour of a token in the appearance in use."""
    return QColor(getattr(_state["tokens"], token))


def icon(name: str, token: str = "text") -> QIcon:
    """Return the icon `name` ("mdi6.brush") in the colour of `token`; an empty name gives no icon."""
    if not name:
        return QIcon()
    key = (name, token)
    if key not in _cache:
        _cache[key] = QIcon(_Engine(name, token))
    return _cache[key]

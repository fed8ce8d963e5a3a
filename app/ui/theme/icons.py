"""Icons by name, tinted by the theme, sharp at every pixel ratio."""

from __future__ import annotations

import qtawesome
from PySide6.QtGui import QColor, QIcon

from app.ui.theme.tokens import LIGHT, Tokens

_state: dict[str, Tokens] = {"tokens": LIGHT}
_cache: dict[tuple[str, str, str], QIcon] = {}


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
    tokens = _state["tokens"]
    key = (name, token, tokens.name)
    if key not in _cache:
        _cache[key] = qtawesome.icon(
            name, color=getattr(tokens, token), color_disabled=tokens.faint, color_on=getattr(tokens, token)
        )
    return _cache[key]

"""Colours, palette, stylesheet and icons of the application."""

from app.ui.theme.icons import colour, current_tokens, icon
from app.ui.theme.theme import Appearance, Theme

__all__ = ["Appearance", "Theme", "colour", "current_tokens", "icon"]

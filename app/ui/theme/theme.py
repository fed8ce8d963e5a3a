"""Give the application its appearance and follow the system between light and dark."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from app.ui.theme import icons
from app.ui.theme.stylesheet import build_stylesheet
from app.ui.theme.tokens import DARK, LIGHT, Tokens

Appearance = Literal["system", "light", "dark"]

_GENERIC_FONTS = {"Sans Serif", "Sans", "MS Shell Dlg 2", ""}
_GOOD_FONTS = ("Inter", "Segoe UI", "Noto Sans", "Cantarell", "Ubuntu", "DejaVu Sans")


class Theme(QObject):
    """The appearance of the running application; emits `changed` after every switch."""

    changed = Signal()

    def __init__(self, app: QApplication, appearance: Appearance = "system") -> None:
        super().__init__(app)
        self._app = app
        self._appearance: Appearance = appearance
        self.tokens = LIGHT
        app.setStyle("Fusion")
        _choose_font(app)
        self._tell_platform()
        app.styleHints().colorSchemeChanged.connect(self._follow_system)
        self._apply()

    def set_appearance(self, appearance: Appearance) -> None:
        """Show the light or the dark appearance, or follow the system."""
        self._appearance = appearance
        self._tell_platform()
        self._apply()

    def _tell_platform(self) -> None:
        """Have what the platform draws itself (title bars, file dialogs) look alike."""
        hints = self._app.styleHints()
        if self._appearance == "system":
            hints.unsetColorScheme()
        else:
            dark = self._appearance == "dark"
            hints.setColorScheme(Qt.ColorScheme.Dark if dark else Qt.ColorScheme.Light)

    def _follow_system(self) -> None:
        if self._appearance == "system":
            self._apply()

    def _wanted(self) -> Tokens:
        if self._appearance != "system":
            return DARK if self._appearance == "dark" else LIGHT
        return DARK if self.system_is_dark() else LIGHT

    def system_is_dark(self) -> bool:
        """Return whether the desktop asks for dark windows."""
        return self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark

    def _apply(self) -> None:
        self.tokens = self._wanted()
        icons.use_tokens(self.tokens)
        self._app.setPalette(build_palette(self.tokens))
        self._app.setStyleSheet(build_stylesheet(self.tokens))
        self.changed.emit()


def build_palette(tokens: Tokens) -> QPalette:
    """Return the palette of `tokens`, so that everything unstyled still fits."""
    role = QPalette.ColorRole
    palette = QPalette()
    roles = {
        role.Window: tokens.window,
        role.WindowText: tokens.text,
        role.Base: tokens.raised,
        role.AlternateBase: tokens.surface,
        role.Text: tokens.text,
        role.Button: tokens.raised,
        role.ButtonText: tokens.text,
        role.BrightText: tokens.bad,
        role.Highlight: tokens.accent,
        role.HighlightedText: tokens.on_accent,
        role.ToolTipBase: tokens.raised,
        role.ToolTipText: tokens.text,
        role.PlaceholderText: tokens.faint,
        role.Link: tokens.accent,
        role.Mid: tokens.border,
        role.Dark: tokens.strong_border,
        role.Light: tokens.raised,
        role.Accent: tokens.accent,
    }
    for colour_role, colour in roles.items():
        palette.setColor(colour_role, QColor(colour))
    for colour_role in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, colour_role, QColor(tokens.faint))
    return palette


def _choose_font(app: QApplication) -> None:
    """Replace a platform's placeholder font by a good installed one; a real system font stays."""
    font = QFont(app.font())
    if font.family() in _GENERIC_FONTS:
        installed = set(QFontDatabase.families())
        family = next((name for name in _GOOD_FONTS if name in installed), None)
        if family is not None:
            font.setFamily(family)
    font.setPixelSize(13)
    app.setFont(font)

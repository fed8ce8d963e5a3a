"""Move the image."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Qt

from app.ui.canvas.tools.base import Tool


class PanTool(Tool):
    """Drag to move; the canvas itself does the moving, as it does for Space and the middle button."""

    name: ClassVar[str] = "pan"
    cursor: ClassVar[Qt.CursorShape] = Qt.CursorShape.OpenHandCursor

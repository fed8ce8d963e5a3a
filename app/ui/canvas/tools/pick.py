"""Take the class under the cursor."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Qt

from app.ui.canvas.tools.base import Pointer, Tool


class PickTool(Tool):
    """Click makes the class under the cursor the current one."""

    name: ClassVar[str] = "pick"
    cursor: ClassVar[Qt.CursorShape] = Qt.CursorShape.PointingHandCursor

    def press(self, pointer: Pointer) -> None:
        """Pick; background is a class like others."""
        document = self.host.document
        if document is not None and self.host.contains(pointer):
            self.options.pick_class(int(document.labels[pointer.row, pointer.column]))

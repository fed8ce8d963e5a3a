"""Fill the connected area under the cursor."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Qt

from app.ui.canvas.tools.base import Pointer, Tool
from app.ui.texts import tr


class FillTool(Tool):
    """Click turns the area that hangs together into the current class; the right button into background."""

    name: ClassVar[str] = "fill"

    def press(self, pointer: Pointer) -> None:
        """Fill; Shift fills all areas of that class, not only the one below."""
        from app.domain.label_map import flood_region

        document = self.host.document
        if document is None or not document.is_editable or not self.host.contains(pointer):
            return
        value = 0 if pointer.button == Qt.MouseButton.RightButton else self.options.class_id
        contiguous = self.options.contiguous and not pointer.shift
        region = flood_region(document.labels, pointer.column, pointer.row, contiguous=contiguous)
        if region is not None:
            document.paint_region(region, value, tr("Fill"))

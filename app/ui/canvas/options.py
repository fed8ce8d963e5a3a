"""What the tools are set to: class, brush size, tolerance; one object the bar and the tools share."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

MAX_BRUSH_PX = 2000


class ToolOptions(QObject):
    """Settings of the tools; `changed` names the field."""

    changed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.class_id = 1
        self.previous_class_id = 0
        self.brush_px = 24
        self.tolerance = 24
        self.contiguous = True
        self.superpixel_px = 20
        self.smooth_px = 8

    def set(self, name: str, value: int | bool) -> None:
        """Change one field by its name; unchanged values are not announced."""
        if name == "brush_px":
            value = min(max(int(value), 1), MAX_BRUSH_PX)
        if getattr(self, name) != value:
            setattr(self, name, value)
            self.changed.emit(name)

    def pick_class(self, class_id: int) -> None:
        """Make a class the current one and remember the one before."""
        if class_id != self.class_id:
            self.previous_class_id, self.class_id = self.class_id, class_id
            self.changed.emit("class_id")

    def swap_class(self) -> None:
        """Go back to the class used before."""
        self.pick_class(self.previous_class_id)

    def grow_brush(self, steps: int) -> None:
        """Change the brush by about an eighth a step, at least one pixel."""
        size = self.brush_px
        for _ in range(abs(steps)):
            size = size + max(size // 8, 1) if steps > 0 else size - max(size // 9, 1)
        self.set("brush_px", size)

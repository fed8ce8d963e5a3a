"""Brightness and contrast of the display; the image itself never changes."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QSlider, QVBoxLayout, QWidget

from app.ui.canvas.compositor import Look
from app.ui.texts import tr
from app.ui.widgets.basics import button, label, row, slider


class DisplayPopup(QDialog):
    """Two sliders that act while they move."""

    changed = Signal(float, float)
    """Brightness and contrast, -1 to 1."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setWindowTitle(tr("Brightness and contrast"))
        frame = QFrame()
        frame.setObjectName("card")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self.brightness = self._slider(look.brightness, tr("Brightness"))
        self.contrast = self._slider(look.contrast, tr("Contrast"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.addWidget(label(tr("Brightness")), 0, 0)
        grid.addWidget(self.brightness, 0, 1)
        grid.addWidget(label(tr("Contrast")), 1, 0)
        grid.addWidget(self.contrast, 1, 1)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(16, 14, 16, 12)
        layout.setSpacing(10)
        layout.addLayout(grid)
        note = label(tr("Changes the display only"), "faint")
        layout.addLayout(row(note, None, button(tr("Reset"), self.reset, kind="quiet")))
        self.setMinimumWidth(320)

    def _slider(self, value: float, name: str) -> QSlider:
        made = slider(-100, 100, name)
        made.setValue(round(100 * value))
        made.valueChanged.connect(self._emit)
        return made

    def _emit(self) -> None:
        self.changed.emit(self.brightness.value() / 100, self.contrast.value() / 100)

    def reset(self) -> None:
        """Show the image as it is."""
        self.brightness.setValue(0)
        self.contrast.setValue(0)

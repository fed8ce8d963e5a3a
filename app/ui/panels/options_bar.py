"""The bar above the canvas: what the current tool is set to, and how labels are shown."""

from __future__ import annotations

from math import log

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QSpinBox, QWidget

from app.domain.classes import LabelClass
from app.ui.canvas.options import MAX_BRUSH_PX, ToolOptions
from app.ui.texts import tr
from app.ui.widgets.basics import ElidedLabel, label, row, slider

_BRUSH_CURVE = 400

# tool -> controls it has
_CONTROLS: dict[str, tuple[str, ...]] = {
    "brush": ("brush_px",),
    "eraser": ("brush_px",),
    "fill": ("contiguous",),
    "wand": ("tolerance", "contiguous"),
    "superpixels": ("superpixel_px",),
    "smooth": ("smooth_px",),
}
_HINTS: dict[str, str] = {
    "pan": "Drag to move the image",
    "polygon": "Click the corners · Enter fills · Shift+Enter subtracts · drag a corner to adjust",
    "pick": "Click to take the class under the cursor",
    "wand": "Drag sideways to change the tolerance",
    "smooth": "Click a part to move its outline to the edges",
    "fill": "Click an area · right click clears it",
}


class OptionsBar(QFrame):
    """Current class, the tool's controls, opacity of the labels."""

    opacityChanged = Signal(float)  # noqa: N815
    onlyBackgroundChanged = Signal(bool)  # noqa: N815

    def __init__(self, options: ToolOptions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self._options = options
        self._tool = "brush"
        self._swatch = label()
        self._class = label("", "section")
        self._controls: dict[str, list[QWidget]] = {}
        layout = row(self._swatch, self._class, 14, spacing=8)
        layout.setContentsMargins(12, 6, 12, 6)
        self._spins: dict[str, QSpinBox] = {}
        self._add_brush(layout)
        self._add_spin(layout, "tolerance", tr("Tolerance"), 0, 255, "")
        self._add_spin(layout, "superpixel_px", tr("Region size"), 5, 200, " px")
        self._add_spin(layout, "smooth_px", tr("Reach"), 2, 64, " px")
        self._contiguous = QCheckBox(tr("Connected only"))
        self._contiguous.setChecked(options.contiguous)
        self._contiguous.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._contiguous.toggled.connect(lambda on: options.set("contiguous", on))
        self._controls["contiguous"] = [self._contiguous]
        layout.addWidget(self._contiguous)
        self._hint = ElidedLabel()
        self._hint.setProperty("role", "muted")
        layout.addWidget(self._hint, 1000)
        layout.addStretch(1)
        self.only_background = QCheckBox(tr("Only on background"))
        self.only_background.setToolTip(tr("Tools leave every labelled pixel as it is"))
        self.only_background.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.only_background.toggled.connect(self.onlyBackgroundChanged)
        layout.addWidget(self.only_background)
        layout.addSpacing(14)
        layout.addWidget(label(tr("Opacity"), "muted"))
        self.opacity = slider(0, 100, tr("Opacity of the labels"))
        self.opacity.setFixedWidth(110)
        self.opacity.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.opacity.valueChanged.connect(lambda value: self.opacityChanged.emit(value / 100))
        layout.addWidget(self.opacity)
        self.setLayout(layout)
        options.changed.connect(self._option_changed)
        self.show_tool("brush")

    def _add_brush(self, layout: QHBoxLayout) -> None:
        sizes = slider(0, _BRUSH_CURVE, tr("Brush size"))
        sizes.setFixedWidth(130)
        sizes.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        sizes.valueChanged.connect(self._brush_slid)
        self._brush_slider = sizes
        name = label(tr("Size"), "muted")
        layout.addWidget(name)
        layout.addWidget(sizes)
        spin = self._spin("brush_px", 1, MAX_BRUSH_PX, " px")
        layout.addWidget(spin)
        self._controls["brush_px"] = [name, sizes, spin]
        self._option_changed("brush_px")

    def _add_spin(self, layout: QHBoxLayout, name: str, text: str, low: int, high: int, unit: str) -> None:
        title = label(text, "muted")
        spin = self._spin(name, low, high, unit)
        layout.addWidget(title)
        layout.addWidget(spin)
        self._controls[name] = [title, spin]

    def _spin(self, name: str, low: int, high: int, unit: str) -> QSpinBox:
        spin = QSpinBox(minimum=low, maximum=high, suffix=unit)
        spin.setValue(getattr(self._options, name))
        spin.setKeyboardTracking(False)
        spin.lineEdit().setTextMargins(6, 0, 6, 0)
        spin.setFixedWidth(84)
        spin.valueChanged.connect(lambda value: self._options.set(name, value))
        spin.editingFinished.connect(self._done_typing)
        self._spins[name] = spin
        return spin

    def _done_typing(self) -> None:
        """Give the keys back to the canvas after Enter."""
        window = self.window()
        for spin in self._spins.values():
            if spin.hasFocus():
                spin.clearFocus()
                window.setFocus()

    def _brush_slid(self, value: int) -> None:
        self._options.set("brush_px", round(MAX_BRUSH_PX ** (value / _BRUSH_CURVE)))

    def _option_changed(self, name: str) -> None:
        if name in self._spins:
            self._spins[name].setValue(getattr(self._options, name))
        if name == "brush_px":
            place = round(log(self._options.brush_px) / log(MAX_BRUSH_PX) * _BRUSH_CURVE)
            self._brush_slider.blockSignals(True)
            self._brush_slider.setValue(place)
            self._brush_slider.blockSignals(False)

    def show_tool(self, tool: str) -> None:
        """Show the controls of a tool."""
        self._tool = tool
        wanted = _CONTROLS.get(tool, ())
        for name, widgets in self._controls.items():
            for widget in widgets:
                widget.setVisible(name in wanted)
        self._hint.setText(tr(_HINTS[tool]) if tool in _HINTS else "")
        self._hint.setVisible(tool in _HINTS)

    def show_class(self, found: LabelClass | None) -> None:
        """Show the current class."""
        self._class.setText(found.name if found is not None else tr("no class"))
        ratio = self.devicePixelRatioF()
        picture = QPixmap(round(16 * ratio), round(16 * ratio))
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tint = QColor(*found.color) if found is not None and found.id else QColor(128, 128, 128, 60)
        painter.setPen(tint.darker(130))
        painter.setBrush(tint)
        painter.drawRoundedRect(1, 1, 14, 14, 4, 4)
        painter.end()
        self._swatch.setPixmap(picture)

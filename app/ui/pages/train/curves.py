"""Curves of a run: losses, label quality, speed. Nothing before this module loads pyqtgraph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QStackedWidget, QWidget

from app.services.training_values import Curve
from app.ui.texts import tr
from app.ui.theme import colour, current_tokens
from app.ui.widgets.basics import column, label, row

PENS_LIGHT = ("#3d5bd9", "#c2571a", "#177a49", "#a8338f", "#0d7291", "#93600a", "#6d3fc4", "#bf3040")
PENS_DARK = ("#7890ff", "#f09a5b", "#4fca8a", "#e38bd3", "#57c2e4", "#e9b44e", "#b795ff", "#f27580")
_WIDTH = 2.0


def pen_colour(place: int) -> str:
    """Return the colour of the n-th curve in the appearance in use."""
    pens = PENS_DARK if current_tokens().name == "dark" else PENS_LIGHT
    return pens[place % len(pens)]


def smoothed(values: Sequence[float], strength: float) -> list[float]:
    """Return the exponential moving average, unbiased at its beginning; not-a-number stays where it is.

    Args:
        values: The values in order.
        strength: Weight of the past, 0 (none) to below 1.
    """
    mean, weight, found = 0.0, 0.0, []
    for value in values:
        if not math.isfinite(value):
            found.append(math.nan)
            continue
        mean = strength * mean + (1 - strength) * value
        weight = strength * weight + 1 - strength
        found.append(mean / weight)
    return found


class Chart(QWidget):
    """One plot with a title and the newest value.

    Args:
        title: What it shows.
        unit: What stands behind the newest value.
        bounds: Fixed range of the vertical axis, None to fit.
        percent: Whether values are shares, shown in per cent.
        from_zero: Whether the vertical axis begins at 0.
    """

    def __init__(
        self,
        title: str,
        unit: str = "",
        *,
        bounds: tuple[float, float] | None = None,
        percent: bool = False,
        from_zero: bool = False,
    ) -> None:
        super().__init__()
        self.title = label(title, "section")
        self.latest = label("", "heading")
        self.note = label("", "muted", wrap=True)
        self.note.hide()
        self._unit, self._percent, self._bounds = unit, percent, bounds
        self._from_zero = from_zero
        self._logarithmic = False
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self._own_menus()
        self.plot.setAccessibleName(title)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setFrameShape(pg.QtWidgets.QFrame.Shape.NoFrame)
        self.plot.getPlotItem().setContentsMargins(0, 4, 8, 0)
        if bounds is not None:
            self.plot.setYRange(*bounds, padding=0.02)
        self.lines: dict[str, pg.PlotDataItem] = {}
        self.words = label(tr("Comes with the first steps."), "faint")
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.words)
        self._pages.addWidget(self.plot)
        head = row(self.title, None, self.latest, spacing=8)
        layout = column(head, self.note, self._pages, spacing=2)
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.restyle()

    def _own_menus(self) -> None:
        """Have the menus go with the chart: pyqtgraph leaves them without an owner."""
        item = self.plot.getPlotItem()
        for menu in (item.ctrlMenu, getattr(item.getViewBox(), "menu", None)):
            if menu is not None:
                menu.setParent(self.plot)
                menu.hide()

    def restyle(self) -> None:
        """Take the colours of the appearance in use."""
        self.plot.setBackground(colour("surface"))
        font = QFont(self.font())
        font.setPixelSize(11)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setTickFont(font)
            axis.setPen(pg.mkPen(colour("border")))
            axis.setTextPen(pg.mkPen(colour("muted")))
            axis.setStyle(tickLength=0, tickTextOffset=6, maxTickLevel=1)
            axis.enableAutoSIPrefix(False)  # noqa: FBT003
        self.plot.getAxis("left").setWidth(44)
        self.plot.showGrid(x=False, y=True, alpha=0.12)
        for place, drawn in enumerate(self.lines.values()):
            drawn.setPen(pg.mkPen(QColor(pen_colour(place)), width=_WIDTH))

    def set_logarithmic(self, on: bool) -> None:  # noqa: FBT001  a slot
        """Show powers of ten at equal distances."""
        self._logarithmic = on
        self.plot.setLogMode(x=False, y=on)

    def show_curves(
        self,
        curves: dict[str, Curve],
        *,
        by_time: bool,
        smoothing: float,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        """Draw the curves, each in the colour of its place.

        Args:
            curves: Curves by name.
            by_time: Whether the horizontal axis is time instead of images seen.
            smoothing: Weight of the past, 0 to below 1.
            hidden: Names that are not drawn.
        """
        for name in [name for name in self.lines if name not in curves]:
            self.plot.removeItem(self.lines.pop(name))
        for place, (name, curve) in enumerate(curves.items()):
            pen = pg.mkPen(QColor(pen_colour(place)), width=_WIDTH)
            if name not in self.lines:
                self.lines[name] = self.plot.plot([], [], pen=pen, antialias=True, connect="finite")
                self.lines[name].setDownsampling(auto=True, method="peak")
            elif self.lines[name].opts["pen"].color() != pen.color():
                self.lines[name].setPen(pen)
            xs = [s / 60 for s in curve.seconds] if by_time else [n / 1000 for n in curve.nimg]
            values = smoothed(curve.values, smoothing)
            if self._logarithmic:
                values = [value if value > 0 else math.nan for value in values]
            only_point = len(xs) == 1
            self.lines[name].setSymbol("o" if only_point or len(xs) < 12 and self._bounds else None)
            self.lines[name].setSymbolSize(6)
            self.lines[name].setSymbolPen(None)
            self.lines[name].setSymbolBrush(self.lines[name].opts["pen"].color())
            self.lines[name].setData(xs, values)
            self.lines[name].setVisible(name not in hidden)
        values = [value for curve in curves.values() for value in curve.values if math.isfinite(value)]
        self._pages.setCurrentWidget(self.plot if values else self.words)
        if self._from_zero and values:
            self.plot.setYRange(0, 1.15 * max(values), padding=0)
        self._show_latest(curves)

    def _show_latest(self, curves: dict[str, Curve]) -> None:
        newest = next((curve.values[-1] for curve in curves.values() if curve.values), None)
        if newest is None or len(curves) > 1:
            self.latest.setText("")
            return
        text = f"{newest:.1%}" if self._percent else f"{newest:.3g}"
        self.latest.setText(f"{text} {self._unit}".strip())

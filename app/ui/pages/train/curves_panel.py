"""The three charts of a run and what may be chosen about them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QWidget,
)

from app.services.training_values import Curve, RunHistory
from app.ui.pages.train.curves import Chart, pen_colour
from app.ui.pages.train.flow import FlowLayout
from app.ui.texts import tr
from app.ui.widgets.basics import EmptyState, clear, column, label, row, slider

QUALITY = ("foreground_iou", "miou")
SPEED = "images_per_second"
_DOT_PX = 10
_NEXT_MS = 20
"""Between the drawings of two charts: painting all three at once holds the window up."""


def losses_of(history: RunHistory) -> dict[str, Curve]:
    """Return the curves that are losses."""
    return {name: c for name, c in history.curves.items() if name not in (*QUALITY, SPEED)}


def quality_of(history: RunHistory) -> dict[str, Curve]:
    """Return the curve of label quality: of the parts, without the background, where it is there."""
    name = next((name for name in QUALITY if name in history.curves), None)
    return {name: history.curves[name]} if name is not None else {}


def loss_title(name: str) -> str:
    """Return the name of a loss for people."""
    return name.replace("_", " ").replace("/", ": ")


class CurvesPanel(QWidget):
    """Losses large, quality and speed beside each other below."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = Chart(tr("Losses"))
        self.quality = Chart(tr("Label IoU"), bounds=(0, 1), percent=True)
        self.speed = Chart(tr("Speed"), tr("images/s"), from_zero=True)
        self.legend: dict[str, QToolButton] = {}
        self._hidden: set[str] = set()
        self._history = RunHistory("")
        self._undrawn: list[Callable[[], None]] = []
        self._next = QTimer(self, singleShot=True, interval=_NEXT_MS)
        self._next.timeout.connect(self._draw_next)
        self._legend_part = QWidget()
        self._legend = FlowLayout(self._legend_part, spacing=2)
        layout = column(self._controls(), self.losses, self._legend_part, self._smaller_charts(), spacing=8)
        layout.setStretch(1, 3)
        layout.setStretch(3, 2)
        self.setLayout(layout)

    def _controls(self) -> QHBoxLayout:
        self.axis = QComboBox()
        self.axis.addItems([tr("by images, thousands"), tr("by time, minutes")])
        self.axis.setAccessibleName(tr("Horizontal axis"))
        self.axis.currentIndexChanged.connect(lambda _place: self.redraw())
        self.smooth = slider(0, 98, tr("Smoothing"))
        self.smooth.setValue(60)
        self.smooth.setFixedWidth(90)
        self.smooth.valueChanged.connect(lambda _value: self.redraw())
        self.logarithmic = QCheckBox(tr("Logarithmic"))
        self.logarithmic.toggled.connect(self.losses.set_logarithmic)
        self.logarithmic.toggled.connect(lambda _on: self.redraw())
        return row(
            self.axis, 8, label(tr("Smoothing"), "muted"), self.smooth, 8, self.logarithmic, None, spacing=6
        )

    def _smaller_charts(self) -> QWidget:
        self._quality_part = QStackedWidget()
        self._quality_part.addWidget(self.quality)
        self._no_quality = EmptyState(
            "mdi6.star-outline",
            tr("No label quality"),
            tr("Label one image of this folder and the next training shows how well labels carry over."),
            compact=True,
        )
        self._quality_part.addWidget(self._no_quality)
        pair = row(self._quality_part, self.speed, spacing=16)
        pair.setStretch(0, 1)
        pair.setStretch(1, 1)
        below = QWidget()
        below.setLayout(pair)
        for part, least in ((self.losses, 170), (below, 140)):  # only the stretch divides the height
            part.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
            part.setMinimumHeight(least)
        return below

    def show_history(self, history: RunHistory) -> None:
        """Draw what a run has told so far, one chart after the other, the losses last."""
        if history.id != self._history.id:
            self._hidden = set()
        self._history = history
        names = list(losses_of(history))
        if names != list(self.legend):
            self._fill_legend(names)
        self._undrawn = self._drawings()
        self._draw_next()

    def stop(self) -> None:
        """Draw no more of what was told."""
        self._undrawn = []
        self._next.stop()

    def redraw(self) -> None:
        """Draw the same history as the controls stand now."""
        self.stop()
        for draw in self._drawings():
            draw()

    def _drawings(self) -> list[Callable[[], None]]:
        return [self._draw_quality, self._draw_speed, self._draw_losses]

    def _draw_next(self) -> None:
        self._undrawn.pop(0)()
        if self._undrawn:
            self._next.start()

    @property
    def _by_time(self) -> bool:
        return self.axis.currentIndex() == 1

    def _draw_losses(self) -> None:
        self.losses.show_curves(
            losses_of(self._history),
            by_time=self._by_time,
            smoothing=self.smooth.value() / 100,
            hidden=frozenset(self._hidden),
        )

    def _draw_quality(self) -> None:
        history = self._history
        quality = quality_of(history)
        self._quality_part.setCurrentIndex(0 if quality or history.quality_kind else 1)
        self.quality.show_curves(quality, by_time=self._by_time, smoothing=0.0)
        kinds = {
            "copies": tr("on warped copies of your only reference: easier than other images"),
            "labelled": tr("on your labelled images"),
        }
        self.quality.note.setText(kinds.get(history.quality_kind, ""))
        self.quality.note.setVisible(bool(self.quality.note.text()))

    def _draw_speed(self) -> None:
        speed = {name: curve for name, curve in self._history.curves.items() if name == SPEED}
        self.speed.show_curves(speed, by_time=self._by_time, smoothing=0.0)

    def restyle(self) -> None:
        """Take the colours of the appearance in use."""
        for chart in (self.losses, self.quality, self.speed):
            chart.restyle()
        self._no_quality.refresh_icons()
        self._fill_legend(list(self.legend))

    def _fill_legend(self, names: list[str]) -> None:
        clear(self._legend)
        self.legend = {}
        for place, name in enumerate(names):
            made = QToolButton()
            made.setText(loss_title(name))
            made.setIcon(_dot(pen_colour(place)))
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setCheckable(True)
            made.setChecked(name not in self._hidden)
            made.setToolTip(tr("Show or hide this loss"))
            made.setProperty("kind", "legend")
            made.toggled.connect(lambda on, name=name: self._toggle(name, on))
            self._legend.addWidget(made)
            self.legend[name] = made
        self._legend_part.setVisible(bool(names))

    def _toggle(self, name: str, on: bool) -> None:
        (self._hidden.discard if on else self._hidden.add)(name)
        self.redraw()


def _dot(tint: str) -> QIcon:
    made = QIcon()
    for state, opacity in ((QIcon.State.On, 1.0), (QIcon.State.Off, 0.25)):
        picture = QPixmap(_DOT_PX * 2, _DOT_PX * 2)
        picture.setDevicePixelRatio(2)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(opacity)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tint))
        painter.drawEllipse(1, 1, _DOT_PX - 2, _DOT_PX - 2)
        painter.end()
        made.addPixmap(picture, QIcon.Mode.Normal, state)
    return made

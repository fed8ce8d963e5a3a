"""Point tracking: click on one image, see the point on all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from PySide6.QtWidgets import QLayout

from app.domain.palette import default_color
from app.services.explore import MapItem, Source
from app.ui.pages.explore.board import UNSURE, Board, Mark, Tile, flow
from app.ui.pages.explore.mapped import MappedView
from app.ui.pages.explore.view import Need, Setting
from app.ui.texts import tr
from app.ui.widgets.basics import button, column, row

MOST_POINTS = 12
_HOVER = (255, 255, 255)
_SAVED_COLUMNS = 6


@dataclass(frozen=True)
class Point:
    """Where somebody clicked: an image and normalised (x, y) in it."""

    source: Source
    x: float
    y: float
    colour: tuple[int, int, int]


class TrackView(MappedView):
    """Points that were clicked, found in every image; the place under the mouse as well."""

    id: ClassVar[str] = "track"
    icon_name: ClassVar[str] = "mdi6.crosshairs-gps"
    needs: ClassVar[Need] = "maps"

    def __init__(self, setting: Setting) -> None:
        self.undo_button = button(tr("Undo point"), self.undo)
        self.clear_button = button(tr("Clear points"), self.clear)
        super().__init__(
            setting,
            tr("Point tracking"),
            tr(
                "Move over an image to see the place in all others; click to keep it. Percentages are the "
                "model's own, uncalibrated certainty; dotted rings are below {n} %.",
                n=round(100 * UNSURE),
            ),
        )
        self.points: list[Point] = []
        self._hovered: Point | None = None
        self._known: dict[tuple[Point, Source], Mark] = {}
        self.board_view.hovered.connect(self._hover)
        self.board_view.unhovered.connect(self._leave)
        self.board_view.clicked.connect(self.add_point)
        self._sync()

    def controls(self) -> QLayout:
        """The images, and what to do with points."""
        buttons = column(self.undo_button, self.clear_button, None, spacing=6)
        layout = row(self.tray(tr("Images"), self.setting.images), buttons, spacing=12)
        layout.setStretch(0, 1)
        return layout

    def ask(self) -> None:
        """Have the maps computed that are not there yet."""
        sources = self.take_known()
        self._known = {}
        kept = set(sources)
        self.points = [point for point in self.points if point.source in kept]
        self.show_found()
        if todo := [source for source in sources if source not in self.items]:
            self.ask_maps(todo)

    # -- points ------------------------------------------------------------------------------------

    def add_point(self, key: object, x: float, y: float) -> None:
        """Keep a point of an image."""
        if not isinstance(key, Source) or key not in self.items:
            return
        if len(self.points) >= MOST_POINTS:
            self.said.emit(tr("{n} points are as many as can be told apart", n=MOST_POINTS))
            return
        used = {point.colour for point in self.points}
        free = (default_color(i) for i in range(1, 4 * MOST_POINTS))
        self.points.append(Point(key, x, y, next(c for c in free if c not in used)))
        self.show_found()

    def undo(self) -> None:
        """Forget the last point."""
        if self.points:
            self.points.pop()
            self.show_found()

    def clear(self) -> None:
        """Forget all points."""
        self.points = []
        self.show_found()

    def _hover(self, key: object, x: float, y: float) -> None:
        if isinstance(key, Source):
            self._hovered = Point(key, x, y, _HOVER)
            self.show_found()

    def _leave(self) -> None:
        self._hovered = None
        self.show_found()

    def _shown(self, *, hover: bool) -> list[Point]:
        return [*self.points, *([self._hovered] if hover and self._hovered is not None else [])]

    def marks(self, source: Source) -> tuple[Mark, ...]:
        """Return where all points lie on an image, and how sure that is."""
        found = [self._mark(point, source) for point in self._shown(hover=True)]
        return tuple(mark for mark in found if mark is not None)

    def _mark(self, point: Point, source: Source) -> Mark | None:
        """Return where one point lies on an image; kept points are looked for once."""
        item, start = self.items.get(source), self.items.get(point.source)
        if item is None or start is None:
            return None
        if point is self._hovered:
            return _found(point, source, start, item, is_hover=True)
        if (point, source) not in self._known:
            self._known[point, source] = _found(point, source, start, item, is_hover=False)
        return self._known[point, source]

    # -- what is shown -----------------------------------------------------------------------------

    def _sync(self) -> None:
        for each in (self.undo_button, self.clear_button):
            each.setEnabled(bool(self.points))

    def _tile(self, source: Source, *, hover: bool) -> Tile:
        item = self.items.get(source)
        if item is None:
            return Tile(caption=source.title, key=source, problem=self.failures.get(source, ""))
        marks = tuple(mark for mark in self.marks(source) if hover or not mark.is_hover)
        caption = source.title
        if marks and any(point.source != source for point in self._shown(hover=hover)):
            least = min(mark.certainty for mark in marks)
            caption = f"{caption} · {tr('{n} %', n=round(100 * least))}"
        clicked = any(point.source == source for point in self.points)
        return Tile(item.image, caption, source, marks=marks, is_chosen=clicked)

    def show_found(self) -> None:
        """Show all images with their points."""
        self._sync()
        self.board_view.set_groups([[self._tile(s, hover=True)] for s in self.setting.images.files])

    def saved_board(self) -> Board:
        """All images with the points that were kept."""
        tiles = [[self._tile(source, hover=False)] for source in self.setting.images.files]
        return flow(tiles, _SAVED_COLUMNS) if tiles else Board()


def _found(point: Point, source: Source, start: MapItem, item: MapItem, *, is_hover: bool) -> Mark:
    """Return the mark of a point of one image on another."""
    x, y, sure = point.x, point.y, 1.0
    if point.source != source:
        places = start.located.places([(x, y)])
        there = item.located.find(places.points, places.certainty)
        x, y = (float(value) for value in there.points[0])
        sure = float(there.certainty[0])
    return Mark(x, y, point.colour, sure, is_hover=is_hover)

"""Correspondence maps of any images, with the canonical frame beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLayout, QWidget

from app.services.explore import Frame, Source, frame_of
from app.ui.pages.explore.board import Board, Mark, Tile, flow
from app.ui.pages.explore.board_view import BoardView
from app.ui.pages.explore.mapped import MappedView
from app.ui.pages.explore.view import Need, Setting
from app.ui.texts import tr
from app.ui.widgets.basics import row

_FRAME_WIDTH = 236
_HOVER = (255, 255, 255)
_SAVED_GROUPS = 4


class MapsView(MappedView):
    """Pairs of image and map; the place under the mouse is shown everywhere."""

    id: ClassVar[str] = "maps"
    icon_name: ClassVar[str] = "mdi6.gradient-horizontal"
    needs: ClassVar[Need] = "maps"

    def __init__(self, setting: Setting) -> None:
        self.frame_view = BoardView(tr("Canonical frame"), has_loupe=False)
        super().__init__(
            setting,
            tr("Correspondence maps"),
            tr(
                "Every pixel in the colour of its place in the canonical frame: equal colours are equal "
                "places. Point at an image to see the place in all others."
            ),
        )
        self.frame: Frame | None = None
        self.board_view.hovered.connect(self._hover)
        self.board_view.unhovered.connect(lambda: self._show(None))
        self.frame_view.hovered.connect(lambda _key, x, y: self._show((x, y)))
        self.frame_view.unhovered.connect(lambda: self._show(None))

    def controls(self) -> QLayout:
        """Only the images."""
        return row(self.tray(tr("Images"), self.setting.images))

    def content(self) -> QWidget:
        """The pairs, and the frame at their side."""
        inside = QWidget()
        self.frame_view.setFixedWidth(_FRAME_WIDTH)
        self.frame_view.limit_cell(_FRAME_WIDTH - 30)
        layout = row(self.board_view, self.frame_view, spacing=14)
        layout.setStretch(0, 1)
        inside.setLayout(layout)
        return inside

    def boards(self) -> list[BoardView]:
        """Pairs and frame."""
        return [self.board_view, self.frame_view]

    def ask(self) -> None:
        """Have the maps of all images computed."""
        sources = self.take_known()
        self.frame = None
        self._show(None)

        def finish(_data: dict[str, Any], pictures: dict[str, QImage], reply: Any) -> None:
            self.frame = frame_of(reply, pictures)
            self._show(None)

        self.ask_maps(sources, on_done=finish)

    def show_found(self) -> None:
        """Show pairs and frame, without the mouse."""
        self._show(None)

    def _hover(self, key: object, x: float, y: float) -> None:
        item = self.items.get(key[0]) if isinstance(key, tuple) else None
        if item is not None:
            place = item.located.places([(x, y)]).points[0]
            self._show((float(place[0]), float(place[1])))

    def _show(self, place: tuple[float, float] | None) -> None:
        """Show what there is, with a place of the frame marked everywhere."""
        self.board_view.set_groups([self._pair(source, place) for source in self.setting.images.files])
        marks = () if place is None else (Mark(*place, _HOVER, is_hover=True),)
        self.frame_view.set_board(Board(tuple((replace(tile, marks=marks),) for tile in self._frame_tiles())))

    def _pair(self, source: Source, place: tuple[float, float] | None) -> list[Tile]:
        item = self.items.get(source)
        if item is None:
            problem = self.failures.get(source, "")
            return [Tile(caption=source.title, key=(source, "image"), problem=problem), Tile()]
        marks: tuple[Mark, ...] = ()
        if place is not None:
            found = item.located.find([place])
            x, y = found.points[0]
            marks = (Mark(float(x), float(y), _HOVER, float(found.certainty[0]), is_hover=True),)
        return [
            Tile(item.image, source.title, (source, "image"), marks=marks),
            Tile(item.colours, key=(source, "map"), marks=marks),
        ]

    def _frame_tiles(self) -> list[Tile]:
        if self.frame is None:
            return []
        return [
            Tile(self.frame.colours, tr("Canonical frame"), "frame"),
            Tile(self.frame.average, tr("Images averaged in it"), "average"),
        ]

    def saved_board(self) -> Board:
        """The frame first, then all pairs."""
        pairs = [self._pair(source, None) for source in self.setting.images.files]
        frame = [self._frame_tiles()] if self.frame is not None else []
        return flow([*frame, *pairs], _SAVED_GROUPS) if pairs else Board()

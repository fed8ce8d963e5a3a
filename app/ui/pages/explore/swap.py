"""Swap grids: every structure in every texture, in both orientations, and with textures from elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLayout

from app.services.explore import SIDE_PX, Source
from app.ui.pages.explore.board import Board, Tile
from app.ui.pages.explore.sources import SourceSet
from app.ui.pages.explore.view import ExploreView, Need, Setting, no_images
from app.ui.texts import tr
from app.ui.widgets.basics import row

Kind = Literal["structure", "texture"]


class SwapView(ExploreView):
    """A grid of renders with the images they are made of at its head and side."""

    needs: ClassVar[Need] = "encodes"
    rows_are: ClassVar[Kind]

    def __init__(self, setting: Setting, title: str, text: str) -> None:
        super().__init__(setting, title, text)
        self._heads: dict[tuple[str, int], tuple[QImage, float]] = {}
        self._problems: dict[tuple[str, int], str] = {}
        self._cells: dict[tuple[int, int], QImage] = {}
        self._rows: list[Source] = []
        self._columns: list[Source] = []

    def sets(self) -> tuple[SourceSet, SourceSet]:
        """Return where structures and textures come from."""
        return self.setting.structures, self.setting.textures

    def controls(self) -> QLayout:
        """Return the two trays."""
        structures, textures = self.sets()
        layout = row(
            self.tray(tr("Structures"), structures, drawn=True),
            self.tray(tr("Textures"), textures, drawn=True),
            spacing=12,
        )
        layout.setStretch(0, 1)
        layout.setStretch(1, 1)
        return layout

    def missing(self) -> tuple[str, str] | None:
        """A grid needs both."""
        return None if all(len(part) for part in self.sets()) else no_images()

    def ask(self) -> None:
        """Have the grid rendered."""
        structures, textures = (part.items for part in self.sets())
        self._rows, self._columns = structures, textures
        if self.rows_are == "texture":
            self._rows, self._columns = textures, structures
        self._heads, self._problems, self._cells = {}, {}, {}
        self.show_found()
        params = {
            "rows": [source.to_params() for source in self._rows],
            "columns": [source.to_params() for source in self._columns],
            "rows_are": self.rows_are,
            "side": SIDE_PX,
            "pool": [source.to_params() for source in self.setting.pool()],
        }
        self.asker.ask("grid", params, on_event=self._take, on_error=self.failed)

    def _take(self, data: dict[str, Any], pictures: dict[str, QImage], _reply: object) -> None:
        if data["event"] == "cell":
            self._cells[int(data["row"]), int(data["column"])] = pictures["image"]
        elif data["event"] == "head":
            self._heads[str(data["axis"]), int(data["index"])] = pictures["image"], float(data["aspect"])
        elif data["event"] == "error" and "axis" in data:
            self._problems[str(data["axis"]), int(data["index"])] = str(data["message"])
            self.problems.append(str(data["message"]))
        self.show_soon()
        self.show_progress(len(self._cells), len(self._rows) * len(self._columns))

    def show_found(self) -> None:
        """Show heads and renders."""
        self.board_view.set_board(self._board())

    def _board(self) -> Board:
        other = "texture" if self.rows_are == "structure" else "structure"
        words = {"structure": tr("structure"), "texture": tr("texture")}
        corner = Tile(text=f"{words[other]} →\n{words[self.rows_are]} ↓", key="corner")
        first = [self._head("column", c, source) for c, source in enumerate(self._columns)]
        rows: list[tuple[Tile | None, ...]] = [(corner, *first)]
        by_row = self.rows_are == "structure"
        column_parts = [self._part("column", c) for c in range(len(self._columns))]
        for r, source in enumerate(self._rows):
            row_part = self._part("row", r)
            cells: list[Tile | None] = [self._head("row", r, source)]
            for c, column_part in enumerate(column_parts):
                aspect = self._heads.get(("row", r) if by_row else ("column", c), (None, None))[1]
                parts = (row_part, column_part) if by_row else (column_part, row_part)
                cells.append(Tile(self._cells.get((r, c)), key=("cell", r, c), aspect=aspect, parts=parts))
            rows.append(tuple(cells))
        return Board(tuple(rows), has_heads=True)

    def _head(self, axis: str, index: int, source: Source) -> Tile:
        image, aspect = self._heads.get((axis, index), (None, None))
        problem = self._problems.get((axis, index), "")
        return Tile(image, source.title, (axis, index), aspect, problem=problem, is_head=True)

    def _part(self, axis: str, index: int) -> tuple[QImage | None, str]:
        """Return one of the two things that a render is made of, and how the loupe calls it."""
        kind = self.rows_are if axis == "row" else "texture" if self.rows_are == "structure" else "structure"
        source = (self._rows if axis == "row" else self._columns)[index]
        text = "structure\n{name}" if kind == "structure" else "texture\n{name}"
        return self._heads.get((axis, index), (None, 1.0))[0], tr(text, name=source.title)


class TextureSwapView(SwapView):
    """Each row one structure, each column one texture."""

    id: ClassVar[str] = "textures"
    icon_name: ClassVar[str] = "mdi6.view-grid-outline"
    rows_are: ClassVar[Kind] = "structure"

    def __init__(self, setting: Setting) -> None:
        super().__init__(
            setting,
            tr("Texture swap"),
            tr("Each row is one structure, each column one texture: the parts stay, their look changes."),
        )


class StructureSwapView(SwapView):
    """Each row one texture, the structures varying."""

    id: ClassVar[str] = "structures"
    icon_name: ClassVar[str] = "mdi6.vector-polyline"
    rows_are: ClassVar[Kind] = "texture"

    def __init__(self, setting: Setting) -> None:
        super().__init__(
            setting,
            tr("Structure swap"),
            tr("Each row is one texture, each column one structure: the look stays, the parts move."),
        )


class ArtView(SwapView):
    """Textures from any pictures, on the user's images."""

    id: ClassVar[str] = "art"
    icon_name: ClassVar[str] = "mdi6.palette-outline"
    rows_are: ClassVar[Kind] = "structure"

    def __init__(self, setting: Setting) -> None:
        super().__init__(
            setting,
            tr("Art as texture"),
            tr(
                "Drop paintings or any other pictures: what the model takes for their texture is put on "
                "your images. The further they are from what it was trained on, the freer the result."
            ),
        )

    def sets(self) -> tuple[SourceSet, SourceSet]:
        """Your images take the look of other pictures."""
        return self.setting.structures, self.setting.art

    def controls(self) -> QLayout:
        """A tray of images and one that pictures are dropped on."""
        structures, art = self.sets()
        hint = tr("Drop pictures here, or choose some with +")
        layout = row(
            self.tray(tr("Images"), structures), self.tray(tr("Pictures as textures"), art, hint), spacing=12
        )
        layout.setStretch(0, 1)
        layout.setStretch(1, 1)
        return layout

    def missing(self) -> tuple[str, str] | None:
        """Pictures have to be brought along."""
        if not len(self.setting.structures):
            return no_images()
        if not len(self.setting.art):
            return tr("Bring pictures along"), tr(
                "Drop a painting, a drawing or a photograph of anything on “Pictures as textures”."
            )
        return None

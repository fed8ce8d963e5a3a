"""A walk through the codes: sliders for structure and for texture."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QComboBox, QFrame, QLayout, QScrollArea, QSlider, QWidget

from app.services.explore import Source
from app.ui.pages.explore.board import Board, Tile
from app.ui.pages.explore.board_view import BoardView
from app.ui.pages.explore.view import ExploreView, Need, Setting
from app.ui.texts import tr
from app.ui.widgets.basics import Notice, button, clear, column, label, line, row, slider

Kind = Literal["structure", "texture"]
KINDS: tuple[Kind, ...] = ("structure", "texture")

SHOWN = 5
"""Sliders of each kind."""
REACH = 3.0
"""Standard deviations to each side."""
_TICKS = 10  # a standard deviation
_STRIP = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
_STRIP_MS = 220
_LEAST_IMAGES = 3


class Sliders(QFrame):
    """The sliders of one kind; each is named by how much of the differences it explains."""

    moved = Signal()
    picked = Signal(int)
    """Number of the direction that was touched last."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self._title = label(title, "section")
        self._list = column(spacing=4)
        self.sliders: list[QSlider] = []
        self._all_at_once = False
        body = column(self._title, self._list, spacing=6)
        body.setContentsMargins(12, 8, 12, 10)
        self.setLayout(body)

    def show_shares(self, shares: list[float]) -> None:
        """Offer a slider for each direction."""
        clear(self._list)
        self.sliders = []
        for number, share in enumerate(shares[:SHOWN]):
            name = tr("Direction {n}", n=number + 1)
            made = slider(round(-REACH * _TICKS), round(REACH * _TICKS), f"{self._title.text()}: {name}")
            made.setProperty("kind", "centred")
            made.setToolTip(tr("{share} % of how the images differ", share=round(100 * share)))
            value = label("0", "faint")
            value.setFixedWidth(30)
            made.valueChanged.connect(
                lambda ticks, value=value, number=number: self._moved(number, ticks, value)
            )
            head = row(label(name, "muted"), None, label(tr("{n} %", n=round(100 * share)), "faint"))
            self._list.addLayout(head)
            self._list.addLayout(row(made, value, spacing=6))
            self.sliders.append(made)

    def _moved(self, number: int, ticks: int, value: Any) -> None:
        value.setText(f"{ticks / _TICKS:+.1f}" if ticks else "0")
        if not self._all_at_once:
            self.picked.emit(number)
            self.moved.emit()

    @property
    def amounts(self) -> list[float]:
        """Standard deviations along each direction."""
        return [made.value() / _TICKS for made in self.sliders]

    def set_amounts(self, amount: Callable[[], float]) -> None:
        """Move all sliders at once; `moved` is emitted once, and none counts as touched."""
        self._all_at_once = True
        for made in self.sliders:
            made.setValue(round(amount() * _TICKS))
        self._all_at_once = False
        self.moved.emit()


class WalkView(ExploreView):
    """One image that follows the sliders, its map, and a strip along the directions touched last."""

    id: ClassVar[str] = "walk"
    icon_name: ClassVar[str] = "mdi6.tune-variant"
    needs: ClassVar[Need] = "encodes"

    def __init__(self, setting: Setting) -> None:
        self.kinds = {"structure": Sliders(tr("Structure")), "texture": Sliders(tr("Texture"))}
        self.base = QComboBox()
        self.base.setAccessibleName(tr("Begin at"))
        self.origin = Notice()
        self.strip_view = BoardView(tr("Steps along the directions"))
        super().__init__(
            setting,
            tr("Latent walk"),
            tr("Move through the codes: structure moves the parts, texture changes their look."),
        )
        self._picked: dict[str, int] = {"structure": 0, "texture": 0}
        self._pool: list[dict[str, Any]] = []
        self._now: dict[str, QImage] = {}
        self._strips: dict[int, QImage] = {}
        self._strip_asker = self.service.asker()
        self._later = QTimer(self, singleShot=True, interval=_STRIP_MS)
        self._later.timeout.connect(self._ask_strips)
        self.base.currentIndexChanged.connect(lambda _index: self._step())
        for kind in KINDS:
            self.kinds[kind].moved.connect(self._step)
            self.kinds[kind].picked.connect(lambda number, kind=kind: self._pick(kind, number))

    # -- assembly ----------------------------------------------------------------------------------

    def controls(self) -> QLayout:
        """Whose codes these are, and the images they come from."""
        layout = row(self.tray(tr("Images"), self.setting.images), self.origin, spacing=12)
        layout.setStretch(0, 3)
        layout.setStretch(1, 2)
        return layout

    def content(self) -> QWidget:
        """The sliders at the side of the pictures."""
        buttons = row(
            button(tr("Reset"), self.reset), button(tr("Surprise me"), self.surprise), None, spacing=6
        )
        side = QWidget()
        side.setObjectName("page")
        begin = column(label(tr("Begin at"), "section"), self.base, spacing=4)
        inside = column(begin, self.kinds["structure"], self.kinds["texture"], buttons, None, spacing=10)
        inside.setContentsMargins(0, 0, 6, 0)
        side.setLayout(inside)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(side)
        scroll.setFixedWidth(290)
        pictures = column(self.board_view, line(), self.strip_view, spacing=8)
        pictures.setStretch(0, 3)
        pictures.setStretch(2, 3)
        made = QWidget()
        layout = row(scroll, pictures, spacing=12)
        layout.setStretch(1, 1)
        made.setLayout(layout)
        return made

    def boards(self) -> list[BoardView]:
        """The picture, and the strips."""
        return [self.board_view, self.strip_view]

    def missing(self) -> tuple[str, str] | None:
        """Directions need a few images."""
        service = self.service.abilities
        if service is not None and service.draws:
            return None
        if len(self.setting.pool()) < _LEAST_IMAGES:
            return tr("A walk needs at least three images"), tr(
                "This model has no random prior: its codes come from images alone. "
                "Open a folder, or add images."
            )
        return None

    # -- asking ------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Have the directions told, then show where the walk begins."""
        self._strip_asker.cancel()
        self._pool = [source.to_params() for source in self.setting.pool()]
        self._fill_bases()
        self.origin.show_text(tr("Reading the images…"))
        for kind in KINDS:
            self.kinds[kind].show_shares([])

        def progress(data: dict[str, Any], _pictures: object, _reply: object) -> None:
            if data["event"] == "progress":
                self.show_progress(int(data["done"]), int(data["total"]))
            elif data["event"] == "error":
                self.problems.append(str(data["message"]))

        def finish(data: dict[str, Any], _pictures: object, _reply: object) -> None:
            self._tell_origin(int(data["images"]), follows_maps=bool(data["follows_maps"]))
            for kind in KINDS:
                self.kinds[kind].show_shares([float(share) for share in data[kind]])
            self._step()

        self.asker.ask(
            "directions", {"pool": self._pool}, on_event=progress, on_done=finish, on_error=self.failed
        )

    def _fill_bases(self) -> None:
        before = self.base.currentData()
        self.base.blockSignals(True)
        self.base.clear()
        self.base.addItem(tr("The middle of all images"), None)
        for source in self.setting.images.files:
            self.base.addItem(source.title, source)
        self.base.setCurrentIndex(max(0, self.base.findData(before)))
        self.base.blockSignals(False)

    def _tell_origin(self, images: int, *, follows_maps: bool) -> None:
        abilities = self.service.abilities
        if abilities is not None and abilities.draws:
            text = tr("The directions are those in which {n} codes drawn from the model's prior differ most.")
        elif follows_maps:
            text = tr(
                "This model has no random prior: its codes come from an encoder only. The directions are "
                "those in which the correspondence maps and texture codes of {n} of your images differ most."
            )
        else:
            text = tr(
                "This model has no random prior: its codes come from an encoder only. The directions are "
                "those in which the codes of {n} of your images differ most."
            )
        self.origin.show_text(text.format(n=images))

    def _params(self, structure: list[list[float]], texture: list[list[float]]) -> dict[str, Any]:
        source = self.base.currentData()
        base = source.to_params() if isinstance(source, Source) else None
        return {"pool": self._pool, "base": base, "structure": structure, "texture": texture}

    def _step(self) -> None:
        """Have the picture follow the sliders: what is asked while one is on its way waits for it."""
        if not self.is_active or not self.kinds["structure"].sliders:
            return
        self._later.start()
        params = self._params([self.kinds["structure"].amounts], [self.kinds["texture"].amounts])
        self.asker.ask_after("walk", params, on_event=self._take, on_error=self.failed)

    def _take(self, data: dict[str, Any], pictures: dict[str, QImage], _reply: object) -> None:
        if data["event"] == "step":
            self._now = pictures
            self.show_found()

    def _pick(self, kind: Kind, number: int) -> None:
        self._picked[kind] = number

    def _ask_strips(self) -> None:
        """Have the steps along both directions rendered, once the sliders rest."""
        amounts: dict[str, list[list[float]]] = {"structure": [], "texture": []}
        for kind in KINDS:
            other = "texture" if kind == "structure" else "structure"
            for step in _STRIP:
                changed = self.kinds[kind].amounts
                changed[min(self._picked[kind], len(changed) - 1)] = step
                amounts[kind].append(changed)
                amounts[other].append(self.kinds[other].amounts)

        def take(data: dict[str, Any], pictures: dict[str, QImage], _reply: object) -> None:
            if data["event"] == "step":
                self._strips[int(data["index"])] = pictures["image"]
                self.show_soon()

        params = self._params(amounts["structure"], amounts["texture"])
        self._strip_asker.ask("walk", params, on_event=take, on_error=self.failed)

    def set_active(self, active: bool) -> None:  # noqa: FBT001
        """Stop both lines when nobody looks."""
        if not active:
            self._later.stop()
            self._strip_asker.cancel()
        super().set_active(active)

    # -- what is shown -----------------------------------------------------------------------------

    def reset(self) -> None:
        """Go back to where the walk began."""
        for kind in KINDS:
            self.kinds[kind].set_amounts(lambda: 0.0)

    def surprise(self) -> None:
        """Go somewhere."""
        for kind in KINDS:
            self.kinds[kind].set_amounts(lambda: max(-REACH, min(REACH, random.gauss(0.0, 1.2))))

    def show_found(self) -> None:
        """Show the picture, its map and the strips."""
        self.board_view.set_board(Board((self._pair(),)))
        self.strip_view.set_board(Board(tuple(self._strip(kind) for kind in KINDS)))
        self.boardChanged.emit()

    def _pair(self) -> tuple[Tile, ...]:
        image, colours = self._now.get("image"), self._now.get("colours")
        return (
            Tile(image, tr("image"), "image"),
            Tile(colours, tr("correspondence map"), "map"),
        )

    def _strip(self, kind: Kind) -> tuple[Tile, ...]:
        first = 0 if kind == "structure" else len(_STRIP)
        words = {"structure": tr("structure"), "texture": tr("texture")}
        name = f"{words[kind]} {self._picked[kind] + 1}"
        tiles = [Tile(text=name, key=kind)]
        for place, step in enumerate(_STRIP):
            caption = f"{step:+.0f} σ" if step else "0"
            detail = f"{name}: {caption}"
            image = self._strips.get(first + place)
            tiles.append(Tile(image, caption, (kind, place), detail=detail))
        return tuple(tiles)

    def saved_board(self) -> Board:
        """The present picture above both strips."""
        if not self._now:
            return Board()
        rest = [None] * (len(_STRIP) - 1)
        strips = [self._strip(kind) for kind in KINDS]
        return Board(((*self._pair(), *rest), *strips))

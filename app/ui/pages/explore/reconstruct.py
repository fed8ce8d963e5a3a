"""Reconstruction: what comes back when an image goes through its codes."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLayout

from app.services.explore import Source
from app.ui.pages.explore.board import Board, Tile, flow
from app.ui.pages.explore.view import ExploreView, Need, Setting
from app.ui.texts import tr
from app.ui.widgets.basics import row

_SAVED_GROUPS = 3


class ReconstructView(ExploreView):
    """Input, reconstruction and difference of every image."""

    id: ClassVar[str] = "reconstruct"
    icon_name: ClassVar[str] = "mdi6.image-sync-outline"
    needs: ClassVar[Need] = "encodes"

    def __init__(self, setting: Setting) -> None:
        super().__init__(
            setting,
            tr("Reconstruction"),
            tr(
                "Every image as the model sees it, as it comes back from its codes, and the difference. What "
                "does not come back, no swap can show."
            ),
        )
        self._found: dict[Source, tuple[dict[str, QImage], float, float]] = {}
        self._failed: dict[Source, str] = {}
        self._summary = ""

    def controls(self) -> QLayout:
        """Only the images."""
        return row(self.tray(tr("Images"), self.setting.images))

    def ask(self) -> None:
        """Have all images rendered from their codes."""
        sources = self.setting.images.files
        self._found, self._failed = {}, {}
        self.show_found()

        def take(data: dict[str, Any], pictures: dict[str, QImage], _reply: object) -> None:
            source = sources[int(data["index"])]
            if data["event"] == "error":
                self._failed[source] = str(data["message"])
                self.problems.append(str(data["message"]))
            else:
                self._found[source] = pictures, float(data["aspect"]), float(data["difference"])
            self.show_soon()
            self.show_progress(int(data["index"]) + 1, len(sources))

        def finish(*_answer: object) -> None:
            if self._found:
                mean = sum(found[2] for found in self._found.values()) / len(self._found)
                self.show_status(tr("Mean difference {mean}", mean=percent(mean)))

        params = {"images": [source.to_params() for source in sources]}
        self.asker.ask("reconstruct", params, on_event=take, on_done=finish, on_error=self.failed)

    def _groups(self) -> list[list[Tile]]:
        return [self._group(source) for source in self.setting.images.files]

    def show_found(self) -> None:
        """Show what has come back."""
        self.board_view.set_groups(self._groups())

    def _group(self, source: Source) -> list[Tile]:
        if source not in self._found:
            waiting = Tile(caption=source.title, key=(source, 0), problem=self._failed.get(source, ""))
            return [waiting, Tile(), Tile()]
        pictures, aspect, difference = self._found[source]
        captions = (
            source.title,
            tr("reconstruction"),
            tr("difference {value}", value=percent(difference)),
        )
        details = (
            tr("{name}, as the model sees it", name=source.title),
            tr("{name}, from its codes", name=source.title),
            tr("mean difference {value} of the range", value=percent(difference)),
        )
        return [
            Tile(pictures[name], caption, (source, place), aspect, detail=detail)
            for place, (name, caption, detail) in enumerate(
                zip(("image", "output", "difference"), captions, details, strict=True)
            )
        ]

    def saved_board(self) -> Board:
        """Every image, three a row."""
        groups = self._groups()
        return flow(groups, _SAVED_GROUPS) if groups else Board()


def percent(share: float) -> str:
    """Return a share as people read it: ``4.1 %``."""
    return tr("{n} %", n=f"{100 * share:.1f}")

"""What views of correspondence maps share: the maps that are known, and asking for those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtGui import QImage

from app.services.explore import SIDE_PX, Event, MapItem, Source
from app.ui.pages.explore.view import ExploreView, Setting


class MappedView(ExploreView):
    """A view that shows images by their correspondence maps.

    Args:
        setting: What the views of the page share.
        title: Name of the view.
        text: What it shows, in a sentence.
    """

    def __init__(self, setting: Setting, title: str, text: str) -> None:
        super().__init__(setting, title, text)
        self.items: dict[Source, MapItem] = {}
        self.failures: dict[Source, str] = {}

    def has_loupe(self) -> bool:
        """The mouse points at places."""
        return False

    def take_known(self) -> list[Source]:
        """Begin with the maps that are known already; return all images."""
        sources = self.setting.images.files
        self.failures = {}
        self.items = {s: item for s in sources if (item := self.service.map_of(s)) is not None}
        return sources

    def ask_maps(self, sources: Sequence[Source], on_done: Event | None = None) -> None:
        """Have the maps of these images computed, and show each as it comes."""

        def take(data: dict[str, Any], pictures: dict[str, QImage], reply: Any) -> None:
            source = sources[int(data["index"])]
            if data["event"] == "error":
                self.failures[source] = str(data["message"])
                self.problems.append(str(data["message"]))
            elif (item := self.service.take_map(source, pictures, reply)) is not None:
                self.items[source] = item
            self.show_soon()
            self.show_progress(int(data["index"]) + 1, len(sources))

        params = {"images": [source.to_params() for source in sources], "side": SIDE_PX}
        self.asker.ask("maps", params, on_event=take, on_done=on_done, on_error=self.failed)

"""An engine that answers Explore at once: red tells the structure of a render, green its texture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QTimer

from app.services.models import ModelInfo
from coordgan_core.engine.protocol import Reply
from tests.app.ui.fakes import FLOW, FakeEngine

SIDE = 8
MODEL = ModelInfo("m.safetensors", "Mine", "squares", "m.safetensors", {}, builtin=False)
OTHER = ModelInfo("other.safetensors", "Other", "squares", "other.safetensors", {}, builtin=False)

Answer = tuple[dict[str, Any], dict[str, np.ndarray]]


class ExploreEngine(FakeEngine):
    """Knows two models with networks; `able` says what they can do."""

    def __init__(self) -> None:
        super().__init__()
        self.known = [MODEL, OTHER, FLOW]
        self.able = {"maps": True, "encodes": True, "draws": False, "resolution": SIDE}
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.fails = ""
        self.holds = False
        self._held: list[Callable[[], None]] = []

    def request(  # type: ignore[override]
        self,
        verb: str,
        params: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        on_event: Callable[[Reply], None] | None = None,
        on_done: Callable[[Reply], None] | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> int:
        """Answer `explore`, event by event; what is held waits for `let_go`."""
        assert verb == "explore"
        assert params is not None
        self._number += 1
        self.asked.append(dict(params))
        answers = list(self._answers(dict(params)))
        number, fails = self._number, self.fails if params["what"] != "abilities" else ""

        def tell() -> None:
            if number in self.cancelled:
                return
            if fails:
                assert on_error is not None
                on_error(fails)
                return
            for data, pictures in answers[:-1]:
                if on_event is not None and number not in self.cancelled:
                    on_event(Reply(number, "event", data=data, arrays=pictures))
            if on_done is not None and number not in self.cancelled:
                on_done(Reply(number, "done", data=answers[-1][0], arrays=answers[-1][1]))

        if self.holds:
            self._held.append(tell)
        else:
            QTimer.singleShot(0, self, tell)
        return number

    def let_go(self) -> None:
        """Give the answers that were held."""
        held, self._held = self._held, []
        for tell in held:
            tell()

    def cancel(self, request_id: int) -> None:
        """Answer nothing more to a request."""
        self.cancelled.append(request_id)

    def stop(self) -> None:
        """Hold nothing."""
        self._held.clear()

    # --- answers

    def _answers(self, params: dict[str, Any]) -> Iterator[Answer]:
        yield from getattr(self, f"_{params['what']}")(params)

    def _abilities(self, params: dict[str, Any]) -> Iterator[Answer]:
        yield self.able, {}

    def _maps(self, params: dict[str, Any]) -> Iterator[Answer]:
        centres = (2 * np.arange(SIDE, dtype=np.float32) + 1) / SIDE - 1
        identity = np.stack(np.meshgrid(centres, centres))
        for index, source in enumerate(params["images"]):
            if broken(source):
                yield {"event": "error", "index": index, "message": f"{source['path']} is broken"}, {}
                continue
            shift = 0.25 * value(source) / 255  # other images show other places
            arrays = {"image": picture(value(source), 0), "colours": picture(0, 0)}
            sure = np.full((SIDE, SIDE), 0.8, np.float32)
            yield (
                {"event": "map", "index": index},
                {**arrays, "map": identity + shift, "reliability": sure},
            )
        known = np.full((SIDE, SIDE), 255, np.uint8)
        yield {}, {"frame": picture(9, 9), "average": picture(8, 8), "known": known}

    def _grid(self, params: dict[str, Any]) -> Iterator[Answer]:
        for axis in ("row", "column"):
            for index, source in enumerate(params[f"{axis}s"]):
                event = {"axis": axis, "index": index}
                if broken(source):
                    yield {"event": "error", "message": "broken", **event}, {}
                else:
                    yield {"event": "head", "aspect": 1.0, **event}, {"image": picture(1, 1)}
        for r, row in enumerate(params["rows"]):
            for c, column in enumerate(params["columns"]):
                if broken(row) or broken(column):
                    continue
                structure, texture = (row, column) if params["rows_are"] == "structure" else (column, row)
                render = picture(value(structure), value(texture))
                yield {"event": "cell", "row": r, "column": c}, {"image": render}
        yield {}, {}

    def _reconstruct(self, params: dict[str, Any]) -> Iterator[Answer]:
        for index, _ in enumerate(params["images"]):
            event = {"event": "pair", "index": index, "aspect": 1.0, "difference": 0.05}
            yield event, {name: picture(1, 1) for name in ("image", "output", "difference")}
        yield {}, {}

    def _directions(self, params: dict[str, Any]) -> Iterator[Answer]:
        total = len(params["pool"])
        yield {"event": "progress", "done": total, "total": total}, {}
        shares = {"structure": [0.6, 0.3], "texture": [0.5, 0.2, 0.1]}
        yield {**shares, "images": total, "follows_maps": True}, {}

    def _walk(self, params: dict[str, Any]) -> Iterator[Answer]:
        for index, (where, how) in enumerate(zip(params["structure"], params["texture"], strict=True)):
            render = picture(128 + round(10 * where[0]), 128 + round(10 * how[0]))
            yield {"event": "step", "index": index}, {"image": render, "colours": render}
        yield {}, {}


def broken(source: Mapping[str, Any]) -> bool:
    return Path(str(source.get("path", ""))).stem == "broken"


def value(source: Mapping[str, Any]) -> int:
    """Return a number that tells images apart."""
    if "seed" in source:
        return 200 + int(source["seed"])
    return sum(Path(source["path"]).name.encode()) % 190


def picture(red: int, green: int) -> np.ndarray:
    made = np.zeros((SIDE, SIDE, 3), np.uint8)
    made[..., 0], made[..., 1] = red, green
    return made

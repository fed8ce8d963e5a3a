"""An engine that answers at once, in this process: for tests and screenshots without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QTimer

from app.services.engine import Answer, EngineClient
from app.services.models import ModelInfo
from coordgan_core.engine.protocol import Reply

FIGURES = ModelInfo(
    "figures",
    "Drawn figures",
    "figures",
    "",
    {
        "description": "Trained on drawn figures with ten parts, seen from the front.",
        "resolution": 128,
        "images": "20,000",
        "licence": "MIT",
    },
    builtin=True,
)
FLOW = ModelInfo(
    "optical-flow",
    "Optical flow",
    "",
    "",
    {"description": "Follows the parts in similar images. A stop-gap until a model is trained."},
    builtin=True,
)


class FakeEngine(EngineClient):
    """Knows two models; links every position with the same position of the reference."""

    def __init__(self) -> None:
        super().__init__(command=["no-such-engine"])
        self.known = [FIGURES, FLOW]
        self.linked: list[tuple[Path, Path]] = []
        self.delay_ms = 1
        self._number = 0
        self._timers: list[QTimer] = []

    def start(self) -> None:
        """Start nothing."""

    def models(
        self, on_done: Callable[[list[ModelInfo]], None], on_error: Callable[[str], None] | None = None
    ) -> int:
        QTimer.singleShot(0, self, lambda: on_done(self.known))
        return 0

    def link(
        self,
        model: str,
        image: Path,
        reference: Path,
        on_done: Callable[[Reply], None],
        on_error: Callable[[str], None] | None = None,
    ) -> int:
        self.linked.append((image, reference))
        centres = (2 * np.arange(32, dtype=np.float32) + 1) / 32 - 1
        identity = np.stack(np.meshgrid(centres, centres))
        sure = np.full((32, 32), 0.9, np.float32)
        arrays = {
            "image_map": identity,
            "reference_map": identity,
            "image_reliability": sure,
            "reference_reliability": sure,
        }
        QTimer.singleShot(0, self, lambda: on_done(Reply(0, "done", arrays=arrays)))
        return 0

    def request(  # type: ignore[override]
        self,
        verb: str,
        params: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        on_event: Answer | None = None,
        on_done: Answer | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> int:
        """Answer `propagate` with the first reference's labels, less certain from query to query."""
        assert verb == "propagate"
        assert params is not None
        assert arrays is not None
        assert on_event is not None
        assert on_done is not None
        self._number += 1
        queries = list(params["queries"])
        answers = [self._result(i, len(queries), query, arrays["labels0"]) for i, query in enumerate(queries)]
        for answer in answers:
            self._timers.append(self._soon(lambda answer=answer: on_event(answer)))
            progress = {"event": "progress", "done": len(self._timers), "total": len(queries)}
            self._timers.append(self._soon(lambda data=progress: on_event(Reply(0, "event", data=data))))
        self._timers.append(self._soon(lambda: on_done(Reply(0, "done"))))
        return self._number

    def _result(self, place: int, total: int, query: Mapping[str, Any], labels: np.ndarray) -> Reply:
        sure = 0.95 - 0.5 * place / max(total, 1)
        confidence = np.full(labels.shape, round(255 * sure), np.uint8)
        confidence[: labels.shape[0] // 3] //= 2
        data = {
            "event": "result",
            "image": query["id"],
            "score": sure,
            "class_scores": {str(c): sure for c in np.unique(labels) if c},
        }
        return Reply(0, "event", data=data, arrays={"labels": labels.copy(), "confidence": confidence})

    def _soon(self, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=self.delay_ms * (len(self._timers) + 1))
        timer.timeout.connect(call)
        timer.start()
        return timer

    def release(self, reply: Reply) -> None:
        """Own no memory."""

    def cancel(self, request_id: int) -> None:
        """Answer nothing more."""
        for timer in self._timers:
            timer.stop()
        self._timers.clear()

    def stop(self) -> None:
        """Stop answering."""
        self.cancel(0)

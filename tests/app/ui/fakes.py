"""An engine that answers at once, in this process: for tests and screenshots without a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QTimer

from app.services.engine import EngineClient, ModelInfo
from coordgan_core.engine.protocol import Reply

FIGURES = ModelInfo(
    "figures",
    "Drawn figures",
    "figures",
    "",
    {
        "summary": "Trained on drawn figures with ten parts, seen from the front.",
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
    {"summary": "Follows the parts in similar images. A stop-gap until a model is trained."},
    builtin=True,
)


class FakeEngine(EngineClient):
    """Knows two models; links every position with the same position of the reference."""

    def __init__(self) -> None:
        super().__init__(command=["no-such-engine"])
        self.known = [FIGURES, FLOW]
        self.linked: list[tuple[Path, Path]] = []

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

    def cancel(self, request_id: int) -> None:
        """Forget nothing."""

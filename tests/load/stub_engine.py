"""An engine with a stub of a model: the real loop and messages, the labels of a reference, moved."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from coordgan_core.engine.__main__ import take_output
from coordgan_core.engine.backend import Stream
from coordgan_core.engine.protocol import Request
from coordgan_core.engine.server import Server
from coordgan_core.errors import ConfigError

MODEL = "stub"


class StubBackend:
    """Knows one model, which moves the labels of the first reference by the number of the image."""

    def run(self, request: Request) -> Stream:
        """Yield the events of a request and return its final answer."""
        if request.verb == "models":
            return {"models": [{"id": MODEL, "name": "Stub of a model"}], "problems": []}, {}
        if request.verb == "link":
            return {}, linked()
        if request.verb != "propagate":
            raise ConfigError(f"no {request.verb}", expected="models, link or propagate")
        queries, labels = request.params["queries"], request.arrays["labels0"]
        for done, query in enumerate(queries, 1):
            yield result(query["id"], labels)
            yield {"event": "progress", "done": done, "total": len(queries)}, {}
        return {"suggestion": None}, {}


def result(image: int, labels: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the event of one image: labels of the reference's size, moved to the right."""
    moved = np.roll(labels, image % 7, axis=1)
    score = 0.5 + image % 50 / 100
    confidence = np.full(moved.shape, round(255 * score), np.uint8)
    scores = {str(c): score for c in np.unique(moved).tolist() if c}
    data = {"event": "result", "image": image, "score": score, "class_scores": scores}
    return data, {"labels": moved, "confidence": confidence}


def linked() -> dict[str, np.ndarray]:
    """Return maps by which every place is its own, large enough to travel in shared memory."""
    centres = (2 * np.arange(128, dtype=np.float32) + 1) / 128 - 1
    own = np.stack(np.meshgrid(centres, centres)).astype(np.float16)
    sure = np.full((128, 128), 0.9, np.float16)
    return {"image_map": own, "reference_map": own, "image_reliability": sure, "reference_reliability": sure}


if __name__ == "__main__":
    Server(StubBackend(), sys.stdin.buffer, take_output()).serve()
    os._exit(0)

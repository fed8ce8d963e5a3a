"""Work on a project that many tests begin with."""

from __future__ import annotations

import numpy as np

from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result


def ids_of(project: Project) -> list[int]:
    """Return the images of a project by name."""
    return [int(i) for i in project.ids()]


def stroke(project: Project, image: int, value: int = 1, *, at: int = 0, flush: bool = False) -> np.ndarray:
    """Commit a box of 10 pixels painted at ``(at, at)``; return the label map with it."""
    labels = project.labels(image)
    edit = paint(labels, rectangle_region(at, at, at + 9, at + 9, labels.shape), value)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
    if flush:
        project.flush(image)
    return labels


def propagate(project: Project, images: dict[int, float | None], value: int = 2) -> int:
    """Write a propagation that covers images (id -> score) with one class; return its batch."""
    batch = project.batches.begin("propagation", "Propagate")
    for image, score in images.items():
        labels = np.full((32, 48), value, np.uint8)
        confidence = np.full((32, 48), score or 0.0, np.float32)
        project.batches.write_result(batch, image, Result(labels, confidence, score, {value: score or 0.0}))
    project.batches.finish(batch)
    return batch

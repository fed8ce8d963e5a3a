"""Where the processor time of a propagated image goes, for `folder`: one thread, one image after another."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import torch
from folder_pictures import ReferenceFiles

from app.commands.catalogue import find_model
from coordgan_core.folder import propagate_folder
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import read_reference
from coordgan_core.snapshot import load_calibration, load_model
from coordgan_core.timing import Clock

ONCE = ("contact sheet",)
"""Parts that a folder has once, however many images it has."""


class ProcessorClock(Clock):
    """A clock that counts the time of the processors, which other programs do not lengthen."""

    def _mark(self) -> float:
        return time.process_time()


def profile(folder: Path, reference: ReferenceFiles, model: str, count: int) -> dict[str, float]:
    """Return the seconds of processor time an image spends in each part of a propagation."""
    few = folder / "few"
    few.mkdir()
    for path in sorted((folder / "images").iterdir())[:count]:
        (few / path.name).hardlink_to(path)
    path = find_model(model)
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        predictor = Predictor(load_model(path))
        pair = [read_reference(reference.image, reference.labels)]
        clock = ProcessorClock(torch.device("cpu"))
        with clock.listen():
            events = propagate_folder(
                predictor, pair, few, folder / "few-out", calibration=load_calibration(path), workers=0
            )
            next(events)  # the references are ready
            clock.seconds()
            began = time.process_time()
            for _ in events:
                pass
            whole = time.process_time() - began
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
    parts = clock.seconds()
    for name in ONCE:
        whole -= parts.pop(name, 0.0)
    parts["the rest"] = whole - sum(parts.values())
    return {name: seconds / count for name, seconds in parts.items()}

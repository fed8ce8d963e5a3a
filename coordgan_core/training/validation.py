"""How well a model in training carries labels: one labelled image to the other labelled ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coordgan_core.calibration import Calibration
from coordgan_core.data.images import list_images
from coordgan_core.errors import DataError
from coordgan_core.evaluation import LabelledImage, calibrate
from coordgan_core.metrics import Confusion
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import Propagated, Reference, propagate_labels, read_reference

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

MOST_IMAGES = 24
"""Labelled images that are used; a figure to watch, not to quote."""


@dataclass(frozen=True)
class Quality:
    """Mean IoU of propagated label maps, with background and as published, and the calibration if fitted."""

    miou: float
    foreground_iou: float
    calibration: Calibration | None = None

    def figures(self) -> dict[str, float]:
        """Return the numbers for a model card."""
        numbers = {"miou": self.miou, "foreground_iou": self.foreground_iou}
        if self.calibration is not None:
            numbers["ece"] = self.calibration.ece
        return {name: round(value, 4) for name, value in numbers.items()}


def find_pairs(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Return the images of a folder that have a label map, with it, at most `MOST_IMAGES`, spread evenly.

    The label map of ``images/a/b.jpg`` is ``labels/a/b.png``, or else ``labels/b.png``.

    Raises:
        DataError: Fewer than two images have one.
    """
    pairs = []
    for image in list_images(images):
        relative = image.relative_to(images).with_suffix(".png")
        found = [path for path in (labels / relative, labels / relative.name) if path.is_file()]
        pairs += [(image, found[0])] if found else []
    if len(pairs) < 2:
        raise DataError(
            f"{len(pairs)} images of {images} have a label map in {labels}",
            expected="at least two, named like their images with the ending .png",
            remedy="check the names, or train without label maps",
        )
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(MOST_IMAGES, len(pairs))).round().astype(int))
    return [pairs[index] for index in chosen]


def validate(
    model: CoordGAN, pairs: list[tuple[Path, Path]], *, device: str, calibrated: bool = False
) -> Quality:
    """Propagate the labels of the first pair to the others and compare; if ``calibrated``, calibrate too.

    Raises:
        ImageError: An image cannot be read.
        LabelError: A label map cannot be read or does not fit its image.
    """
    predictor = Predictor(model, device=device)
    labelled = [read_reference(*pair) for pair in pairs]
    quality = measure(predictor, labelled)
    if not calibrated:
        return quality
    images = [LabelledImage(item.name, item.image, item.labels) for item in labelled]
    return replace(quality, calibration=calibrate(predictor, images))


def measure(predictor: Predictor, labelled: list[Reference]) -> Quality:
    """Propagate the labels of the first labelled image to the others and compare."""
    reference, *queries = labelled
    confusion = Confusion(1 + max(int(item.labels.max()) for item in labelled))
    for event in propagate_labels(predictor, [reference], (query.image for query in queries)):
        if isinstance(event, Propagated):
            confusion.add(event.labels, queries[event.index].labels)
    return Quality(confusion.mean_iou(), confusion.foreground_iou())

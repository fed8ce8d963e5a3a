"""How well a model in training carries labels: one labelled image to the other labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coordgan_core.calibration import Calibration
from coordgan_core.data.images import read_image
from coordgan_core.data.pairs import all_pairs
from coordgan_core.errors import ImageError
from coordgan_core.evaluation import LabelledImage, calibrate
from coordgan_core.metrics import Confusion
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import (
    Propagated,
    PropagationOptions,
    Reference,
    propagate_labels,
    read_reference,
)
from coordgan_core.training.copies import warped_copies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coordgan_core.models.coordgan import CoordGAN

_LARGEST_PX = 1024  # of images that are only looked at

MOST_IMAGES = 24
"""Labelled images that are used; a figure to watch, not to quote."""

EXAMPLES = 5
"""Images that labels are carried to, to look at."""

COPIES = 8
"""Warped copies of the reference that stand in for labelled images where it is the only one."""


@dataclass(frozen=True)
class Quality:
    """Mean IoU of propagated label maps, with background and as published, and the calibration if fitted.

    ``kind`` and ``images`` are those of `events.Validated`; ``examples`` are the first results, to look at.
    """

    miou: float
    foreground_iou: float
    calibration: Calibration | None = None
    kind: str = "labelled"
    images: int = 0
    examples: tuple[Reference, ...] = ()

    def figures(self) -> dict[str, float]:
        """Return the numbers for a model card."""
        prefix = "" if self.kind == "labelled" else f"{self.kind}_"  # never to be taken for the other
        numbers = {f"{prefix}miou": self.miou, f"{prefix}foreground_iou": self.foreground_iou}
        if self.calibration is not None:
            numbers["ece"] = self.calibration.ece
        return {name: round(value, 4) for name, value in numbers.items()}


def find_pairs(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Return the images of a folder that have a label map, with it, at most `MOST_IMAGES`, spread evenly.

    Raises:
        DataError: No image has one.
    """
    pairs = all_pairs(images, labels)
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(MOST_IMAGES, len(pairs))).round().astype(int))
    return [pairs[index] for index in chosen]


def validate(
    model: CoordGAN,
    pairs: list[tuple[Path, Path]],
    *,
    device: str,
    calibrated: bool = False,
    others: Sequence[Path] = (),
) -> Quality:
    """Propagate the labels of the first pair to the others and compare; if ``calibrated``, calibrate too.

    Args:
        model: The model.
        pairs: (image, label map).
        device: Where it runs.
        calibrated: Fit the confidence too, where there are two pairs or more.
        others: Images without labels: where there is one pair only, its labels are carried there too.

    Raises:
        ImageError: A labelled image cannot be read.
        LabelError: A label map cannot be read or does not fit its image.
    """
    predictor = Predictor(model, device=device, runtime="torch")  # its weights are not final
    labelled = [read_reference(*pair) for pair in pairs]
    if len(labelled) == 1:
        return measure_copies(predictor, labelled[0], [path for path in others if path != pairs[0][0]])
    quality = measure(predictor, labelled)
    if not calibrated:
        return quality
    images = [LabelledImage(item.name, item.image, item.labels) for item in labelled]
    return replace(quality, calibration=calibrate(predictor, images))


def measure(predictor: Predictor, labelled: list[Reference]) -> Quality:
    """Propagate the labels of the first labelled image to the others and compare."""
    reference, *queries = labelled
    confusion = Confusion(1 + max(int(item.labels.max()) for item in labelled))
    examples: list[Reference] = []
    for event in propagate_labels(predictor, [reference], (query.image for query in queries)):
        if isinstance(event, Propagated):
            confusion.add(event.labels, queries[event.index].labels)
            if len(examples) < EXAMPLES:
                examples.append(replace(queries[event.index], labels=event.labels))
    return Quality(
        confusion.mean_iou(),
        confusion.foreground_iou(),
        images=len(queries),
        examples=(reference, *examples),
    )


def measure_copies(predictor: Predictor, reference: Reference, others: Sequence[Path]) -> Quality:
    """Propagate the only reference's labels to warped, recoloured copies of itself, and compare.

    Args:
        predictor: The model.
        reference: The labelled image.
        others: Images without labels, to which the labels are carried to be looked at.
    """
    copies = warped_copies(reference.image, reference.labels, COPIES)
    images = _spread(others)
    confusion = Confusion(1 + int(reference.labels.max()))
    examples: list[Reference] = []
    queries = [copy.image for copy in copies] + [image for _, image in images]
    # optical flow finds copies of the same photograph by itself: the figure is to be the model's
    alone = PropagationOptions(align=None, keep_raw=False)
    for event in propagate_labels(predictor, [reference], queries, options=alone):
        if not isinstance(event, Propagated):
            continue
        if event.index < len(copies):
            copy = copies[event.index]
            confusion.add(event.labels[copy.shown], copy.labels[copy.shown])
        else:
            name, image = images[event.index - len(copies)]
            examples.append(Reference(image, event.labels, name=name))
    return Quality(
        confusion.mean_iou(),
        confusion.foreground_iou(),
        kind="copies",
        images=len(copies),
        examples=(reference, *examples),
    )


def _spread(paths: Sequence[Path]) -> list[tuple[str, NDArray[np.uint8]]]:
    """Read some of the images, evenly spread; unreadable ones are passed over."""
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(EXAMPLES, len(paths))).round().astype(int))
    read = []
    for index in chosen:
        try:
            read.append((paths[index].name, read_image(paths[index], max_side=_LARGEST_PX)))
        except ImageError:
            continue
    return read

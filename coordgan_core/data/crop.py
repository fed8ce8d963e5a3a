"""Cropping: which part of an image the networks see; one answer for training, propagation and pictures.

A model carries its `CropConfig` in its header. Loads no PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordgan_core.config import MIN_BOX, CropConfig
from coordgan_core.data.images import Box, image_size
from coordgan_core.errors import CoordError, DataError

Parts = tuple[float, float, float, float]
"""Left, top, right and bottom as parts of the image's sides."""


def crop_box(config: CropConfig, width: int, height: int) -> Box:
    """Return what the networks see of an image of this size, in pixels; at least one pixel.

    With ``labels`` it is the measured box: what an image without labels gets.
    """
    if config.mode == "whole":
        return 0, 0, width, height
    if config.mode == "centre":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side
    return _in_pixels(config.box, width, height)


def crop_image(config: CropConfig, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the part of an image ``uint8 [H, W, 3]`` that the networks see (a view)."""
    left, top, right, bottom = crop_box(config, image.shape[1], image.shape[0])
    return image[top:bottom, left:right]


def training_boxes(
    config: CropConfig, paths: Sequence[Path], own: dict[Path, Parts] | None = None
) -> list[Box | None] | None:
    """Return the box of every training image in pixels, None where nothing is cut.

    Args:
        config: What is seen.
        paths: The images.
        own: Boxes around labels of some of them, as `label_boxes` returns, for ``labels``.
    """
    if config.mode in ("whole", "centre"):  # the store cuts the largest centred square by itself
        return None
    own = own or {}
    return [_box_of(path, own.get(path, config.box)) for path in paths]


def label_boxes(pairs: Iterable[tuple[Path, Path]], *, margin: float) -> dict[Path, Parts]:
    """Return {image: box around all its labels, widened} of images with label maps; empty ones are left out.

    Args:
        pairs: (image, label map).
        margin: What is added on each side, as a part of the box's own side.

    Raises:
        LabelError: A label map cannot be read.
    """
    from coordgan_core.labels import read_label_map

    boxes = {}
    for image, labels in pairs:
        found = _extent(read_label_map(labels) > 0)
        if found is not None:
            boxes[image] = _widened(found, margin)
    return boxes


def typical_box(boxes: Iterable[Parts]) -> Parts:
    """Return the median of boxes, side by side: what is cut out of images without labels.

    Raises:
        DataError: There are none.
    """
    given = np.asarray(list(boxes), float)
    if len(given) == 0:
        raise DataError(
            "no image has labels that a box could be put around",
            expected="at least one labelled image",
            remedy="label an image first, or choose another cropping",
        )
    left, top, right, bottom = (round(float(v), 4) for v in np.median(given, axis=0))
    return _wide_enough((left, top, right, bottom))


def _extent(mask: NDArray[np.bool_]) -> Parts | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return None
    height, width = mask.shape
    return (
        float(columns[0]) / width,
        float(rows[0]) / height,
        float(columns[-1] + 1) / width,
        float(rows[-1] + 1) / height,
    )


def _widened(box: Parts, margin: float) -> Parts:
    left, top, right, bottom = box
    x, y = margin * (right - left), margin * (bottom - top)
    return _wide_enough((max(0.0, left - x), max(0.0, top - y), min(1.0, right + x), min(1.0, bottom + y)))


def _wide_enough(box: Parts) -> Parts:
    """Return a box of at least the smallest sides, for labels of a few pixels."""
    (left, right), (top, bottom) = (_spread(box[i], box[i + 2]) for i in (0, 1))
    return left, top, right, bottom


def _spread(low: float, high: float) -> tuple[float, float]:
    if high - low >= MIN_BOX:
        return low, high
    middle = min(max((low + high) / 2, MIN_BOX), 1 - MIN_BOX)
    return middle - MIN_BOX, middle + MIN_BOX


def _box_of(path: Path, parts: Parts) -> Box | None:
    try:
        return _in_pixels(parts, *image_size(path))
    except CoordError:
        return None  # decoding will say why it cannot be read


def _in_pixels(parts: Parts, width: int, height: int) -> Box:
    left, right = _span(parts[0], parts[2], width)
    top, bottom = _span(parts[1], parts[3], height)
    return left, top, right, bottom


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    first = min(round(low * length), length - 1)
    return first, min(max(round(high * length), first + 1), length)

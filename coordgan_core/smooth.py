"""Smoothing soft labels along, not across, the edges of an image: the Fast Global Smoother (Min et al. 2014).

A part is near zero in most of an image, so it is smoothed only where it is likely and a little beyond. To set
a smoother up costs as much as to smooth, so the places of all parts are put side by side on one sheet, each
in a frame of contrasting colour that nothing passes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Soft = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
_UNLIKELY = 0.01  # probability below which a part cannot win against the others
_REACH = 1.0  # in square roots of the strength: what the smoother carries farther changes no label


def smooth(soft: Soft, guide: Image, strength: float, sigma: float) -> Soft:
    """Smooth soft labels along the edges of an image.

    Args:
        soft: ``[K, h, w]``, each pixel sums to 1.
        guide: The image, ``uint8 [H, W, 3]``, of any size.
        strength: Weight of smoothness.
        sigma: Colour difference, 0 to 255, across which nothing is carried.

    Returns:
        ``[K, H, W]``, each pixel sums to nearly 1; parts that are likely nowhere are lost. `smooth_reference`
        is the plain form.
    """
    height, width = guide.shape[:2]
    boxes = [_box(plane, width, height, math.ceil(_REACH * math.sqrt(strength))) for plane in soft]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    rest = int(np.argmax(areas))  # follows from the others: they sum to 1, and the smoother is linear
    parts = [k for k, area in enumerate(areas) if area and k != rest]
    smoothed = np.zeros((len(soft), height, width), np.float32)
    smoothed[rest] = 1.0
    if not parts:
        return smoothed
    places, size = _packed([boxes[k] for k in parts], width)
    sheet, values = np.zeros((*size, 3), np.uint8), np.zeros(size, np.float32)
    for k, (x, y) in zip(parts, places, strict=True):
        left, top, right, bottom = boxes[k]
        framed = np.s_[y - 1 : y + bottom - top + 1, x - 1 : x + right - left + 1]
        sheet[framed] = _framed(guide[top:bottom, left:right])
        plane = cv2.resize(soft[k], (width, height), interpolation=cv2.INTER_LINEAR)
        values[y : y + bottom - top, x : x + right - left] = plane[top:bottom, left:right]
    values = cv2.ximgproc.createFastGlobalSmootherFilter(sheet, strength, sigma).filter(values)
    for k, (x, y) in zip(parts, places, strict=True):
        left, top, right, bottom = boxes[k]
        found = values[y : y + bottom - top, x : x + right - left]
        smoothed[k, top:bottom, left:right] = found
        smoothed[rest, top:bottom, left:right] -= found
    np.maximum(smoothed[rest], 0.0, out=smoothed[rest])
    return smoothed


def smooth_reference(soft: Soft, guide: Image, strength: float, sigma: float) -> Soft:
    """Smooth each part over the whole image, as `smooth` does it faster."""
    height, width = guide.shape[:2]
    smoother = cv2.ximgproc.createFastGlobalSmootherFilter(guide, strength, sigma)
    planes = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in soft]
    return np.asarray(np.clip([smoother.filter(plane) for plane in planes], 0.0, 1.0), np.float32)


def _box(plane: Soft, width: int, height: int, margin: int) -> Box:
    """Return (left, top, right, bottom), in pixels of ``width x height``, of where ``plane`` is likely."""
    sides = []
    for axis, size in ((0, width), (1, height)):
        likely = np.flatnonzero(plane.max(axis) >= _UNLIKELY)
        if len(likely) == 0:
            return 0, 0, 0, 0
        scale = size / plane.shape[1 - axis]
        first, last = (likely[0] - 1) * scale - margin, (likely[-1] + 2) * scale + margin
        sides.append((max(0, int(first)), min(size, math.ceil(last))))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _packed(boxes: Sequence[Box], width: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Put boxes, each with a frame of a pixel, side by side on a sheet, the smallest of a few that hold them.

    Returns:
        Upper left corners (x, y) of the boxes without their frames, and (height, width) of the sheet.
    """
    tried = [_shelves(boxes, width * fifths // 5 + 2) for fifths in range(5, 13)]
    return min(tried, key=lambda found: found[1][0] * found[1][1])


def _shelves(boxes: Sequence[Box], width: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Put boxes on shelves of a sheet of that width, the tallest first."""
    places = [(0, 0)] * len(boxes)
    x = y = shelf = 0
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i][1] - boxes[i][3]):
        left, top, right, bottom = boxes[i]
        if x + right - left + 2 > width:
            x, y, shelf = 0, y + shelf, 0
        places[i] = x + 1, y + 1
        x, shelf = x + right - left + 2, max(shelf, bottom - top + 2)
    return places, (y + shelf, width)


def _framed(image: Image) -> Image:
    """Put a frame of a pixel around an image that differs from the pixels beside it as far as can be."""
    framed = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    for side in (framed[0], framed[-1], framed[:, 0], framed[:, -1]):
        side[...] = np.where(side < 128, 255, 0)
    return np.asarray(framed, np.uint8)

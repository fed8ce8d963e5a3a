"""Soft labels of working size -> the label map of a photograph's own size: bilinear, then the likeliest part.

Between four pixels of working size with the same likeliest part, that part stays the likeliest: bilinear
weights are positive. So it is looked up there, and only the neighbourhood of borders, a few percent of a
photograph, is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from coordgan_core.labels import LabelMap

Soft = npt.NDArray[np.float32]
Planes = list[npt.NDArray[np.uint8]]
_STRIP_PIXELS = 1 << 21
_ROW = 256  # pixels near borders are sampled in rows of so many: OpenCV takes no longer lists than 32,767


def upsample_labels(soft: Soft, classes: Sequence[int], width: int, height: int) -> LabelMap:
    """Return the label map ``uint8 [height, width]`` of soft labels ``[K, h, w]``: bilinear, then argmax.

    Works on 8-bit probabilities, and in strips, so that little memory is needed. `upsample_reference` is the
    plain form.
    """
    h, w = soft.shape[1:]
    if len(classes) == 1:
        return np.full((height, width), classes[0], np.uint8)
    if width < w or height < h:  # several pixels of working size in one of the photograph
        return upsample_reference(soft, classes, width, height)
    planes = _eight_bits(soft)
    ids = np.zeros(256, np.uint8)
    ids[: len(classes)] = classes
    small = _likeliest(planes)
    if (w, h) == (width, height):
        return np.asarray(cv2.LUT(small, ids), np.uint8)
    labels = cv2.resize(cv2.LUT(small, ids), (width, height), interpolation=cv2.INTER_NEAREST)
    tiles = _four_by_four(planes)
    for top, mixed in _near_borders(small, width, height):
        x, y = _positions(mixed, width, top, (w / width, h / height))
        labels.reshape(-1)[mixed + top * width] = cv2.LUT(_sampled(tiles, x, y), ids).ravel()[: len(mixed)]
    return np.asarray(labels, np.uint8)


def upsample_reference(soft: Soft, classes: Sequence[int], width: int, height: int) -> LabelMap:
    """Return the label map of `upsample_labels`, interpolating every part at every pixel."""
    best = np.full((height, width), -1, np.int16)
    labels = np.zeros((height, width), np.uint8)
    for plane, class_id in zip(_eight_bits(soft), classes, strict=True):
        large = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        np.copyto(labels, np.uint8(class_id), where=large > best)
        np.maximum(best, large, out=best)
    return labels


def _eight_bits(soft: Soft) -> Planes:
    return [cv2.convertScaleAbs(plane, alpha=255.0) for plane in soft]


def _likeliest(planes: Planes) -> npt.NDArray[np.uint8]:
    """Return the index of the largest plane at each pixel, the first of equals: ``[h, w]``."""
    best, index = planes[0].copy(), np.zeros_like(planes[0])
    for k, plane in enumerate(planes[1:], 1):
        # a comparison of OpenCV gives 255 where it holds, and k is larger than all before it
        cv2.max(index, cv2.bitwise_and(cv2.compare(plane, best, cv2.CMP_GT), (float(k),)), dst=index)
        cv2.max(plane, best, dst=best)
    return index


def _four_by_four(planes: Planes) -> Planes:
    """Put planes together by fours, ``[h, w, 4]``: OpenCV samples them at once."""
    filled = planes + [np.zeros_like(planes[0])] * (-len(planes) % 4)
    return [np.ascontiguousarray(cv2.merge(filled[i : i + 4])) for i in range(0, len(filled), 4)]


def _near_borders(
    small: npt.NDArray[np.uint8], width: int, height: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield strips of the large map: first row, and the flat indices in it of pixels that must be sampled."""
    kernel = np.ones((3, 3), np.uint8)
    # the four pixels around a point lie in the 3 x 3 neighbourhood of the one that holds it
    mixed = cv2.compare(cv2.dilate(small, kernel), cv2.erode(small, kernel), cv2.CMP_NE)
    rows = np.arange(height) * small.shape[0] // height
    step = max(64, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        few = mixed[rows[top : top + step]]
        large = cv2.resize(few, (width, len(few)), interpolation=cv2.INTER_NEAREST)
        found = np.flatnonzero(large.view(np.bool_))
        if len(found):
            yield top, found


def _positions(
    index: npt.NDArray[np.int64], width: int, top: int, scale: tuple[float, float]
) -> tuple[Soft, Soft]:
    """Return where pixels lie at working size, as two arrays ``[rows, _ROW]``, padded at the end."""
    filled = np.resize(index, -(-len(index) // _ROW) * _ROW).reshape(-1, _ROW)
    row = (filled / width).astype(np.int32)
    x = (filled - row * width).astype(np.float32)
    return (x + 0.5) * scale[0] - 0.5, (row.astype(np.float32) + (top + 0.5)) * scale[1] - 0.5


def _sampled(tiles: Planes, x: Soft, y: Soft) -> npt.NDArray[np.uint8]:
    """Return which plane is the largest at each position."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    planes: Planes = []
    for tile in tiles:
        planes += cv2.split(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return _likeliest(planes)

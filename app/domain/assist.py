"""Helpers for painting that look at the image: superpixels, smoothing to edges. Slow: for a worker."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from app.domain.edits import Box, LabelMap, bounding_box

Pixels = npt.NDArray[np.uint8]
_GRABCUT_ROUNDS = 3


def superpixels(image: Pixels, *, size_px: int = 20, compactness: float = 10.0) -> npt.NDArray[np.int32]:
    """Divide an image into superpixels by SLIC (Achanta et al., 2012), numbered from 0.

    Args:
        image: ``uint8 [H, W, 3]``.
        size_px: Side of a superpixel, about.
        compactness: Higher values make squarer ones.

    Returns:
        ``int32 [H, W]``.
    """
    from skimage.segmentation import slic

    count = max(1, round(image.shape[0] * image.shape[1] / size_px**2))
    found = slic(image, n_segments=count, compactness=compactness, start_label=0, channel_axis=2)
    return np.asarray(found, np.int32)


def smooth_to_edges(
    image: Pixels,
    labels: LabelMap,
    class_id: int,
    *,
    radius_px: int = 8,
    method: Literal["grabcut", "guided"] = "grabcut",
) -> npt.NDArray[np.bool_]:
    """Return the mask of a class with its border moved to the image's edges, ``bool [H, W]``.

    Only pixels within ``radius_px`` of the border can change.

    Args:
        image: ``uint8 [H, W, 3]``.
        labels: ``uint8 [H, W]``.
        class_id: Whose border.
        radius_px: How far the border may move.
        method: ``grabcut`` (colour models of inside and outside) or ``guided`` (guided filter of the mask).
    """
    import cv2

    mask = labels == class_id
    box = bounding_box(mask)
    if box.is_empty:
        return np.asarray(mask, bool)
    margin = 3 * radius_px
    wide = Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin)
    wide = wide.intersect(Box.of(labels.shape))
    part = mask[wide.slices].astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    # what lies beyond the image continues what is at its border: no false border there
    inside: npt.NDArray[np.bool_] = cv2.erode(part, kernel, borderType=cv2.BORDER_REPLICATE) > 0
    outside = cv2.dilate(part, kernel, borderType=cv2.BORDER_REPLICATE) == 0
    pixels = np.ascontiguousarray(image[wide.slices])
    if method == "guided":
        found = _guided(pixels, part, radius_px)
    else:
        found = _grabcut(pixels, part, inside, outside)
    result = mask.copy()
    result[wide.slices] = inside | (found & ~outside)
    return np.asarray(result, bool)


def _guided(pixels: Pixels, part: npt.NDArray[np.uint8], radius_px: int) -> npt.NDArray[np.bool_]:
    """Guided filter (He et al., 2010) of the mask by the gray image, cut at one half."""
    import cv2

    guide = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    target = part.astype(np.float32)
    side = (2 * radius_px + 1, 2 * radius_px + 1)
    mean_guide, mean_target = cv2.blur(guide, side), cv2.blur(target, side)
    variance = cv2.blur(guide * guide, side) - mean_guide**2
    slope = (cv2.blur(guide * target, side) - mean_guide * mean_target) / (variance + 1e-4)
    offset = mean_target - slope * mean_guide
    return np.asarray(cv2.blur(slope, side) * guide + cv2.blur(offset, side) > 0.5, bool)


def _grabcut(
    pixels: Pixels, part: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_], outside: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    import cv2

    trimap = np.where(part > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[inside], trimap[outside] = cv2.GC_FGD, cv2.GC_BGD
    known = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not known.any() or known.all():
        return np.asarray(part > 0, bool)
    cv2.setRNGSeed(0)  # its colour models start at random: the same click gives the same border
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, trimap, None, models[0], models[1], _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.asarray((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD), bool)

"""How alike images are laid out: whether the same things lie in the same place. No PyTorch."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64
WELL, ROUGHLY = 0.2, 0.08
"""Bounds of the figure. Faces, cats, cars and X-rays cut out alike measured 0.21 to 0.58; with random
shifts and zooms of a tenth 0.07 to 0.32, of a fifth 0.02 to 0.13, of three tenths 0.00 to 0.04."""

Verdict = Literal["well", "roughly", "hardly"]


def layout(pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return the layout of a picture ``uint8 [64, 64, 3]``: its blurred edges ``[4096]``, mean 0, length 1.

    None for a picture of one colour.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    # the root keeps one strong edge from outweighing all others
    edges = cv2.GaussianBlur(np.sqrt(np.hypot(across, down)), (0, 0), 2.0).ravel()
    centred = edges - edges.mean()
    length = float(np.linalg.norm(centred))
    return None if length < 1e-3 else np.asarray(centred / length, np.float32)


def mean_correlation(layouts: NDArray[np.float32]) -> float | None:
    """Return the mean correlation of two different pictures, from their layouts ``[N, D]``; None below two.

    About 0 where nothing lies in the same place, 1 where all pictures are alike.
    """
    count = len(layouts)
    if count < 2:
        return None
    mean = layouts.mean(0, dtype=np.float64)
    # the mean over all pairs is |mean|^2; those of a picture with itself are taken out
    return float((count * (mean @ mean) - 1.0) / (count - 1.0))


def verdict(figure: float) -> Verdict:
    """Return in a word what the figure means."""
    return "well" if figure >= WELL else "roughly" if figure >= ROUGHLY else "hardly"

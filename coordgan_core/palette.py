"""The default colours of label classes: far apart for every kind of colour vision."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

# Okabe and Ito (2008): seven colours that stay apart with protanopia, deuteranopia and tritanopia.
_FIRST = [
    (0, 0, 0),
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
]
# Machado, Oliveira and Fernandes (2009), severity 1, linear RGB: protanopia and deuteranopia.
_PROTAN = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
_DEUTAN = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


@functools.lru_cache(maxsize=8)
def default_palette(count: int = 256) -> npt.NDArray[np.uint8]:
    """Return black and ``count - 1`` colours that colour-blind people tell apart, ``uint8 [count, 3]``.

    After the seven of Okabe and Ito each further colour is the one farthest, in CIE Lab, from all before it;
    the distance of two colours is the smallest of those seen with normal vision, protanopia and deuteranopia.
    Read-only and always the same.
    """
    levels = np.linspace(0, 255, 13).round()
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    candidates = candidates[candidates.sum(1) > 150]  # near black is the background's
    seen = _seen(candidates)
    chosen = list(_FIRST[:count])
    nearest = np.full(len(candidates), np.inf)
    for colour in _seen(np.array(_FIRST, float)).transpose(1, 0, 2):
        nearest = np.minimum(nearest, _distance(seen, colour))
    while len(chosen) < count:
        best = int(nearest.argmax())
        red, green, blue = candidates[best].astype(int).tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, _distance(seen, seen[:, best]))
    palette = np.array(chosen, np.uint8)
    palette.setflags(write=False)
    return palette


def _distance(seen: npt.NDArray[np.float64], colour: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    distance: npt.NDArray[np.float64] = np.linalg.norm(seen - colour[:, None], axis=-1).min(0)
    return distance


def _seen(colours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return colours ``[N, 3]`` (sRGB, 0 to 255) in Lab as three kinds of eyes see them, ``[3, N, 3]``."""
    linear = np.where(colours > 10.31475, ((colours / 255 + 0.055) / 1.055) ** 2.4, colours / 255 / 12.92)
    return np.stack([_lab(np.clip(linear @ eye.T, 0, 1)) for eye in (np.eye(3), _PROTAN, _DEUTAN)])


def _lab(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    xyz = linear @ _TO_XYZ.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], -1)

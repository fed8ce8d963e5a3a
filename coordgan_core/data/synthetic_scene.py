"""Surroundings of the synthetic category: backgrounds, light, and the camera's colours and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coordgan_core.data.synthetic_style import SKINS, Array, Colour, Picture, blend, bounding_box, hsv


def random_background(rng: np.random.Generator, x: Array, y: Array) -> Picture:
    """Draw a background ``float32 [H, W, 3]``: gradient, stripes, soft blobs, or clutter."""
    first, second, third = (hsv(rng.uniform(), rng.uniform(0, 0.8), rng.uniform(0.1, 1.0)) for _ in range(3))
    angle, phase = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    picture = _mixed(first, second, np.clip(0.5 + 0.4 * along, 0, 1))
    kind = int(rng.integers(4))
    if kind == 1:
        stripes = np.clip(3 * np.sin(rng.uniform(6, 26) * along + phase) + 0.5, 0, 1)
        blend(picture, third, stripes * rng.uniform(0.3, 1.0))
    elif kind == 2:
        field = sum(
            np.sin(rng.uniform(-6, 6) * x + rng.uniform(-6, 6) * y + rng.uniform(0, 6)) for _ in range(4)
        )
        blend(picture, third, np.clip(0.5 + 0.45 * np.asarray(field), 0, 1))
    elif kind == 3:
        _clutter(rng, picture, x, y)
    return picture


def _mixed(first: Colour, second: Colour, weight: Array) -> Picture:
    mixed: Picture = first + weight.astype(np.float32)[..., None] * (second - first)
    return mixed


def _clutter(rng: np.random.Generator, picture: Picture, x: Array, y: Array) -> None:
    pixel = 2.0 / min(x.shape)
    for _ in range(int(rng.integers(6, 14))):
        cx, cy = rng.uniform(-1.1, 1.1, 2) * (np.abs(x).max(), np.abs(y).max())
        a, b = rng.uniform(0.06, 0.45, 2)
        skin_like = rng.uniform() < 0.3
        colour = (
            (SKINS[rng.integers(len(SKINS))] / 255).astype(np.float32)
            if skin_like
            else hsv(rng.uniform(), rng.uniform(0, 0.9), rng.uniform(0.1, 1.0))
        )
        round_, shade = rng.uniform() < 0.5, rng.uniform(-0.5, 0.5)
        box = bounding_box((np.abs(x - cx) < a + pixel) & (np.abs(y - cy) < b + pixel))
        if box is None:
            continue
        dx, dy = (x[box] - cx) / a, (y[box] - cy) / b
        outside = np.hypot(dx, dy) - 1 if round_ else np.maximum(np.abs(dx), np.abs(dy)) - 1
        cover = np.clip(-outside * min(a, b) / pixel + 0.5, 0, 1)
        blend(picture[box], colour * (1 + shade * 0.5), cover)


def photograph(rng: np.random.Generator, picture: Picture, x: Array, y: Array) -> NDArray[np.uint8]:
    """Light the scene from one side, grade its colours, add noise, and store it as ``uint8 [H, W, 3]``."""
    gain = np.exp(rng.normal(0, 0.06, 3)) * np.exp(rng.normal(0, 0.12))
    slope = rng.normal(0, 0.14, 2)
    light = (1 + slope[0] * x + slope[1] * y - rng.uniform(0, 0.10) * (x**2 + y**2)).astype(np.float32)
    picture = np.clip(picture * light[..., None], 0, 1) ** np.float32(np.exp(rng.normal(0, 0.12)))
    picture *= gain.astype(np.float32)
    if rng.uniform() < 0.05:
        picture[:] = picture.mean(-1, keepdims=True)
    deviation = np.float32(rng.uniform(0.004, 0.022))
    picture += rng.standard_normal(picture.shape, np.float32) * deviation  # last: as many draws as pixels
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)

"""Looks of the synthetic category: colours, patterns and light of a sample, and simple brushes."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = NDArray[np.float32]
Picture = NDArray[np.float32]

SKINS = np.array(
    [[255, 224, 196], [241, 194, 160], [224, 172, 130], [198, 134, 92], [141, 85, 52], [92, 58, 40]],
    np.float32,
)


@dataclass(frozen=True)
class Style:
    """How one sample looks: base colours in 0..1 and the draws of its patterns."""

    skin: Colour
    hair: Colour
    clothes: Colour
    accent: Colour
    iris: Colour
    lips: Colour
    brow: Colour
    light: tuple[float, float]
    opening: float
    hair_length: float
    glasses: bool
    beard: float
    blush: float
    freckles: float
    pattern: int
    strands: int
    frequency: float
    gaze: tuple[float, float]


def random_style(rng: np.random.Generator) -> Style:
    """Draw colours, patterns and light."""
    tone = rng.uniform(0, len(SKINS) - 1)
    low = int(tone)
    skin = (SKINS[low] * (1 - tone + low) + SKINS[min(low + 1, len(SKINS) - 1)] * (tone - low)) / 255
    natural = rng.uniform() < 0.7
    hair = (
        hsv(rng.uniform(0.03, 0.13), rng.uniform(0.1, 0.75), rng.uniform(0.08, 0.85))
        if natural
        else hsv(rng.uniform(), rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9))
    )
    lips = np.clip(skin * np.array([1.0, 0.62, 0.62], np.float32) * rng.uniform(0.75, 1.05), 0, 1)
    if rng.uniform() < 0.35:
        lips = hsv(rng.uniform(0.9, 1.02) % 1, rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.9))
    angle = rng.uniform(0, 2 * np.pi)
    return Style(
        skin=skin.astype(np.float32),
        hair=hair,
        clothes=hsv(rng.uniform(), rng.uniform(0.1, 0.9), rng.uniform(0.2, 0.95)),
        accent=hsv(rng.uniform(), rng.uniform(0.0, 0.9), rng.uniform(0.2, 0.98)),
        iris=hsv(rng.uniform(0.05, 0.65), rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.7)),
        lips=lips.astype(np.float32),
        brow=(hair * rng.uniform(0.45, 0.8)).astype(np.float32),
        light=(float(np.cos(angle)), float(np.sin(angle))),
        opening=float(rng.choice([0.0, rng.uniform(0.15, 0.55)])),
        hair_length=float(rng.choice([rng.uniform(-0.22, -0.04), rng.uniform(0.0, 0.36)])),
        glasses=bool(rng.uniform() < 0.18),
        beard=float(rng.uniform(0.2, 0.75) if rng.uniform() < 0.2 else 0.0),
        blush=float(rng.uniform(0, 0.3)),
        freckles=float(rng.uniform(0.05, 0.3) if rng.uniform() < 0.25 else 0.0),
        pattern=int(rng.integers(5)),
        strands=int(rng.integers(4)),
        frequency=float(rng.uniform(10, 28)),
        gaze=(float(rng.uniform(-0.02, 0.02)), float(rng.uniform(-0.008, 0.008))),
    )


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the RGB colour, all in 0..1."""
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Return the rows and columns around the true pixels of a mask, None where there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def blend(picture: Picture, colour: Colour, weight: Array) -> None:
    """Lay a colour over a picture in place; weights ``[H, W]`` in 0..1."""
    picture += weight.astype(np.float32)[..., None] * (colour - picture)

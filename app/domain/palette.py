"""Colours of label classes: the default palette and that of Pascal VOC."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from coordgan_core.palette import default_palette

Color = tuple[int, int, int]


def default_color(index: int) -> Color:
    """Return the default colour of a class id: far apart for every kind of colour vision, 0 is black."""
    return to_color(default_palette(256)[index % 256])


def to_color(values: npt.NDArray[np.uint8]) -> Color:
    """Turn three array values into a colour."""
    red, green, blue = (int(value) for value in values)
    return red, green, blue


@functools.cache
def voc_palette() -> npt.NDArray[np.uint8]:
    """Return the palette of Pascal VOC, ``uint8 [256, 3]``: the bits of the id dealt to the channels.

    1 is (128, 0, 0), 2 (0, 128, 0), 15 (192, 128, 128), 255 (224, 224, 192).
    """
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for bit in range(8):
            palette[index, bit % 3] |= ((index >> bit) & 1) << (7 - bit // 3)
    palette.setflags(write=False)
    return palette


def hex_color(color: Color) -> str:
    """Return a colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def parse_color(text: str) -> Color:
    """Read ``#rrggbb``.

    Raises:
        ValueError: The text is something else.
    """
    digits = text.strip().removeprefix("#")
    if len(digits) != 6:
        raise ValueError(f"{text!r} is not a colour such as #e69f00")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue

"""Label maps in colours: one colour a class, there and back, exactly."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.palette import Color, default_color
from coordgan_core.errors import LabelError
from coordgan_core.files import write_bytes

Picture = npt.NDArray[np.uint8]
BLACK: Color = (0, 0, 0)


def distinct_colors(table: ClassTable) -> dict[int, Color]:
    """Return one colour for each class id, all different, black for background alone."""
    chosen: dict[int, Color] = {0: BLACK}
    taken = {BLACK}
    spare = (default_color(i) for i in range(1, 256))
    for each in table.classes[1:]:
        color = each.color
        while color in taken:
            color = next(spare)
        chosen[each.id] = color
        taken.add(color)
    return chosen


def recolored(table: ClassTable) -> list[str]:
    """Return the names of classes that `distinct_colors` gives another colour."""
    colors = distinct_colors(table)
    return [c.name for c in table.classes[1:] if colors[c.id] != c.color]


def paint(labels: LabelMap, colors: Mapping[int, Color]) -> Picture:
    """Return the label map in colours, ``uint8 [H, W, 3]``; ids without a colour are black."""
    palette = np.zeros((256, 3), np.uint8)
    for class_id, color in colors.items():
        palette[class_id] = color
    return palette[labels]


def unpaint(picture: Picture, ids: Mapping[Color, int], name: str) -> LabelMap:
    """Return the class ids of a picture in colours.

    Args:
        picture: ``uint8 [H, W, 3]``.
        ids: Colour -> class id; black is background where it is not given.
        name: What to call the picture in the error.

    Raises:
        LabelError: It holds a colour that is not in ``ids``.
    """
    known = {BLACK: 0, **ids}
    keys = np.array([_key(color) for color in known], np.uint32)
    values = np.array(list(known.values()), np.uint8)
    order = keys.argsort()
    keys, values = keys[order], values[order]
    wide = picture.astype(np.uint32)
    pixels = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    places = np.minimum(np.searchsorted(keys, pixels), len(keys) - 1)
    unknown = keys[places] != pixels
    if unknown.any():
        y, x = (int(v) for v in np.argwhere(unknown)[0])
        color = ", ".join(str(int(v)) for v in picture[y, x])
        raise LabelError(
            f"{name} holds the colour {color} at column {x}, row {y}, which no class has "
            f"({int(unknown.sum())} such pixels)",
            expected="only the colours of the map, without smoothing or JPEG compression",
            remedy="add the colour to the map, or export the labels again",
        )
    return values[places]


def _key(color: Color) -> int:
    return (color[0] << 16) | (color[1] << 8) | color[2]


def write_picture(path: Path, picture: Picture | npt.NDArray[np.uint16]) -> None:
    """Write a PNG of colours, or of 16-bit numbers, atomically.

    Raises:
        DiskFullError: It cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", compress_level=3)
    write_bytes(path, buffer.getvalue())

"""Sheets of pictures with captions, to write where there is no window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from coordgan_core.data.images import resize

Image = npt.NDArray[np.uint8]

_GAP, _WIDE, _LINE, _MARGIN = 4, 18, 18, 12
_FONT_PX = 12
CELL_PX = 192
"""Least side of a picture on a sheet."""


@dataclass(frozen=True)
class Panel:
    """A picture on a sheet.

    Args:
        image: ``uint8 [H, W, 3]``; None leaves the place empty, with the caption in its middle.
        caption: Below it.
        aspect: Width by height it is shown with; None is the image's own.
        is_head: Its size does not count when that of all is chosen.
    """

    image: Image | None = None
    caption: str = ""
    aspect: float | None = None
    is_head: bool = False


def draw_panels(
    rows: Sequence[Sequence[Panel]], *, captions: bool = True, has_heads: bool = False, group: int = 0
) -> Image:
    """Draw rows of panels on white, all in square cells of one side.

    What a model has rendered is enlarged by a whole factor, pixel by pixel; photographs are resized.

    Args:
        rows: The panels; rows may be of different lengths.
        captions: Whether captions are written.
        has_heads: A wider gap follows the first row and column.
        group: A wider gap follows every so many columns; 0 is none.

    Returns:
        ``uint8 [height, width, 3]``.
    """
    cell = cell_px(rows)
    columns = max((len(row) for row in rows), default=0)
    lefts = [_left(column, cell, has_heads=has_heads, group=group) for column in range(columns)]
    tops, height = [], _MARGIN
    for number, row in enumerate(rows):
        tops.append(height)
        line = _LINE if captions and any(panel.caption for panel in row) else 0
        height += cell + line + (_WIDE if has_heads and number == 0 else _GAP)
    width = (lefts[-1] if lefts else 0) + cell + 2 * _MARGIN
    sheet = PillowImage.new("RGB", (width, max(1, height - _GAP + _MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_PX)
    for row, top in zip(rows, tops, strict=True):
        for panel, left in zip(row, lefts, strict=False):
            place = left + _MARGIN, top
            if panel.image is not None:
                picture = PillowImage.fromarray(_fitted(panel.image, panel.aspect, cell))
                offset = (cell - picture.width) // 2, (cell - picture.height) // 2
                sheet.paste(picture, (place[0] + offset[0], place[1] + offset[1]))
            if captions and panel.caption:
                middle = top + cell + _LINE // 2 if panel.image is not None else top + cell // 2
                text = _shortened(panel.caption, font, cell)
                draw.text((place[0] + cell // 2, middle), text, fill="black", font=font, anchor="mm")
    return np.asarray(sheet)


def cell_px(rows: Sequence[Sequence[Panel]]) -> int:
    """Return the side of cells: the smallest multiple of the renders' side that is large enough for all."""
    images = [p.image for row in rows for p in row if p.image is not None and not p.is_head]
    sides: list[int] = [max(image.shape[0], image.shape[1]) for image in images]
    if not sides or min(sides) >= CELL_PX:
        return max(sides, default=CELL_PX)
    own = min(sides)
    return own * -(-max(CELL_PX, max(sides)) // own)


def _left(column: int, cell: int, *, has_heads: bool, group: int) -> int:
    wide = int(has_heads and column > 0) + (column // group if group else 0)
    return column * (cell + _GAP) + wide * (_WIDE - _GAP)


def _fitted(image: Image, aspect: float | None, cell: int) -> Image:
    height, width = image.shape[:2]
    shown = aspect or width / height
    size = (cell, max(1, round(cell / shown))) if shown >= 1 else (max(1, round(cell * shown)), cell)
    if (width, height) == size:
        return image
    if size[0] % width == 0 and size[1] % height == 0:
        return image.repeat(size[1] // height, axis=0).repeat(size[0] // width, axis=1)
    return resize(image, *size)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: -(-kept // 2)]}…{text[len(text) - kept // 2 :]}"
        if font.getlength(short) <= width:
            return short
    return "…"

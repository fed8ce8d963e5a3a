"""Pictures of label maps: coloured overlays, and the contact sheet of a propagated folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from coordgan_core.data.images import read_reduced, resize
from coordgan_core.errors import CoordError
from coordgan_core.files import write_bytes
from coordgan_core.labels import LabelClasses, LabelMap, read_label_map, resize_labels

Image = npt.NDArray[np.uint8]
_CELL, _COLUMNS, _ROWS, _CAPTION = 192, 6, 4, 16


def overlay(image: Image, labels: LabelMap, palette: Image, *, opacity: float = 0.5) -> Image:
    """Paint a label map over its image, borders in full colour; background stays clear.

    Args:
        image: ``uint8 [H, W, 3]``.
        labels: ``uint8 [H, W]``.
        palette: Colours by id, ``uint8 [256, 3]``.
        opacity: Of the parts' insides, 0 to 1.
    """
    painted = palette[labels]
    border = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    weight = np.where(border, 1.0, opacity)[..., None] * (labels > 0)[..., None]
    return np.asarray(np.rint(image * (1 - weight) + painted * weight), np.uint8)


def write_contact_sheet(path: Path, items: Sequence[tuple[Path, Path, float]], classes: LabelClasses) -> None:
    """Write one PNG with up to 24 labelled images, evenly spread over ``items``, and their scores.

    Args:
        path: The PNG; written atomically.
        items: (image, label map, score), least certain first.
        classes: For the colours.

    Raises:
        DiskFullError: The file cannot be written.
    """
    count = min(len(items), _COLUMNS * _ROWS)
    if count == 0:
        return
    chosen = [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]
    columns = min(_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    sheet = PillowImage.new("RGB", (columns * _CELL, rows * (_CELL + _CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, labels, score) in enumerate(chosen):
        x, y = (i % columns) * _CELL, (i // columns) * (_CELL + _CAPTION)
        picture = _thumbnail(image, labels, classes.palette())
        if picture is not None:
            corner = x + (_CELL - picture.shape[1]) // 2, y + (_CELL - picture.shape[0]) // 2
            sheet.paste(PillowImage.fromarray(picture), corner)
        draw.text((x + 4, y + _CELL + 2), f"{score:.2f}  {image.stem[:24]}", fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", compress_level=4)
    write_bytes(path, buffer.getvalue())


def _thumbnail(image: Path, labels: Path, palette: Image) -> Image | None:
    try:
        ids = read_label_map(labels)
        height, width = ids.shape
        scale = _CELL / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = read_reduced(image, width=size[0], height=size[1])
    except (CoordError, OSError):
        return None  # gone since it was labelled
    return overlay(resize(pixels, *size), resize_labels(ids, *size), palette)

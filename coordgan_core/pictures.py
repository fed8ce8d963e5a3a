"""Pictures of what a model does, to look at: correspondence maps in colour, PNG files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from coordgan_core.coords import check_shape
from coordgan_core.data.pixels import to_uint8
from coordgan_core.files import atomic_path

LINES = 8
"""Lines a side of the canonical frame, drawn on correspondence maps so that distortions show."""


def colour_map(correspondence: Tensor) -> Tensor:
    """Colour correspondence maps: red grows with x, green with y; a dark lattice lies on the canonical frame.

    Args:
        correspondence: ``[B, 2, H, W]``; black is what lies outside of the frame or is not a number.

    Returns:
        ``float32 [B, 3, H, W]`` in [-1, 1]; the same colour is the same point of the canonical frame.
    """
    check_shape(correspondence, "B 2 H W", "correspondence map")
    frame = correspondence.detach().float()
    inside = (torch.nan_to_num(frame, nan=9.0).abs() <= 1.0).all(dim=1, keepdim=True)
    placed = torch.nan_to_num(frame).clamp(-1.0, 1.0)
    x, y = placed[:, :1], placed[:, 1:]
    colours = torch.cat([x, y, -(x + y) / 2.0], dim=1)
    phase = placed.add(1.0).mul(LINES / 2.0)
    on_line = ((phase - phase.round()).abs() < 0.06).any(dim=1, keepdim=True)
    colours = torch.where(on_line, colours * 0.5 - 0.5, colours)
    return torch.where(inside, colours, colours.new_tensor(-1.0))


def write_png(path: str | Path, image: Tensor) -> None:
    """Write an image ``[3, H, W]`` in [-1, 1] as PNG, atomically; missing folders are made.

    Raises:
        DiskFullError: It could not be written.
    """
    from PIL import Image

    pixels = to_uint8(image[None])[0]
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")

"""Pictures of what a model does, to look at: correspondence maps in colour, PNG files."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.coords import canonical_grid, check_shape, resize_map, to_pixels
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


def canonical_frame(side: int) -> Tensor:
    """Draw the canonical frame itself in the colours of `colour_map`, ``float32 [3, side, side]``."""
    return colour_map(canonical_grid(side, side)[None])[0]


class CanonicalAverage:
    """Images carried into the canonical frame and averaged there: sharp where their maps agree.

    Args:
        side: Side of the frame in pixels.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self._sums = torch.zeros(4, side * side)
        self.images = 0

    def add(self, images: Tensor, correspondence: Tensor) -> None:
        """Splat images ``[B, 3, H, W]`` in [-1, 1] through their maps ``[B, 2, h, w]``."""
        check_shape(images, "B 3 H W", "image batch")
        size = 2 * self.side  # two pixels a cell and axis leave few holes
        values = F.interpolate(images.float().cpu(), (size, size), mode="bilinear")
        ones = torch.ones_like(values[:, :1])
        values = torch.cat([values, ones], dim=1).transpose(0, 1).flatten(1)  # [4, N]
        places = resize_map(correspondence.float().cpu(), size, size).transpose(0, 1).flatten(1)
        x, y = to_pixels(places, self.side)
        for dx in (0, 1):
            for dy in (0, 1):
                column, row = x.floor() + dx, y.floor() + dy
                weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
                inside = (column >= 0) & (column < self.side) & (row >= 0) & (row < self.side)
                index = (row * self.side + column)[inside].long()
                self._sums.index_add_(1, index, (values * weight)[:, inside])
        self.images += len(images)

    def picture(self) -> tuple[Tensor, Tensor]:
        """Return the average ``float32 [3, side, side]`` and where something lies, ``bool [side, side]``."""
        weight = self._sums[3]
        average = self._sums[:3] / weight.clamp(min=1e-6)
        known = weight > 0.25 * max(1, self.images) ** 0.5
        shape = (self.side, self.side)
        return average.reshape(3, *shape), known.reshape(shape)


def write_png(path: str | Path, image: Tensor) -> None:
    """Write an image ``[3, H, W]`` in [-1, 1] as PNG, atomically; missing folders are made.

    Raises:
        DiskFullError: It could not be written.
    """
    from PIL import Image

    pixels = to_uint8(image[None])[0]
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")

"""Coordinates: grids of the canonical frame, pixels and normalised positions, resizing of maps.

The conventions (axes, ranges, pixel centres) are those of ``docs/conventions.md``.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.errors import ShapeError

GridKind = Literal["centres", "endpoints"]


def canonical_grid(
    height: int, width: int, *, kind: GridKind = "centres", device: torch.device | str | None = None
) -> Tensor:
    """Return the identity correspondence map, ``float32 [2, height, width]``.

    Args:
        height: Rows.
        width: Columns.
        kind: ``"centres"`` puts pixel ``i`` of ``n`` at ``(2 i + 1) / n - 1``; ``"endpoints"`` spaces the
            points linearly from -1 to 1 with both ends included, as the published release does.
        device: Where the tensor lies.
    """
    x, y = _axis(width, kind, device), _axis(height, kind, device)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def _axis(count: int, kind: GridKind, device: torch.device | str | None) -> Tensor:
    if kind == "endpoints":
        return torch.linspace(-1.0, 1.0, count, device=device)
    return (2.0 * torch.arange(count, device=device, dtype=torch.float32) + 1.0) / count - 1.0


def to_pixels(position: Tensor, size: int) -> Tensor:
    """Convert normalised positions to pixels of an axis of ``size``; 0 is the centre of the first pixel."""
    return ((position + 1.0) * size - 1.0) / 2.0


def to_normalised(pixel: Tensor, size: int) -> Tensor:
    """Convert pixels of an axis of ``size`` to normalised positions, the inverse of `to_pixels`."""
    return (2.0 * pixel + 1.0) / size - 1.0


def map_to_grid(correspondence: Tensor) -> Tensor:
    """Turn correspondence maps ``[B, 2, H, W]`` into the ``[B, H, W, 2]`` that ``grid_sample`` takes."""
    check_shape(correspondence, "B 2 H W", "correspondence map")
    return correspondence.permute(0, 2, 3, 1)


def sample(values: Tensor, correspondence: Tensor, *, padding: str = "border") -> Tensor:
    """Sample ``values [B, C, h, w]`` bilinearly at positions ``[B, 2, H, W]`` -> ``[B, C, H, W]``.

    A ``values`` batch of one serves every map of the batch. ``padding`` says what positions outside [-1, 1]
    get, as in `torch.nn.functional.grid_sample`.
    """
    grid = map_to_grid(correspondence).to(values.dtype)
    if values.shape[0] == 1 and grid.shape[0] > 1:
        values = values.expand(grid.shape[0], -1, -1, -1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def resize_map(correspondence: Tensor, height: int, width: int) -> Tensor:
    """Resize correspondence maps ``[B, 2, h, w]`` to ``[B, 2, height, width]``; values are positions.

    The offset from the identity is what is interpolated, so that the identity map stays the identity at every
    size, borders included.
    """
    check_shape(correspondence, "B 2 H W", "correspondence map")
    h, w = correspondence.shape[-2:]
    if (h, w) == (height, width):
        return correspondence
    device = correspondence.device
    offset = correspondence - canonical_grid(h, w, device=device)
    offset = F.interpolate(offset, size=(height, width), mode="bilinear", align_corners=False)
    return offset + canonical_grid(height, width, device=device)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return ``outer(inner(x))`` of two maps: sample ``outer [B, 2, h, w]`` at ``inner [B, 2, H, W]``.

    With ``inner`` the sampling field that made a warped image from an image and ``outer`` the image's
    correspondence map, the result is the correspondence map that the warped image must have (equivariance).
    Beyond its outermost pixel centres ``outer`` goes on with the offset that it has there.
    """
    h, w = outer.shape[-2:]
    offset = outer - canonical_grid(h, w, device=outer.device)
    return sample(offset, inner) + inner


def jacobian_determinant(correspondence: Tensor) -> Tensor:
    """Return the area change ``[B, H-1, W-1]`` of maps ``[B, 2, H, W]``: negative where they fold.

    Forward differences, in units of the identity's own cell, so that the identity has 1 everywhere.
    """
    check_shape(correspondence, "B 2 H W", "correspondence map")
    height, width = correspondence.shape[-2:]
    along_x = (correspondence[:, :, :-1, 1:] - correspondence[:, :, :-1, :-1]) * (width / 2.0)
    along_y = (correspondence[:, :, 1:, :-1] - correspondence[:, :, :-1, :-1]) * (height / 2.0)
    return along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]


def check_shape(tensor: Tensor, pattern: str, name: str) -> None:
    """Raise `ShapeError` unless ``tensor`` fits ``pattern``, such as ``"B 2 H W"``.

    Letters stand for any size, even if they are repeated; numbers for themselves.
    """
    parts = pattern.split()
    fits = tensor.ndim == len(parts) and all(
        not part.isdigit() or int(part) == size for part, size in zip(parts, tensor.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"the {name} has shape {list(tensor.shape)}",
            expected=f"[{', '.join(parts)}]",
            remedy="pass an array of that layout; docs/conventions.md lists all layouts",
        )

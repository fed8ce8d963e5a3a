"""Swap grids: what the two codes of a model each decide, to look at."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from coordgan_core.coords import check_shape
from coordgan_core.models.codes import Codes


class Painter(Protocol):
    """What can turn images into codes and codes into images, such as `CoordGAN`."""

    def encode(self, images: Tensor) -> Codes:
        """Map images ``[B, 3, R, R]`` to codes."""
        ...

    def render(self, codes: Codes) -> Tensor:
        """Map codes to images ``[B, 3, R, R]``."""
        ...


@torch.no_grad()
def texture_swap(
    model: Painter, structures: Tensor | Codes, textures: Tensor | Codes, *, batch: int = 8
) -> Tensor:
    """Render every structure in every texture: a row has one structure, a column one texture.

    Args:
        model: The model.
        structures: S images ``[S, 3, R, R]`` in [-1, 1], or their codes; only the structure is taken.
        textures: T images, or their codes; only the texture is taken.
        batch: Images rendered at once.

    Returns:
        ``float32 [S, T, 3, R, R]``.
    """
    rows, columns = _codes(model, structures), _codes(model, textures)
    S, T = len(rows), len(columns)
    pairs = rows.paired(columns)
    images = [model.render(pairs[start : start + batch]) for start in range(0, S * T, batch)]
    stacked = torch.cat(images)
    return stacked.reshape(S, T, *stacked.shape[1:])


def structure_swap(
    model: Painter, textures: Tensor | Codes, structures: Tensor | Codes, *, batch: int = 8
) -> Tensor:
    """Render every texture in every structure: a row has one texture, a column one structure.

    Args and result: as of `texture_swap`, ``float32 [T, S, 3, R, R]``.
    """
    return texture_swap(model, structures, textures, batch=batch).transpose(0, 1)


def _codes(model: Painter, source: Tensor | Codes) -> Codes:
    return source if isinstance(source, Codes) else model.encode(source)


def sheet(
    grid: Tensor, *, rows: Tensor | None = None, columns: Tensor | None = None, gap_px: int = 2
) -> Tensor:
    """Lay a grid of images out as one image, with the sources of rows and columns beside it if given.

    Args:
        grid: ``[N, M, 3, H, W]`` in [-1, 1].
        rows: Images that head the rows ``[N, 3, H, W]``.
        columns: Images that head the columns ``[M, 3, H, W]``.
        gap_px: White pixels between images.

    Returns:
        ``float32 [3, height, width]`` in [-1, 1].
    """
    check_shape(grid, "N M 3 H W", "grid of images")
    if rows is not None:
        grid = torch.cat([rows[:, None], grid], dim=1)
    if columns is not None:
        corner = grid.new_ones(int(rows is not None), *grid.shape[2:])
        grid = torch.cat([torch.cat([corner, columns])[None], grid], dim=0)
    N, M, _, H, W = grid.shape
    page = grid.new_ones(3, N * (H + gap_px) - gap_px, M * (W + gap_px) - gap_px)
    for n in range(N):
        for m in range(M):
            top, left = n * (H + gap_px), m * (W + gap_px)
            page[:, top : top + H, left : left + W] = grid[n, m].clamp(-1.0, 1.0)
    return page

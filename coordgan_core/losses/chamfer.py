"""Chamfer loss: the correspondence map covers the canonical frame, and stays in it (fact sheet section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from coordgan_core.coords import GridKind, canonical_grid, check_shape
from coordgan_core.losses.warp import chunk_size
from coordgan_core.models.layers import full_precision


def chamfer(
    maps: Tensor,
    *,
    kind: GridKind = "endpoints",
    points: int = 0,
    generator: torch.Generator | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Return the bidirectional Chamfer distance between maps and the canonical grid, a scalar.

    ``mean_p min_c |m(p) - c|^2 + mean_c min_p |m(p) - c|^2``, squared distances, mean over the batch. Nearest
    points are found without gradients, in the regular grid by rounding and in the map chunk by chunk, so that
    memory is ``chunk x H W``; the gradient flows through the distances of the pairs found, which is the exact
    gradient. `chamfer_reference` is the definition.

    Args:
        maps: Correspondence maps ``[B, 2, H, W]``.
        kind: Points of the canonical grid, which has the size of the maps.
        points: How many pixels and how many grid points are compared, drawn at random for the whole batch;
            each still with *all* of the other side, so that the expectation is the full loss. 0 compares all.
        generator: Source of the draw.
        chunk: Grid points compared at once; None lets `chunk_size` choose.
    """
    check_shape(maps, "B 2 H W", "correspondence map")
    height, width = maps.shape[-2:]
    with full_precision(maps):
        cloud = maps.float().flatten(2).mT  # [B, N, 2]
        grid = canonical_grid(height, width, kind=kind, device=maps.device).flatten(1).T  # [N, 2]
        queries, targets = cloud, grid
        if 0 < points < len(grid):
            queries = cloud[:, _some(len(grid), points, generator, maps.device)]
            targets = grid[_some(len(grid), points, generator, maps.device)]
        nearest_grid = grid[_nearest_in_grid(queries.detach(), height, width, kind)]  # [B, N', 2]
        chunk = chunk or chunk_size(len(maps), len(grid), maps.device)
        index = _nearest_in_cloud(targets, cloud.detach(), chunk)  # [B, N']
        nearest_map = cloud.gather(1, index[..., None].expand(-1, -1, 2))
        forward = (queries - nearest_grid).square().sum(dim=2).mean()
        return forward + (nearest_map - targets).square().sum(dim=2).mean()


def chamfer_reference(maps: Tensor, kind: GridKind = "endpoints") -> Tensor:
    """Compute `chamfer` of maps ``[B, 2, H, W]`` from the full matrix of distances, as it is defined."""
    cloud = maps.flatten(2).mT[:, :, None]
    grid = canonical_grid(*maps.shape[-2:], kind=kind, device=maps.device).flatten(1).T
    squared = (cloud - grid).square().sum(dim=3)  # [B, N, N]
    return (squared.min(dim=2).values.mean(dim=1) + squared.min(dim=1).values.mean(dim=1)).mean()


def _some(count: int, points: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    return torch.randint(count, (points,), generator=generator, device=device)


def _nearest_in_grid(positions: Tensor, height: int, width: int, kind: GridKind) -> Tensor:
    # [B, N, 2] -> indices [B, N]; the grid is a product of two axes, so each axis is rounded on its own
    indices = []
    for axis, size in enumerate((width, height)):
        u = positions[..., axis]
        pixel = (u + 1.0) / 2.0 * (size - 1) if kind == "endpoints" else ((u + 1.0) * size - 1.0) / 2.0
        indices.append(pixel.round().clamp(0, size - 1).long())
    return indices[1] * width + indices[0]


@torch.no_grad()
def _nearest_in_cloud(targets: Tensor, cloud: Tensor, chunk: int) -> Tensor:
    # [M, 2], [B, N, 2] -> indices [B, M]. Differences, not |a|^2 + |b|^2 - 2 a.b: that cancels, and may run
    # in TF32.
    x, y = cloud[:, None, :, 0], cloud[:, None, :, 1]
    found = []
    for part in targets.split(chunk):  # type: ignore[no-untyped-call]
        squared = (x - part[:, None, 0]).square_()
        across = y - part[:, None, 1]
        found.append(squared.addcmul_(across, across).argmin(dim=2))
    return torch.cat(found, dim=1)

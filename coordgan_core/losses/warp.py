"""Affinity warp, and the warp loss: what corresponds must look alike (fact sheet section 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from coordgan_core.coords import check_shape, resize_map
from coordgan_core.losses.perceptual import Perceptual
from coordgan_core.losses.swap import swap_neighbours
from coordgan_core.models.layers import full_precision

SMALLEST = 1e-12
"""Squared distances are cut off here: the square root has no gradient at zero."""


def warp_loss(
    maps: Tensor,
    images: Tensor,
    perceptual: Perceptual,
    *,
    temperature: float = 0.01,
    side_px: int = 128,
    chunk: int = 1024,
) -> Tensor:
    """Compare every image with its neighbour warped onto it, ``P(x_2->1, x_1)``; mean over the batch.

    Neighbours are images 0 and 1, 2 and 3, ... The target is detached, the warped colours and both maps are
    not.

    Args:
        maps: Correspondence maps ``[B, 2, h, w]``, B even.
        images: Generated images ``[B, 3, H, W]``.
        perceptual: What compares two images.
        temperature: Of the affinity, tau.
        side_px: Longer side at which all pixels are compared with all; larger maps and images are reduced to
            it.
        chunk: Pixels compared at once, which bounds the memory.
    """
    height, width = _reduced(maps.shape[-2], maps.shape[-1], side_px)
    small = resize_map(maps, height, width)
    if images.shape[-2:] != (height, width):
        images = F.interpolate(
            images, size=(height, width), mode="bilinear", align_corners=False, antialias=True
        )
    warped = affinity_warp(
        small, swap_neighbours(small), swap_neighbours(images), temperature=temperature, chunk=chunk
    )
    loss: Tensor = perceptual(warped, images.detach())
    return loss


def affinity_warp(
    query: Tensor, source: Tensor, values: Tensor, *, temperature: float = 0.01, chunk: int = 1024
) -> Tensor:
    """Fetch for every pixel of ``query`` the values of ``source`` at the same canonical position.

    ``out(p) = sum_q softmax_q(-|query(p) - source(q)| / tau) values(q)``, Euclidean distance, in float32.
    Computed for ``chunk`` pixels at a time and computed again for the gradient, so that memory is ``chunk x h
    w`` and not ``(H W) x (h w)``. `affinity_warp_reference` is the equation.

    Args:
        query: Correspondence maps ``[B, 2, H, W]``.
        source: Correspondence maps ``[B, 2, h, w]``.
        values: What the source's pixels carry, ``[B, C, h, w]``.
        temperature: tau.
        chunk: Query pixels compared at once.

    Returns:
        ``float32 [B, C, H, W]``; gradients reach all three arguments.
    """
    check_shape(query, "B 2 H W", "query map")
    check_shape(source, "B 2 H W", "source map")
    B, C = values.shape[:2]
    with full_precision(query):
        points, others = query.float().flatten(2), source.float().flatten(2)
        carried = values.float().flatten(2).mT  # [B, n, C]
        tracked = torch.is_grad_enabled() and any(t.requires_grad for t in (points, others, carried))
        parts = []
        for start in range(0, points.shape[2], chunk):
            part = points[:, :, start : start + chunk]
            if tracked:
                parts.append(
                    checkpoint(
                        _fetch,
                        part,
                        others,
                        carried,
                        temperature,
                        use_reentrant=False,
                        preserve_rng_state=False,
                    )
                )
            else:
                parts.append(_fetch(part, others, carried, temperature))
        return torch.cat(parts, dim=1).mT.reshape(B, C, *query.shape[-2:])


def _fetch(points: Tensor, others: Tensor, carried: Tensor, temperature: float) -> Tensor:
    # [B, 2, N], [B, 2, n], [B, n, C] -> [B, N, C]
    return affinity(points, others, temperature) @ carried


def affinity(points: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Return the affinity ``[B, N, n]`` of points ``[B, 2, N]`` and ``[B, 2, n]``; rows sum to 1."""
    return torch.softmax(distance(points, others) / -temperature, dim=2)


def distance(points: Tensor, others: Tensor) -> Tensor:  # [B, 2, N], [B, 2, n] -> [B, N, n]
    """Return Euclidean distances, from differences: the matrix product's form cancels and may run in TF32."""
    squared = (points[:, :, :, None] - others[:, :, None, :]).square().sum(dim=1)
    return squared.clamp_min(SMALLEST).sqrt()


def affinity_warp_reference(query: Tensor, source: Tensor, values: Tensor, temperature: float) -> Tensor:
    """Compute the warp from the whole affinity matrix, pixel by pixel as the equation has it."""
    rows = []
    for point in query.flatten(2).unbind(2):  # [B, 2]
        away = (point[:, :, None] - source.flatten(2)).norm(dim=1)  # [B, n]
        rows.append((-away / temperature).softmax(dim=1))
    fetched = torch.einsum("bpq,bcq->bcp", torch.stack(rows, dim=1), values.flatten(2))
    return fetched.reshape(*values.shape[:2], *query.shape[-2:])


def _reduced(height: int, width: int, side_px: int) -> tuple[int, int]:
    factor = min(1.0, side_px / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))

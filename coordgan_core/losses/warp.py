"""Affinity warp, and the warp loss: what corresponds must look alike (fact sheet section 2)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from coordgan_core.coords import check_shape, resize_map
from coordgan_core.losses.perceptual import Perceptual
from coordgan_core.losses.swap import swap_neighbours
from coordgan_core.models.layers import full_precision

SQUARE_FLOOR = 1e-12
"""Added to squared distances: at zero a distance has no gradient. A ten-thousandth of a pixel, squared."""
CPU_ENTRIES = 2**17
CUDA_ENTRIES = 2**26
"""Entries of one distance matrix, see `chunk_size`."""


def warp_loss(
    maps: Tensor,
    images: Tensor,
    perceptual: Perceptual,
    *,
    temperature: float = 0.01,
    side_px: int = 128,
    chunk: int | None = None,
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
        chunk: Pixels compared at once, which bounds the memory; None lets `chunk_size` choose.
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
    query: Tensor, source: Tensor, values: Tensor, *, temperature: float = 0.01, chunk: int | None = None
) -> Tensor:
    """Fetch for every pixel of ``query`` the values of ``source`` at the same canonical position.

    ``out(p) = sum_q softmax_q(-|query(p) - source(q)| / tau) values(q)``, Euclidean distance, in float32.
    Computed for some pixels at a time, and computed again for the gradient, so that memory is ``chunk x h w``
    and not ``(H W) x (h w)``. `affinity_warp_reference` is the equation.

    Args:
        query: Correspondence maps ``[B, 2, H, W]``.
        source: Correspondence maps ``[B, 2, h, w]``.
        values: What the source's pixels carry, ``[B, C, h, w]``.
        temperature: tau.
        chunk: Query pixels compared at once; None lets `chunk_size` choose.

    Returns:
        ``float32 [B, C, H, W]``; gradients reach all three arguments, once (no second derivatives).
    """
    check_shape(query, "B 2 H W", "query map")
    check_shape(source, "B 2 H W", "source map")
    B, C = values.shape[:2]
    with full_precision(query):
        points, others = query.float().flatten(2), source.float().flatten(2)
        carried = values.float().flatten(2).mT.contiguous()  # [B, n, C]
        chunk = chunk or chunk_size(B, others.shape[2], query.device)
        fetched: Tensor = _AffinityWarp.apply(  # type: ignore[no-untyped-call]
            points, others, carried, temperature, chunk
        )
        return fetched.mT.reshape(B, C, *query.shape[-2:])


class _AffinityWarp(torch.autograd.Function):
    """The affinity warp of point sets; remembers its inputs and its output, never an affinity."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, others: Tensor, carried: Tensor, temperature: float, chunk: int
    ) -> Tensor:
        """Map points ``[B, 2, N]``, others ``[B, 2, n]`` and carried ``[B, n, C]`` to ``[B, N, C]``."""
        rows = []
        for part in _chunks(points, chunk):
            away, _, _ = _away(part, others)
            rows.append(torch.softmax(away.mul_(-1.0 / temperature), dim=2) @ carried)
        out = torch.cat(rows, dim=1)
        ctx.save_for_backward(points, others, carried, out)
        ctx.temperature, ctx.chunk = temperature, chunk
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return gradients for points, others and carried.

        With ``a`` the affinity and ``g`` the incoming gradient, the softmax gives ``ds = a (g v^T - g
        out^T)``; ``s = -d / tau`` with ``d = |p - o|`` gives ``dp = sum_o ds (-1 / tau) (p - o) / d``, and
        ``do`` is the negative sum of the same over p.
        """
        points, others, carried, out = ctx.saved_tensors
        (gradient,) = gradients
        with full_precision(points):
            into_points = []
            into_others, into_carried = torch.zeros_like(others), torch.zeros_like(carried)
            for part, g, o in zip(
                _chunks(points, ctx.chunk),
                gradient.float().split(ctx.chunk, dim=1),  # type: ignore[no-untyped-call]
                out.split(ctx.chunk, dim=1),
                strict=True,
            ):
                away, dx, dy = _away(part, others)
                soft = torch.softmax(away * (-1.0 / ctx.temperature), dim=2)
                into_carried.baddbmm_(soft.mT, g)
                slope = (g @ carried.mT).sub_((g * o).sum(dim=2, keepdim=True)).mul_(soft)
                slope.div_(away)
                along_x, along_y = dx.mul_(slope), dy.mul_(slope)
                into_points.append(torch.stack([along_x.sum(dim=2), along_y.sum(dim=2)], dim=1))
                into_others -= torch.stack([along_x.sum(dim=1), along_y.sum(dim=1)], dim=1)
            scale = -1.0 / ctx.temperature
            return scale * torch.cat(into_points, dim=2), scale * into_others, into_carried, None, None


def _chunks(points: Tensor, chunk: int) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = points.split(chunk, dim=2)  # type: ignore[no-untyped-call]
    return parts


def _away(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # distances and differences [B, N, n], with as few passes over them as there can be; not for autograd
    dx = points[:, 0, :, None] - others[:, 0, None, :]
    dy = points[:, 1, :, None] - others[:, 1, None, :]
    floor = dx.new_full((), SQUARE_FLOOR)
    return torch.addcmul(floor, dx, dx).addcmul_(dy, dy).sqrt_(), dx, dy


def affinity(points: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Return the affinity ``[B, N, n]`` of points ``[B, 2, N]`` and ``[B, 2, n]``, without gradients."""
    return torch.softmax(distance(points, others).mul_(-1.0 / temperature), dim=2)


@torch.no_grad()
def distance(points: Tensor, others: Tensor) -> Tensor:  # [B, 2, N], [B, 2, n] -> [B, N, n]
    """Return Euclidean distances without gradients.

    From differences: the matrix product's form cancels, and may run in TF32.
    """
    return _away(points, others)[0]


def chunk_size(batch: int, others: int, device: torch.device) -> int:
    """Return how many points to compare at once with ``others`` points each, as the device likes it.

    On a CPU the matrices should stay in its caches; on a CUDA device they should be large enough to fill it.
    """
    entries = CPU_ENTRIES if device.type == "cpu" else CUDA_ENTRIES
    return max(1, entries // (batch * others))


def affinity_warp_reference(query: Tensor, source: Tensor, values: Tensor, temperature: float) -> Tensor:
    """Compute `affinity_warp` from the whole affinity matrix, pixel by pixel as the equation has it."""
    rows = []
    for point in query.flatten(2).unbind(2):  # [B, 2]
        away = (point[:, :, None] - source.flatten(2)).norm(dim=1)  # [B, n]
        rows.append((-away / temperature).softmax(dim=1))
    fetched = torch.einsum("bpq,bcq->bcp", torch.stack(rows, dim=1), values.flatten(2))
    return fetched.reshape(*values.shape[:2], *query.shape[-2:])


def _reduced(height: int, width: int, side_px: int) -> tuple[int, int]:
    factor = min(1.0, side_px / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))

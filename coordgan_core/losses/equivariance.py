"""The stage 0 loss: descriptors of one thing must meet in two views of it (Thewlis et al. 2017).

Two views of a photograph differ by a known warp g and by their colours. A pixel x of the second view is
softly matched to all pixels y of the first by its descriptor; the loss is the expected distance of the match
from where it must be, g(x):

    L = mean_x  sum_y  softmax_y( <d2(x), d1(y)> / tau )  || y - g(x) ||

The same expression with the canonical prototypes in place of the first view pulls descriptors of *different*
photographs together (`prototype_loss`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from coordgan_core.coords import canonical_grid
from coordgan_core.losses.masked import masked_mean
from coordgan_core.models.layers import full_precision


def equivariance_loss(
    first: Tensor, second: Tensor, field: Tensor, *, temperature: float, queries: Tensor
) -> Tensor:
    """Return the expected matching distance, a scalar in canonical units.

    Args:
        first: Descriptors ``float32 [B, C, h, w]`` of the first view, unit length.
        second: Descriptors of the second view, same shape.
        field: ``[B, 2, h, w]``: where each pixel of the second view lies in the first; pixels whose
            position is outside [-1, 1] do not count.
        temperature: Of the softmax over similarities.
        queries: ``int64 [B, Q]``, the flat pixels of the second view that are matched.
    """
    with full_precision(first):
        h, w = first.shape[-2:]
        points = canonical_grid(h, w, device=first.device).flatten(1).T
        target = gather_pixels(field, queries)
        similarity = torch.bmm(gather_pixels(second, queries), first.float().flatten(2))
        return _expected_distance(similarity / temperature, target, points, target.abs().amax(2) < 1)


def prototype_loss(
    descriptors: Tensor,
    target: Tensor,
    valid: Tensor,
    prototypes: Tensor,
    *,
    temperature: float,
    queries: Tensor,
) -> Tensor:
    """Return the expected distance of soft matches among prototypes from known positions, a scalar.

    Args:
        descriptors: ``float32 [B, C, h, w]``, unit length.
        target: ``[B, 2, h, w]``, canonical positions that the pixels should have.
        valid: ``[B, 1, h, w]``, pixels with 0 do not count.
        prototypes: ``[C, P, P]``, unit length.
        temperature: Of the softmax over similarities.
        queries: ``int64 [B, Q]``, the flat pixels that are matched.
    """
    with full_precision(descriptors):
        points = canonical_grid(*prototypes.shape[-2:], device=descriptors.device).flatten(1).T
        similarity = gather_pixels(descriptors, queries) @ prototypes.flatten(1)
        counts = gather_pixels(valid, queries)[..., 0] > 0.99
        return _expected_distance(similarity / temperature, gather_pixels(target, queries), points, counts)


def gather_pixels(values: Tensor, pixels: Tensor) -> Tensor:  # [B, C, h, w], [B, Q] -> float32 [B, Q, C]
    """Pick the values of flat pixel numbers."""
    flat = values.float().flatten(2)
    return flat.gather(2, pixels[:, None].expand(-1, flat.shape[1], -1)).mT


def _expected_distance(logits: Tensor, target: Tensor, points: Tensor, counts: Tensor) -> Tensor:
    """Average ``sum_y softmax(logits)_y |y - target|`` over the entries of ``counts [B, Q]``."""
    with torch.no_grad():  # distances know no network: one matrix product instead of a difference tensor
        squared = target.square().sum(2, keepdim=True) + points.square().sum(1) - 2.0 * target @ points.T
        distance = squared.clamp_min(0.0).sqrt()
    expected = (torch.softmax(logits, dim=2) * distance).sum(2)
    return masked_mean(expected, counts)


def equivariance_reference(
    first: Tensor, second: Tensor, field: Tensor, *, temperature: float, queries: Tensor
) -> Tensor:
    """Compute `equivariance_loss` pixel by pixel, as its formula is written."""
    h, w = first.shape[-2:]
    grid = canonical_grid(h, w)
    terms = []
    for b in range(first.shape[0]):
        for q in queries[b].tolist():
            row, column = divmod(q, w)
            goal = field[b, :, row, column]
            if goal.abs().max() >= 1:
                continue
            similarity = (second[b, :, row, column, None, None] * first[b]).sum(0) / temperature
            match = torch.softmax(similarity.flatten(), 0).reshape(h, w)
            terms.append((match * (grid - goal[:, None, None]).norm(dim=0)).sum())
    return torch.stack(terms).mean() if terms else first.new_zeros(())

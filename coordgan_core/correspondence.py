"""The exact correspondence of two images, and the published one-shot propagation (fact sheet section 5).

Two pixels correspond as their positions in the canonical frame agree. Everything here compares every pixel
of one map with every pixel of the other, as published: quadratic in the pixels, bounded in memory, the
reference that faster ways (`atlas`) are measured against.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.coords import check_shape
from coordgan_core.errors import ShapeError
from coordgan_core.losses.warp import affinity, chunk_size, distance
from coordgan_core.models.layers import full_precision


@torch.no_grad()
def match(
    query_map: Tensor,
    reference_map: Tensor,
    values: Tensor | None = None,
    *,
    temperature: float = 0.01,
    hard: bool = False,
    chunk: int | None = None,
) -> Tensor:
    """Carry values from the pixels of a reference to the pixels of a query, or return how they correspond.

    Soft: ``out(q) = sum_p softmax_p(-|m_Q(q) - m_R(p)| / temperature) values(p)``, no top-k, no window,
    Euclidean distance. Hard: the value of the nearest p (the first of equals).

    Args:
        query_map: Correspondence map ``[2, H, W]``, or a batch ``[B, 2, H, W]``.
        reference_map: Correspondence map ``[2, h, w]``; or as many as queries; or one for all of them.
        values: What is carried, soft labels for instance: ``[C, h, w]`` or ``[B, C, h, w]``.
        temperature: Of the softmax, in canonical units; published 0.01.
        hard: Take the nearest reference pixel alone.
        chunk: Query pixels compared at once; memory is ``chunk x h w`` (with ``values``). None chooses.

    Returns:
        With ``values`` ``float32 [C, H, W]``; without, the affinity ``[H W, h w]``, rows sum to 1 (or, if
        ``hard``, hold a single 1). Batched as the queries are.

    Raises:
        ShapeError: A map or the values have another layout.
    """
    single = query_map.ndim == 3
    query, reference = _batched(query_map, "query map"), _batched(reference_map, "reference map")
    B, (h, w) = query.shape[0], reference.shape[-2:]
    reference = reference.expand(B, -1, -1, -1).float().flatten(2)
    carried = None
    if values is not None:
        four = values[None] if values.ndim == 3 else values
        check_shape(four, f"B C {h} {w}", "carried values")
        carried = four.expand(B, -1, -1, -1).float().flatten(2).mT  # [B, n, C]
    points = query.float().flatten(2)
    chunk = chunk or chunk_size(B, h * w, query.device)
    with full_precision(query_map):
        parts = []
        for start in range(0, points.shape[2], chunk):
            part = points[:, :, start : start + chunk]
            parts.append(_rows(part, reference, carried, temperature, hard=hard))
    rows = torch.cat(parts, dim=1)
    out = rows if carried is None else rows.mT.reshape(B, -1, *query.shape[-2:])
    return out[0] if single else out


def _rows(
    points: Tensor, others: Tensor, carried: Tensor | None, temperature: float, *, hard: bool
) -> Tensor:
    # [B, 2, N], [B, 2, n], [B, n, C] -> [B, N, C], or the affinity [B, N, n]
    if not hard:
        soft = affinity(points, others, temperature)
        return soft if carried is None else soft @ carried
    nearest = distance(points, others).argmin(dim=2)  # [B, N]
    if carried is None:
        return F.one_hot(nearest, others.shape[2]).float()
    return carried.gather(1, nearest[:, :, None].expand(-1, -1, carried.shape[2]))


def _batched(correspondence: Tensor, name: str) -> Tensor:
    four = correspondence[None] if correspondence.ndim == 3 else correspondence
    check_shape(four, "B 2 H W", name)
    return four


def soften(labels: Tensor, classes: int, height: int, width: int) -> Tensor:
    """Turn label maps into soft labels of another size: one-hot, then bilinear, as published.

    Args:
        labels: Class ids, integers ``[H, W]`` or ``[B, H, W]``.
        classes: K, the number of classes with background.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        ``float32 [K, height, width]`` (batched if ``labels`` is); each pixel sums to 1.

    Raises:
        ShapeError: ``labels`` has another layout.
    """
    batch = labels[None] if labels.ndim == 2 else labels
    check_shape(batch, "B H W", "label map")
    one_hot = F.one_hot(batch.long(), classes).permute(0, 3, 1, 2).float()
    soft = F.interpolate(one_hot, size=(height, width), mode="bilinear", align_corners=False)
    return soft[0] if labels.ndim == 2 else soft


def propagate_one_shot(
    query_maps: Tensor,
    reference_map: Tensor,
    reference_labels: Tensor,
    classes: int,
    *,
    temperature: float = 0.01,
    hard: bool = False,
    chunk: int | None = None,
) -> Tensor:
    """Propagate the labels of one reference as published: soften, carry, take the most probable class.

    Ground truth to compare with is ``soften(labels, K, H, W).argmax(0)`` at the size of the maps.

    Args:
        query_maps: Correspondence maps of the queries ``[B, 2, H, W]``.
        reference_map: Correspondence map of the reference ``[2, h, w]``.
        reference_labels: Its label map ``[h', w']``, of any size.
        classes: K, the number of classes with background.
        temperature: As of `match`.
        hard: As of `match`.
        chunk: As of `match`.

    Returns:
        Label maps ``uint8 [B, H, W]``.

    Raises:
        ShapeError: A map or the label map has another layout.
    """
    if not 1 <= classes <= 256:
        raise ShapeError(f"there are {classes} classes", expected="1 to 256, background included")
    soft = soften(reference_labels, classes, *reference_map.shape[-2:])
    maps = []
    for query in query_maps:  # one by one: the affinity of one image at a time
        carried = match(query, reference_map, soft, temperature=temperature, hard=hard, chunk=chunk)
        maps.append(carried.argmax(dim=0).to(torch.uint8))
    return torch.stack(maps)

"""Means over the entries that count, of the whole batch on however many devices."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` weighted by ``mask``, both of one shape; 0 where nothing counts.

    Of several processes each returns its own sum over the *mean* count of all: the mean over the processes,
    to which their gradients are averaged, is then that of the whole batch, however unevenly it counts.
    """
    weight = mask.to(values.dtype)
    count = weight.sum()
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        with torch.no_grad():
            count = count.clone()
            dist.all_reduce(count)
            count /= dist.get_world_size()
    return (values * weight).sum() / count.clamp_min(1.0)

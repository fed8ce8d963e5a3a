"""Moving average of a network's parameters (fact sheet section 1.7)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from coordgan_core.timing import Part

M = TypeVar("M", bound=nn.Module)


def averaged_copy(module: M) -> M:
    """Return a copy of the module that is never trained: evaluation mode, no gradients."""
    return copy.deepcopy(module).eval().requires_grad_(False)


@Part("average")
@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, *, batch: int, half_life_nimg: float) -> None:
    """Move ``average`` towards ``module``: ``a <- m + (a - m) 0.5^(batch / half_life)``.

    Counted in images, so that the average does not depend on the batch; the published decay of 0.99778 at 16
    images is a half-life of 5,000 images. Buffers are copied.

    Args:
        average: What `averaged_copy` made.
        module: The network in training.
        batch: Images of this step, over all devices.
        half_life_nimg: Images after which half of the old value is left.
    """
    weight = 1.0 - 0.5 ** (batch / half_life_nimg)
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), weight)
    for kept, new in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(new)

"""What a good correspondence map is, apart from images: it does not fold."""

from __future__ import annotations

import torch
from torch import Tensor

from coordgan_core.coords import jacobian_determinant


def fold_penalty(maps: Tensor, margin: float = 0.05) -> Tensor:
    """Penalise fold-overs of maps ``[B, 2, H, W]``: mean of ``max(0, margin - det J)`` over cells, a scalar.

    ``det J`` is 1 for the identity and negative where the map folds (`coords.jacobian_determinant`).
    """
    return torch.relu(margin - jacobian_determinant(maps.float())).mean()


def folded_share(maps: Tensor) -> Tensor:
    """Return the share of cells that fold, in [0, 1], a scalar without gradient."""
    return (jacobian_determinant(maps.detach().float()) < 0).float().mean()

"""What a good correspondence map is, apart from images: it neither folds nor bends without need."""

from __future__ import annotations

import torch
from torch import Tensor

from coordgan_core.coords import check_shape, jacobian_determinant


def fold_penalty(maps: Tensor, margin: float = 0.05) -> Tensor:
    """Penalise fold-overs of maps ``[B, 2, H, W]``: mean of ``max(0, margin - det J)`` over cells, a scalar.

    ``det J`` is 1 for the identity and negative where the map folds (`coords.jacobian_determinant`).
    """
    return torch.relu(margin - jacobian_determinant(maps.float())).mean()


def folded_share(maps: Tensor) -> Tensor:
    """Return the share of cells that fold, in [0, 1], a scalar without gradient."""
    return (jacobian_determinant(maps.detach().float()) < 0).float().mean()


def bending_energy(maps: Tensor) -> Tensor:
    """Return the mean over pixels of ``f_xx^2 + 2 f_xy^2 + f_yy^2``, both channels of ``[B, 2, H, W]`` added.

    Derivatives are with respect to image coordinates in [-1, 1], so that the size of the map does not matter.
    Zero for every affine map: rotations and scalings are free, unlike under a penalty on first derivatives.
    """
    check_shape(maps, "B 2 H W", "correspondence map")
    f = maps.float()
    height, width = f.shape[-2:]
    per_x, per_y = width / 2.0, height / 2.0
    xx = (f[..., 2:] - 2.0 * f[..., 1:-1] + f[..., :-2]) * per_x**2
    yy = (f[..., 2:, :] - 2.0 * f[..., 1:-1, :] + f[..., :-2, :]) * per_y**2
    xy = (f[..., 1:, 1:] - f[..., 1:, :-1] - f[..., :-1, 1:] + f[..., :-1, :-1]) * (per_x * per_y)
    per_channel = xx.square().mean() + 2.0 * xy.square().mean() + yy.square().mean()
    return 2.0 * per_channel

from __future__ import annotations

import math

import pytest
import torch

from coordgan_core.coords import canonical_grid
from coordgan_core.losses.geometry import fold_penalty, folded_share


def test_the_identity_does_not_fold() -> None:
    grid = canonical_grid(6, 9)[None]
    assert float(fold_penalty(grid)) == 0.0
    assert float(folded_share(grid)) == 0.0


def test_a_mirrored_map_folds_everywhere() -> None:
    grid = canonical_grid(6, 9)[None] * torch.tensor([-1.0, 1.0])[None, :, None, None]
    assert float(fold_penalty(grid, margin=0.05)) == pytest.approx(1.05, rel=1e-5)  # det = -1
    assert float(folded_share(grid)) == 1.0


def test_affine_maps_are_free() -> None:
    angle = 0.4
    turn = 0.7 * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    maps = torch.einsum("ij,jhw->ihw", turn, canonical_grid(8, 12))[None] + 0.1
    assert float(fold_penalty(maps)) == 0.0

"""Tensors in 8 bits: blocks of 256 numbers share one scale.

Differences and first moments are rounded to the nearest of 255 steps. Second moments are rounded up, on the
scale of their roots: one that became zero would make the optimiser's next step as long as it likes, one that
is too large makes it shorter for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 256
_CODES = "eight_bits"


def packed(tensor: Tensor, *, square: bool = False) -> dict[str, Any]:  # any shape, floating point
    """Return a tensor in 8 bits, for `unpacked`.

    Args:
        tensor: Finite numbers.
        square: They are means of squares, none below zero.
    """
    flat = tensor.detach().float().flatten()
    blocks = F.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    values = blocks.sqrt() if square else blocks
    scale = values.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    share = values / scale
    codes = (share * 255).ceil().to(torch.uint8) if square else (share * 127).round().to(torch.int8)
    return {
        _CODES: codes.flatten()[: len(flat)].clone(),
        "scale": scale.flatten(),
        "shape": list(tensor.shape),
        "square": square,
    }


def unpacked(value: Any) -> Any:
    """Return nested containers in which every tensor is float32 again that `packed` has made small."""
    if isinstance(value, Mapping):
        return _tensor(value) if _CODES in value else {name: unpacked(item) for name, item in value.items()}
    return [unpacked(item) for item in value] if isinstance(value, list) else value


def _tensor(value: Mapping[str, Any]) -> Tensor:
    codes = value[_CODES].float()
    blocks = F.pad(codes, (0, -len(codes) % BLOCK)).view(-1, BLOCK)
    share = blocks / (255.0 if value["square"] else 127.0)
    found = share * value["scale"][:, None]
    if value["square"]:
        found = found.square()
    return found.flatten()[: len(codes)].reshape(value["shape"])

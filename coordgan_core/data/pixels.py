"""Convert the application's ``uint8 [H, W, 3]`` to the networks' ``float32 [B, 3, H, W]`` and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordgan_core.data.images import resize
from coordgan_core.errors import ShapeError

__all__ = ["resize", "to_tensor", "to_uint8"]


def to_tensor(pixels: NDArray[np.uint8], device: torch.device | str | None = None) -> Tensor:
    """Convert ``uint8 [H, W, 3]`` or ``[B, H, W, 3]`` to ``float32 [B, 3, H, W]`` in [-1, 1].

    Raises:
        ShapeError: The array has another type or layout.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ShapeError(
            f"the image is {pixels.dtype} {list(pixels.shape)}",
            expected="uint8 [H, W, 3] or [B, H, W, 3]",
            remedy="read images with coordgan_core.data.images.read_image",
        )
    batch = pixels if pixels.ndim == 4 else pixels[None]
    # uint8 crosses to the device, a quarter of the bytes
    tensor = torch.from_numpy(np.ascontiguousarray(batch).copy()).to(device)
    return scale_to_unit(tensor.permute(0, 3, 1, 2))


def scale_to_unit(tensor: Tensor) -> Tensor:
    """Scale ``uint8`` values 0..255 to contiguous ``float32`` in [-1, 1]."""
    return tensor.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Convert ``[B, 3, H, W]`` in [-1, 1] (clipped) to ``uint8 [B, H, W, 3]``; undoes `to_tensor` exactly.

    Raises:
        ShapeError: The tensor has another layout.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"the images have shape {list(images.shape)}", expected="[B, 3, H, W]")
    scaled = images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    result: NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return result

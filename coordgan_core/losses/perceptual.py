"""What compares two images the way a person would: LPIPS where its weights are, else a loss that needs none.

Nothing is ever downloaded from here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from coordgan_core.errors import ConfigError
from coordgan_core.losses.structural import StructuralLoss

Kind = Literal["auto", "lpips", "structural", "embedding"]
Describe = Callable[[Tensor], Tensor]
"""Images ``[B, 3, H, W]`` -> descriptors of unit length ``[B, C, h, w]``."""

VGG_WEIGHTS = "vgg16-397923af.pth"
"""File of the backbone of LPIPS in the cache of torch.hub, under the name that torchvision gives it."""


class Perceptual(nn.Module):  # images, images -> scalar
    """A distance of images, mean over the batch; 0 for equal images. It is never trained.

    Args:
        kind: What it is: ``"lpips"``, ``"structural"`` or ``"embedding"``.
        reason: Why it was picked, one sentence for logs and cards.
        compare: Images ``[B, 3, H, W]`` in [-1, 1], twice, to a scalar or one number an image.
    """

    def __init__(self, kind: str, reason: str, compare: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.kind, self.reason, self._compare = kind, reason, compare
        if isinstance(compare, nn.Module):
            compare.eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare ``a`` with ``b``, float32 ``[B, 3, H, W]`` in [-1, 1]; gradients reach both."""
        return self._compare(a, b).mean()

    def train(self, mode: bool = True) -> Perceptual:  # noqa: ARG002
        """Stay in evaluation mode: LPIPS holds dropout, which is for fitting its weights alone."""
        return super().train(False)


def perceptual_loss(
    kind: Kind = "auto", *, embedding: Describe | None = None, device: torch.device | str = "cpu"
) -> Perceptual:
    """Return what compares two images; its ``kind`` and ``reason`` say what was picked.

    ``auto`` takes LPIPS (as published) if the package ``lpips`` and its weights are on this machine, else
    descriptors of the stage 0 embedding if there is one, else the weight-free structural loss.

    Args:
        kind: Which, or ``"auto"``.
        embedding: Descriptors of a trained stage 0 embedding.
        device: Where its weights go.

    Raises:
        ConfigError: What was asked for by name is not on this machine.
    """
    if kind == "auto":
        obstacle = lpips_obstacle()
        kind = "embedding" if embedding is not None else "structural"
        if obstacle is None:
            kind, reason = "lpips", "LPIPS and its weights are on this machine"
        elif kind == "embedding":
            reason = f"{obstacle}; the model's own embedding takes its place"
        else:
            reason = f"{obstacle}; the weight-free structural loss takes its place"
    else:
        reason = "the configuration asks for it"
    if kind == "lpips":
        return Perceptual(kind, reason, _load_lpips(device))
    if kind == "embedding":
        if embedding is None:
            raise ConfigError(
                "there is no embedding to compare images with",
                expected="a model with a trained stage 0 embedding",
                remedy="train the stage `embedding` first, or choose `perceptual = structural`",
            )
        return Perceptual(kind, reason, DescriptorDistance(embedding))
    return Perceptual(kind, reason, StructuralLoss())


class DescriptorDistance(nn.Module):  # images, images -> [B]
    """``1 - cos`` of the descriptors of two images at equal pixels, mean over pixels.

    Args:
        embedding: Images to unit descriptors. If it is a module it stays outside of this one's state.
    """

    def __init__(self, embedding: Describe) -> None:
        super().__init__()
        self._embedding = (embedding,)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Map images, twice, to one number an image ``[B]``."""
        describe = self._embedding[0]
        return 1.0 - (describe(a) * describe(b)).sum(dim=1).mean(dim=(1, 2))


def lpips_obstacle() -> str | None:
    """Say why LPIPS cannot be used on this machine without a download; None if it can."""
    for package in ("lpips", "torchvision"):
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / VGG_WEIGHTS
    if not weights.is_file():
        return f"the weights of LPIPS ({VGG_WEIGHTS}) are not on this machine"
    return None


def _load_lpips(device: torch.device | str) -> nn.Module:
    obstacle = lpips_obstacle()
    if obstacle is not None:
        raise ConfigError(
            f"LPIPS cannot be used: {obstacle}",
            expected="the package `lpips` and its VGG-16 weights in the cache of torch.hub",
            remedy="install the extra `lpips` and build `lpips.LPIPS(net='vgg')` once with a network; or "
            "choose `perceptual = structural`",
        )
    import lpips

    network: nn.Module = lpips.LPIPS(net="vgg", verbose=False)
    return network.to(device)

"""A vision transformer for the published weights of DINOv2 (Oquab et al. 2023), which the user brings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from coordgan_core.errors import ModelError

HEAD_DIM = 64
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures that it was trained on, RGB, 0 to 1."""


class VisionTransformer(nn.Module):  # images -> patch features
    """Pre-norm transformer over patches with a class token, perhaps registers, and layer scale.

    Args:
        dim: Width, a multiple of 64.
        depth: Blocks.
        patch: Side of a patch in pixels.
        tokens: Positions in the table of positions, the class token's included.
        registers: Register tokens.
    """

    def __init__(self, *, dim: int, depth: int, patch: int, tokens: int, registers: int) -> None:
        super().__init__()
        self.patch = patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, dim)) if registers else None
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.blocks = nn.ModuleList(_Block(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[B, 3, H, W]`` in [-1, 1] to features ``[B, D, H / patch, W / patch]``."""
        mean, deviation = (torch.tensor(v, device=images.device)[:, None, None] for v in (MEAN, DEVIATION))
        x = self.patch_embed["proj"](((images + 1.0) / 2.0 - mean) / deviation)
        B, D, h, w = x.shape
        positions = self._positions(h, w)
        x = x.flatten(2).mT + positions[:, 1:]
        ahead = [self.cls_token + positions[:, :1]]
        if self.register_tokens is not None:
            ahead.append(self.register_tokens)
        x = torch.cat([*(part.expand(B, -1, -1) for part in ahead), x], dim=1)
        for block in self.blocks:
            x = block(x)
        patches: Tensor = self.norm(x)[:, -h * w :].mT
        return patches.reshape(B, D, h, w)

    def _positions(self, h: int, w: int) -> Tensor:
        """Return the table of positions, stretched to a grid of patches, ``[1, 1 + h w, D]``."""
        table = self.pos_embed
        side = round((table.shape[1] - 1) ** 0.5)
        grid = table[:, 1:].mT.reshape(1, -1, side, side)
        grid = F.interpolate(grid, size=(h, w), mode="bicubic", align_corners=False)
        return torch.cat([table[:, :1], grid.flatten(2).mT], dim=1)


class _Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.ones(dim)}) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        B, N, D = x.shape
        heads = self.attn["qkv"](self.norm1(x)).reshape(B, N, 3, D // HEAD_DIM, HEAD_DIM)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, D)
        x = x + self.ls1["gamma"] * self.attn["proj"](mixed)
        hidden = F.gelu(self.mlp["fc1"](self.norm2(x)))
        out: Tensor = x + self.ls2["gamma"] * self.mlp["fc2"](hidden)
        return out


def load_dinov2(path: Path) -> VisionTransformer:
    """Load the published weights of DINOv2 (ViT-S, -B or -L, with or without registers).

    Args:
        path: ``.pth`` as published, or ``.safetensors`` with the same names.

    Raises:
        ModelError: The file cannot be read, or holds something else.
    """
    weights = dict(_read(path))
    weights.pop("mask_token", None)
    try:
        depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        dim, _, patch, _ = weights["patch_embed.proj.weight"].shape
        registers = weights.get("register_tokens")
        network = VisionTransformer(
            dim=dim,
            depth=depth,
            patch=patch,
            tokens=weights["pos_embed"].shape[1],
            registers=0 if registers is None else registers.shape[1],
        )
        network.load_state_dict(weights)
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise _not_dinov2(path, str(error).splitlines()[0]) from error
    return network.eval().requires_grad_(False)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything for damaged bytes
        raise _not_dinov2(path, (str(error).splitlines() or [type(error).__name__])[0]) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise _not_dinov2(path, "it holds no table of tensors")
    return found


def _not_dinov2(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} cannot be used as weights of DINOv2 ({why})",
        expected="the published ViT-S, ViT-B or ViT-L with patches of 14 pixels: dinov2_vits14_pretrain.pth",
        remedy="give the file as its authors publish it, or leave the peer dinov2 out",
    )

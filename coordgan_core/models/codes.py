"""Latent codes: where things are (structure) and how they look (texture)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Codes:
    """Structure and texture of a batch of images.

    Args:
        structure: ``float32 [B, D]``, in W space; decides the correspondence map.
        texture: ``float32 [B, L, D]``, in W+ space: one vector a layer of the generator.
        maps: Correspondence maps ``float32 [B, 2, h, w]`` of real images that are known better than by their
            structure code; renders follow them. None: the structure code decides alone, as published.
    """

    structure: Tensor
    texture: Tensor
    maps: Tensor | None = None

    def __len__(self) -> int:
        return self.structure.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Codes:
        """Return the codes of some images, as an index of the batch axis selects them."""
        return Codes(
            self.structure[index], self.texture[index], None if self.maps is None else self.maps[index]
        )

    def detach(self) -> Codes:
        """Return the same codes without their history."""
        maps = None if self.maps is None else self.maps.detach()
        return Codes(self.structure.detach(), self.texture.detach(), maps)

    def paired(self, textures: Codes) -> Codes:
        """Pair every structure with every texture of ``textures``: S x T codes, structure by structure."""
        S, T = len(self), len(textures)
        maps = None if self.maps is None else self.maps.repeat_interleave(T, dim=0)
        return Codes(self.structure.repeat_interleave(T, dim=0), textures.texture.repeat(S, 1, 1), maps)

    @staticmethod
    def cat(parts: list[Codes]) -> Codes:
        """Join batches of codes into one."""
        known = [p.maps for p in parts if p.maps is not None]
        maps = torch.cat(known) if len(known) == len(parts) else None
        return Codes(torch.cat([p.structure for p in parts]), torch.cat([p.texture for p in parts]), maps)

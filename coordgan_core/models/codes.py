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
    """

    structure: Tensor
    texture: Tensor

    def __len__(self) -> int:
        return self.structure.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Codes:
        """Return the codes of some images, as an index of the batch axis selects them."""
        return Codes(self.structure[index], self.texture[index])

    def detach(self) -> Codes:
        """Return the same codes without their history."""
        return Codes(self.structure.detach(), self.texture.detach())

    @staticmethod
    def cat(parts: list[Codes]) -> Codes:
        """Join batches of codes into one."""
        return Codes(torch.cat([p.structure for p in parts]), torch.cat([p.texture for p in parts]))

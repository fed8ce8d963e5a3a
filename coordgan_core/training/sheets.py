"""Sample sheets: one picture that shows what a model can do so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.coords import resize_map
from coordgan_core.data.sampler import generator
from coordgan_core.models.codes import Codes
from coordgan_core.pictures import colour_map, write_png
from coordgan_core.swap import sheet, texture_swap

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN

_GAP_PX = 8
_SWAPS = 4  # structures and textures of the swap grid


@torch.no_grad()
def sample_sheet(model: CoordGAN, images: Tensor, *, stage: str) -> Tensor:
    """Draw what ``model`` does with ``images``, as far as its stage has got.

    From top to bottom: images; correspondence maps in colour; reconstructions; a grid in which
    a row has one structure and a column one texture. While stage ``"gan"`` trains, the grid shows generated
    images.

    Args:
        model: The model, in evaluation mode.
        images: ``[N, 3, R, R]`` in [-1, 1], on the model's device.
        stage: Name of the stage that the model comes from.

    Returns:
        ``float32 [3, height, width]`` in [-1, 1].
    """
    encodes = stage in ("joint", "encoder") and model.encoder is not None
    blocks = []
    if encodes or model.embedding is not None:
        rows = [images, _coloured(model.correspondence(images).map, images)]
        if encodes:
            rows.append(_resized(model.render(model.encode(images)), images))
        blocks.append(sheet(torch.stack(rows)))
    if encodes:
        few = images[:_SWAPS]
        grid = texture_swap(model, few, few)
        blocks.append(sheet(grid, rows=_resized(few, grid[0]), columns=_resized(few, grid[0])))
    elif stage == "gan":
        codes = _drawn(model, images.device)
        grid = texture_swap(model, codes, codes)
        blocks.append(sheet(grid, rows=_coloured(model.generator.warp(codes.structure), grid[0])))
    return _stacked(blocks or [sheet(images[None])])


def write_sheet(path: Path, model: CoordGAN, images: Tensor, *, stage: str) -> None:
    """Write the sample sheet of a model as PNG; see `sample_sheet`."""
    write_png(path, sample_sheet(model, images, stage=stage).cpu())


def _drawn(model: CoordGAN, device: torch.device) -> Codes:
    width = model.config.mapping.code_dim
    latents = torch.randn(2, _SWAPS, width, generator=generator(0, "sheet", 0)).to(device)
    return Codes(model.generator.map_structure(latents[0]), model.generator.map_texture(latents[1]))


def _coloured(correspondence: Tensor, like: Tensor) -> Tensor:
    return colour_map(resize_map(correspondence.float(), *like.shape[-2:]))


def _resized(images: Tensor, like: Tensor) -> Tensor:
    if images.shape[-2:] == like.shape[-2:]:
        return images
    return F.interpolate(images, like.shape[-2:], mode="bilinear")


def _stacked(blocks: list[Tensor]) -> Tensor:
    width = max(block.shape[2] for block in blocks)
    height = sum(block.shape[1] for block in blocks) + _GAP_PX * (len(blocks) - 1)
    page = blocks[0].new_ones(3, height, width)
    top = 0
    for block in blocks:
        page[:, top : top + block.shape[1], : block.shape[2]] = block
        top += block.shape[1] + _GAP_PX
    return page

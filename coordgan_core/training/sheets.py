"""Sample sheets: pictures that show what a model can do so far."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.coords import resize_map
from coordgan_core.data.sampler import generator
from coordgan_core.models.codes import Codes
from coordgan_core.pictures import colour_map, write_png
from coordgan_core.swap import sheet, structure_swap, texture_swap

if TYPE_CHECKING:
    from coordgan_core.models.coordgan import CoordGAN
    from coordgan_core.propagation import Reference

Kind = Literal["reconstruction", "maps", "texture", "structure", "labels"]
KINDS: tuple[Kind, ...] = ("reconstruction", "maps", "texture", "structure", "labels")
"""Sheets of one kind, beside the page that shows all of them."""

_GAP_PX = 8
_SWAPS = 4  # structures and textures of the swap grid
_LABELS_PX = 160  # side of a picture on the sheet of labels
_STRIP_PX, _STRIP_IMAGES = 64, 6


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


@torch.no_grad()
def sheets_of_a_kind(model: CoordGAN, images: Tensor, *, stage: str) -> dict[Kind, Tensor]:
    """Draw one sheet for each thing that a model can do in this stage; arguments as of `sample_sheet`.

    ``reconstruction``: images above what becomes of them. ``maps``: images above their correspondence maps
    in colour. ``texture``: a row has one structure, a column one texture. ``structure``: a row has one
    texture, a column one structure. While stage ``"gan"`` trains, all show generated images.
    """
    found: dict[Kind, Tensor] = {}
    encodes = stage in ("joint", "encoder") and model.encoder is not None
    if encodes or model.embedding is not None:
        found["maps"] = sheet(torch.stack([images, _coloured(model.correspondence(images).map, images)]))
    if encodes:
        found["reconstruction"] = sheet(
            torch.stack([images, _resized(model.render(model.encode(images)), images)])
        )
        few = images[:_SWAPS]
        grid = texture_swap(model, few, few)
        heads = _resized(few, grid[0])
        found["texture"] = sheet(grid, rows=heads, columns=heads)
        found["structure"] = sheet(structure_swap(model, few, few), rows=heads, columns=heads)
    elif stage == "gan":
        codes = _drawn(model, images.device)
        grid = texture_swap(model, codes, codes)
        heads = _coloured(model.generator.warp(codes.structure), grid[0])
        found["maps"] = sheet(torch.stack([grid.diagonal(dim1=0, dim2=1).movedim(-1, 0), heads]))
        found["texture"] = sheet(grid, rows=heads)
        found["structure"] = sheet(structure_swap(model, codes, codes), columns=heads)
    return found


def labels_sheet(examples: Sequence[Reference]) -> Tensor:
    """Draw images above the same with their labels: the reference first, then where they were carried to.

    Returns:
        ``float32 [3, height, width]`` in [-1, 1].
    """
    from coordgan_core.data.images import resize
    from coordgan_core.data.pixels import to_tensor
    from coordgan_core.labels import resize_labels
    from coordgan_core.palette import default_palette
    from coordgan_core.sheet import overlay

    palette = default_palette()
    above, below = [], []
    for example in examples:
        height, width = example.labels.shape
        scale = _LABELS_PX / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = resize(example.image, *size)
        above.append(_centred(image))
        below.append(_centred(overlay(image, resize_labels(example.labels, *size), palette)))
    return sheet(torch.stack([to_tensor(np.stack(above)), to_tensor(np.stack(below))]))


@torch.no_grad()
def sample_strip(model: CoordGAN, images: Tensor, *, stage: str) -> str:
    """Return the strip for a model's card: images above their maps, PNG in base64.

    It shows training images: `coordlabel models export --no-strip` leaves it out.
    """
    from PIL import Image

    from coordgan_core.data.pixels import to_uint8

    few = images[:_STRIP_IMAGES]
    small = F.interpolate(few, (_STRIP_PX, _STRIP_PX), mode="bilinear", antialias=True).clamp(-1, 1)
    rows = [small]
    if stage != "gan" or model.embedding is not None:
        rows.append(_coloured(model.correspondence(few).map, small))
    pixels = to_uint8(sheet(torch.stack(rows)).cpu()[None])[0]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _centred(
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    page = np.full((_LABELS_PX, _LABELS_PX, 3), 255, np.uint8)
    top, left = ((_LABELS_PX - image.shape[axis]) // 2 for axis in (0, 1))
    page[top : top + image.shape[0], left : left + image.shape[1]] = image
    return page


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

"""Which images a training step sees: a pure function of (seed, images seen), on however many devices."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordgan_core.data.images import Box, list_images
from coordgan_core.data.pixels import scale_to_unit
from coordgan_core.data.store import Crop, decode_images
from coordgan_core.devices import sent
from coordgan_core.errors import ConfigError, DataError, ShapeError


class SharedGenerator(torch.Generator):
    """A generator of which each process takes its share of the draws for a batch: rows ``rank`` of ``world``.

    `shared_rows` draws with it: for the whole batch in every process, so that an image meets the same draws
    however many processes there are.
    """

    rank: int = 0
    world: int = 1


def generator(
    seed: int,
    stream: str,
    nimg: int,
    device: torch.device | str = "cpu",
    *,
    rank: int = 0,
    world: int = 1,
) -> SharedGenerator:
    """Return a generator for the draws called ``stream`` at ``nimg`` images seen.

    Its seed is a hash of all three, so that streams and steps are independent, and the same in every
    process and on every platform. (Draws on "cuda" differ from draws on "cpu".)
    """
    digest = hashlib.sha256(f"{seed}/{stream}/{nimg}".encode()).digest()
    made = SharedGenerator(device)
    made.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    made.rank, made.world = rank, world
    return made


def shared_rows(
    draw: Callable[[int], Tensor], rows: int, source: torch.Generator | None
) -> Tensor:  # [rows, ...]
    """Call ``draw(count)`` for the rows of all processes and return the ``rows`` of this one."""
    if not isinstance(source, SharedGenerator) or source.world == 1:
        return draw(rows)
    return draw(rows * source.world)[source.rank * rows : (source.rank + 1) * rows]


class ImageSource:
    """All training images, decoded once to one size and kept as ``uint8``.

    Args:
        store: ``uint8 [N, 3, R, R]``, in memory or memory-mapped.
        paths: Where each came from; made-up names if None.
        skipped: Files that were left out, with the reason.

    Example:
        >>> source = ImageSource.from_folder(Path("photos"), 64)  # doctest: +SKIP
        >>> images = source.batch(nimg=0, batch=16, seed=0)  # doctest: +SKIP
    """

    def __init__(
        self,
        store: NDArray[np.uint8],
        *,
        paths: Sequence[Path] | None = None,
        skipped: Sequence[tuple[Path, str]] = (),
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        if store.dtype != np.uint8 or store.ndim != 4 or store.shape[1] != 3:
            raise ShapeError(
                f"the images are {store.dtype} {list(store.shape)}", expected="uint8 [N, 3, R, R]"
            )
        self._store = store
        self._rows = np.arange(len(store)) if rows is None else rows
        if len(self._rows) == 0:
            raise DataError("there are no images to train on", expected="at least one readable image")
        self.paths = tuple(paths) if paths is not None else tuple(Path(str(i)) for i in range(len(self)))
        self.skipped = tuple(skipped)
        self._order: tuple[tuple[int, int], NDArray[np.int64], NDArray[np.bool_]] | None = None
        self._preloaded: Tensor | None = None

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        resolution: int,
        *,
        recursive: bool = True,
        cache: Path | None = None,
        crop: Crop = "whole",
        on_skip: Callable[[Path, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ImageSource:
        """Decode every image of a folder; see `from_paths` for the other arguments.

        Args:
            folder: The images.
            resolution: Side R to which they are resized, in pixels.
            recursive: Whether sub-folders count.
            cache: Folder that keeps the decoded images, None to keep them in memory.
            crop: ``"whole"`` or ``"centre"``.
            on_skip: Called with each file that is left out and the reason.
            progress: Called with (images done, images in all).

        Raises:
            DataError: The folder is not there or holds no readable image.
        """
        paths = list_images(folder, recursive)
        if not paths:
            raise DataError(
                f"{folder} holds no images",
                expected="JPEG, PNG, TIFF, WebP, BMP or GIF files",
                remedy="choose another folder, or include sub-folders",
            )
        return cls.from_paths(paths, resolution, cache=cache, crop=crop, on_skip=on_skip, progress=progress)

    @classmethod
    def from_paths(
        cls,
        paths: Sequence[Path],
        resolution: int,
        *,
        boxes: Sequence[Box | None] | None = None,
        cache: Path | None = None,
        crop: Crop = "whole",
        on_skip: Callable[[Path, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ImageSource:
        """Decode images; unreadable ones are left out and reported.

        Args:
            paths: The files.
            resolution: Side R to which they are resized, in pixels.
            boxes: What to cut out of each, in pixels of the upright image.
            cache: Folder that keeps the decoded images as a memory map, found again while no file's name,
                size or time changes. Without one they stay in memory.
            crop: ``"whole"`` squeezes the image into the square, as published; ``"centre"`` cuts the largest
                square.
            on_skip: Called with each file that is left out and the reason.
            progress: Called with (images done, images in all).

        Raises:
            DataError: None of them can be read.
        """
        decoded = decode_images(
            paths, resolution, boxes=boxes, cache=cache, crop=crop, on_skip=on_skip, progress=progress
        )
        return cls(decoded.store, paths=decoded.paths, skipped=decoded.skipped, rows=decoded.rows)

    @classmethod
    def from_images(cls, images: NDArray[np.uint8]) -> ImageSource:
        """Take images ``uint8 [N, R, R, 3]`` that are in memory already."""
        return cls(np.ascontiguousarray(np.moveaxis(images, -1, 1)))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return int(self._store.shape[-1])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the decoded images, in order; what they are called does not matter."""
        digest = hashlib.sha256(str(self.resolution).encode())
        for row in self._rows:
            digest.update(np.ascontiguousarray(self._store[row]).data)
        return digest.hexdigest()

    def preload(self, device: torch.device | str) -> None:
        """Copy all images to a device once (N x 3 x R x R bytes), so that batches cost no transfer."""
        self._preloaded = torch.from_numpy(np.ascontiguousarray(self._store[self._rows])).to(device)

    def images(
        self, indices: Sequence[int] | NDArray[np.int64], device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return chosen images as ``float32 [len(indices), 3, R, R]`` in [-1, 1]."""
        chosen = np.asarray(indices, dtype=np.int64)
        target = torch.device(device)
        here = self._preloaded
        if here is not None and here.device.type == target.type and target.index in (None, here.device.index):
            return scale_to_unit(here[sent(torch.from_numpy(chosen), here.device)])
        return scale_to_unit(sent(torch.from_numpy(self._store[self._rows[chosen]]), target))

    def batch(
        self,
        nimg: int,
        batch: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        mirror: bool = False,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Return the images of the step that starts at ``nimg``, ``float32 [batch / world, 3, R, R]``.

        Every image is seen once an epoch, in an order of its own each epoch. The ranks' parts, put one
        behind the other, are the batch of a single process.

        Args:
            nimg: Images seen before this step, over all devices.
            batch: Images of the step, over all devices.
            seed: Seed of the orders.
            rank: This process, from 0.
            world: Number of processes.
            mirror: Flip each image left to right at random, once an epoch.
            device: Where the images go.

        Raises:
            ConfigError: ``batch`` cannot be divided by ``world``.
        """
        if batch % world or not 0 <= rank < world:
            raise ConfigError(
                f"a batch of {batch} images is to be shared by process {rank} of {world}",
                expected="a batch that the number of processes divides",
                remedy=f"choose a batch that is a multiple of {world}",
            )
        share = batch // world
        positions = nimg + rank * share + np.arange(share)
        rows, flips = self._draw(positions, seed)
        images = self.images(rows, device)
        if mirror and flips.any():
            chosen = sent(torch.from_numpy(flips), images.device)[:, None, None, None]
            images = torch.where(chosen, images.flip(-1), images)
        return images

    def _draw(self, positions: NDArray[Any], seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        epochs, slots = np.divmod(positions, len(self))
        rows = np.empty(len(positions), dtype=np.int64)
        flips = np.empty(len(positions), dtype=np.bool_)
        for epoch in np.unique(epochs):
            order, flipped = self._epoch(seed, int(epoch))
            here = epochs == epoch
            rows[here], flips[here] = order[slots[here]], flipped[slots[here]]
        return rows, flips

    def _epoch(self, seed: int, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        if self._order is None or self._order[0] != (
            seed,
            epoch,
        ):  # the last epoch's order is kept, only to save time
            draws = generator(seed, "epoch", epoch)
            order = torch.randperm(len(self), generator=draws).numpy()
            flipped = (torch.rand(len(self), generator=draws) < 0.5).numpy()
            self._order = ((seed, epoch), order, flipped)
        return self._order[1], self._order[2]

"""Decode images once, to one size, into memory or into a memory-mapped cache on disk."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coordgan_core.data.images import Box, image_size, read_reduced, resize
from coordgan_core.errors import DataError, DiskFullError, ImageError

Crop = Literal["whole", "centre"]
_CACHE_VERSION = 1
_CHUNK = 256  # images between two reports of progress at most, and the most that are in flight


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images and where they came from.

    Attributes:
        store: ``uint8 [M, 3, R, R]``; rows of unreadable files hold zeros.
        rows: Rows of the readable ones, in the order of ``paths``.
        paths: Their files, in natural order.
        skipped: The other files, each with the reason.
    """

    store: NDArray[np.uint8]
    rows: NDArray[np.int64]
    paths: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]


def decode_images(
    paths: Sequence[Path],
    resolution: int,
    *,
    boxes: Sequence[Box | None] | None = None,
    cache: Path | None = None,
    crop: Crop = "whole",
    on_skip: Callable[[Path, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DecodedImages:
    """Decode images to one size; see `ImageSource.from_paths` for the arguments.

    Raises:
        DataError: None of them can be read.
        DiskFullError: The cache cannot be written.
    """
    job = _Job(tuple(paths), tuple(boxes or [None] * len(paths)), resolution, crop)
    if cache is None:
        store = np.zeros(job.shape, np.uint8)
        return _sorted_out(job, store, _decode(job, store, on_skip, progress))
    key = _cache_key(job)
    found = _open_cache(cache, key)
    if found is None:
        _write_cache(cache, key, job, progress)
        found = _open_cache(cache, key)
    if found is None:
        raise DataError(f"the image cache in {cache} vanished while in use", remedy="start again")
    store, reasons = found
    for index, reason in sorted(reasons.items()):
        if on_skip is not None:
            on_skip(paths[index], reason)
    if progress is not None:
        progress(len(paths), len(paths))
    return _sorted_out(job, store, reasons)


@dataclass(frozen=True)
class _Job:
    """What is to be decoded, and how."""

    paths: tuple[Path, ...]
    boxes: tuple[Box | None, ...]
    resolution: int
    crop: Crop

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.paths), 3, self.resolution, self.resolution


def _sorted_out(job: _Job, store: NDArray[np.uint8], reasons: dict[int, str]) -> DecodedImages:
    paths = job.paths
    kept = [index for index in range(len(paths)) if index not in reasons]
    if paths and not kept:
        raise DataError(
            f"none of the {len(paths)} images can be read; the first: {reasons[0]}",
            expected="at least one readable image",
            remedy="check that the files are complete",
        )
    skipped = tuple((paths[index], reason) for index, reason in sorted(reasons.items()))
    return DecodedImages(store, np.array(kept, np.int64), tuple(paths[i] for i in kept), skipped)


def _decode(
    job: _Job,
    store: NDArray[np.uint8],
    on_skip: Callable[[Path, str], None] | None,
    progress: Callable[[int, int], None] | None,
) -> dict[int, str]:
    """Fill the store; return the reasons of the files that could not be read."""
    reasons: dict[int, str] = {}
    paths, done = job.paths, 0
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for chunk in _chunks(len(paths)):
            decoded = pool.map(lambda index: _decode_one(job, store, index), chunk)
            for index, reason in zip(chunk, decoded, strict=True):
                if reason is not None:
                    reasons[index] = reason
                    if on_skip is not None:
                        on_skip(paths[index], reason)
            done += len(chunk)
            if progress is not None:
                progress(done, len(paths))
    return reasons


def _chunks(count: int) -> Iterator[range]:
    for start in range(0, count, _CHUNK):
        yield range(start, min(start + _CHUNK, count))


def _decode_one(job: _Job, store: NDArray[np.uint8], index: int) -> str | None:
    try:
        pixels = read_square(job.paths[index], job.resolution, job.crop, job.boxes[index])
        store[index] = np.moveaxis(pixels, -1, 0)
    except ImageError as error:
        return str(error)
    return None


def read_square(
    path: Path, resolution: int, crop: Crop = "whole", box: Box | None = None
) -> NDArray[np.uint8]:
    """Read an image as ``uint8 [resolution, resolution, 3]``: squeezed whole, or its largest centred square.

    Args:
        path: The file.
        resolution: Side of the result in pixels.
        crop: What to do with images that are not square.
        box: Part to cut out first, ``(left, top, right, bottom)`` in pixels of the upright image.

    Raises:
        ImageError: The file is not a readable image.
    """
    # twice the size, so that the area average and not the JPEG decoder does the last halving
    wanted = 2 * resolution
    pixels = _cut(path, box, wanted) if box else read_reduced(path, width=wanted, height=wanted)
    if crop == "centre":
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    return resize(np.ascontiguousarray(pixels), resolution, resolution)


def _cut(path: Path, box: Box, wanted: int) -> NDArray[np.uint8]:
    width, height = image_size(path)
    left, right = (min(max(v, 0), width) for v in (box[0], box[2]))
    top, bottom = (min(max(v, 0), height) for v in (box[1], box[3]))
    if right <= left or bottom <= top:
        raise ImageError(
            f"{path} is to be cut at {box}",
            expected=f"a box inside its {width} x {height} pixels",
            remedy="correct the boxes, or use the whole images",
        )
    least = (-(-wanted * width // (right - left)), -(-wanted * height // (bottom - top)))
    pixels = read_reduced(path, width=least[0], height=least[1])
    x, y = pixels.shape[1] / width, pixels.shape[0] / height  # the decoder may have shrunk it
    rows = slice(int(top * y), max(int(top * y) + 1, round(bottom * y)))
    return pixels[rows, int(left * x) : max(int(left * x) + 1, round(right * x))]


def _cache_key(job: _Job) -> str:
    digest = hashlib.sha256(f"{_CACHE_VERSION}/{job.resolution}/{job.crop}".encode())
    root = Path(os.path.commonpath([path.parent for path in job.paths]))
    for path, box in zip(job.paths, job.boxes, strict=True):
        try:
            info = path.stat()
            state = f"{info.st_size}\t{info.st_mtime_ns}"
        except OSError:  # gone since it was listed: decoding will report it
            state = "gone"
        digest.update(f"\n{path.relative_to(root).as_posix()}\t{state}\t{box}".encode())
    return digest.hexdigest()[:24]


def _open_cache(cache: Path, key: str) -> tuple[NDArray[np.uint8], dict[int, str]] | None:
    try:
        listing: dict[str, Any] = json.loads((cache / f"{key}.json").read_text(encoding="utf-8"))
        store = np.load(cache / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        return store, {int(index): str(reason) for index, reason in listing["unreadable"].items()}
    except (OSError, ValueError, KeyError):  # absent, or cut off by an earlier crash: decode again
        return None


def _write_cache(
    cache: Path,
    key: str,
    job: _Job,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Decode into temporary files and move them into place, so that a crash leaves no half cache."""
    array, listing = cache / f"{key}.{os.getpid()}.npy.tmp", cache / f"{key}.{os.getpid()}.json.tmp"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        store = np.lib.format.open_memmap(array, mode="w+", dtype=np.uint8, shape=job.shape)
        reasons = _decode(job, store, None, progress)
        store.flush()
        listing.write_text(json.dumps({"unreadable": reasons}), encoding="utf-8")
        array.replace(cache / f"{key}.npy")
        listing.replace(cache / f"{key}.json")
    except OSError as error:
        raise DiskFullError(
            f"the decoded images cannot be kept in {cache} ({error.strerror})",
            expected=f"{math.prod(job.shape) / 1e6:.0f} MB of free space",
            remedy="free some space, or train without an image cache",
        ) from error
    finally:
        array.unlink(missing_ok=True)
        listing.unlink(missing_ok=True)

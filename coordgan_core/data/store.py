"""Decode a folder of images once, to one size, into memory or into a memory-mapped cache on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coordgan_core.data.images import list_images, read_reduced, resize
from coordgan_core.errors import DataError, DiskFullError, ImageError

Crop = Literal["whole", "centre"]
_CACHE_VERSION = 1
_CHUNK = 256  # images between two reports of progress at most, and the most that are in flight


@dataclass(frozen=True)
class DecodedFolder:
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


def decode_folder(
    folder: Path,
    resolution: int,
    *,
    recursive: bool = True,
    cache: Path | None = None,
    crop: Crop = "whole",
    on_skip: Callable[[Path, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DecodedFolder:
    """Decode every image of a folder; see `ImageSource.from_folder` for the arguments.

    Raises:
        DataError: The folder is not there or holds no readable image.
        DiskFullError: The cache cannot be written.
    """
    paths = list_images(folder, recursive)
    if not paths:
        raise DataError(
            f"{folder} holds no images",
            expected="JPEG, PNG, TIFF, WebP, BMP or GIF files",
            remedy="choose another folder, or include sub-folders",
        )
    if cache is None:
        store = np.zeros((len(paths), 3, resolution, resolution), np.uint8)
        reasons = _decode(paths, store, crop, on_skip, progress)
        return _sorted_out(folder, paths, store, reasons)
    key = _cache_key(folder, paths, resolution, crop)
    found = _open_cache(cache, key)
    if found is None:
        _write_cache(cache, key, paths, resolution, crop, progress)
        found = _open_cache(cache, key)
    if found is None:
        raise DataError(f"the image cache in {cache} vanished while in use", remedy="start again")
    store, reasons = found
    for index, reason in sorted(reasons.items()):
        if on_skip is not None:
            on_skip(paths[index], reason)
    if progress is not None:
        progress(len(paths), len(paths))
    return _sorted_out(folder, paths, store, reasons)


def _sorted_out(
    folder: Path, paths: Sequence[Path], store: NDArray[np.uint8], reasons: dict[int, str]
) -> DecodedFolder:
    kept = [index for index in range(len(paths)) if index not in reasons]
    if not kept:
        raise DataError(
            f"none of the {len(paths)} images of {folder} can be read; the first: {reasons[0]}",
            expected="at least one readable image",
            remedy="check that the files are complete",
        )
    skipped = tuple((paths[index], reason) for index, reason in sorted(reasons.items()))
    return DecodedFolder(store, np.array(kept, np.int64), tuple(paths[i] for i in kept), skipped)


def _decode(
    paths: Sequence[Path],
    store: NDArray[np.uint8],
    crop: Crop,
    on_skip: Callable[[Path, str], None] | None,
    progress: Callable[[int, int], None] | None,
) -> dict[int, str]:
    """Fill the store; return the reasons of the files that could not be read."""
    reasons: dict[int, str] = {}
    done = 0
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for chunk in _chunks(len(paths)):
            decoded = pool.map(lambda index: _decode_one(paths[index], store, index, crop), chunk)
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


def _decode_one(path: Path, store: NDArray[np.uint8], index: int, crop: Crop) -> str | None:
    try:
        store[index] = np.moveaxis(read_square(path, store.shape[-1], crop), -1, 0)
    except ImageError as error:
        return str(error)
    return None


def read_square(path: Path, resolution: int, crop: Crop = "whole") -> NDArray[np.uint8]:
    """Read an image as ``uint8 [resolution, resolution, 3]``: squeezed whole, or its largest centred square.

    Raises:
        ImageError: The file is not a readable image.
    """
    # twice the size, so that the area average and not the JPEG decoder does the last halving
    pixels = read_reduced(path, width=2 * resolution, height=2 * resolution)
    if crop == "centre":
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    return resize(np.ascontiguousarray(pixels), resolution, resolution)


def _cache_key(folder: Path, paths: Sequence[Path], resolution: int, crop: Crop) -> str:
    digest = hashlib.sha256(f"{_CACHE_VERSION}/{resolution}/{crop}".encode())
    for path in paths:
        info = path.stat()
        digest.update(f"\n{path.relative_to(folder).as_posix()}\t{info.st_size}\t{info.st_mtime_ns}".encode())
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
    paths: Sequence[Path],
    resolution: int,
    crop: Crop,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Decode into temporary files and move them into place, so that a crash leaves no half cache."""
    array, listing = cache / f"{key}.{os.getpid()}.npy.tmp", cache / f"{key}.{os.getpid()}.json.tmp"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        store = np.lib.format.open_memmap(
            array, mode="w+", dtype=np.uint8, shape=(len(paths), 3, resolution, resolution)
        )
        reasons = _decode(paths, store, crop, None, progress)
        store.flush()
        listing.write_text(json.dumps({"unreadable": reasons}), encoding="utf-8")
        array.replace(cache / f"{key}.npy")
        listing.replace(cache / f"{key}.json")
    except OSError as error:
        raise DiskFullError(
            f"the decoded images cannot be kept in {cache} ({error.strerror})",
            expected=f"{len(paths) * 3 * resolution**2 / 1e6:.0f} MB of free space",
            remedy="free some space, or train without an image cache",
        ) from error
    finally:
        array.unlink(missing_ok=True)
        listing.unlink(missing_ok=True)

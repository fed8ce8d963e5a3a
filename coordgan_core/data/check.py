"""The data check: what is in a folder, and whether a model can be trained on it. Loads no PyTorch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordgan_core.config import CropConfig
from coordgan_core.data import alignment, crop, hashing
from coordgan_core.data.advice import advise, best_preset, explain_alignment
from coordgan_core.data.images import Box, image_size, list_images
from coordgan_core.data.store import Crop, read_square
from coordgan_core.errors import ConfigError, CoordError
from coordgan_core.reports import DataReport

LEAST_IMAGES = 4
"""Below, there is nothing to learn from."""

_CHUNK = 64
_ALIGNED_SAMPLE = 400  # images whose layouts are compared
_SIZES = 20  # that are listed
_SHEET_IMAGES, _SHEET_COLUMNS, _SHEET_PX = 48, 8, 96


@dataclass(frozen=True)
class Checking:
    """So many images are looked at."""

    done: int
    total: int


@dataclass(frozen=True)
class _Seen:
    """What is kept of one image."""

    size: tuple[int, int]
    digest: NDArray[np.uint64] | None
    layout: NDArray[np.float32] | None
    small: NDArray[np.uint8] | None


def check_images(
    folder: str | Path,
    *,
    recursive: bool = True,
    cropping: CropConfig | None = None,
    labels: str | Path | None = None,
    resolution: int = 64,
    contact_sheet: Path | None = None,
    gpu: bool = False,
) -> Iterator[Checking | DataReport]:
    """Look at every image of a folder; yield progress, and the report last.

    Args:
        folder: The images.
        recursive: Whether sub-folders count.
        cropping: What the networks will see of them; alignment and contact sheet are of that.
        labels: Folder of label maps, for cropping to labels.
        resolution: Side of what the networks will see: smaller images are advised against.
        contact_sheet: PNG to write.
        gpu: Whether there is a graphics card to train on, which larger presets need.

    Raises:
        DataError: The folder is not there or cannot be read, or there are no labels to crop to.
        DiskFullError: The contact sheet cannot be written.
    """
    folder, cropping = Path(folder), cropping or CropConfig()
    paths = list_images(folder, recursive)
    boxes = _boxes(folder, paths, cropping, labels)
    cut: Crop = "centre" if cropping.mode == "centre" else "whole"
    drawn, compared = _chosen(len(paths), _SHEET_IMAGES), _chosen(len(paths), _ALIGNED_SAMPLE)
    seen: list[_Seen | str] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="check") as pool:
        for start in range(0, len(paths), _CHUNK):
            part = range(start, min(start + _CHUNK, len(paths)))
            seen += pool.map(
                lambda i: _look(paths[i], cut, boxes[i], drawn=i in drawn, compared=i in compared), part
            )
            yield Checking(len(seen), len(paths))
    yield _report(folder, paths, seen, resolution, contact_sheet, gpu=gpu)


def _boxes(
    folder: Path, paths: Sequence[Path], cropping: CropConfig, labels: str | Path | None
) -> Sequence[Box | None]:
    own: dict[Path, crop.Parts] = {}
    if cropping.mode == "labels":
        if labels is None:
            raise ConfigError(
                "the images are to be cropped to labels, and there are none",
                expected="at least one labelled image",
                remedy="label an image first, or choose another cropping",
            )
        from coordgan_core.data.pairs import all_pairs

        own = crop.label_boxes(all_pairs(folder, Path(labels)), margin=cropping.margin)
        cropping = CropConfig("box", crop.typical_box(own.values()))
    return crop.training_boxes(cropping, paths, own) or [None] * len(paths)


def _chosen(count: int, most: int) -> frozenset[int]:
    return frozenset(int(i) for i in np.linspace(0, count - 1, min(count, most)).round())


def _look(path: Path, cut: Crop, box: Box | None, *, drawn: bool, compared: bool) -> _Seen | str:
    try:
        size = image_size(path)
        pixels = read_square(path, _SHEET_PX, cut, box)
    except (CoordError, OSError) as error:
        return str(error)
    from coordgan_core.data.images import resize

    return _Seen(
        size,
        hashing.perceptual_hash(pixels),
        alignment.layout(resize(pixels, alignment.SIDE, alignment.SIDE)) if compared else None,
        pixels if drawn else None,
    )


def _report(
    folder: Path,
    paths: Sequence[Path],
    seen: Sequence[_Seen | str],
    resolution: int,
    contact_sheet: Path | None,
    *,
    gpu: bool,
) -> DataReport:
    names = [path.relative_to(folder).as_posix() for path in paths]
    good = [(name, item) for name, item in zip(names, seen, strict=True) if isinstance(item, _Seen)]
    unreadable = tuple((n, item) for n, item in zip(names, seen, strict=True) if isinstance(item, str))
    sizes = Counter(item.size for _, item in good)
    layouts = [item.layout for _, item in good if item.layout is not None]
    figure = alignment.mean_correlation(np.stack(layouts)) if layouts else None
    groups = _duplicates(good)
    smallest = min(sizes, key=lambda size: (min(size), size), default=None)
    distinct = len(good) - sum(len(group) - 1 for group in groups)
    pictures = [item.small for _, item in good if item.small is not None]
    return DataReport(
        images=folder.absolute(),
        count=len(good),
        sizes=tuple((w, h, count) for (w, h), count in sizes.most_common(_SIZES)),
        smallest=smallest,
        unreadable=unreadable,
        duplicates=groups,
        alignment=None if figure is None else round(figure, 3),
        alignment_text=explain_alignment(figure),
        advice=advise(
            distinct, len(unreadable), groups, figure, smallest, resolution=resolution, least=LEAST_IMAGES
        ),
        contact_sheet=_write_sheet(contact_sheet, pictures),
        preset=best_preset(distinct, gpu=gpu),
        can_train=len(good) >= LEAST_IMAGES,
    )


def _duplicates(good: Sequence[tuple[str, _Seen]]) -> tuple[tuple[str, ...], ...]:
    hashed = [(name, item.digest) for name, item in good if item.digest is not None]
    if not hashed:
        return ()
    groups = hashing.duplicate_groups(np.stack([digest for _, digest in hashed]))
    return tuple(tuple(hashed[i][0] for i in group) for group in groups)


def _write_sheet(path: Path | None, pictures: Sequence[NDArray[np.uint8]]) -> Path | None:
    if path is None or not pictures:
        return None
    from PIL import Image

    from coordgan_core.files import atomic_path

    gap, columns = 4, min(_SHEET_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    pitch = _SHEET_PX + gap
    page = np.full((rows * pitch - gap, columns * pitch - gap, 4), 0, np.uint8)  # clear between the pictures
    for index, picture in enumerate(pictures):
        top, left = index // columns * pitch, index % columns * pitch
        page[top : top + _SHEET_PX, left : left + _SHEET_PX] = 255
        page[top : top + _SHEET_PX, left : left + _SHEET_PX, :3] = picture
    with atomic_path(path) as temporary:
        Image.fromarray(page).save(temporary, format="PNG")
    return path

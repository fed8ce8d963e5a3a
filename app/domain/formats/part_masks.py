"""Part masks: one binary PNG a part and image, ``<image>_<part>.png``, and a merged index PNG.

Facts of CelebAMask-HQ, which this layout follows: masks of 0 and 255 in numbered folders, images counted with
leading zeros, half as wide and high as the images; parts overlap and are merged in a fixed order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats.base import (
    CLASSES_FILE,
    NO_IMAGES,
    BaseFormat,
    ExportItem,
    ExportOptions,
    ImportItem,
    KnownImages,
    Source,
    Written,
    present,
)
from app.domain.formats.class_list import class_names, write_classes
from app.domain.formats.names import file_names, plain_name, renamed, unique_names
from coordgan_core.errors import LabelError
from coordgan_core.files import atomic_path, plain_file
from coordgan_core.labels import read_label_map, write_label_map

MASK_FOLDER = "masks"
INDEX_FOLDER = "index"
_HALF = 128
_LOOKED_AT = 5
# what CelebAMask-HQ paints later lies on top; parts of other names: the larger ones first
ORDER = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip"),
    *("l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)


class PartMasks(BaseFormat):
    """One black-and-white mask for each part of each image."""

    name = "part-masks"
    title = "Part masks (one PNG a part)"
    common = (CLASSES_FILE,)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold."""
        del options
        return renamed(table, file_names(table), "part")

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        if (path / INDEX_FOLDER).is_dir() and (path / CLASSES_FILE).exists():
            return 0.9
        folder = path / MASK_FOLDER if (path / MASK_FOLDER).is_dir() else path
        files = [f for f, _ in zip(folder.glob("*.png"), range(50), strict=False)] if folder.is_dir() else []
        if not files or not all(_is_black_and_white(f) for f in files[:_LOOKED_AT]):
            return 0.0
        firsts = {f.stem.split("_")[0] for f in files}
        grouped = all("_" in f.stem for f in files) and len(firsts) < len(files)
        return (0.6 if grouped else 0.0) + (0.3 if folder.name == MASK_FOLDER else 0.0)

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the masks below ``path``, without reading them.

        Args:
            path: The folder, with masks in it, in ``masks``, or in numbered folders.
            images: Images of the project: what follows their names in a file name is the part.

        Raises:
            LabelError: There is no mask.
        """
        folder = path / MASK_FOLDER if (path / MASK_FOLDER).is_dir() else path
        index = {file.stem: file for file in sorted((path / INDEX_FOLDER).glob("*.png"))}
        known = {*images.stems, *index}
        groups: dict[str, dict[str, Path]] = {}
        for file in sorted(folder.rglob("*.png")):
            stem, part = split_name(file.stem, known)
            if part and file.parent.name != INDEX_FOLDER:
                groups.setdefault(stem, {})[part] = file
        if not groups and not index:
            raise LabelError(
                f"{folder} holds no part masks",
                expected="PNG files named IMAGE_PART.png",
                remedy="choose the folder of the masks",
            )
        parts = sorted({part for masks in groups.values() for part in masks})
        warnings = (f"{len(parts)} parts: only the first 255 are read",) if len(parts) > 255 else ()
        ids = {part: i for i, part in enumerate(parts[:255], 1)}
        items = [
            ImportItem(stem, _Merged(masks, ids, functools.partial(images.size, stem)))
            for stem, masks in sorted(groups.items())
        ]
        # images without any part have no mask, but an index
        items += [ImportItem(s, functools.partial(_empty, f)) for s, f in index.items() if s not in groups]
        names = _own_names(path)
        return Source(tuple(items), {i: names.get(part, part) for part, i in ids.items()}, warnings)

    def files(
        self,
        item: ExportItem,
        class_ids: Sequence[int],
        table: ClassTable,
        options: ExportOptions | None = None,
    ) -> tuple[str, ...]:
        """Return the files that `write` would make for an image with these classes."""
        del options
        names = file_names(table)
        masks = [f"{MASK_FOLDER}/{item.stem}_{names[i]}.png" for i in sorted(class_ids) if i in names]
        return (*masks, f"{INDEX_FOLDER}/{item.stem}.png")

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write masks and index PNG image by image, then ``classes.json``."""
        del options
        names = file_names(table)
        for item in items:
            labels = item.load()
            parts = [i for i in present(labels) if i in names]
            for class_id in parts:
                mask = Image.fromarray(np.where(labels == class_id, 255, 0).astype(np.uint8))
                with atomic_path(out / MASK_FOLDER / f"{item.stem}_{names[class_id]}.png") as temporary:
                    mask.save(temporary, "PNG")
            write_label_map(out / INDEX_FOLDER / f"{item.stem}.png", labels, table.palette())
            yield Written(item, self.files(item, parts, table))
        write_classes(out, table)


class _Merged:
    """Reads the masks of one image into one label map."""

    def __init__(
        self, masks: dict[str, Path], ids: dict[str, int], size: Callable[[], tuple[int, int] | None]
    ) -> None:
        self._masks = {part: file for part, file in masks.items() if part in ids}
        self._ids = ids
        self._size = size

    def __call__(self) -> LabelMap:
        masks = {part: _read_mask(file) for part, file in sorted(self._masks.items())}
        if not masks:
            raise LabelError("an image has only parts beyond the first 255", remedy="merge some parts")
        shapes = {mask.shape for mask in masks.values()}
        if len(shapes) > 1:
            found = " and ".join(f"{w} x {h}" for h, w in sorted(shapes))
            raise LabelError(
                f"the masks of one image have {found} pixels ({next(iter(self._masks.values())).name})",
                expected="masks of one size for one image",
                remedy="export the masks again",
            )
        labels = np.zeros(shapes.pop(), np.uint8)
        for part in sorted(masks, key=lambda p: (_rank(p), -int(masks[p].sum()))):
            labels[masks[part]] = self._ids[part]
        return _enlarged(labels, self._size())


def _rank(part: str) -> int:
    return ORDER.index(part) if part in ORDER else -1


def _enlarged(labels: LabelMap, size: tuple[int, int] | None) -> LabelMap:
    """Repeat pixels where the image is a whole number of times as wide and high as its masks."""
    height, width = labels.shape
    if size is None or size[0] % width or size[1] % height or size[0] // width != size[1] // height:
        return labels
    times = size[0] // width
    return labels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else labels


def _empty(index: Path) -> LabelMap:
    return np.zeros_like(read_label_map(index))


def _own_names(path: Path) -> dict[str, str]:
    """Return part in file names -> name of the class, by the ``classes.json`` of an export."""
    try:
        known = class_names(path)
    except LabelError:
        return {}
    names = [name for i, name in known.items() if i]
    return dict(zip(unique_names([plain_name(name) for name in names]), names, strict=True))


def _read_mask(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    try:
        with Image.open(plain_file(file), formats=("PNG",)) as image:
            if image.mode == "P" and image.getextrema() in ((0, 1), (0, 0), (1, 1)):
                return np.asarray(image) > 0
            values = np.asarray(image.convert("L"))
    except Exception as error:  # Pillow's decoders fail on damaged files with a dozen unrelated types
        raise LabelError(
            f"the mask {file.name} cannot be read ({error})", remedy="export the masks again"
        ) from error
    # masks of 0 and 1 exist as well as those of 0 and 255
    return values >= (_HALF if values.max(initial=0) > 1 else 1)


def _is_black_and_white(file: Path) -> bool:
    """Return whether a PNG has at most two values; the maps of several classes have more."""
    try:
        # by name: of what Pillow opens, some formats are programs that another one runs
        with Image.open(plain_file(file), formats=("PNG",)) as image:
            return image.getcolors(2) is not None
    except Exception:  # Pillow's decoders fail on damaged files with a dozen unrelated types
        return False


def split_name(stem: str, known_stems: Collection[str]) -> tuple[str, str]:
    """Split ``00012_l_eye`` into image and part, after the longest known image name or the first underscore.

    Numbers count as known without leading zeros, since image 12 goes with the masks of 00012.
    """
    places = [i for i, c in enumerate(stem) if c == "_"]
    for place in reversed(places):
        head = stem[:place]
        if head in known_stems or (head.isdecimal() and str(int(head)) in known_stems):
            return (head if head in known_stems else str(int(head))), stem[place + 1 :]
    head, _, part = stem.partition("_")
    return head, part

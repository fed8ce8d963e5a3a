"""Part masks: one binary PNG a part and image, ``<image>_<part>.png``, and a merged index PNG."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
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
    file_names,
)
from app.domain.formats.index_png import write_classes
from coordgan_core.errors import LabelError
from coordgan_core.files import atomic_path
from coordgan_core.labels import write_label_map

MASK_FOLDER = "masks"
INDEX_FOLDER = "index"
_HALF = 128


class PartMasks(BaseFormat):
    """One black-and-white mask for each part of each image."""

    name = "part-masks"
    title = "Part masks (one PNG a part)"

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold."""
        del options
        names = file_names(table)
        return [
            f"the part {c.name!r} is written as {names[c.id]!r}"
            for c in table.classes[1:]
            if names[c.id] != c.name
        ]

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        folder = path / MASK_FOLDER if (path / MASK_FOLDER).is_dir() else path
        files = [f for f, _ in zip(folder.glob("*.png"), range(50), strict=False)] if folder.is_dir() else []
        if not files:
            return 0.0
        firsts = {f.stem.split("_")[0] for f in files}
        grouped = all("_" in f.stem for f in files) and len(firsts) < len(files)
        return (0.6 if grouped else 0.0) + (0.3 if folder.name == MASK_FOLDER else 0.0)

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Find the masks below ``path``, without reading them; where parts overlap, the later name wins.

        Args:
            path: The folder, with masks in it, in ``masks``, or in numbered folders.
            images: Images of the project: what follows their names in a file name is the part.

        Raises:
            LabelError: There is no mask.
        """
        folder = path / MASK_FOLDER if (path / MASK_FOLDER).is_dir() else path
        groups: dict[str, dict[str, Path]] = {}
        for file in sorted(folder.rglob("*.png")):
            stem, part = split_name(file.stem, images.stems)
            if part and file.parent.name != INDEX_FOLDER:
                groups.setdefault(stem, {})[part] = file
        if not groups:
            raise LabelError(
                f"{folder} holds no part masks",
                expected="PNG files named IMAGE_PART.png",
                remedy="choose the folder of the masks",
            )
        parts = sorted({part for masks in groups.values() for part in masks})
        warnings = (f"{len(parts)} parts: only the first 255 are read",) if len(parts) > 255 else ()
        ids = {part: i for i, part in enumerate(parts[:255], 1)}
        items = [ImportItem(stem, _Merged(masks, ids)) for stem, masks in sorted(groups.items())]
        return Source(tuple(items), {i: part for part, i in ids.items()}, warnings)

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

    def common_files(self, options: ExportOptions | None = None) -> tuple[str, ...]:
        """Return the files that are written once."""
        del options
        return (CLASSES_FILE,)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write masks and index PNG image by image, then ``classes.json``."""
        del options
        names = file_names(table)
        for item in items:
            labels = item.load()
            present = [
                int(i) for i in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if i in names
            ]
            for class_id in present:
                mask = Image.fromarray(np.where(labels == class_id, 255, 0).astype(np.uint8))
                with atomic_path(out / MASK_FOLDER / f"{item.stem}_{names[class_id]}.png") as temporary:
                    mask.save(temporary, "PNG")
            write_label_map(out / INDEX_FOLDER / f"{item.stem}.png", labels, table.palette())
            yield Written(item, self.files(item, present, table))
        write_classes(out, table)


class _Merged:
    """Reads the masks of one image into one label map."""

    def __init__(self, masks: dict[str, Path], ids: dict[str, int]) -> None:
        self._masks = masks
        self._ids = ids

    def __call__(self) -> LabelMap:
        labels: LabelMap | None = None
        for part, file in sorted(self._masks.items()):
            if part not in self._ids:
                continue
            mask = _read_mask(file)
            if labels is None:
                labels = np.zeros(mask.shape, np.uint8)
            if mask.shape != labels.shape:
                raise LabelError(
                    f"{file.name} has {mask.shape[1]} x {mask.shape[0]} pixels, its neighbours "
                    f"{labels.shape[1]} x {labels.shape[0]}",
                    expected="masks of one size for one image",
                    remedy="export the masks again",
                )
            labels[mask] = self._ids[part]
        assert labels is not None  # a group has at least one mask
        return labels


def _read_mask(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    try:
        with Image.open(file, formats=("PNG",)) as image:
            if image.mode == "P" and image.getextrema() in ((0, 1), (0, 0), (1, 1)):
                return np.asarray(image) > 0
            values = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LabelError(
            f"the mask {file.name} cannot be read ({error})", remedy="export the masks again"
        ) from error
    # masks of 0 and 1 exist as well as those of 0 and 255
    return values >= (_HALF if values.max(initial=0) > 1 else 1)


def split_name(stem: str, known_stems: Collection[str]) -> tuple[str, str]:
    """Split ``00012_l_eye`` into image and part, after the longest known image name or the first underscore.

    Numbers count as known without leading zeros, since image 12 goes with the masks of 00012.
    """
    places = [i for i, c in enumerate(stem) if c == "_"]
    for place in reversed(places):
        head = stem[:place]
        if head in known_stems or (head.isdigit() and str(int(head)) in known_stems):
            return (head if head in known_stems else str(int(head))), stem[place + 1 :]
    head, _, part = stem.partition("_")
    return head, part

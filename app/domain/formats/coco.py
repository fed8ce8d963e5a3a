"""COCO instances: one JSON for all images, every class of an image as run lengths or as polygons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats import json_files, polygons, rle
from app.domain.formats.base import (
    NO_IMAGES,
    BaseFormat,
    Choice,
    ExportItem,
    ExportOptions,
    KnownImages,
    Source,
    Written,
    copy_image,
)
from app.domain.formats.coco_read import read_file, source_of
from coordgan_core.errors import LabelError

ANNOTATIONS_FOLDER = "annotations"
IMAGES_FOLDER = "images/default"
INSTANCES_FILE = f"{ANNOTATIONS_FOLDER}/instances_default.json"

SEGMENTATION = Choice(
    "segmentation",
    "Segmentation",
    {"rle": "Run lengths", "polygons": "Polygons, holes joined by bridges of no width"},
)
FIRST_ID = Choice("first_id", "Category ids", {"1": "From 1", "0": "From 0"})
PIECES = Choice(
    "instances", "Annotations", {"class": "One a class and image", "piece": "One for each separate piece"}
)


class CocoInstances(BaseFormat):
    """The detection and segmentation JSON of COCO."""

    name = "coco"
    title = "COCO instances"
    suffix = ".json"
    extras_of = "coco"
    choices = (SEGMENTATION, PIECES, FIRST_ID)
    common = (INSTANCES_FILE,)

    def limits(self, table: ClassTable, options: ExportOptions | None = None) -> list[str]:
        """Say what of these classes the format cannot hold."""
        found = []
        if SEGMENTATION.of(options) == "polygons":
            found.append(
                "polygons are exact under pycocotools and datumaro; tools that round corners (supervision) "
                "add up to a pixel to the right and below"
            )
        if FIRST_ID.of(options) == "0":
            found.append("category ids are one less than the class ids; the names stay")
        repeated = _repeated(table.names[1:])
        if repeated:
            found.append(f"several classes are called {', '.join(repeated)}")
        return found

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        return max((_likeness(file) for file in json_files.json_files(path, ANNOTATIONS_FOLDER)), default=0.0)

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Read the JSON files at ``path`` and list their images, without decoding masks.

        Where annotations overlap, the later one wins.

        Raises:
            LabelError: There is no such file, or it is damaged.
        """
        del images
        files = [f for f in json_files.json_files(path, ANNOTATIONS_FOLDER) if path.is_file() or _likeness(f)]
        if not files:
            raise LabelError(
                f"{path} holds no COCO instances",
                expected="a JSON file with images, annotations and categories",
                remedy="choose the file, or the folder that it lies in",
            )
        return source_of(files, read_file)

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        return (f"{IMAGES_FOLDER}/{item.path}",) if options.copy_images else ()

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Add label maps one by one to lists on disk; the JSON is put together after the last one."""
        shift = 1 - int(FIRST_ID.of(options))
        used: set[int] = set(table.ids)
        with json_files.spools(out, 2) as (images, annotations):
            for number, item in enumerate(items, 1):
                labels = item.load()
                images.add(image_entry(item, number, labels.shape))
                used.update(int(i) for i in np.flatnonzero(np.bincount(labels.ravel())))
                for class_id, segmentation in _annotations(labels, options):
                    entry = {"id": annotations.count + 1, "image_id": number, "category_id": class_id - shift}
                    annotations.add(entry | segmentation)
                files = self.image_files(item, options)
                for file in files:
                    copy_image(item, out / file)
                yield Written(item, files)
            categories = [c | {"id": c["id"] - shift} for c in category_entries(table, used)]
            write_dataset(out / INSTANCES_FILE, categories, images, annotations)


def write_dataset(
    file: Path, categories: list[dict[str, Any]], images: json_files.Spool, annotations: json_files.Spool
) -> None:
    """Write a JSON file of COCO, atomically.

    Raises:
        DiskFullError: The file cannot be written.
    """
    members = {
        "info": {"description": "CoordLabel", "version": "1.0"},
        "licenses": [],
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }
    json_files.write_object(file, members)


def image_entry(item: ExportItem, number: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the entry of an image: what an import kept, then what is known of it."""
    kept = item.extras().get("image", {})
    own = {"id": number, "file_name": item.path, "width": int(shape[1]), "height": int(shape[0])}
    return own | {key: value for key, value in kept.items() if key not in own}


def category_entries(table: ClassTable, used: Iterable[int]) -> list[dict[str, Any]]:
    """Return the categories in display order, then those of ids that have no name."""
    entries = [
        {"id": c.id, "name": c.name, "supercategory": "", "color": list(c.color)} for c in table.classes[1:]
    ]
    unnamed = sorted(set(used) - set(table.ids) - {0})
    palette = table.palette()
    return entries + [
        {"id": i, "name": f"class {i}", "supercategory": "", "color": palette[i].tolist()} for i in unnamed
    ]


def _annotations(labels: LabelMap, options: ExportOptions) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield class id, and segmentation, area, box and crowd flag, of each annotation."""
    pieces, class_of = _instances(labels, PIECES.of(options) == "piece")
    for number, counts in rle.counts_of(pieces).items():
        box = rle.bounds(counts, labels.shape[0])
        if SEGMENTATION.of(options) == "rle":
            segmentation: Any = {"size": list(labels.shape), "counts": rle.to_text(counts)}
        else:
            segmentation = _polygons(pieces, number, box)
        entry = {"segmentation": segmentation, "area": rle.area(counts), "bbox": list(box), "iscrowd": 0}
        yield class_of.get(number, number), entry


def _polygons(pieces: npt.NDArray[Any], number: int, box: tuple[int, int, int, int]) -> list[list[float]]:
    x, y, width, height = box
    rings = polygons.trace(pieces[y : y + height, x : x + width] == number)
    return [(ring + (x, y)).ravel().tolist() for ring in rings]


def _instances(labels: LabelMap, separate: bool) -> tuple[npt.NDArray[Any], Mapping[int, int]]:
    """Return what becomes one annotation each, as a map of numbers, and the class of each number."""
    if not separate:
        return labels, {}
    import cv2

    pieces = np.zeros(labels.shape, np.int32)
    class_of: dict[int, int] = {}
    for class_id in np.flatnonzero(np.bincount(labels.ravel())):
        if class_id:
            count, numbers = cv2.connectedComponents((labels == class_id).astype(np.uint8), connectivity=8)
            inside = numbers > 0
            pieces[inside] = numbers[inside] + len(class_of)
            class_of |= {len(class_of) + i: int(class_id) for i in range(1, count)}
    return pieces, class_of


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({n for n in names if names.count(n) > 1})


def _likeness(file: Path) -> float:
    text = json_files.sniff(file)
    if '"annotations"' not in text or '"images"' not in text or '"segments_info"' in text:
        return 0.0
    return 0.9 if '"segmentation"' in text or file.name.startswith("instances") else 0.4

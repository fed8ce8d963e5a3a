"""COCO panoptic: one JSON and a PNG an image, whose colours are numbers of segments; background is void."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats import json_files, rle
from app.domain.formats.base import (
    NO_IMAGES,
    BaseFormat,
    ExportItem,
    ExportOptions,
    ImportItem,
    KnownImages,
    Source,
    Written,
    copy_image,
)
from app.domain.formats.coco import (
    ANNOTATIONS_FOLDER,
    IMAGES_FOLDER,
    category_entries,
    image_entry,
    write_dataset,
)
from app.domain.formats.coco_read import Categories, class_of, extras_of_image, source_of
from app.domain.formats.colors import distinct_colors, paint, write_picture
from app.domain.formats.sources import Tree, read_png
from app.domain.palette import Color, default_color
from coordgan_core.errors import LabelError

PANOPTIC_FOLDER = f"{ANNOTATIONS_FOLDER}/panoptic_default"
PANOPTIC_FILE = f"{PANOPTIC_FOLDER}.json"


class CocoPanoptic(BaseFormat):
    """The panoptic segmentation of COCO; each class of an image is one segment."""

    name = "coco-panoptic"
    title = "COCO panoptic"
    suffix = ".json"
    extras_of = "coco"
    common = (PANOPTIC_FILE,)

    def probe(self, path: Path) -> float:
        """Return how much ``path`` looks like this format, 0 to 1."""
        files = json_files.json_files(path, ANNOTATIONS_FOLDER)
        return 0.95 if any(_is_panoptic(file) for file in files) else 0.0

    def read(self, path: Path, images: KnownImages = NO_IMAGES) -> Source:
        """Read the JSON files at ``path`` and list their images, without reading the PNGs.

        Raises:
            LabelError: There is no such file, or it is damaged.
        """
        del images
        files = [
            f for f in json_files.json_files(path, ANNOTATIONS_FOLDER) if path.is_file() or _is_panoptic(f)
        ]
        if not files:
            raise LabelError(
                f"{path} holds no COCO panoptic",
                expected="a JSON file with segments_info, and PNGs beside it",
                remedy="choose the file, or the folder that it lies in",
            )
        return source_of(files, _read_file)

    def image_files(self, item: ExportItem, options: ExportOptions) -> tuple[str, ...]:
        """Return the files that `write` would make for an image."""
        copies = (f"{IMAGES_FOLDER}/{item.path}",) if options.copy_images else ()
        return (f"{PANOPTIC_FOLDER}/{item.stem}.png", *copies)

    def write(
        self, out: Path, items: Iterable[ExportItem], table: ClassTable, options: ExportOptions
    ) -> Iterator[Written]:
        """Write PNGs one by one; the JSON is put together after the last one."""
        used: set[int] = set(table.ids)
        colors = segment_colors(table)
        with json_files.spools(out, 2) as (images, annotations):
            for number, item in enumerate(items, 1):
                labels = item.load()
                files = self.image_files(item, options)
                write_picture(out / files[0], paint(labels, colors))
                for file in files[1:]:
                    copy_image(item, out / file)
                images.add(image_entry(item, number, labels.shape))
                segments = list(_segments(labels, colors))
                used.update(s["category_id"] for s in segments)
                annotations.add(
                    {"image_id": number, "file_name": PurePosixPath(files[0]).name, "segments_info": segments}
                )
                yield Written(item, files)
            categories = [c | {"isthing": 0} for c in category_entries(table, used)]
            write_dataset(out / PANOPTIC_FILE, categories, images, annotations)


def segment_colors(table: ClassTable) -> dict[int, Color]:
    """Return one colour for each of the 256 ids, all different: that of the class where it is free."""
    colors = distinct_colors(table)
    spare = (color for color in map(default_color, range(1, 256)) if color not in set(colors.values()))
    more = ((r, 1, 2) for r in range(256))
    for class_id in range(1, 256):
        if class_id not in colors:
            colors[class_id] = next(spare, None) or next(c for c in more if c not in set(colors.values()))
    return colors


def _segments(labels: LabelMap, colors: Mapping[int, Color]) -> Iterator[dict[str, Any]]:
    for class_id, counts in rle.counts_of(labels).items():
        red, green, blue = colors[class_id]
        yield {
            "id": red + 256 * green + 65536 * blue,
            "category_id": class_id,
            "area": rle.area(counts),
            "bbox": list(rle.bounds(counts, labels.shape[0])),
            "iscrowd": 0,
        }


def _is_panoptic(file: Path) -> bool:
    text = json_files.sniff(file)
    return '"segments_info"' in text or (file.name.startswith("panoptic") and '"isthing"' in text)


def _read_file(file: Path, categories: Categories) -> Iterator[ImportItem]:
    where = file.name
    content = json_files.load(file)
    mapping = categories.add(json_files.member(content, "categories", list, where), where)
    images = {
        json_files.member(image, "id", (int, str), where): image
        for image in json_files.member(content, "images", list, where)
    }
    for annotation in json_files.member(content, "annotations", list, where):
        png = json_files.inside(
            _png_folder(file), json_files.member(annotation, "file_name", str, where), where
        )
        image = images.get(json_files.member(annotation, "image_id", (int, str), where), {})
        name = json_files.clean_name(str(image.get("file_name", png.name)))
        segments = {}
        for segment in json_files.member(annotation, "segments_info", list, where):
            category = json_files.member(segment, "category_id", int, where)
            segments[json_files.member(segment, "id", int, where)] = class_of(category, mapping, where)
        load = functools.partial(_load, png, segments, image, f"{where}, {name}")
        key = str(PurePosixPath(name).with_suffix("")) if name else png.stem
        yield ImportItem(key, load, name, functools.partial(extras_of_image, image))


def _png_folder(file: Path) -> Path:
    return next((f for f in (file.with_suffix(""), file.parent / "panoptic") if f.is_dir()), file.parent)


def _load(png: Path, segments: Mapping[int, int], image: Mapping[str, Any], where: str) -> LabelMap:
    picture: npt.NDArray[Any] = read_png(Tree(png.parent), png.name)
    if picture.ndim != 3:
        raise rle.damaged(where, f"the PNG {png.name} without colours")
    if image and picture.shape[:2] != json_files.image_shape(image, "width", "height", where):
        raise rle.damaged(where, f"a PNG of {picture.shape[1]} x {picture.shape[0]} pixels")
    wide = picture.astype(np.int64)
    numbers, places = np.unique(wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2], return_inverse=True)
    unknown = [int(n) for n in numbers if n and int(n) not in segments]
    if unknown:
        raise rle.damaged(
            where, f"the segments {str(unknown[:5])[1:-1]}, which its segments_info does not name"
        )
    table = np.array([segments.get(int(n), 0) if n else 0 for n in numbers], np.uint8)
    return table[places].reshape(picture.shape[:2])

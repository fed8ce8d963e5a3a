"""Readers of whole data set layouts, beside `oracle_tools`, whose environment and rules it shares.

ORACLES/bin/python tests/app/domain/oracle_datasets.py golden tests/app/domain/golden
COORDLABEL_ORACLES=ORACLES/bin/python pytest tests/app/domain/test_dataset_oracles.py
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from oracle_tools import example, polygon_mask, save_expected

NAMES = ["background", "body", "left ear", "right ear"]


def read_datumaro(folder: Path, kind: str, *, by_name: bool) -> dict[str, np.ndarray]:
    """What datumaro paints, in the order of depth; ids are the positions of its labels, or of `NAMES`."""
    import datumaro as dm

    dataset = dm.Dataset.import_from(str(folder), kind)
    names = [each.name for each in dataset.categories()[dm.AnnotationType.label]]
    found = {}
    for item in dataset:
        parts = sorted(item.annotations, key=lambda each: each.z_order)
        shape = item.media.size if item.media else np.asarray(parts[0].image).shape
        labels = np.zeros(shape, np.uint8)
        for each in parts:
            mask = (
                polygon_mask(each, shape)
                if each.type is dm.AnnotationType.polygon
                else np.asarray(each.image)
            )
            labels[mask.astype(bool)] = NAMES.index(names[each.label]) if by_name else each.label
        found[Path(item.id).stem] = labels
    return found


def read_yolo(folder: Path) -> dict[str, np.ndarray]:
    """What supervision fills: outlines with their border."""
    import supervision as sv

    data = sv.DetectionDataset.from_yolo(
        images_directory_path=str(folder / "images/train"),
        annotations_directory_path=str(folder / "labels/train"),
        data_yaml_path=str(folder / "data.yaml"),
        force_masks=True,
    )
    found = {}
    for path, picture, parts in data:
        labels = np.zeros(picture.shape[:2], np.uint8)
        for mask, class_id in zip(parts.mask if len(parts) else [], parts.class_id, strict=True):
            labels[mask] = class_id + 1
        found[Path(path).stem] = labels
    return found


READERS = {
    "pascal-voc": lambda folder: read_datumaro(folder, "voc_segmentation", by_name=False),
    "cvat-mask": lambda folder: read_datumaro(folder, "voc_segmentation", by_name=True),
    "cvat-images": lambda folder: read_datumaro(folder, "cvat", by_name=True),
    "cityscapes": lambda folder: read_datumaro(folder, "cityscapes", by_name=False),
    "yolo-seg": read_yolo,
}


def write_golden(out: Path) -> None:
    """Write one small data set in each layout by the tools."""
    golden_datumaro(out / "datumaro-voc", "voc_segmentation", {})
    golden_datumaro(out / "datumaro-cvat", "cvat", {})
    golden_datumaro(out / "datumaro-cityscapes", "cityscapes", {"label_map": "source"})
    golden_yolo(out / "supervision-yolo")


def golden_datumaro(out: Path, kind: str, more: dict) -> None:
    """A data set of two classes that datumaro exports."""
    import datumaro as dm

    labels = example()
    masks = [dm.Mask((labels == i).astype(np.uint8), label=i, id=i, group=i) for i in (1, 2)]
    image = dm.Image.from_numpy(np.zeros((24, 32, 3), np.uint8))
    item = dm.DatasetItem("cat", subset="train", media=image, annotations=masks)
    shutil.rmtree(out, ignore_errors=True)
    dataset = dm.Dataset.from_iterable([item], categories=["background", "body", "ear"])
    dataset.export(str(out), kind, save_media=False, **more)
    save_expected(out, {"cat": labels})


def golden_yolo(out: Path) -> None:
    """Outlines as supervision writes them: along the centres of pixels, without holes."""
    import cv2
    import supervision as sv

    labels = np.zeros((24, 32), np.uint8)
    cv2.circle(labels, (10, 11), 8, 1, -1)
    cv2.rectangle(labels, (20, 4), (29, 12), 2, -1)
    masks = np.stack([labels == 1, labels == 2])
    shutil.rmtree(out, ignore_errors=True)
    picture = out / "images/cat.png"
    picture.parent.mkdir(parents=True)
    cv2.imwrite(str(picture), np.zeros((24, 32, 3), np.uint8))
    parts = sv.Detections(xyxy=sv.mask_to_xyxy(masks).astype(float), mask=masks, class_id=np.array([0, 1]))
    data = sv.DetectionDataset(
        classes=["body", "ear"], images=[str(picture)], annotations={str(picture): parts}
    )
    data.as_yolo(annotations_directory_path=str(out / "labels"), data_yaml_path=str(out / "data.yaml"))
    save_expected(out, {"cat": labels})


def main() -> None:
    """Read one data set into a file of arrays, or write the golden ones."""
    what, source = sys.argv[1], Path(sys.argv[2])
    if what == "golden":
        write_golden(source)
    else:
        np.savez(sys.argv[3], **READERS[what](source))


if __name__ == "__main__":
    main()

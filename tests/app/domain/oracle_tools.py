"""Other tools read what the project wrote, and write golden files; runs in an environment of its own.

The tools pin other versions of OpenCV, NumPy, Pillow and Qt than the project (docs/adr), so this is a script
without any import of the project:

    python -m venv ORACLES
    ORACLES/bin/pip install -r tests/oracles.txt
    ORACLES/bin/python tests/app/domain/oracle_tools.py golden tests/app/domain/golden
    COORDLABEL_ORACLES=ORACLES/bin/python pytest tests/app/domain/test_format_oracles.py
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")


def read_labelme(folder: Path) -> dict[str, np.ndarray]:
    """What labelme paints: its own loader, its own conversion of shapes to labels."""
    from labelme._label_file import read_label_file
    from labelme.utils import shapes_to_label

    names = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()[1:]
    found = {}
    for file in sorted(folder.glob("*.json")):
        if file.name != "classes.json":
            data, raw = read_label_file(str(file)), json.loads(file.read_text(encoding="utf-8"))
            size = (raw["imageHeight"], raw["imageWidth"])
            ids = {name: i for i, name in enumerate(names)}
            found[file.stem] = shapes_to_label(size, data.shapes, ids)[0].astype(np.uint8)
    return found


def read_label_studio(folder: Path) -> dict[str, np.ndarray]:
    """What the converter of Label Studio decodes, classes in the order of classes.json."""
    from label_studio_sdk.converter import brush

    ids = {c["name"]: c["id"] for c in json.loads((folder / "classes.json").read_text())}
    found = {}
    for task in json.loads((folder / "label_studio.json").read_text()):
        for made in task["annotations"] + task["predictions"]:
            for result in made["result"]:
                shape = (result["original_height"], result["original_width"], 4)
                alpha = brush.decode_rle(result["value"]["rle"]).reshape(shape)[..., 3]
                labels = found.setdefault(Path(task["data"]["image"]).stem, np.zeros(shape[:2], np.uint8))
                labels[alpha > 0] = ids[result["value"]["brushlabels"][0]]
    return found


def read_datumaro(folder: Path, kind: str) -> dict[str, np.ndarray]:
    """What datumaro makes of a data set of COCO; the label index is that of the categories."""
    import datumaro as dm

    dataset = dm.Dataset.import_from(str(folder), kind)
    found = {}
    for item in dataset:
        labels = np.zeros(item.media.size, np.uint8)
        for each in item.annotations:
            if each.type is dm.AnnotationType.bbox:
                continue
            mask = (
                np.asarray(each.image, bool) if hasattr(each, "image") else polygon_mask(each, labels.shape)
            )
            labels[mask] = each.label + 1
        found[Path(item.id).stem] = labels
    return found


def polygon_mask(polygon: object, shape: tuple[int, ...]) -> np.ndarray:
    """Rasterise a polygon of datumaro, as its own conversion to masks does."""
    from pycocotools import mask

    return mask.decode(mask.merge(mask.frPyObjects([list(polygon.points)], *shape))).astype(bool)


READERS = {
    "labelme": read_labelme,
    "x-anylabeling": read_labelme,
    "label-studio": read_label_studio,
    "coco": lambda folder: read_datumaro(folder, "coco_instances"),
    "coco-panoptic": lambda folder: read_datumaro(folder, "coco_panoptic"),
}


def example() -> np.ndarray:
    """Two classes: holes, an island in a hole, single pixels, corners that touch, all borders."""
    labels = np.zeros((24, 32), np.uint8)
    labels[3:20, 3:18] = 1
    labels[6:14, 6:14] = 0
    labels[9:11, 9:11] = 2
    labels[16, 5] = labels[16, 7] = 0
    labels[2:6, 22:29] = 2
    labels[0, :], labels[:, 31], labels[23, 0] = 2, 1, 2
    labels[20, 20] = labels[21, 21] = labels[22, 20] = 1
    return labels


def write_golden(out: Path) -> None:
    """Write one small data set with each tool, and the labels that the tool itself reads from it."""
    golden_labelme(out / "labelme")
    golden_label_studio(out / "label-studio")
    golden_datumaro(out / "datumaro-coco", "coco_instances")
    golden_datumaro(out / "datumaro-panoptic", "coco_panoptic")
    golden_pycocotools(out / "pycocotools")
    golden_supervision(out / "supervision")


def golden_labelme(out: Path) -> None:
    """All kinds of regions that labelme has, a landmark, and keys that nobody knows."""
    import base64
    import io

    from labelme._label_file import write_label_file
    from PIL import Image

    out.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (90, 120, 60)).save(out / "cat.png")
    buffer = io.BytesIO()
    Image.fromarray((example()[2:12, 4:20] == 1).astype(np.uint8)).save(buffer, format="PNG")
    mask = base64.b64encode(buffer.getvalue()).decode()

    def shape(label: str, kind: str, points: list, **more: object) -> dict:
        base = {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind}
        return {**base, "flags": {}, "mask": None, **more}

    shapes = [
        shape("body", "polygon", [[2.4, 14.6], [11.9, 12.2], [14.5, 22.7], [3.1, 21.0]], group_id=4),
        shape("ear", "rectangle", [[20.2, 3.7], [26.8, 9.1]], flags={"hidden": True}, unknown={"deep": [1]}),
        shape("body", "circle", [[25.5, 16.5], [28.5, 16.5]], description="round"),
        shape("ear", "mask", [[4.0, 2.0], [19.0, 11.0]], mask=mask),
        shape("ear", "oriented_rectangle", [[5.0, 15.0], [8.0, 16.0], [7.0, 19.0], [4.0, 18.0]]),
        shape("tip", "point", [[10.0, 5.0]]),
    ]
    more = {"reviewer": "Ada", "tags": ["a", {"b": 2}]}
    write_label_file(
        str(out / "cat.json"), shapes=shapes, image_path="cat.png", image_height=24, image_width=32,
        other_data=more, flags={"good": True},
    )  # fmt: skip
    (out / "labels.txt").write_text("__ignore__\n_background_\nbody\near\ntip\n")
    kept = [s for s in shapes if s["shape_type"] != "point"]
    save_expected(out, {"cat": {**read_labelme_shapes(kept)}["labels"]})


def read_labelme_shapes(shapes: list[dict]) -> dict[str, np.ndarray]:
    """The labels of shapes, by labelme."""
    from labelme._label_file import _load_shape_json_obj
    from labelme.utils import shapes_to_label

    loaded = [_load_shape_json_obj(shape_json_obj=s) for s in shapes]
    return {"labels": shapes_to_label((24, 32), loaded, {"body": 1, "ear": 2})[0].astype(np.uint8)}


def golden_label_studio(out: Path) -> None:
    """A task that a person did, one of a model, one that nobody has touched."""
    from label_studio_sdk.converter import brush

    labels = example()

    def results(ids: tuple[int, ...]) -> list[dict]:
        return [
            {
                "id": f"r{i}", "type": "brushlabels", "from_name": "tag", "to_name": "image",
                "original_width": 32, "original_height": 24, "image_rotation": 0, "origin": "manual",
                "value": {
                    "format": "rle",
                    "rle": brush.mask2rle(((labels == i) * 255).astype(np.uint8)),
                    "brushlabels": [["body", "ear"][i - 1]],
                },
            }
            for i in ids
        ]  # fmt: skip

    tasks = [
        {"id": 7, "data": {"image": "/data/upload/3/0a1b2c3d-cat%20one.png", "site": "A"}, "meta": {"k": 1},
         "annotations": [{"id": 1, "was_cancelled": True, "result": []},
                         {"id": 2, "was_cancelled": False, "result": results((1, 2))}], "predictions": []},
        {"id": 8, "data": {"image": "/data/local-files/?d=sub/dog.png"}, "annotations": [],
         "predictions": [{"model_version": "a", "score": 0.2, "result": results((2,))},
                         {"model_version": "b", "score": 0.9, "result": results((1,))}]},
        {"id": 9, "data": {"image": "/data/local-files/?d=none.png"}, "annotations": [], "predictions": []},
    ]  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "project.json").write_text(json.dumps(tasks))
    body = np.where(labels == 1, labels, 0)
    save_expected(out, {"cat one": labels, "sub/dog": body})


def golden_datumaro(out: Path, kind: str) -> None:
    """A data set that datumaro exports, read back by it."""
    import shutil

    import datumaro as dm

    labels = example()
    masks = [dm.Mask((labels == i).astype(np.uint8), label=i - 1, id=i, group=i) for i in (1, 2)]
    image = dm.Image.from_numpy(np.zeros((24, 32, 3), np.uint8))
    item = dm.DatasetItem("cat", subset="train", media=image, annotations=masks)
    shutil.rmtree(out, ignore_errors=True)
    dm.Dataset.from_iterable([item], categories=["body", "ear"]).export(str(out), kind, save_media=False)
    save_expected(out, {"cat": labels})


def golden_pycocotools(out: Path) -> None:
    """Run lengths as text and as numbers, and polygons, with the masks that pycocotools makes of them."""
    from pycocotools import mask

    labels = example()
    one = mask.encode(np.asfortranarray((labels == 1).astype(np.uint8)))
    flat = (labels == 2).ravel(order="F").astype(int)
    cuts = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *cuts, len(flat)]).tolist()
    counts = [0, *counts] if flat[0] else counts
    polygons = [[2.3, 3.1, 20.7, 5.2, 15.5, 20.9], [22, 10, 30, 10, 30, 18, 22, 18]]
    base = {"iscrowd": 0, "bbox": [0, 0, 32, 24], "area": 1.0}
    content = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "width": 32, "height": 24}
            for i, name in ((5, "cat"), (6, "dog"))
        ],
        "categories": [{"id": 18, "name": "body", "supercategory": "a"}, {"id": 90, "name": "ear"}],
        "annotations": [
            {**base, "id": 1, "image_id": 5, "category_id": 18,
             "segmentation": {"size": [24, 32], "counts": one["counts"].decode()}},
            {**base, "id": 2, "image_id": 5, "category_id": 90,
             "segmentation": {"size": [24, 32], "counts": counts}},
            {**base, "id": 3, "image_id": 6, "category_id": 90, "segmentation": polygons},
        ],
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "instances.json").write_text(json.dumps(content))
    made = mask.decode(mask.merge(mask.frPyObjects(polygons, 24, 32)))
    save_expected(out, {"cat": np.select([labels == 1, labels == 2], [18, 90], 0), "dog": made * 90})


def golden_supervision(out: Path) -> None:
    """A data set that supervision saves as COCO."""
    import cv2
    import supervision as sv

    labels = example()
    out.mkdir(parents=True, exist_ok=True)
    picture = out / "cat.png"
    cv2.imwrite(str(picture), np.zeros((24, 32, 3), np.uint8))
    masks = np.stack([labels == 1, labels == 2])
    boxes = sv.mask_to_xyxy(masks).astype(float)
    found = sv.Detections(xyxy=boxes, mask=masks, class_id=np.array([0, 1]))
    dataset = sv.DetectionDataset(
        classes=["body", "ear"], images=[str(picture)], annotations={str(picture): found}
    )
    dataset.as_coco(annotations_path=str(out / "coco.json"))
    picture.unlink()
    save_expected(out, {"cat": labels})


def save_expected(out: Path, expected: dict[str, np.ndarray]) -> None:
    """Save the labels as lists of numbers, so that a difference can be read."""
    text = {name: labels.astype(int).tolist() for name, labels in expected.items()}
    (out / "expected.txt").write_text(json.dumps(text, separators=(",", ":")))


if __name__ == "__main__":
    verb, place = sys.argv[1], Path(sys.argv[2])
    if verb == "golden":
        write_golden(place)
    else:
        np.savez(sys.argv[3], **READERS[verb](place))

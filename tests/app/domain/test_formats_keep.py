"""What a format carries beyond label maps survives: unknown keys, colours, scores; in bounded memory."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.domain.classes import AddClass, ClassTable, ImportClasses, ReorderClasses, table_from_names
from app.domain.edits import Edit
from app.domain.formats import FORMATS, export, import_labels, import_report
from app.domain.formats.base import ExportItem, ExportOptions, KnownImages, Source
from app.domain.project import Commit, Project
from coordgan_core.errors import DiskFullError, LabelError

GOLDEN = Path(__file__).parent / "golden"
EARS = table_from_names(["body", "ear"])


def item_of(labels: np.ndarray, stem: str = "cat", **more: Any) -> ExportItem:
    return ExportItem(1, f"{stem}.png", stem, Path(f"/pictures/{stem}.png"), lambda: labels, **more)


def write(name: str, out: Path, items: list[ExportItem], table: ClassTable = EARS, **choices: str) -> None:
    list(FORMATS[name].write(out, items, table, ExportOptions(choices=choices)))


def imported(name: str, place: Path) -> tuple[Source, np.ndarray, Any]:
    source = FORMATS[name].read(place)
    return source, source.items[0].load(), source.items[0].extras


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_an_unchanged_labelme_file_comes_back_to_the_last_key(shapes: str, tmp_path: Path) -> None:
    _, labels, extras = imported("labelme", GOLDEN / "labelme")
    write("labelme", tmp_path, [item_of(labels, extras=extras)], shapes=shapes)
    before = json.loads((GOLDEN / "labelme/cat.json").read_text())
    after = json.loads((tmp_path / "cat.json").read_text())
    assert after["shapes"] == before["shapes"]
    assert {k: v for k, v in after.items() if k not in ("version", "imagePath")} == {
        k: v for k, v in before.items() if k not in ("version", "imagePath")
    }
    assert list(after)[:7] == list(before)[:7]


def test_only_shapes_of_changed_classes_are_replaced_and_hand_on_what_they_carried(tmp_path: Path) -> None:
    _, labels, extras = imported("labelme", GOLDEN / "labelme")
    changed = labels.copy()
    changed[20:23, 20:23] = 2
    write("labelme", tmp_path, [item_of(changed, extras=extras)])
    before = json.loads((GOLDEN / "labelme/cat.json").read_text())["shapes"]
    after = json.loads((tmp_path / "cat.json").read_text())["shapes"]
    assert [s for s in after if s["label"] in ("body", "tip")] == [
        s for s in before if s["label"] in ("body", "tip")
    ]
    (ear,) = (s for s in after if s["label"] == "ear")
    assert ear["shape_type"] == "mask"
    assert ear["unknown"] == {"deep": [1]}
    assert ear["flags"] == {"hidden": True}
    assert np.array_equal(imported("labelme", tmp_path)[1], changed)


def test_what_lay_under_an_erased_class_does_not_come_back(tmp_path: Path) -> None:
    shapes = [
        {"label": "body", "points": [[0, 0], [9, 9]], "shape_type": "rectangle", "note": "under"},
        {"label": "ear", "points": [[2, 2], [5, 5]], "shape_type": "rectangle"},
    ]
    content = {
        "shapes": shapes,
        "imageHeight": 10,
        "imageWidth": 10,
        "imagePath": "cat.png",
        "imageData": None,
    }
    (tmp_path / "cat.json").write_text(json.dumps(content))
    labels = np.full((10, 10), 1, np.uint8)
    labels[2:6, 2:6] = 0
    write("labelme", tmp_path, [item_of(labels)])  # over the file: its keys are kept without an import
    after = json.loads((tmp_path / "cat.json").read_text())["shapes"]
    assert [(s["label"], s["note"]) for s in after] == [("body", "under")]
    assert np.array_equal(imported("labelme", tmp_path)[1], labels)


def test_names_in_other_capitals_are_the_same_class(tmp_path: Path) -> None:
    shapes = [{"label": "Ear", "points": [[1, 1], [3, 3]], "shape_type": "rectangle"}]
    extras = {"shapes": shapes}
    labels = np.zeros((6, 6), np.uint8)
    labels[4, 4] = 2
    write("labelme", tmp_path, [item_of(labels, extras=lambda: extras)])
    assert np.array_equal(imported("labelme", tmp_path)[1], labels)


def test_labelme_and_x_anylabeling_take_over_from_each_other(tmp_path: Path) -> None:
    _, labels, extras = imported("labelme", GOLDEN / "labelme")
    write("x-anylabeling", tmp_path / "x", [item_of(labels, extras=extras, score=0.25)])
    content = json.loads((tmp_path / "x/cat.json").read_text())
    kinds = {s["shape_type"]: s for s in content["shapes"]}
    assert "mask" not in kinds
    assert content["reviewer"] == "Ada"
    assert content["checked"] is False
    assert {s["score"] for s in content["shapes"] if "score" in s} == {0.25}
    _, back, extras = imported("x-anylabeling", tmp_path / "x")
    assert np.array_equal(back, labels)
    write("labelme", tmp_path / "l", [item_of(labels, extras=extras)])
    after = json.loads((tmp_path / "l/cat.json").read_text())
    assert all(len(s["points"]) == 2 for s in after["shapes"] if s["shape_type"] == "rectangle")
    assert np.array_equal(imported("labelme", tmp_path / "l")[1], labels)


def test_x_anylabeling_keeps_attributes_and_corners_of_rectangles(tmp_path: Path) -> None:
    shapes = [
        {"label": "ear", "points": [[2, 1], [6, 1], [6, 4], [2, 4]], "shape_type": "rectangle",
         "attributes": {"side": "left"}, "score": 0.5, "group_id": 3},
        {"label": "body", "points": [[1, 6], [5, 6], [5, 8], [1, 8]], "shape_type": "rotation",
         "direction": 0.1},
    ]  # fmt: skip
    extras = {"shapes": shapes, "chat_history": [{"a": 1}], "checked": False}
    labels = np.zeros((10, 10), np.uint8)
    labels[1:5, 2:7], labels[6:9, 1:6] = 2, 1
    write("x-anylabeling", tmp_path / "a", [item_of(labels, extras=lambda: extras)])
    content = json.loads((tmp_path / "a/cat.json").read_text())
    assert content["shapes"] == shapes
    assert content["chat_history"] == [{"a": 1}]
    assert content["checked"] is True  # no score: a person's work
    labels[1, 2] = 0
    write("x-anylabeling", tmp_path / "b", [item_of(labels, extras=lambda: extras)])
    (ear,) = (s for s in json.loads((tmp_path / "b/cat.json").read_text())["shapes"] if s["label"] == "ear")
    assert ear["attributes"] == {"side": "left"}
    assert ear["group_id"] == 3


@pytest.mark.parametrize("name", ["coco", "coco-panoptic"])
def test_keys_of_coco_images_are_kept(name: str, tmp_path: Path) -> None:
    kept = {"license": 3, "date_captured": "2024-01-01", "mine": [1]}
    labels = np.ones((4, 4), np.uint8)
    write(name, tmp_path / "a", [item_of(labels, extras=lambda: {"image": kept | {"width": 99}})])
    _, _, extras = imported(name, tmp_path / "a")
    assert extras() == {"image": kept}


def test_tasks_of_label_studio_keep_their_address_and_keys(tmp_path: Path) -> None:
    source = FORMATS["label-studio"].read(GOLDEN / "label-studio")
    first = source.items[0]
    write("label-studio", tmp_path, [item_of(first.load(), "cat one", extras=first.extras)])
    (task,) = json.loads((tmp_path / "label_studio.json").read_text())
    assert task["id"] == 7
    assert task["meta"] == {"k": 1}
    assert task["data"]["site"] == "A"
    assert task["data"]["image"] == "/data/upload/3/0a1b2c3d-cat%20one.png"
    assert imported("label-studio", tmp_path)[0].items[0].key == "cat one"


def test_models_make_scored_predictions_and_people_annotations(tmp_path: Path) -> None:
    labels = np.ones((3, 3), np.uint8)
    items = [item_of(labels, "a", score=0.625), item_of(labels, "b")]
    for choice, counts in {
        "origin": [(0, 1), (1, 0)],
        "annotations": [(1, 0), (1, 0)],
        "predictions": [(0, 1), (0, 1)],
    }.items():
        write("label-studio", tmp_path / choice, items, **{"as": choice})
        tasks = json.loads((tmp_path / choice / "label_studio.json").read_text())
        assert [(len(t["annotations"]), len(t["predictions"])) for t in tasks] == counts
    tasks = json.loads((tmp_path / "origin/label_studio.json").read_text())
    assert tasks[0]["predictions"][0]["score"] == 0.625


def test_other_regions_of_label_studio_are_read(tmp_path: Path) -> None:
    def result(kind: str, **value: Any) -> dict[str, Any]:
        size = {"original_width": 20, "original_height": 10, "image_rotation": 0}
        return {**size, "type": kind, "value": {**value, kind: ["ear"]}}

    expected = np.zeros((10, 20), np.uint8)
    expected[2:5, 4:10] = 1
    box = result("rectanglelabels", x=20, y=20, width=30, height=30, rotation=0)
    polygon = result("polygonlabels", points=[[20, 20], [50, 20], [50, 50], [20, 50]], closed=True)
    turned = result("rectanglelabels", x=50, y=20, width=15, height=60, rotation=90)
    for each in (box, polygon, turned):
        task = {
            "data": {"image": "a.png"},
            "annotations": [{"result": [each, {"type": "choices", "value": {}}]}],
        }
        (tmp_path / "t.json").write_text(json.dumps([task]))
        assert FORMATS["label-studio"].read(tmp_path).items[0].load().tolist() == expected.tolist()
    round_one = result("ellipselabels", x=50, y=50, radiusX=20, radiusY=40)
    (tmp_path / "t.json").write_text(json.dumps([task | {"annotations": [{"result": [round_one]}]}]))
    assert FORMATS["label-studio"].read(tmp_path).items[0].load().sum() == pytest.approx(np.pi * 16, rel=0.08)


@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "labelme", "x-anylabeling", "label-studio"])
def test_order_ids_and_colours_survive(name: str, tmp_path: Path) -> None:
    table = AddClass("right ear", (1, 2, 3), id=200).apply(table_from_names(["body", "left ear"]))
    table = ReorderClasses((0, 200, 2, 1)).apply(table)
    labels = np.array([[0, 200], [2, 1]], np.uint8)
    write(name, tmp_path, [item_of(labels)], table)
    source, back, _ = imported(name, tmp_path)
    assert np.array_equal(back, labels)
    assert {i: n for i, n in source.names.items() if i} == {200: "right ear", 2: "left ear", 1: "body"}
    if name != "labelme" and name != "x-anylabeling":
        assert source.colors[200] == (1, 2, 3)
    if name.startswith("coco"):
        assert list(source.names) == [200, 2, 1]


def test_panoptic_numbers_are_distinct_for_all_classes_of_one_colour(tmp_path: Path) -> None:
    table = ClassTable()
    for class_id in range(1, 256):
        table = AddClass(f"c{class_id}", (0, 0, 0), id=class_id).apply(table)
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write("coco-panoptic", tmp_path, [item_of(labels)], table)
    source, back, _ = imported("coco-panoptic", tmp_path)
    assert np.array_equal(back, labels)
    assert source.colors[7] == (0, 0, 0)


def test_train_and_validation_files_are_one_source(tmp_path: Path) -> None:
    labels = np.ones((4, 4), np.uint8)
    for part, names in (("train", ["body", "ear"]), ("val", ["ear", "body"])):
        write("coco", tmp_path / part, [item_of(labels, part)], table_from_names(names))
        target = tmp_path / "all/annotations" / f"instances_{part}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / part / "annotations/instances_default.json", target)
    source = FORMATS["coco"].read(tmp_path / "all")
    found = {item.key: source.names[int(item.load()[0, 0])] for item in source.items}
    assert found == {"train": "body", "val": "ear"}


@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "labelme", "x-anylabeling", "label-studio"])
def test_images_of_one_stem_and_in_folders_are_found_again_in_a_project(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for path in ("a.jpg", "a.png", "sub/a.png", "sub/b c.png"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(folder / path)
    with Project.create(folder) as project:
        list(project.scan())
        list(project.change_classes(ImportClasses(("body", "ear", "tip", "tail"))))
        ids = [int(i) for i in project.ids()]
        maps = {i: np.full((4, 6), n, np.uint8) for n, i in enumerate(ids, 1)}
        for i, labels in maps.items():
            edit = Edit.between(project.labels(i), labels)
            project.commit([Commit(project.store.next_sequence(), i, "do", "Test", edit)])
        list(export(project, ids, name, tmp_path / "out"))
        report = import_report(project, name, tmp_path / "out")
        assert sorted(report.matched) == ids
        events = list(import_labels(project, name, tmp_path / "out", report.mapping, overwrite=True))
        assert [e.error for e in events] == [""] * 4
        assert all(np.array_equal(project.labels(i), labels) for i, labels in maps.items())


def test_index_pngs_of_one_first_word_are_no_part_masks(tmp_path: Path) -> None:
    for number in range(3):
        labels = np.array([[0, 1], [2, 3]], np.uint8)
        Image.fromarray(labels).save(tmp_path / f"my_cat_{number}.png")
    assert max(FORMATS, key=lambda name: FORMATS[name].probe(tmp_path)) == "index-png"
    for number in range(3):
        Image.fromarray(labels // 2 * 255).save(tmp_path / f"my_cat_{number}.png")
    assert max(FORMATS, key=lambda name: FORMATS[name].probe(tmp_path)) == "part-masks"


def test_a_project_keeps_what_labelme_files_carried(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "images/cat.png")
    with Project.create(tmp_path / "images") as project:
        list(project.scan())
        list(import_labels(project, "labelme", GOLDEN / "labelme"))
        list(export(project, [int(i) for i in project.ids()], "labelme", tmp_path / "out"))
    before = json.loads((GOLDEN / "labelme/cat.json").read_text())
    after = json.loads((tmp_path / "out/cat.json").read_text())
    assert after["shapes"] == before["shapes"]
    assert after["reviewer"] == "Ada"


def many(count: int, seen: list[int]) -> Iterator[ExportItem]:
    draw = np.random.default_rng(1)
    for number in range(count):
        labels = draw.integers(0, 3, (24, 24), dtype=np.uint8)
        seen.append(number)
        yield ExportItem(number, f"{number}.png", f"{number}", Path("/x"), lambda labels=labels: labels)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["coco", "label-studio"])
def test_memory_does_not_grow_with_the_images_and_progress_comes_one_by_one(
    name: str, tmp_path: Path
) -> None:
    peaks = []
    for count in (30, 240):
        seen: list[int] = []
        tracemalloc.start()
        work = FORMATS[name].write(tmp_path / str(count), many(count, seen), EARS, ExportOptions())
        for done, written in enumerate(work, 1):
            assert written.item.id == done - 1
            assert len(seen) == done
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    files = [tmp_path / str(n) / FORMATS[name].common_files()[0] for n in (30, 240)]
    grown = files[1].stat().st_size - files[0].stat().st_size
    assert grown > 150_000
    assert peaks[1] - peaks[0] < grown / 2
    assert len(FORMATS[name].read(tmp_path / "240").items) == 240


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("coco", tmp_path, [item_of(np.ones((3, 3), np.uint8))])
    before = (tmp_path / "annotations/instances_default.json").read_bytes()

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(DiskFullError, match="No space left"):
        write("coco", tmp_path, [item_of(np.zeros((3, 3), np.uint8))])
    assert (tmp_path / "annotations/instances_default.json").read_bytes() == before


def test_old_labelme_files_take_the_size_of_their_image(tmp_path: Path) -> None:
    content = json.loads((GOLDEN / "labelme/cat.json").read_text())
    del content["imageHeight"], content["imageWidth"]
    (tmp_path / "cat.json").write_text(json.dumps(content))
    known = KnownImages(["cat"], lambda name: (32, 24) if name == "cat" else None)
    labels = FORMATS["labelme"].read(tmp_path, known).items[0].load()
    assert np.array_equal(labels, imported("labelme", GOLDEN / "labelme")[1])
    with pytest.raises(LabelError, match="imageWidth"):
        imported("labelme", tmp_path)


@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "label-studio"])
def test_an_export_that_is_stopped_leaves_no_half_file(name: str, tmp_path: Path) -> None:
    work = FORMATS[name].write(tmp_path, many(10, []), EARS, ExportOptions())
    next(work)
    work.close()  # type: ignore[attr-defined]
    assert not (tmp_path / FORMATS[name].common_files()[0]).exists()
    assert not [f for f in tmp_path.iterdir() if f.is_file()]

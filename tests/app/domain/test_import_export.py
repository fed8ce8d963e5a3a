"""Reports before, work after: what is lost, what is matched, which class becomes which, one step back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.classes import ImportClasses, table_from_names
from app.domain.formats import FORMATS, export, export_report, import_labels, import_report
from app.domain.formats.base import ExportItem, ExportOptions
from app.domain.formats.matching import agreement, kept_extras, same_classes
from app.domain.project import Project
from app.domain.status import Status
from coordgan_core.errors import LabelError
from tests.app.domain.test_formats import give_labels

FILL = ExportOptions(choices={"holes": "fill"})


def with_hole(project: Project, place: int) -> int:
    image = int(project.ids()[place])
    labels = np.zeros((32, 48), np.uint8)
    labels[4:24, 4:24] = 1
    labels[8:20, 8:20] = 0
    give_labels(project, image, labels)
    return image


def masks(
    folder: Path, classes: list[str], values: dict[str, int], shape: tuple[int, int] = (32, 48)
) -> None:
    items = [
        ExportItem(i, f"{stem}.png", stem, folder, lambda v=value: np.full(shape, v, np.uint8))
        for i, (stem, value) in enumerate(values.items())
    ]
    list(FORMATS["pascal-voc"].write(folder, items, table_from_names(classes), ExportOptions()))


def test_what_is_lost_is_said_before_and_after(project: Project, tmp_path: Path) -> None:
    image = with_hole(project, 0)
    give_labels(project, int(project.ids()[1]), np.full((32, 48), 2, np.uint8))
    ids = [int(i) for i in project.ids()]
    report = export_report(project, ids, "yolo-seg", tmp_path / "out", FILL)
    assert report.iou[image] == pytest.approx((400 - 144) / 400)
    assert not report.lossless
    assert any(
        "1 of 2 images that were measured lose pixels (image0.png keeps an IoU of 0.640)" in w
        for w in report.warnings
    )
    events = {e.image_id: e.iou for e in export(project, ids, "yolo-seg", tmp_path / "out", FILL)}
    assert events == report.iou
    cut = export_report(project, ids, "yolo-seg", tmp_path / "out2")
    assert cut.lossless
    assert not cut.iou


def test_only_some_images_are_measured_where_there_are_many(project: Project, tmp_path: Path) -> None:
    for place in range(4):
        with_hole(project, place)
    ids = [int(i) for i in project.ids()]
    assert len(export_report(project, ids, "yolo-seg", tmp_path / "o", FILL, measured=2).iou) == 2
    assert len(export_report(project, ids, "yolo-seg", tmp_path / "o", FILL, measured=None).iou) == 4


def test_a_damaged_label_map_is_told_and_the_others_are_written(project: Project, tmp_path: Path) -> None:
    images = [with_hole(project, place) for place in range(2)]
    project.flush()
    project.label_path(images[0]).write_bytes(b"no png")
    events = list(export(project, images, "cvat-images", tmp_path / "out"))
    assert sorted((e.image_id, bool(e.error)) for e in events) == [(images[0], True), (images[1], False)]
    assert [e.done for e in events] == [1, 2]
    assert [Path(i.key).stem for i in FORMATS["cvat-images"].read(tmp_path / "out").items] == ["image1"]


def test_closing_an_export_leaves_no_half_file(project: Project, tmp_path: Path) -> None:
    images = [with_hole(project, place) for place in range(2)]
    for name in ("cvat-images", "cvat-mask"):
        work = export(project, images, name, tmp_path / name)
        next(work)
        work.close()  # type: ignore[attr-defined]
        assert [f for f in (tmp_path / name).rglob("*") if f.is_file()] == []


def test_ids_without_a_class_are_exported_under_a_name(project: Project, tmp_path: Path) -> None:
    image = int(project.ids()[0])
    give_labels(project, image, np.full((32, 48), 9, np.uint8))
    report = export_report(project, [image], "cvat-images", tmp_path / "out")
    assert "the class ids 9 have no name" in report.warnings
    list(export(project, [image], "cvat-images", tmp_path / "out"))
    assert "class 9" in FORMATS["cvat-images"].read(tmp_path / "out").names.values()


def test_a_dry_run_says_what_is_in_the_label_maps(project: Project, tmp_path: Path) -> None:
    masks(tmp_path / "voc", ["eye", "ear"], {"image0": 1, "image1": 2, "image2": 2, "other": 1})
    Image.fromarray(np.ones((5, 5), np.uint8)).save(tmp_path / "voc/SegmentationClass/image3.png")
    report = import_report(project, "pascal-voc", tmp_path / "voc")
    assert report.images == {1: 1, 2: 2}
    assert report.looked == 4
    assert report.names == {1: "eye", 2: "ear"}
    assert report.extra == ("other",)
    assert list(report.unfit) == [int(project.ids()[3])]
    assert any("5 x 5 pixels" in w for w in report.warnings)
    assert [project.row(i).path for i in report.missing] == ["image4.png", "image5.png"]


def test_classes_go_where_a_person_sends_them(project: Project, tmp_path: Path) -> None:
    masks(tmp_path / "voc", ["left", "right", "junk"], {"image0": 1, "image1": 2, "image2": 3})
    ids = [int(i) for i in project.ids()]
    before = project.classes
    list(import_labels(project, "pascal-voc", tmp_path / "voc", {1: "eye", 2: "EYE", 3: "background"}))
    eye = before.by_name("eye")
    assert eye is not None
    assert [int(project.labels(i)[0, 0]) for i in ids[:3]] == [eye.id, eye.id, 0]
    assert project.classes == before


def test_human_work_is_replaced_only_when_asked_and_comes_back(project: Project, tmp_path: Path) -> None:
    image = with_hole(project, 0)
    mine = project.labels(image).copy()
    masks(tmp_path / "voc", ["eye"], {"image0": 1})
    assert [e.taken for e in import_labels(project, "pascal-voc", tmp_path / "voc")] == [False]
    assert np.array_equal(project.labels(image), mine)
    events = list(import_labels(project, "pascal-voc", tmp_path / "voc", overwrite=True))
    assert (project.labels(image) == 2).all()
    list(project.exchange(events[0].batch))
    assert np.array_equal(project.labels(image), mine)


def test_a_cancelled_import_can_be_taken_back(project: Project, tmp_path: Path) -> None:
    masks(tmp_path / "voc", ["ear"], {"image0": 1, "image1": 1})
    work = import_labels(project, "pascal-voc", tmp_path / "voc")
    first = next(work)
    work.close()  # type: ignore[attr-defined]
    run = project.runs()[0]
    assert (run.id, run.finished is not None) == (first.batch, True)
    list(project.exchange(first.batch))
    assert project.row(first.image_id).status is Status.UNLABELLED


def test_void_and_nameless_pixels(project: Project, tmp_path: Path) -> None:
    labels = np.full((32, 48), 255, np.uint8)
    labels[:4], labels[4:8] = 1, 7
    item = ExportItem(1, "image0.png", "image0", tmp_path, lambda: labels)
    list(FORMATS["pascal-voc"].write(tmp_path / "voc", [item], table_from_names(["eye"]), ExportOptions()))
    report = import_report(project, "pascal-voc", tmp_path / "voc")
    assert report.mapping == {1: "eye", 7: "class 7"}
    assert "the class ids 7 have no name in the source" in report.warnings
    list(import_labels(project, "pascal-voc", tmp_path / "voc", report.mapping))
    found = project.labels(int(project.ids()[0]))
    assert found[5, 0] == project.classes.by_name("class 7").id  # type: ignore[union-attr]
    assert found[20, 0] == 0


def test_new_classes_bring_their_colours(project: Project, tmp_path: Path) -> None:
    table = table_from_names(["eye", "tail"])
    tail = table.by_name("tail")
    assert tail is not None
    item = ExportItem(1, "image0.png", "image0", tmp_path, lambda: np.full((32, 48), 2, np.uint8))
    list(
        FORMATS["color-png"].write(
            tmp_path / "c", [item], table.replaced(type(tail)(2, "tail", (1, 2, 3))), ExportOptions()
        )
    )
    eye = project.classes.by_name("eye")
    list(import_labels(project, "color-png", tmp_path / "c"))
    assert project.classes.by_name("tail").color == (1, 2, 3)  # type: ignore[union-attr]
    assert project.classes.by_name("eye") == eye


def test_no_room_for_more_classes_is_said_and_nothing_changes(project: Project, tmp_path: Path) -> None:
    list(project.change_classes(ImportClasses(tuple(f"p{i}" for i in range(253)))))
    masks(tmp_path / "voc", ["ear", "tail"], {"image0": 1, "image1": 2})
    report = import_report(project, "pascal-voc", tmp_path / "voc")
    assert any("more than there is room for" in w for w in report.warnings)
    runs = len(project.runs())
    with pytest.raises(LabelError, match="256 classes"):
        list(import_labels(project, "pascal-voc", tmp_path / "voc"))
    assert len(project.runs()) == runs


@pytest.mark.parametrize("name", sorted(n for n, f in FORMATS.items() if f.extras_of == "labelme"))
def test_unknown_keys_come_back_with_the_next_export(project: Project, tmp_path: Path, name: str) -> None:
    image = with_hole(project, 0)
    list(export(project, [image], name, tmp_path / "first"))
    file = tmp_path / "first/image0.json"
    data = json.loads(file.read_text()) | {"reviewer": {"name": "Ann", "sure": True}}
    file.write_text(json.dumps(data))
    list(import_labels(project, name, tmp_path / "first", overwrite=True))
    assert "Ann" in json.dumps(kept_extras(project, FORMATS[name], "image0.png"))
    list(export(project, [image], name, tmp_path / "second"))
    assert json.loads((tmp_path / "second/image0.json").read_text())["reviewer"] == {
        "name": "Ann",
        "sure": True,
    }


def test_agreement_is_the_mean_over_classes() -> None:
    labels = np.array([[1, 1, 2, 2]], np.uint8)
    assert agreement(labels, labels) == 1.0
    assert agreement(labels, np.array([[1, 0, 2, 2]], np.uint8)) == 0.75
    assert agreement(labels, np.array([[1, 1, 2, 3]], np.uint8)) == pytest.approx((1 + 0.5 + 0) / 3)
    assert agreement(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)) == 1.0
    assert agreement(labels, np.ones((2, 2), np.uint8)) == 0.0


def test_classes_are_found_by_name_then_by_spelling() -> None:
    assert same_classes({1: "l_eye", 2: "l eye", 3: "Nose"}, {7: "nose", 8: "l eye", 9: "L-Eye"}) == {
        2: 8,
        3: 7,
        1: 9,
    }

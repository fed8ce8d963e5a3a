from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.domain.classes import ImportClasses, MergeClasses, table_from_names
from app.domain.edits import Edit
from app.domain.formats import FORMATS, export, export_report, import_labels, import_report
from app.domain.formats.base import ExportItem, ExportOptions
from app.domain.formats.names import stems
from app.domain.formats.part_masks import split_name
from app.domain.palette import voc_palette
from app.domain.project import Commit, Project
from app.domain.status import Status
from coordgan_core.errors import LabelError
from tests.app.conftest import write_images


def give_labels(project: Project, image_id: int, labels: np.ndarray) -> None:
    edit = Edit.between(project.labels(image_id), labels)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), image_id, "do", "Test", edit)])


def test_voc_palette_is_that_of_the_challenge() -> None:
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        4: (0, 0, 128),
        15: (192, 128, 128),
        20: (0, 64, 128),
        21: (128, 64, 128),
        255: (224, 224, 192),
    }
    assert {i: tuple(voc_palette()[i].tolist()) for i in known} == known


def test_voc_layout(project: Project, tmp_path: Path) -> None:
    ids = [int(i) for i in project.ids()][:2]
    for image in ids:
        give_labels(project, image, np.full((32, 48), image % 2 + 1, np.uint8))
    out = tmp_path / "voc"
    events = list(
        export(project, [int(i) for i in project.ids()], "pascal-voc", out, ExportOptions(copy_images=True))
    )
    assert [e.done for e in events] == [1, 2]
    with Image.open(out / "SegmentationClass/image0.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[3:6] == [128, 0, 0]
    assert (out / "ImageSets/Segmentation/trainval.txt").read_text() == "image0\nimage1\n"
    assert (out / "class_names.txt").read_text() == "_background_\nnose\neye\n"
    assert (out / "JPEGImages/image0.png").read_bytes() == project.image_path(ids[0]).read_bytes()
    assert max(FORMATS, key=lambda name: FORMATS[name].probe(out)) == "pascal-voc"


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("copy_images", [False, True])
def test_dry_run_names_all_files_and_writes_none(
    project: Project, tmp_path: Path, name: str, copy_images: bool
) -> None:
    options = ExportOptions(copy_images=copy_images)
    ids = [int(i) for i in project.ids()]
    labels = np.zeros((32, 48), np.uint8)
    labels[3:9, 3:9] = 1
    labels[5, 5] = 2
    give_labels(project, ids[0], labels)
    out = tmp_path / "parts"
    report = export_report(project, ids, name, out, options)
    assert report.images == 1
    assert len(report.skipped) == 5
    assert not out.exists()
    list(export(project, ids, name, out, options))
    assert {f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file()} == set(report.files)
    again = export_report(project, ids, name, out, options)
    what = "file is" if len(report.files) == 1 else "files are"
    assert any(f"{len(report.files)} {what} there already" in each for each in again.warnings)


def test_exports_never_go_into_the_images_folder(project: Project) -> None:
    with pytest.raises(LabelError, match="folder of the images"):
        export_report(project, [], "index-png", project.images_folder / "labels")


def test_import_adds_classes_and_is_one_step_that_spares_people(project: Project, tmp_path: Path) -> None:
    ids = [int(i) for i in project.ids()]
    mine = np.full((32, 48), 1, np.uint8)
    give_labels(project, ids[0], mine)
    source = tmp_path / "voc"
    item = [
        ExportItem(i, f"image{i}", f"image{i}", tmp_path, lambda i=i: np.full((32, 48), i + 1, np.uint8))
        for i in range(2)
    ]
    list(FORMATS["pascal-voc"].write(source, item, table_from_names(["eye", "ear"]), ExportOptions()))
    report = import_report(project, "pascal-voc", source)
    assert sorted(report.matched) == ids[:2]
    assert report.new_classes == ("ear",)
    assert report.protected == (ids[0],)
    assert report.mapping == {1: "eye", 2: "ear"}
    events = list(import_labels(project, "pascal-voc", source, report.mapping))
    assert [e.taken for e in events] == [False, True]
    ear = project.classes.by_name("ear")
    assert ear is not None
    assert (project.labels(ids[1]) == ear.id).all()
    assert np.array_equal(project.labels(ids[0]), mine)
    assert project.row(ids[1]).status is Status.EDITED
    list(project.exchange(events[0].batch))
    assert project.classes.by_name("ear") is None
    assert project.row(ids[1]).status is Status.UNLABELLED


def test_labels_of_another_size_are_refused(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "pngs"
    source.mkdir()
    Image.fromarray(np.ones((5, 5), np.uint8)).save(source / "image0.png")
    events = list(import_labels(project, "index-png", source))
    assert "5 x 5 pixels" in events[0].error


def test_images_of_one_stem_are_exported_apart_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_images(folder, 1)
    Image.new("RGB", (48, 32)).save(folder / "image0.jpg")
    (folder / "sub").mkdir()
    Image.new("RGB", (48, 32)).save(folder / "sub" / "image0.png")
    with Project.create(folder) as project:
        list(project.scan())
        list(project.change_classes(ImportClasses(("a", "b", "c"))))
        for value, image in enumerate(project.ids(), 1):
            give_labels(project, int(image), np.full((32, 48), value, np.uint8))
        before = {int(i): project.labels(int(i)) for i in project.ids()}
        out = tmp_path / "out"
        list(export(project, [int(i) for i in project.ids()], "index-png", out))
        assert len(list(out.glob("*.png"))) == 3
        report = import_report(project, "index-png", out)
        assert len(report.matched) == 3
        list(import_labels(project, "index-png", out, overwrite=True))
        for image, labels in before.items():
            assert np.array_equal(project.labels(image), labels)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), unique=True, max_size=8
    )
)
def test_stems_are_unique_plain_names(paths: list[str]) -> None:
    found = stems(paths)
    assert len({f.casefold() for f in found}) == len(paths)
    for name in found:
        assert name
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name not in (".", "..")
        assert len(name.encode()) <= 220


def test_part_names_follow_the_longest_known_image() -> None:
    assert split_name("00012_l_eye", {"12"}) == ("12", "l_eye")
    assert split_name("my_cat_nose", {"my", "my_cat"}) == ("my_cat", "nose")
    assert split_name("photo_nose", set()) == ("photo", "nose")


def test_classes_of_masks_survive_a_merge(project: Project, tmp_path: Path) -> None:
    image = int(project.ids()[0])
    labels = np.zeros((32, 48), np.uint8)
    labels[:4], labels[8:12] = 1, 2
    give_labels(project, image, labels)
    list(project.change_classes(MergeClasses(2, 1)))
    out = tmp_path / "out"
    list(export(project, [image], "part-masks", out))
    assert sorted(f.name for f in (out / "masks").iterdir()) == ["image0_nose.png"]


@pytest.mark.parametrize("name", ["pascal-voc", "cvat-mask"])
def test_a_part_is_one_object_whatever_its_holes_and_pieces(tmp_path: Path, name: str) -> None:
    labels = np.zeros((9, 12), np.uint8)
    labels[1:8, 1:6], labels[3:5, 3:5] = 7, 0  # a hole
    labels[1, 8] = labels[5, 10] = 3  # two pieces
    table = table_from_names([f"part {i}" for i in range(1, 9)])
    item = ExportItem(1, "a.png", "a", tmp_path, lambda: labels)
    list(FORMATS[name].write(tmp_path / "out", [item], table, ExportOptions(choices={"pack": "folder"})))
    with Image.open(tmp_path / "out/SegmentationObject/a.png") as image:
        assert image.mode == ("P" if name == "pascal-voc" else "RGB")
        objects = np.asarray(image.convert("RGB"))
    numbers = {3: 1, 7: 2}  # counted from 1 by class, in the colours of VOC
    for class_id, number in numbers.items():
        assert (objects[labels == class_id] == voc_palette()[number]).all()
    assert not objects[labels == 0].any()


def test_the_label_map_of_cvat_is_sorted_and_declares_black(tmp_path: Path) -> None:
    item = ExportItem(1, "a.png", "a", tmp_path, lambda: np.ones((2, 2), np.uint8))
    table = table_from_names(["tail", "ear: left", "#head"])
    list(FORMATS["cvat-mask"].write(tmp_path, [item], table, ExportOptions(choices={"pack": "folder"})))
    lines = (tmp_path / "labelmap.txt").read_text().splitlines()
    assert lines[0] == "# label:color_rgb:parts:actions"
    assert [line.split(":")[0] for line in lines[1:]] == ["background", "ear_ left", "head", "tail"]
    assert lines[1] == "background:0,0,0::"
    assert (tmp_path / "ImageSets/Segmentation/default.txt").read_text() == "a\n"
    assert len(FORMATS["cvat-mask"].limits(table)) == 2

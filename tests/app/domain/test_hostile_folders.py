"""Folders and projects that are odd or made to do harm: each is told or survived."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.classes import AddClass, MergeClasses
from app.domain.formats import FORMATS, export, import_labels
from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result
from app.domain.status import Status
from coordgan_core.data.images import image_size, list_images
from coordgan_core.errors import CoordError, DataError, ImageError, LabelError
from coordgan_core.labels import read_label_map
from tests.app.conftest import write_images

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")


def one_image(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(folder / name, "PNG")
    return folder / name


ODD_NAMES = [
    "two\nlines.png",
    "tab\there.png",
    "smile \U0001f600.png",
    "\u202eright to left\u202c \u05d0\u05d1.png",
    "a" * 251 + ".png",
    "\U0001f600" * 62 + ".png",
    "percent %s {} 100%.png",
    "-rf.png",
    "' OR 1=1 --.png",
]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no such names")
@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_an_image_of_any_name_can_be_labelled_propagated_and_found_again(tmp_path: Path, name: str) -> None:
    one_image(tmp_path, name)
    with Project.create(tmp_path) as project:
        list(project.scan())
        (image,) = (int(i) for i in project.ids())
        labels = project.labels(image)
        edit = paint(labels, rectangle_region(2, 2, 9, 9, labels.shape), 1)
        assert edit is not None
        project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
        assert project.flush() == 1
        project.set_status([image], Status.UNLABELLED)
    with Project.open(tmp_path) as project:
        assert np.array_equal(project.labels(image), labels)
        confidence = np.full(labels.shape, 0.5, np.float32)
        project.store.files.save_confidence(name, 1, confidence)
        assert project.store.files.confidence_path(name, 1).exists()
    (tmp_path / ".coordlabel/project.sqlite").unlink()
    with Project.open(tmp_path) as rebuilt:  # the label file alone says what is whose
        list(rebuilt.scan())
        assert np.array_equal(rebuilt.labels(rebuilt.find(name) or 0), labels)


@posix
def test_links_in_circles_and_pipes_do_not_stop_a_scan(tmp_path: Path) -> None:
    write_images(tmp_path, 2)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    with Project.create(tmp_path) as project:
        last = list(project.scan())[-1]
        assert last.finished
        assert sorted(project.row(int(i)).path for i in project.ids()) == ["image0.png", "image1.png"]
        assert {name for name, _ in last.skipped} == {"self.png", "broken.png", "pipe.png"}
    assert [p.name for p in list_images(tmp_path)] == ["image0.png", "image1.png"]


def test_an_image_without_pixels_is_a_problem_and_the_scan_ends(tmp_path: Path) -> None:
    write_images(tmp_path, 1)
    header = b"GIF89a" + b"\0\0\0\0" + b"\0\0\0" + b",\0\0\0\0\0\0\0\0\0\x02\0\0;"
    (tmp_path / "empty.gif").write_bytes(header)
    with pytest.raises(ImageError):
        image_size(tmp_path / "empty.gif")
    with Project.create(tmp_path) as project:
        assert list(project.scan())[-1].finished
        assert project.row(project.find("empty.gif") or 0).problem
        assert project.row(project.find("image0.png") or 0).width == 48


@pytest.mark.parametrize(
    "path", ["../../../evil.jpg", "/tmp/evil.jpg", "a/../../../../evil.jpg", "..", "a/.."], ids=ascii
)
def test_a_database_that_names_images_outside_is_refused(tmp_path: Path, path: str) -> None:
    images = tmp_path / "a/b/images"
    write_images(images, 2)
    Project.create(images).close()
    place = images / ".coordlabel"
    connection = sqlite3.connect(place / "project.sqlite")
    connection.execute(
        "INSERT INTO images (path, folded, sort_key, width, height) VALUES (?, '', '', 4, 4)", (path,)
    )
    connection.commit()
    connection.close()
    for read_only in (False, True):
        with pytest.raises(DataError, match="outside of its folder"):
            Project.open(images, read_only=read_only)


def test_a_program_named_as_a_label_map_is_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    script = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n({victim}) (w) file closefile\nshowpage\n"
    (tmp_path / "labels.png").write_text(script)
    with pytest.raises(LabelError, match="cannot be read"):
        read_label_map(tmp_path / "labels.png")
    assert not victim.exists()


def test_a_label_map_beyond_the_limit_of_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    labels = Image.new("P", (20_000, 12_000))  # 240 million pixels in 30 KB
    labels.save(tmp_path / "bomb.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in the application, where a warning stops nothing
        with pytest.raises(LabelError, match="20000 x 12000"):
            read_label_map(tmp_path / "bomb.png")


def test_temporary_files_of_a_crash_are_swept_and_those_of_others_are_not(project: Project) -> None:
    folder, images = project.folder, project.images_folder
    project.close()
    left = [folder / "labels/.image0.png.abc.part", folder / "confidence/1/.x.7.part"]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    (images / "mine.part").write_bytes(b"a person's")
    Project.open(folder).close()
    assert all(file.exists() for file in left), "nothing crashed: nobody looks"
    (folder / "project.lock").write_text('{"process": 1, "machine": "x"}')
    Project.open(folder).close()
    assert not any(file.exists() for file in left)
    assert (images / "mine.part").exists()


def test_undoing_a_merge_that_was_cut_off_can_be_finished(project: Project) -> None:
    list(project.change_classes(AddClass("ear")))
    ear = project.classes.by_name("ear")
    assert ear is not None
    ids = [int(i) for i in project.ids()]
    batch = project.batches.begin("import", "x")
    for image in ids:
        project.batches.write_labels(batch, image, np.full((32, 48), ear.id, np.uint8))
    project.batches.finish(batch)
    list(project.change_classes(MergeClasses(ear.id, 1)))
    merge = project.runs()[0].id
    assert project.classes.get(ear.id) is None
    cut = project.batches.exchange(merge, chunk=2)
    # what `Project.exchange` does first, then as if the power had gone after two of six images
    classes = project.exchange(merge)
    del classes
    next(cut)
    cut.close()
    project.database.close()
    project._lock.release()
    with Project.open(project.folder) as again:
        assert "undoing" in again.note
        assert sorted(int(again.labels(i).max()) for i in ids) == [1, 1, 1, 1, ear.id, ear.id]
        assert not again.runs()[0].undone
        list(again.exchange(merge))
        assert [int(again.labels(i).max()) for i in ids] == [ear.id] * 6
        assert again.classes.by_id(ear.id).name == "ear"
        list(again.exchange(merge))
        assert [int(again.labels(i).max()) for i in ids] == [1] * 6


def test_pixels_keep_their_class_while_a_merge_is_taken_back(project: Project) -> None:
    list(project.change_classes(AddClass("ear")))
    ear = project.classes.by_name("ear")
    assert ear is not None
    ids = [int(i) for i in project.ids()]
    batch = project.batches.begin("import", "x")
    for image in ids:
        project.batches.write_labels(batch, image, np.full((32, 48), ear.id, np.uint8))
    project.batches.finish(batch)
    list(project.change_classes(MergeClasses(ear.id, 1)))
    merge = project.runs()[0].id
    cut = project.exchange(merge)
    next(cut)
    assert project.classes.get(ear.id) is not None, "a pixel of a class that is not there"
    cut.close()


def test_a_class_in_use_survives_the_redoing_of_its_merge(project: Project) -> None:
    list(project.change_classes(AddClass("ear")))
    ear = project.classes.by_name("ear")
    assert ear is not None
    first, second = (int(i) for i in project.ids()[:2])
    batch = project.batches.begin("import", "x")
    for image in (first, second):
        project.batches.write_labels(batch, image, np.full((32, 48), ear.id, np.uint8))
    project.batches.finish(batch)
    list(project.change_classes(MergeClasses(ear.id, 1)))
    merge = project.runs()[0].id
    list(project.exchange(merge))
    labels = project.labels(first)
    edit = paint(labels, rectangle_region(0, 0, 4, 4, labels.shape), 2)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), first, "do", "Box", edit)])
    list(project.exchange(merge))  # the first image has been worked on since and stays
    assert (project.labels(first) == ear.id).any()
    assert project.classes.by_id(ear.id).name == "ear"
    assert (project.labels(second) == 1).all()


def test_an_unusual_result_does_not_end_a_propagation(project: Project) -> None:
    """A folder stands in the place of a label file: the journal holds the map."""
    ids = [int(i) for i in project.ids()]
    project.label_path(ids[0]).mkdir(parents=True)
    batch = project.batches.begin("propagation", "x")
    results = [(i, Result(np.ones((32, 48), np.uint8))) for i in ids]
    assert project.batches.write_results(batch, results) == [True] * len(ids)
    assert all((project.labels(i) == 1).all() for i in ids)
    folder = project.folder
    project.close()
    with Project.open(folder) as again:
        assert (again.labels(ids[0]) == 1).all()


@posix
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_import_folder_full_of_links_to_devices_comes_to_an_end(
    project: Project, tmp_path: Path, name: str
) -> None:
    ids = [int(i) for i in project.ids()]
    batch = project.batches.begin("import", "x")
    for image in ids:
        project.batches.write_labels(batch, image, np.ones((32, 48), np.uint8))
    list(export(project, ids, name, tmp_path / "out"))
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert files
    for file in files:
        file.unlink()
        file.symlink_to("/dev/zero")
    before = {i: project.labels(i) for i in ids}
    for each in FORMATS.values():
        assert 0 <= each.probe(tmp_path / "out") <= 1
    with contextlib.suppress(CoordError):
        events = list(import_labels(project, name, tmp_path / "out", overwrite=True))
        assert all(event.error or not event.taken for event in events)
    assert all(np.array_equal(project.labels(i), labels) for i, labels in before.items())

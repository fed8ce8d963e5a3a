from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.classes import ImportClasses, MergeClasses
from app.domain.project import Commit, Project
from app.domain.status import Status
from app.domain.storage.database import Database
from app.domain.storage.index import sort_key
from app.domain.storage.schema import MIGRATIONS
from coordgan_core.errors import DataError, DiskFullError
from coordgan_core.labels import read_label_map
from tests.app.conftest import write_images
from tests.app.domain.work import ids_of, propagate, stroke

# --- the folder


def test_label_maps_lie_beside_each_other_for_images_of_one_stem(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_images(folder, 1)
    Image.new("RGB", (48, 32)).save(folder / "image0.jpg")
    with Project.create(folder) as project:
        list(project.scan())
        first, second = ids_of(project)
        stroke(project, first, 1, flush=True)
        stroke(project, second, 2, flush=True)
        files = sorted(f.name for f in (project.folder / "labels").iterdir())
        assert files == ["image0.jpg.png", "image0.png.png"]
        assert read_label_map(project.label_path(second)).max() == 2


def test_scan_reads_odd_files_and_says_what_is_wrong(images: Path) -> None:
    (images / "broken.png").write_bytes(b"\x89PNG nothing")
    (images / ".hidden.png").write_bytes(b"x")
    (images / "notes.txt").write_text("no image")
    (images / "deep" / "er").mkdir(parents=True)
    rotated = Image.new("RGB", (40, 20))
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(images / "deep" / "er" / "turned.jpg", exif=exif)
    (images / "deep" / "loop").symlink_to(images, target_is_directory=True)
    with Project.create(images) as project:
        last = list(project.scan())[-1]
        assert last.finished
        assert last.found == 8
        broken = project.row(project.find("broken.png") or 0)
        assert broken.problem
        turned = project.row(project.find("deep/er/turned.jpg") or 0)
        assert (turned.width, turned.height) == (20, 40)
        (images / "image0.png").unlink()
        assert list(project.scan())[-1].vanished == 1
        assert project.row(project.find("image0.png") or 0).problem == "the file has gone"
        write_images(images, 1)
        list(project.scan())
        assert not project.row(project.find("image0.png") or 0).missing


def test_names_sort_as_people_count() -> None:
    names = ["Img10.png", "img2.png", "a/3.png", "img0002.png"]
    assert sorted(names, key=sort_key) == ["a/3.png", "img2.png", "img0002.png", "Img10.png"]


def test_a_project_elsewhere_finds_its_images_and_may_move(tmp_path: Path, images: Path) -> None:
    place = tmp_path / "here" / "labelling"
    with Project.create(images, place) as project:
        list(project.scan())
        stroke(project, ids_of(project)[0])
    assert not (images / ".coordlabel").exists()
    with Project.open(place) as project:
        assert project.count() == 6
        assert project.labels(ids_of(project)[0]).any()
    inside = Project.create(images)
    inside.close()
    moved = tmp_path / "moved"
    shutil.move(images, moved)
    with Project.open(moved) as project:
        assert project.images_folder == moved


def test_a_lost_database_is_built_again_from_the_label_files(images: Path) -> None:
    with Project.create(images) as project:
        list(project.scan())
        list(project.change_classes(ImportClasses(("nose", "eye"))))
        labels = stroke(project, ids_of(project)[0], 2)
    for file in (images / ".coordlabel").glob("project.sqlite*"):
        file.unlink()
    with Project.open(images) as project:
        list(project.scan())
        image = ids_of(project)[0]
        assert project.classes.names == ("background", "nose", "eye")
        assert np.array_equal(project.labels(image), labels)
        assert project.row(image).status is Status.EDITED
        batch = propagate(project, {image: 0.9})
        assert np.array_equal(project.labels(image), labels), f"batch {batch} replaced human work"
        assert project.class_counts(image) == {2: 100}
        list(project.change_classes(MergeClasses(2, 1)))
        assert (project.labels(image) == 1).sum() == 100


def test_second_opening_is_read_only(project: Project) -> None:
    stroke(project, ids_of(project)[0])
    with Project.open(project.images_folder) as other:
        assert other.read_only
        assert f"process {os.getpid()}" in other.read_only_reason
        assert other.labels(ids_of(project)[0]).any()
        with pytest.raises(DataError, match="reading only"):
            stroke(other, ids_of(project)[1])
        assert [p.finished for p in other.scan()] == [True]


def test_the_lock_goes_with_its_project(images: Path) -> None:
    Project.create(images).close()
    with Project.open(images) as project:
        assert not project.read_only


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_opens_for_reading(images: Path) -> None:
    Project.create(images).close()
    (images / ".coordlabel").chmod(0o500)
    with Project.open(images) as project:
        assert "cannot be written" in project.read_only_reason
    (images / ".coordlabel").chmod(0o700)


def test_what_is_no_project_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no project"):
        Project.open(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        Project.create(tmp_path / "missing")
    (tmp_path / "images").mkdir()
    place = tmp_path / "images" / ".coordlabel"
    place.mkdir()
    (place / "project.json").write_text("{not json")
    with pytest.raises(DataError, match="damaged"):
        Project.open(tmp_path / "images")
    (place / "project.json").write_text(json.dumps({"images": ".."}))
    (place / "project.sqlite").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(DataError, match="damaged"):
        Project.open(tmp_path / "images")
    assert (place / "project.sqlite").read_bytes().startswith(b"this is not")


# --- the database


def test_migration_keeps_a_backup_and_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    Database(path).close()

    def second(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE images ADD COLUMN extra TEXT")

    Database(path, migrations=[*MIGRATIONS, second]).close()
    assert (tmp_path / f"p.sqlite.version-{len(MIGRATIONS)}.bak").exists()
    with pytest.raises(DataError, match=f"version {len(MIGRATIONS) + 1}"):
        Database(path)


def test_failed_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    Database(path).close()

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (id)")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        Database(path, migrations=[*MIGRATIONS, broken])
    database = Database(path)
    assert database.read("SELECT name FROM sqlite_master WHERE name = 'half'") == []
    database.close()


def test_busy_database_is_told_and_nothing_is_half_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.database._writer.execute("PRAGMA busy_timeout=50")  # type: ignore[union-attr]
    other = sqlite3.connect(project.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    image = ids_of(project)[0]
    with pytest.raises(DataError, match="in use"):
        stroke(project, image)
    other.execute("ROLLBACK")
    other.close()
    assert not project.labels(image).any()
    stroke(project, image)
    assert project.labels(image).any()


def test_full_disk_is_told_and_the_stroke_can_be_written_later(project: Project) -> None:
    image = ids_of(project)[0]
    noise = np.random.default_rng(0).integers(0, 200, (32, 48), dtype=np.uint8)
    writer = project.database._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count={pages}")
    from app.domain.edits import Edit

    edit = Edit.between(np.zeros((32, 48), np.uint8), noise)
    assert edit is not None
    commits = [Commit(project.store.next_sequence(), image, "do", "Noise", edit) for _ in range(40)]
    with pytest.raises(DiskFullError):
        project.commit(commits)
    assert not project.labels(image).any()
    writer.execute("PRAGMA max_page_count=1000000")
    project.commit(commits)
    assert np.array_equal(project.labels(image), noise)


def test_threads_may_read_while_one_writes(project: Project) -> None:
    image = ids_of(project)[0]
    stop = threading.Event()
    errors: list[Exception] = []

    def read() -> None:
        last = 0
        while not stop.is_set():
            try:
                count = int((project.labels(image) > 0).sum())
                if count < last:
                    errors.append(AssertionError(f"{count} after {last}"))
                last = count
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(20):
        stroke(project, image, at=step, flush=step % 3 == 0)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_project_folder_among_the_images_is_no_image(images: Path) -> None:
    with Project.create(images, images / "labelling") as project:
        list(project.scan())
        stroke(project, ids_of(project)[0], flush=True)
        assert list(project.scan())[-1].found == 6

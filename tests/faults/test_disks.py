"""Disks that are full, folders that cannot be written to or vanish, two windows, clocks, cuts of power."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.formats import export
from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result
from app.services.session import Session
from coordgan_core import files
from coordgan_core.errors import CoordError, DataError, DiskFullError
from coordgan_core.labels import read_label_map, write_label_map
from tests.app.conftest import WaitUntil, write_images
from tests.disks import mounted, small_disk_at
from tests.faults.campaign import make_project
from tests.faults.processes import Victim

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    with small_disk_at(tmp_path / "disk", "2m") as place:
        yield place


def stroke(project: Project, image: int, number: int) -> None:
    """Paint noise that cannot be packed into a corner, and commit it."""
    labels = project.labels(image)
    old = labels.copy()
    noise = np.random.default_rng(number)
    labels[:] = noise.integers(0, 200, labels.shape, dtype=np.uint8)
    from app.domain.edits import Edit

    edit = Edit.between(old, labels)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), image, "do", str(number), edit)])


def noise(number: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 200, shape, dtype=np.uint8)


def test_a_full_disk_keeps_every_stroke_that_was_acknowledged(small_disk: Path, tmp_path: Path) -> None:
    write_images(small_disk / "images", 2, width=160, height=120)
    with Project.create(small_disk / "images") as project:
        list(project.scan())
        image, other = (int(i) for i in project.ids())
        stroke(project, image, 0)
        project.flush()
        written, number, told = 0, 1, None
        while told is None:
            try:
                stroke(project, image, number)
                written, number = number, number + 1
            except DiskFullError as error:
                told = error
        assert "space" in told.remedy
        assert written > 3
        assert np.array_equal(project.labels(image), noise(written, (120, 160)))
        with pytest.raises(DiskFullError):
            project.flush()
        with pytest.raises(DiskFullError):
            project.batches.write_result(
                project.batches.begin("propagation", "x"), other, Result(noise(7, (120, 160)))
            )
        assert not project.labels(other).any()
        # what is not in the project can go
        (small_disk / "images" / project.row(other).path).unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        stroke(project, image, number)
        project.flush()
    with Project.open(small_disk / "images") as again:
        assert [int(row[2]) for row in again.store.history(image)] == list(range(number + 1))
        assert np.array_equal(read_label_map(again.label_path(image)), noise(number, (120, 160)))


def test_an_export_to_a_full_disk_is_told_and_leaves_whole_files(small_disk: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "images", 60, width=200, height=200)
    with Project.create(tmp_path / "images") as project:
        list(project.scan())
        batch = project.batches.begin("import", "x")
        for i in project.ids():
            project.batches.write_labels(batch, int(i), noise(int(i), (200, 200)))
        with pytest.raises(DiskFullError, match="could not be written"):
            list(export(project, [int(i) for i in project.ids()], "index-png", small_disk / "out"))
    done = list((small_disk / "out").rglob("*.png"))
    assert len(done) > 3
    for file in done:
        assert read_label_map(file).shape == (200, 200)
    assert not list((small_disk / "out").rglob(".*")), "no half file is left"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from app.domain.project import Project, Result
from coordgan_core.errors import DiskFullError
with Project.open(sys.argv[1]) as project:
    ids = [int(i) for i in project.ids()]
    batch = project.batches.begin("import", "x")
    size = project.database.path.with_name("project.sqlite-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 400_000, size + 400_000))
    done = []
    for number in range(1000):
        labels = np.random.default_rng(number).integers(0, 200, (32, 48), dtype=np.uint8)
        try:
            project.batches.write_labels(batch, ids[number % len(ids)], labels, overwrite=True)
        except DiskFullError as error:
            assert "space" in error.remedy
            break
        done.append(number)
    else:
        raise SystemExit("the limit was never met")
    print(done[-1], flush=True)
    import os
    os._exit(0)
"""


@posix
def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    last = int(done.stdout)
    assert last > 2
    with Project.open(folder) as again:
        ids = [int(i) for i in again.ids()]
        for number in range(max(0, last - len(ids) + 1), last + 1):
            assert np.array_equal(again.labels(ids[number % len(ids)]), noise(number, (32, 48)))


@posix
@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_that_cannot_be_written_to_is_shown_and_says_so(tmp_path: Path, *, killed: bool) -> None:
    folder = make_project(tmp_path)
    with Project.open(folder) as project:
        image = int(project.ids()[0])
        stroke(project, image, 3)
        if killed:  # the stroke is in SQLite's journal only
            shutil.copytree(folder, tmp_path / "copy")
    shown = tmp_path / "copy" if killed else folder
    if not mounted(shown, "--bind", str(shown)):
        pytest.skip("this user may not mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(shown)], check=True)
        with Project.open(shown) as project:
            assert project.read_only
            assert "cannot be written" in project.read_only_reason
            assert np.array_equal(project.labels(image), noise(3, (32, 48)))
            with pytest.raises(DataError, match="reading only"):
                stroke(project, image, 4)
            assert list(project.scan())[-1].finished
    finally:
        subprocess.run(["umount", "-l", str(shown)], check=False)


def test_a_folder_that_vanishes_and_comes_back_loses_nothing(
    project: Project, wait_until: WaitUntil, tmp_path: Path
) -> None:
    session = Session(project)
    told: list[str] = []
    session.failed.connect(told.append)
    image, other = (int(i) for i in project.ids()[:2])
    document = session.open_image(image)
    region = rectangle_region(2, 2, 9, 9, document.shape)
    document.paint_region(region, 1, "Box")
    assert session.flush()
    away = project.images_folder.with_name("away")
    project.images_folder.rename(away)
    document.paint_region(rectangle_region(12, 2, 19, 9, document.shape), 2, "Box")
    session.flush()
    with pytest.raises(CoordError):
        project.flush(image)
    session.start_scan()
    wait_until(lambda: any("cannot be read" in text for text in told))
    away.rename(project.images_folder)
    assert session.close()
    with Project.open(project.folder) as again:
        labels = again.labels(image)
        assert (labels == 1).sum() == 64
        assert (labels == 2).sum() == 64
        assert np.array_equal(read_label_map(again.label_path(image)), labels)
        assert not again.row(other).missing


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY, errno.EPERM, errno.EIO, errno.EROFS])
def test_a_label_file_that_is_locked_or_forbidden_follows_later(
    project: Project, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    image = int(project.ids()[0])
    real, refused = files._finish, []

    def finish(temporary: Path, target: Path) -> None:
        if target.suffix == ".png" and len(refused) < 2:
            refused.append(target)
            raise OSError(code, os.strerror(code), str(target))
        real(temporary, target)

    monkeypatch.setattr(files, "_finish", finish)
    session = Session(project)
    told: list[str] = []
    session.failed.connect(told.append)
    document = session.open_image(image)
    document.paint_region(rectangle_region(2, 2, 9, 9, document.shape), 1, "Box")
    assert session.flush(), "the journal is on disk all the same"
    with pytest.raises(DiskFullError):
        project.flush(image)
    assert session.close()
    assert len(refused) == 2
    with Project.open(project.folder) as again:
        assert (read_label_map(again.label_path(image)) == 1).sum() == 64
        assert not list(again.folder.rglob("*.part"))


def test_a_second_window_reads_only_says_so_and_sees_what_the_first_writes(
    tmp_path: Path, qapp: object, wait_until: WaitUntil
) -> None:
    folder = make_project(tmp_path)
    first = Victim("tests.faults.strokes:paint", folder, 1)
    first.wait_for("committed")
    second = Session(Project.open(folder))
    said: list[str] = []
    second.notice.connect(said.append)
    assert second.read_only
    assert f"process {first._process.pid} on" in second.project.read_only_reason
    second.accept(int(second.project.ids()[0]))
    assert said
    assert "Nothing can be changed" in said[0]
    assert not second.open_image(int(second.project.ids()[0])).is_editable
    before = second.project.database.one("SELECT max(seq) FROM journal")
    assert before is not None

    def has_grown() -> bool:
        first._listen(0.01)
        return second.project.database.one("SELECT max(seq) FROM journal") > before  # type: ignore[operator]

    wait_until(has_grown)
    second.close()
    first.kill()
    with Project.open(folder) as again:
        assert not again.read_only, "the lock has gone with the process"


def test_a_clock_that_runs_backwards_changes_no_order(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(2_000_000_000, -86_400)
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    image, other = (int(i) for i in project.ids()[:2])
    for number in range(4):
        stroke(project, image, number)
        batch = project.batches.begin("propagation", str(number))
        project.batches.write_result(batch, other, Result(noise(number, (32, 48))))
        project.batches.finish(batch)
    folder = project.folder
    project.close()
    with Project.open(folder) as again:
        assert [int(row[2]) for row in again.store.history(image)] == [0, 1, 2, 3]
        assert np.array_equal(again.labels(image), noise(3, (32, 48)))
        assert np.array_equal(again.labels(other), noise(3, (32, 48)))
        assert [run.text for run in again.runs()[:4]] == ["3", "2", "1", "0"]
        list(again.exchange(again.runs()[0].id))
        assert np.array_equal(again.labels(other), noise(2, (32, 48)))


def test_a_cut_of_power_within_the_last_write_leaves_a_whole_beginning(tmp_path: Path) -> None:
    """SQLite's journal, cut at any byte: the project opens, and holds strokes 0 to some n."""
    folder = make_project(tmp_path)
    with Project.open(folder) as project:
        image = int(project.ids()[0])
        first = project.labels(image)
        for number in range(5):
            stroke(project, image, number)
        shutil.copytree(folder, tmp_path / "copy")
    wal = (tmp_path / "copy/project.sqlite-wal").read_bytes()
    found = set()
    for size in [*range(0, len(wal), max(1, len(wal) // 24)), len(wal) - 1, len(wal)]:
        shutil.copytree(tmp_path / "copy", tmp_path / "cut")
        (tmp_path / "cut/project.sqlite-shm").unlink()
        (tmp_path / "cut/project.sqlite-wal").write_bytes(wal[:size])
        with Project.open(tmp_path / "cut") as cut:
            numbers = [int(row[2]) for row in cut.store.history(image)]
            assert numbers == list(range(len(numbers)))
            expected = noise(numbers[-1], (32, 48)) if numbers else first
            assert np.array_equal(cut.labels(image), expected)
            assert np.array_equal(read_label_map(cut.label_path(image)), expected)
        found.add(len(numbers))
        shutil.rmtree(tmp_path / "cut")
    assert {0, 5} <= found


def test_a_label_file_torn_by_a_cut_of_power_is_written_anew(project: Project, monkeypatch: Any) -> None:
    """The disk had said that it was written and lied; the journal still has the whole label map."""
    image = int(project.ids()[0])
    batch = project.batches.begin("propagation", "x")
    monkeypatch.setattr(project.store.files, "_mark_saved", lambda written: None)
    project.batches.write_result(batch, image, Result(noise(1, (32, 48))))
    path, folder = project.label_path(image), project.folder
    path.write_bytes(path.read_bytes()[:-200])
    project.database.close()
    project._lock.release()
    with Project.open(folder) as again:
        assert np.array_equal(again.labels(image), noise(1, (32, 48)))
        assert np.array_equal(read_label_map(path), noise(1, (32, 48)))


def test_a_damaged_label_file_is_told_with_its_name_and_never_overwritten(project: Project) -> None:
    image = int(project.ids()[0])
    path = project.label_path(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_map(path, noise(1, (32, 48)))
    path.write_bytes(path.read_bytes()[:-200])
    content = path.read_bytes()
    with pytest.raises(CoordError, match="image0") as told:
        project.labels(image)
    assert told.value.remedy
    edit = paint(noise(1, (32, 48)), rectangle_region(0, 0, 4, 4, (32, 48)), 250)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
    with pytest.raises(CoordError):
        project.flush(image)
    assert path.read_bytes() == content

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

from app.domain.classes import (
    AddClass,
    DeleteClass,
    ImportClasses,
    MergeClasses,
    RecolorClass,
    RenameClass,
    ReorderClasses,
    SetClassFlags,
    read_label_list,
)
from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result, Sort
from app.domain.review import next_in_queue, review_counts, review_queue, seconds_left, suggest_next
from app.domain.search import SearchError, complete, parse
from app.domain.status import Origin, Status
from app.domain.storage.database import Database
from app.domain.storage.index import sort_key
from app.domain.storage.schema import MIGRATIONS
from coordgan_core.errors import DataError, DiskFullError, LabelError
from coordgan_core.labels import read_label_map, write_label_map
from tests.app.conftest import write_images


def ids_of(project: Project) -> list[int]:
    return [int(i) for i in project.ids()]


def stroke(project: Project, image: int, value: int = 1, *, at: int = 0, flush: bool = False) -> np.ndarray:
    labels = project.labels(image)
    edit = paint(labels, rectangle_region(at, at, at + 9, at + 9, labels.shape), value)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
    if flush:
        project.flush(image)
    return labels


def propagate(project: Project, images: dict[int, float | None], value: int = 2) -> int:
    batch = project.batches.begin("propagation", "Propagate")
    for image, score in images.items():
        labels = np.full((32, 48), value, np.uint8)
        confidence = np.full((32, 48), score or 0.0, np.float32)
        project.batches.write_result(batch, image, Result(labels, confidence, score, {value: score or 0.0}))
    project.batches.finish(batch)
    return batch


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


# --- label maps


def test_a_damaged_label_file_is_never_overwritten(project: Project) -> None:
    image = ids_of(project)[0]
    stroke(project, image, flush=True)
    file = project.label_path(image)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LabelError, match="cannot be read"):
        project.labels(image)
    edit = paint(np.zeros((32, 48), np.uint8), rectangle_region(1, 1, 3, 3, (32, 48)), 1)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
    with pytest.raises(LabelError):
        project.flush(image)
    assert file.read_bytes() == whole[: len(whole) // 2]
    file.write_bytes(whole)
    project.flush(image)
    assert project.labels(image)[2, 2] == 1


def test_label_map_of_another_size_than_its_image_is_told(project: Project) -> None:
    image = ids_of(project)[0]
    stroke(project, image, flush=True)
    write_label_map(project.label_path(image), np.zeros((5, 5), np.uint8))
    with pytest.raises(LabelError, match="5 x 5"):
        project.labels(image)


def test_propagation_replaces_machine_work_only(project: Project) -> None:
    a, b, c, d, e, _ = ids_of(project)
    mine = stroke(project, a)
    propagate(project, {a: 0.5, b: 0.5, c: 0.6, d: 0.7, e: 0.8})
    assert np.array_equal(project.labels(a), mine)
    project.set_status([c], Status.ACCEPTED)
    project.set_status([d], Status.REJECTED)
    stroke(project, e)
    corrected = project.labels(e)
    propagate(project, dict.fromkeys((a, b, c, d, e), 0.9), value=1)
    assert (project.labels(b) == 1).all()
    assert (project.labels(c) == 2).all()
    assert (project.labels(d) == 1).all(), "what was rejected is machine work and may be replaced"
    assert np.array_equal(project.labels(e), corrected)
    assert project.row(e).status is Status.EDITED


def test_rejected_image_with_corrections_is_still_a_persons(project: Project) -> None:
    image = ids_of(project)[0]
    propagate(project, {image: 0.5})
    corrected = stroke(project, image)
    project.set_status([image], Status.REJECTED)
    propagate(project, {image: 0.9}, value=1)
    assert np.array_equal(project.labels(image), corrected)


def test_machine_pixels_around_corrections_can_be_renewed(project: Project) -> None:
    image = ids_of(project)[0]
    propagate(project, {image: 0.5})
    stroke(project, image, 1)
    batch = project.batches.begin("propagation", "Again")
    result = Result(np.full((32, 48), 3, np.uint8), score=0.9)
    assert not project.batches.write_result(batch, image, result)
    assert project.batches.write_result(batch, image, result, refresh_edited=True)
    labels = project.labels(image)
    assert (labels[:10, :10] == 1).all()
    assert (labels[10:] == 3).all()
    assert project.row(image).status is Status.EDITED
    provenance = project.provenance(image)
    assert (provenance[:10, :10] == 2).all()
    assert (provenance[10:] == 1).all()
    list(project.exchange(batch))
    assert (project.labels(image)[10:] == 2).all()
    assert (project.labels(image)[:10, :10] == 1).all()


def test_provenance_follows_undo(project: Project) -> None:
    image = ids_of(project)[0]
    assert not project.provenance(image).any()
    propagate(project, {image: 0.5})
    assert (project.provenance(image) == 1).all()
    stroke(project, image, 1)
    assert (project.provenance(image)[:10, :10] == 2).all()
    sequence = project.store.history(image)[-1][0]
    project.commit(
        [
            Commit(
                project.store.next_sequence(),
                image,
                "undo",
                "Box",
                project.edit(sequence).inverse(),
                sequence,
            )
        ]
    )
    assert (project.provenance(image) == 1).all()
    assert project.row(image).status is Status.PROPAGATED


def test_undoing_a_propagation_spares_what_was_worked_on_since(project: Project) -> None:
    a, b, c = ids_of(project)[:3]
    first = propagate(project, {a: 0.3, b: 0.3, c: 0.3}, value=1)
    second = propagate(project, {a: 0.9, b: 0.9}, value=2)
    corrected = stroke(project, a, 3)
    last = list(project.exchange(second))[-1]
    assert last.kept == 1
    assert np.array_equal(project.labels(a), corrected)
    assert (project.labels(b) == 1).all()
    assert project.row(b).confidence == pytest.approx(0.3)
    assert project.confidence(b)[0, 0] == pytest.approx(0.3, abs=0.01)  # type: ignore[index]
    list(project.exchange(second))
    assert (project.labels(b) == 2).all()
    assert project.class_confidence(b) == {2: pytest.approx(0.9)}
    list(project.exchange(second))
    list(project.exchange(first))
    assert project.row(b).status is Status.UNLABELLED
    assert project.row(b).origin is Origin.NONE
    assert not project.label_path(b).exists()


def test_strokes_before_a_batch_can_be_undone_after_its_undo(project: Project) -> None:
    image = ids_of(project)[0]
    stroke(project, image, 1)
    history = project.store.history(image)
    list(project.change_classes(MergeClasses(1, 2)))
    assert project.store.history(image) == []
    list(project.exchange(project.runs()[0].id))
    assert project.store.history(image) == history


def test_recovery_replays_what_only_the_journal_holds(images: Path) -> None:
    project = Project.create(images)
    list(project.scan())
    image = ids_of(project)[0]
    stroke(project, image, 1, flush=True)
    labels = stroke(project, image, 2, at=12)
    project.database.close()  # no flush: as if the process had been killed
    project._lock.release()
    with Project.open(images) as again:
        assert again.recovered == 1
        assert "1 stroke recovered" in again.note
        assert np.array_equal(read_label_map(again.label_path(image)), labels)


def test_pruning_keeps_what_the_files_need(project: Project) -> None:
    first, second = ids_of(project)[:2]
    for step in range(5):
        stroke(project, first, 1 + step % 2, at=step, flush=True)
    labels = stroke(project, second)
    assert project.store.prune(keep_bytes=0) == 5
    assert np.array_equal(project.labels(second), labels)
    assert project.store.history(first) == []


# --- classes


def test_every_change_of_classes_can_be_taken_back(project: Project) -> None:
    image = ids_of(project)[0]
    stroke(project, image, 1)
    stroke(project, image, 2, at=12)
    changes = [
        AddClass("ear"),
        RenameClass(1, "muzzle"),
        RecolorClass(2, (9, 9, 9)),
        SetClassFlags(1, locked=True, visible=False),
        ReorderClasses((0, 2, 1)),
        ImportClasses(("nose", "tail", "background")),
        MergeClasses(2, 1),
        DeleteClass(1),
    ]
    for change in changes:
        table, labels = project.classes, project.labels(image)
        list(project.change_classes(change))
        assert project.classes != table, change
        after, changed = project.classes, project.labels(image)
        batch = project.runs()[0].id
        list(project.exchange(batch))
        assert project.classes == table, change
        assert np.array_equal(project.labels(image), labels), change
        list(project.exchange(batch))
        assert project.classes == after
        assert np.array_equal(project.labels(image), changed)
        list(project.exchange(batch))


def test_previews_count_images_and_pixels(project: Project) -> None:
    a, b = ids_of(project)[:2]
    stroke(project, a, 1)
    stroke(project, b, 1, at=3)
    assert project.preview(DeleteClass(1)).images == 2
    assert project.preview(DeleteClass(1)).pixels == 200
    assert project.preview(DeleteClass(1)).text == "changes the pixels of 2 images"
    assert project.preview(RenameClass(2, "x")).text == "changes no image"
    assert project.class_counts(a) == {1: 100}
    stroke(project, a, 2)
    assert project.class_counts(a) == {2: 100}


def test_impossible_changes_are_refused_and_change_nothing(project: Project) -> None:
    for change in (
        RenameClass(1, "Eye"),
        RenameClass(9, "x"),
        AddClass("  "),
        MergeClasses(0, 1),
        MergeClasses(1, 1),
        ReorderClasses((0, 1)),
        ReorderClasses((1, 0, 2)),
        DeleteClass(0),
    ):
        with pytest.raises(LabelError):
            list(project.change_classes(change))
        assert project.classes.names == ("background", "nose", "eye")
    assert project.runs()[0].kind == "classes"  # that of the fixture


def test_keys_and_ids(project: Project) -> None:
    list(project.change_classes(AddClass("ear", (1, 2, 3))))
    list(project.change_classes(ReorderClasses((0, 3, 1, 2))))
    table = project.classes
    assert [table.at_key(k).name for k in range(4)] == ["background", "ear", "nose", "eye"]  # type: ignore[union-attr]
    assert table.at_key(4) is None
    assert table.palette()[3].tolist() == [1, 2, 3]
    list(project.change_classes(DeleteClass(3)))
    assert project.classes.next_id() == 3


def test_label_lists_of_other_tools(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("__ignore__\n_background_\nnose\n  l eye \n\nnose\n", encoding="utf-8-sig")
    assert read_label_list(file) == ("nose", "l eye")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError):
        read_label_list(file)


# --- search and review


@pytest.fixture
def mixed(project: Project) -> Project:
    """0 edited with a nose, 1 scores 0.9, 2 scores 0.4, 3 has no score, 4 is rejected, 5 untouched."""
    ids = ids_of(project)
    stroke(project, ids[0], 1)
    propagate(project, {ids[1]: 0.9, ids[2]: 0.4, ids[3]: None, ids[4]: 0.2})
    project.set_status([ids[4]], Status.REJECTED)
    return project


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "012345"),
        ("status:propagated", "123"),
        ("status:edited,rejected", "04"),
        ("-status:propagated", "045"),
        ("score:<0.5", "24"),
        ("score:>=40% score:<0.9", "2"),
        ("score:0.3..0.95", "12"),
        ("-score:<0.5", "0135"),
        ("label:nose", "0"),
        ("label:NOSE,eye", "01234"),
        ("label:tail", ""),
        ("-label:eye", "05"),
        ("name:*2.png", "2"),
        ("name:IMAGE?.png -name:*[0-3]*", "012345"),
        ("image3", "3"),
        ('"image3"', "3"),
        ("is:human", "0"),
        ("is:machine", "1234"),
        ("is:labelled -is:human status:propagated", "123"),
    ],
)
def test_search(mixed: Project, query: str, expected: str) -> None:
    names = "".join(row.name[5] for row in mixed.rows(mixed.ids(query)))
    assert names == expected


@pytest.mark.parametrize(
    "query", ["status:done", "score:high", "colour:red", "is:nice", "score:", "status:,"]
)
def test_what_is_not_understood_is_told(mixed: Project, query: str) -> None:
    with pytest.raises(SearchError) as caught:
        mixed.ids(f"nose {query}")
    assert caught.value.position == 5


def test_quotes_and_terms() -> None:
    query = parse('label:"left eye" -name:a*')
    assert [(t.field, t.values, t.negated) for t in query.terms] == [
        ("label", ("left eye",), False),
        ("name", ("a*",), True),
    ]
    assert parse("   ").is_empty


def test_completion() -> None:
    assert complete("sta", 3, []) == ["status:"]
    assert complete("x status:e", 10, []) == ["edited"]
    assert complete("label:le", 8, ["left eye", "nose"]) == ['"left eye"']


def test_sorting(mixed: Project) -> None:
    def order(sort: Sort, *, descending: bool = False) -> str:
        return "".join(r.name[5] for r in mixed.rows(mixed.ids("", sort, descending=descending)))

    assert order(Sort.NAME, descending=True) == "543210"
    assert order(Sort.CONFIDENCE) == "421035"
    assert order(Sort.CONFIDENCE, descending=True) == "124035"
    assert order(Sort.STATUS) == "451230"


def test_review_begins_with_the_least_certain(mixed: Project) -> None:
    def names(ids: object) -> str:
        return "".join(r.name[5] for r in mixed.rows(ids))  # type: ignore[arg-type]

    queue = review_queue(mixed)
    assert names(queue) == "321"
    assert names(review_queue(mixed, class_id=2)) == "321"
    assert names(review_queue(mixed, class_id=1)) == "321"
    assert next_in_queue(queue, int(queue[0])) == queue[1]
    assert next_in_queue(queue, int(queue[2])) is None
    assert next_in_queue(queue, int(queue[1]), back=True) == queue[0]
    assert next_in_queue(queue, None) == queue[0]
    counts = review_counts(mixed)
    assert (counts.left, counts.corrected, counts.rejected, counts.unlabelled, counts.done) == (3, 1, 1, 1, 2)
    assert seconds_left(10, [1.0, 2.0]) is None
    assert seconds_left(10, [1.0, 2.0, 600.0]) == 20.0


def test_suggestions_say_why(mixed: Project) -> None:
    suggestion = suggest_next(mixed)
    assert suggestion is not None
    assert "no reference" in suggestion.reason
    mixed.set_status([ids_of(mixed)[0]], Status.REFERENCE)
    suggestion = suggest_next(mixed)
    assert suggestion is not None
    assert mixed.row(suggestion.image_id).name == "image4.png"
    assert "rejected" in suggestion.reason
    mixed.set_status([suggestion.image_id], Status.ACCEPTED)
    suggestion = suggest_next(mixed)
    assert suggestion is not None
    assert mixed.row(suggestion.image_id).name == "image3.png"


def test_the_models_own_suggestion_holds_while_nobody_has_looked_at_it(project: Project) -> None:
    ids = ids_of(project)
    project.set_status(ids[:1], Status.REFERENCE)
    batch = propagate(project, {ids[1]: 0.2, ids[2]: 0.6})
    project.batches.finish(batch, {"suggestion": {"image": ids[2], "reason": "many are like it"}})
    found = suggest_next(project)
    assert found is not None
    assert (found.image_id, found.reason) == (ids[2], "many are like it")
    project.set_status([ids[2]], Status.ACCEPTED)
    found = suggest_next(project)
    assert found is not None
    assert found.image_id == ids[1], "back to the least certain one"
    project.batches.finish(batch, {"suggestion": "nonsense"})
    assert suggest_next(project) == found


def test_a_project_folder_among_the_images_is_no_image(images: Path) -> None:
    with Project.create(images, images / "labelling") as project:
        list(project.scan())
        stroke(project, ids_of(project)[0], flush=True)
        assert list(project.scan())[-1].found == 6

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.domain.classes import MergeClasses
from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result
from app.domain.status import Origin, Status
from coordgan_core.errors import LabelError
from coordgan_core.labels import read_label_map, write_label_map
from tests.app.domain.work import ids_of, propagate, stroke


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

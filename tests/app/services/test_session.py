from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from app.domain.classes import MergeClasses
from app.domain.label_map import PaintRules, rectangle_region
from app.domain.project import Commit, Project, Result
from app.domain.status import Status
from app.services.changes import Changes
from app.services.session import Session
from coordgan_core.errors import DiskFullError
from tests.app.conftest import WaitUntil


@pytest.fixture
def session(qapp: object, project: Project) -> Iterator[Session]:
    made = Session(project)
    yield made
    made.close()
    made.deleteLater()


def first(session: Session) -> int:
    return int(session.project.ids()[0])


def paint_box(session: Session, x0: int, y0: int, x1: int, y1: int, value: int = 1) -> None:
    document = session.document
    assert document is not None
    region = rectangle_region(x0, y0, x1, y1, document.shape)
    assert document.paint_region(region, value, "Box")


def test_a_stroke_is_painted_at_once_and_on_disk_when_committed(
    session: Session, wait_until: WaitUntil
) -> None:
    document = session.open_image(first(session))
    told: list[int] = []
    document.committed.connect(lambda _image, sequence: told.append(sequence))
    assert document.begin_stroke(1, "Brush")
    document.extend_stroke([(10.0, 10.0)], 3.0)
    document.extend_stroke([(20.0, 10.0)], 3.0)
    assert document.labels[10, 15] == 1
    assert document.end_stroke()
    assert document.unsaved == 1
    wait_until(lambda: told)
    assert np.array_equal(session.project.labels(document.image_id), document.labels)
    assert session.project.row(document.image_id).status is Status.EDITED


def test_cancelled_stroke_leaves_no_trace(session: Session) -> None:
    document = session.open_image(first(session))
    document.begin_stroke(1, "Brush")
    document.extend_stroke([(5.0, 5.0), (30.0, 20.0)], 6.0)
    document.cancel_stroke()
    assert not document.labels.any()
    assert not document.can_undo
    assert session.project.batches.claim(document.image_id, 0)
    session.project.batches.release(document.image_id)


def test_labels_cannot_be_written_from_outside(session: Session) -> None:
    document = session.open_image(first(session))
    with pytest.raises(ValueError, match="read-only"):
        document.labels[0, 0] = 3


def test_rules_look_at_what_was_there_before_the_stroke(session: Session) -> None:
    document = session.open_image(first(session))
    paint_box(session, 0, 0, 10, 10, value=2)
    document.rules = PaintRules(only_background=True)
    document.begin_stroke(1, "Brush")
    document.extend_stroke([(12.0, 5.0)], 4.0)
    document.extend_stroke([(10.0, 5.0)], 4.0)
    document.end_stroke()
    assert (document.labels[0:11, 0:11] == 2).all()
    assert document.labels[5, 12] == 1


def test_undo_survives_switching_images_and_restart(session: Session, wait_until: WaitUntil) -> None:
    ids = [int(i) for i in session.project.ids()]
    session.open_image(ids[0])
    paint_box(session, 0, 0, 5, 5)
    paint_box(session, 8, 8, 12, 12, value=2)
    session.open_image(ids[1])
    document = session.open_image(ids[0])
    assert document.can_undo
    session.undo()
    assert not (document.labels == 2).any()
    assert session.redo_text == "Box"
    assert session.flush()
    folder = session.project.folder
    session.close()
    again = Session(Project.open(folder))
    document = again.open_image(ids[0])
    assert document.can_redo
    again.redo()
    assert (document.labels == 2).sum() == 25
    again.undo()
    again.undo()
    assert not document.labels.any()
    assert again.flush()
    assert again.project.row(ids[0]).status is Status.UNLABELLED
    again.close()


def test_status_comes_after_the_strokes_before_it(session: Session, wait_until: WaitUntil) -> None:
    image = first(session)
    session.open_image(image)
    paint_box(session, 0, 0, 5, 5)
    session.accept(image)
    wait_until(lambda: session.project.row(image).status is Status.ACCEPTED)
    wait_until(lambda: session.undo_text == "Mark as accepted")
    session.undo()
    wait_until(lambda: session.project.row(image).status is Status.EDITED)
    assert session.undo_text == "Box"
    session.redo()
    wait_until(lambda: session.project.row(image).status is Status.ACCEPTED)


def test_merge_is_one_step_and_the_open_image_follows(session: Session, wait_until: WaitUntil) -> None:
    ids = [int(i) for i in session.project.ids()]
    for image in ids[:2]:
        session.open_image(image)
        paint_box(session, 0, 0, 5, 5, value=2)
    document = session.document
    assert document is not None
    assert session.flush()
    session.change_classes(MergeClasses(2, 1))
    wait_until(lambda: session.project.classes.names == ("background", "nose"))
    wait_until(lambda: (document.labels[:6, :6] == 1).all())
    wait_until(lambda: session.undo_text == "Merge two classes")
    session.undo()
    wait_until(lambda: session.project.classes.names == ("background", "nose", "eye"))
    wait_until(lambda: (document.labels[:6, :6] == 2).all())
    assert (session.project.labels(ids[0])[:6, :6] == 2).all()


def test_machine_result_reaches_the_open_image_but_never_over_a_stroke(
    session: Session, wait_until: WaitUntil
) -> None:
    image = first(session)
    document = session.open_image(image)
    result = Result(np.full(document.shape, 2, np.uint8), score=0.5)
    batch = session.project.batches.begin("propagation", "Propagate")
    document.begin_stroke(1, "Brush")
    assert not session.project.batches.write_result(batch, image, result)
    document.cancel_stroke()
    assert session.project.batches.write_result(batch, image, result)
    # the window has not been told yet: the stroke still begins on the newest map
    document.begin_stroke(1, "Brush")
    document.extend_stroke([(3.0, 3.0)], 1.0)
    document.end_stroke()
    assert document.labels[20, 20] == 2
    assert document.labels[3, 3] == 1
    assert session.flush()
    assert np.array_equal(session.project.labels(image), document.labels)
    assert (session.project.provenance(image) == 2).sum() == (document.labels == 1).sum()


def test_changes_are_told_together(session: Session, wait_until: WaitUntil) -> None:
    told: list[Changes] = []
    session.changed.connect(told.append)
    for image in range(1, 6):
        session.tell(Changes(images=frozenset({image})))
    wait_until(lambda: told)
    assert told[0].images == {1, 2, 3, 4, 5}
    assert len(told) == 1


def test_scan_fills_the_list_in_the_background(session: Session, wait_until: WaitUntil) -> None:
    seen: list[tuple[int, bool]] = []
    session.scanProgress.connect(lambda count, finished: seen.append((count, finished)))
    session.start_scan()
    wait_until(lambda: seen and seen[-1][1])
    assert seen[-1][0] == 6


def test_second_session_is_read_only_and_says_so(session: Session) -> None:
    other = Session(Project.open(session.project.folder))
    notes: list[str] = []
    other.notice.connect(notes.append)
    assert other.read_only
    document = other.open_image(first(other))
    assert not document.begin_stroke(1, "Brush")
    other.accept(document.image_id)
    assert notes
    assert "open in process" in notes[0]
    other.close()


def test_undone_batch_can_be_redone_although_the_image_was_painted_before(
    session: Session, wait_until: WaitUntil
) -> None:
    document = session.open_image(first(session))
    paint_box(session, 0, 0, 5, 5, value=2)
    session.change_classes(MergeClasses(2, 1))
    wait_until(lambda: session.undo_text == "Merge two classes")
    session.undo()
    wait_until(lambda: (document.labels[:6, :6] == 2).all() and session.undo_text == "Box")
    assert session.redo_text == "Merge two classes"
    session.redo()
    wait_until(lambda: (document.labels[:6, :6] == 1).all())
    session.undo()
    wait_until(lambda: (document.labels[:6, :6] == 2).all() and session.can_redo)
    paint_box(session, 10, 10, 12, 12)
    assert not session.can_redo


def test_strokes_that_cannot_be_written_wait_in_order_and_nothing_is_lost(
    session: Session, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = session.open_image(first(session))
    real, full = session.project.commit, [True]

    def commit(commits: Iterable[Commit]) -> None:
        if full[0]:
            raise DiskFullError("the disk is full", remedy="free some space")
        real(commits)

    monkeypatch.setattr(session.project, "commit", commit)
    problems: list[str] = []
    failures: list[str] = []
    session.failed.connect(problems.append)
    document.saveFailed.connect(lambda _image, text: failures.append(text))
    paint_box(session, 0, 0, 9, 9, value=1)
    wait_until(lambda: problems and failures)
    assert "Free some space" in problems[0]
    assert not session.flush()
    session.accept(document.image_id)
    paint_box(session, 5, 5, 14, 14, value=2)
    session.undo()
    ids = [int(i) for i in session.project.ids()]
    session.open_image(ids[1])
    again = session.open_image(ids[0])
    assert (again.labels[:10, :10] == 1).all(), "what is not on disk yet is still shown"
    assert session.unsaved > 0
    full[0] = False
    assert session.flush()
    wait_until(lambda: session.project.row(ids[0]).status is not Status.UNLABELLED)
    assert np.array_equal(session.project.labels(ids[0]), again.labels)
    assert [row[1] for row in session.project.store.history(ids[0])] == ["do", "do", "undo"]

"""Engines that say nonsense in good form: a request fails with words; the window and its images go on."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.label_map import rectangle_region
from app.domain.project import Project
from app.domain.status import Status
from app.services.engine import EngineClient
from app.services.job_values import JobState
from app.services.jobs import JobRunner
from app.services.propagation import PropagationRequest, start_propagation
from app.services.session import Session
from tests.app.conftest import WaitUntil

PARROT = Path(__file__).with_name("parrot_engine.py")
DONE = {"kind": "done"}


def array(shape: list[int], content: bytes, dtype: str = "uint8") -> dict[str, Any]:
    return {"shape": shape, "dtype": dtype, "zlib": base64.b64encode(zlib.compress(content)).decode()}


def result(image: Any, labels: dict[str, Any], **data: Any) -> dict[str, Any]:
    content = {"event": "result", "image": image, "score": 0.5, **data}
    return {"kind": "event", "data": content, "arrays": {"labels": labels}}


GOOD = array([32, 48], bytes([1]) * 32 * 48)
PROGRESS = {"event": "progress", "total": 1}
HUGE = {"shape": [2**30, 2**30], "dtype": "uint8", "zlib": ""}
LIES: dict[str, list[Any]] = {
    "words for numbers": [{"kind": "event", "data": {**PROGRESS, "done": "many"}}, DONE],
    "endless numbers": [{"kind": "event", "data": {**PROGRESS, "done": 1e999}}, DONE],
    "labels of another size": [result(2, array([2, 2], b"\1\1\1\1")), DONE],
    "labels of another type": [result(2, array([32, 48], b"\0" * 4 * 32 * 48, "float32")), DONE],
    "labels in three dimensions": [result(2, array([1, 32, 48], bytes(32 * 48))), DONE],
    "labels larger than the memory": [result(2, HUGE), DONE],
    "labels that are a bomb": [result(2, array([1, 1], bytes(30_000_000))), DONE],
    "a score that is none": [result(2, GOOD, score="sure", class_scores="all"), DONE],
    "scores of no class": [result(2, GOOD, class_scores={"nose": [], "1e9": None}), DONE],
    "endless scores": [result(2, GOOD, score=float("inf"), class_scores={"1": 1e999}), DONE],
    "an image that is not there": [result(999_999, GOOD), result(-1, GOOD), result("2", GOOD), DONE],
    "the reference itself": [result(1, GOOD), DONE],
    "work of a person": [result(3, GOOD), DONE],
    "confidence of another size": [
        {**result(2, GOOD), "arrays": {"labels": GOOD, "confidence": array([3, 3], bytes(9))}}, DONE
    ],
    "an error without a message": [{"kind": "error", "data": {"message": ["x"]}}],
    "an error for no image": [{"kind": "event", "data": {"event": "error", "image": 77}}, DONE],
    "a suggestion that is none": [{"kind": "done", "data": {"suggestion": {"image": "cat"}}}],
    "half a message": ['{"id": 1, "kind": "do', DONE, '\n', DONE],
    "bytes that are no text": ["\x00\x01\ufffd\n", "[[[[[[\n", DONE],
    "depth": ["[" * 100_000 + "\n", DONE],
}  # fmt: skip


@pytest.fixture
def painted(project: Project, wait_until: WaitUntil) -> Iterator[tuple[Session, JobRunner]]:
    """A session with a reference (1) and an image of a person (3)."""
    jobs = JobRunner()
    session = Session(project, jobs=jobs)
    for image in (1, 3):
        document = session.open_image(image)
        document.paint_region(rectangle_region(8, 8, 23, 23, document.shape), 2, "Box")
    session.set_reference(1, True)
    wait_until(lambda: project.row(1).status is Status.REFERENCE)
    yield session, jobs
    session.close()
    jobs.close()


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_in_words_and_changes_nothing_of_a_person(
    painted: tuple[Session, JobRunner], wait_until: WaitUntil, lie: str
) -> None:
    session, jobs = painted
    project = session.project
    before = {i: project.labels(i) for i in (1, 3)}
    engine = EngineClient(command=[sys.executable, str(PARROT), json.dumps(LIES[lie])], hang_sec=20.0)
    request = PropagationRequest("any", (1,), tuple(int(i) for i in project.ids()))
    job = start_propagation(session, engine, jobs, request)
    wait_until(lambda: jobs.view(job).is_over, 30.0)
    view = jobs.view(job)
    assert view.state in (JobState.DONE, JobState.FAILED)
    assert view.state is JobState.DONE or view.message
    wait_until(lambda: project.runs()[0].finished)
    for image, labels in before.items():
        assert (project.labels(image) == labels).all(), "a machine has painted over a person"
    for row in project.rows(project.ids()):
        assert project.labels(row.id).shape == (32, 48)
        assert row.confidence is None or 0 <= row.confidence <= 1
        assert all(0 <= score <= 1 for score in project.class_confidence(row.id).values())
    document = session.open_image(2)  # the window lives
    document.paint_region(rectangle_region(0, 0, 3, 3, document.shape), 1, "Box")
    assert session.flush()
    engine.stop()
    engine.deleteLater()

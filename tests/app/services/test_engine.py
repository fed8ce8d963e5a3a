from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer

from app.domain.label_map import rectangle_region
from app.domain.project import Project
from app.domain.status import Status
from app.services.engine import EngineClient
from app.services.job_values import JobState
from app.services.jobs import JobRunner
from app.services.linked_cursor import Matcher
from app.services.models import ModelInfo
from app.services.propagation import PropagationRequest, propagation_targets, start_propagation
from app.services.session import Session
from coordgan_core.engine.backend import FLOW_MODEL
from tests.app.conftest import WaitUntil, write_images

FAKE = Path(__file__).with_name("fake_engine.py")
Make = Callable[..., EngineClient]


@pytest.fixture
def make(qapp: object) -> Iterator[Make]:
    made: list[EngineClient] = []

    def build(mode: str = "", **values: object) -> EngineClient:
        command = [sys.executable, str(FAKE), mode] if mode else None
        made.append(EngineClient(command=command, **values))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for client in made:
        client.stop()
        client.deleteLater()


def test_garbage_half_messages_and_stale_answers_do_no_harm(make: Make, wait_until: WaitUntil) -> None:
    client = make("garbage")
    found: list[list[ModelInfo]] = []
    client.models(found.append)
    wait_until(lambda: found)
    assert [m.id for m in found[0]] == ["m"]
    assert client.state == "ready"


def test_death_is_a_message_and_the_next_request_starts_anew(make: Make, wait_until: WaitUntil) -> None:
    client = make("dies")
    crashes: list[str] = []
    errors: list[str] = []
    client.crashed.connect(crashes.append)
    client.models(lambda _: None, errors.append)
    wait_until(lambda: errors)
    assert "the graphics card is gone" in errors[0]
    assert crashes == errors
    assert client.state == "crashed"
    client.models(lambda _: None, errors.append)
    wait_until(lambda: len(errors) == 2)


def test_death_within_a_message_is_a_message(make: Make, wait_until: WaitUntil) -> None:
    client = make("half")
    errors: list[str] = []
    client.models(lambda _: errors.append("answered"), errors.append)
    wait_until(lambda: errors)
    assert "stopped unexpectedly" in errors[0]
    assert client.state == "crashed"


def test_a_line_without_an_end_fills_no_memory(
    make: Make, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.engine._MAX_LINE", 1 << 20)
    client = make("endless")
    errors: list[str] = []
    client.models(lambda _: errors.append("answered"), errors.append)
    wait_until(lambda: errors)
    assert "line without an end" in errors[0]
    assert client.state == "crashed"


def test_missing_program_is_a_message(make: Make, qapp: object, wait_until: WaitUntil) -> None:
    client = EngineClient(command=["/no/such/engine"])
    errors: list[str] = []
    client.models(lambda _: None, errors.append)
    wait_until(lambda: errors)
    assert "could not be started" in errors[0]
    client.stop()


def test_cancel_is_acknowledged_at_once_and_nothing_more_is_told(make: Make, wait_until: WaitUntil) -> None:
    client = make("slow")
    told: list[object] = []
    number = client.request("propagate", on_event=told.append, on_done=told.append)
    wait_until(lambda: len(told) > 2)
    before = time.monotonic()
    client.cancel(number)
    assert time.monotonic() - before < 0.2
    count = len(told)
    until = time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > until)
    assert len(told) == count


def test_deaf_engine_is_killed_and_other_requests_are_sent_again(
    make: Make, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.engine._CANCEL_SEC", 0.2)
    client = make("deaf")
    states: list[str] = []
    client.stateChanged.connect(states.append)
    number = client.request("propagate", on_done=lambda _: None)
    wait_until(lambda: client.state == "busy")
    client.cancel(number)
    client._command[-1] = "good"
    found: list[list[ModelInfo]] = []
    client.models(found.append)
    wait_until(lambda: found)
    assert "stopped" in states


def test_silent_engine_is_stopped(make: Make, wait_until: WaitUntil) -> None:
    client = make("silent", hang_sec=0.6)
    errors: list[str] = []
    client.models(lambda _: None, errors.append)
    wait_until(lambda: errors)
    assert "silent" in errors[0]


def test_lying_engine_fails_its_request_only(make: Make, wait_until: WaitUntil) -> None:
    client = make("liar")
    errors: list[str] = []
    client.request("refine", on_error=errors.append)
    wait_until(lambda: errors)
    assert "has gone" in errors[0]
    assert client.state == "ready"


def test_propagation_with_the_real_engine_is_one_step_and_spares_people(
    make: Make, project: Project, wait_until: WaitUntil
) -> None:
    client = make()
    jobs = JobRunner()
    session = Session(project, jobs=jobs)
    ids = [int(i) for i in project.ids()]
    for image in (ids[0], ids[1]):
        document = session.open_image(image)
        document.paint_region(rectangle_region(8, 8, 23, 23, document.shape), 1, "Box")
    session.set_reference(ids[0], True)
    wait_until(lambda: project.row(ids[0]).status is Status.REFERENCE)
    project.image_path(ids[5]).write_bytes(b"no image any more")
    request = PropagationRequest(FLOW_MODEL, (ids[0],), tuple(ids))
    preview = propagation_targets(project, request)
    assert preview.protected == (ids[1],)
    job = start_propagation(session, client, jobs, request)
    wait_until(lambda: jobs.view(job).is_over and session.undo_text == "Propagate", 60.0)
    view = jobs.view(job)
    assert view.state is JobState.DONE, view.message
    assert [e.image_id for e in view.errors] == [ids[5]]
    assert project.row(ids[1]).status is Status.EDITED
    assert project.row(ids[5]).status is Status.FAILED
    for image in ids[2:5]:
        assert project.row(image).status is Status.PROPAGATED
        assert (project.labels(image) == 1).sum() > 100
    wait_until(lambda: project.runs()[0].finished)
    left = [t for t in threading.enumerate() if t.name.startswith("propagation")]
    wait_until(lambda: not any(t.is_alive() for t in left))  # a thread for each would stay for ever
    session.undo()
    wait_until(lambda: all(project.row(i).status is Status.UNLABELLED for i in ids[2:]))
    assert not project.label_path(ids[2]).exists()
    session.close()
    jobs.close()


def test_the_window_stays_free_during_a_propagation_and_cancel_is_immediate(
    make: Make, project: Project, wait_until: WaitUntil
) -> None:
    write_images(project.images_folder, 60)
    list(project.scan())
    jobs = JobRunner()
    session = Session(project, jobs=jobs)
    ids = [int(i) for i in project.ids()]
    document = session.open_image(ids[0])
    document.paint_region(rectangle_region(8, 8, 23, 23, document.shape), 1, "Box")
    session.set_reference(ids[0], True)
    wait_until(lambda: project.row(ids[0]).status is Status.REFERENCE)
    busy: list[tuple[float, float]] = []
    last = (time.thread_time(), time.monotonic())

    def beat() -> None:
        nonlocal last
        now = (time.thread_time(), time.monotonic())
        busy.append((now[0] - last[0], now[1] - last[1]))
        last = now

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(1)
    job = start_propagation(session, make(), jobs, PropagationRequest(FLOW_MODEL, (ids[0],), tuple(ids)))
    wait_until(lambda: jobs.view(job).progress.done >= 20, 60.0)
    jobs.pause(job)
    assert jobs.view(job).state is JobState.PAUSED
    jobs.resume(job)
    wait_until(lambda: jobs.view(job).progress.done >= 25, 60.0)
    before = time.monotonic()
    jobs.cancel(job)
    assert jobs.view(job).state is JobState.CANCELLED
    assert time.monotonic() - before < 0.2
    timer.stop()
    assert max(cpu for cpu, _ in busy) < 0.05
    assert max(wall for _, wall in busy) < 1.0  # generous: other programs run on this machine too
    wait_until(lambda: session.undo_text == "Propagate")
    done = len(project.ids("status:propagated"))
    assert 0 < done < 60
    session.undo()
    wait_until(lambda: len(project.ids("status:propagated")) == 0)
    session.close()
    jobs.close()


def test_failed_start_of_a_propagation_is_told(make: Make, project: Project, wait_until: WaitUntil) -> None:
    jobs = JobRunner()
    session = Session(project, jobs=jobs)
    ids = [int(i) for i in project.ids()]
    job = start_propagation(
        session, make("good"), jobs, PropagationRequest(FLOW_MODEL, (ids[0],), tuple(ids))
    )
    wait_until(lambda: jobs.view(job).is_over)
    assert "has no labels" in jobs.view(job).message
    session.close()
    jobs.close()


def identity(height: int, width: int) -> np.ndarray:
    x = (2 * np.arange(width) + 1) / width - 1
    y = (2 * np.arange(height) + 1) / height - 1
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None])).astype(np.float32)


def test_matcher_follows_the_maps_between_images_of_different_sizes() -> None:
    sure = np.ones((16, 16), np.float32)
    shifted = identity(16, 16) - np.array([0.25, 0.0], np.float32)[:, None, None]  # two cells to the right
    arrays = {
        "image_map": identity(16, 16),
        "reference_map": shifted,
        "image_reliability": sure,
        "reference_reliability": sure,
    }
    matcher = Matcher(arrays, (160, 80), (320, 320))
    # the centre of cell (5, 5) of the image is that of cell (7, 5) of the reference
    found = matcher.match(54.5, 27.0)
    assert found is not None
    assert found == pytest.approx((149.5, 109.5, 1.0), abs=0.01)
    assert matcher.match(160.0, 10.0) is None

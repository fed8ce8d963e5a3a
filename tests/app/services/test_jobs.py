from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from app.services.job_values import JobError, JobProgress, JobState, RateMeter
from app.services.jobs import JobControl, JobRunner
from app.services.tasks import Worker
from coordgan_core.errors import DataError
from tests.app.conftest import WaitUntil


@pytest.fixture
def jobs(qapp: object) -> Iterator[JobRunner]:
    made = JobRunner()
    yield made
    made.close()
    made.deleteLater()


def test_events_arrive_in_order_in_the_windows_thread(jobs: JobRunner, wait_until: WaitUntil) -> None:
    told: list[object] = []
    threads: set[int] = set()

    def work(_: JobControl) -> Iterator[object]:
        for index in range(2000):
            yield JobProgress(index + 1, 2000)
            if index % 500 == 0:
                yield index
        yield JobError("a.png", "damaged", 7)

    def take(_job: int, event: object) -> None:
        told.append(event)
        threads.add(threading.get_ident())

    jobs.told.connect(take)
    job = jobs.start("Count", work, kind="test")
    wait_until(lambda: jobs.view(job).is_over)
    view = jobs.view(job)
    assert told == [0, 500, 1000, 1500]
    assert threads == {threading.get_ident()}
    assert view.state is JobState.DONE
    assert view.progress.done == 2000
    assert view.errors == (JobError("a.png", "damaged", 7),)
    jobs.remove(job)
    assert jobs.views() == []


def test_pause_holds_the_generator_and_cancel_closes_it(jobs: JobRunner, wait_until: WaitUntil) -> None:
    steps: list[int] = []
    closed = threading.Event()

    def work(_: JobControl) -> Iterator[object]:
        try:
            for index in range(10**9):
                steps.append(index)
                yield JobProgress(index, 10**9)
                time.sleep(0.001)
        finally:
            closed.set()

    job = jobs.start("Endless", work)
    wait_until(lambda: len(steps) > 3)
    jobs.pause(job)
    time.sleep(0.05)
    count = len(steps)
    time.sleep(0.05)
    assert len(steps) == count
    assert jobs.view(job).state is JobState.PAUSED
    jobs.resume(job)
    wait_until(lambda: len(steps) > count)
    jobs.pause(job)
    before = time.monotonic()
    jobs.cancel(job)
    wait_until(lambda: jobs.view(job).state is JobState.CANCELLED)
    assert time.monotonic() - before < 0.2
    assert closed.is_set()


def test_errors_are_messages(jobs: JobRunner, wait_until: WaitUntil) -> None:
    def user_error(_: JobControl) -> Iterator[object]:
        yield 1
        raise DataError("the folder is empty", remedy="choose another one")

    def bug(_: JobControl) -> Iterator[object]:
        yield 1
        raise ZeroDivisionError("oops")

    first, second = jobs.start("a", user_error), jobs.start("b", bug)
    wait_until(lambda: not jobs.is_busy)
    assert jobs.view(first).message == "the folder is empty. Choose another one."
    assert jobs.view(second).message == "ZeroDivisionError: oops"
    assert jobs.view(second).state is JobState.FAILED


def test_closing_waits_for_the_thread(jobs: JobRunner) -> None:
    ended = threading.Event()

    def work(control: JobControl) -> Iterator[object]:
        while not control.is_cancelled:
            time.sleep(0.001)
        ended.set()
        yield 1

    jobs.start("Stubborn", work)
    jobs.close()
    assert ended.is_set()


def test_what_has_been_over_for_long_leaves_the_list_and_what_runs_stays(
    jobs: JobRunner, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.jobs._KEPT", 3)
    removed: list[int] = []
    jobs.removed.connect(removed.append)
    end = threading.Event()

    def long(_: JobControl) -> Iterator[object]:
        end.wait()
        yield 1

    first = jobs.start("Long", long)
    for number in range(6):
        job = jobs.start(f"Short {number}", lambda _: iter(()))
        wait_until(lambda job=job: jobs.view(job).is_over)
    assert [view.title for view in jobs.views()] == ["Long", "Short 2", "Short 3", "Short 4", "Short 5"]
    assert removed == [first + 1, first + 2]
    end.set()
    wait_until(lambda: jobs.view(first).is_over)


def test_rate_forgets_pauses() -> None:
    meter = RateMeter()
    meter.add(0.0, JobProgress(0, 100))
    assert meter.add(2.0, JobProgress(20, 100)).left_sec == pytest.approx(8.0)
    meter.reset()
    meter.add(1000.0, JobProgress(20, 100))
    assert meter.add(1001.0, JobProgress(25, 100)).per_sec == pytest.approx(5.0)


def test_flood_of_calls_leaves_time_for_the_window(jobs: JobRunner, wait_until: WaitUntil) -> None:
    from PySide6.QtCore import QTimer

    from app.services.dispatch import Mailbox

    mailbox = Mailbox()
    gaps: list[float] = []
    last = time.thread_time()

    def beat() -> None:
        nonlocal last
        gaps.append(time.thread_time() - last)
        last = time.thread_time()

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(1)
    done: list[int] = []

    def work(index: int) -> None:
        until = time.thread_time() + 0.001  # of the processor: others may have it in between
        while time.thread_time() < until:
            pass
        done.append(index)

    for index in range(300):
        mailbox.post(lambda index=index: work(index))  # type: ignore[misc]
    last = time.thread_time()
    wait_until(lambda: len(done) == 300)
    timer.stop()
    assert done == list(range(300))
    assert max(gaps) < 0.05
    mailbox.close()


def test_a_failing_call_does_not_hold_up_others(
    qapp: object, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker()
    results: list[object] = []
    worker.run(lambda: 1 // 0, results.append, lambda text: results.append(text))
    dropped = worker.run(lambda: "dropped", results.append)
    dropped.cancel()
    worker.run(lambda: "kept", results.append)
    wait_until(lambda: len(results) == 2)
    assert results[0].startswith("ZeroDivisionError")  # type: ignore[attr-defined]
    assert results[1] == "kept"
    worker.close()

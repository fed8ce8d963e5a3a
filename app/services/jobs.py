"""Long work as rows of a list: progress, pause, cancel, errors. The work is a generator of events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, Signal

from app.services.dispatch import Mailbox
from app.services.job_values import ENDED, JobError, JobProgress, JobState, JobView, RateMeter
from coordgan_core.errors import CoordError

_log = logging.getLogger(__name__)
_MAX_ERRORS = 10_000
_KEPT = 30
"""Jobs that are over and stay in the list."""


class Job(QObject):
    """One piece of long work. Subclasses do it; they call `_report` and `_end` in the window's thread."""

    changed = Signal()
    told = Signal(object)
    finished = Signal()

    def __init__(self, title: str, *, kind: str = "", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.id = 0
        self.title = title
        self.kind = kind
        self.can_pause = True
        self.can_cancel = True
        self.batch: int | None = None
        self.state = JobState.QUEUED
        self.message = ""
        self._progress = JobProgress()
        self._errors: list[JobError] = []
        self._meter = RateMeter()
        self._is_let_go = False

    def view(self) -> JobView:
        """Return what there is to show."""
        going = self.state not in ENDED
        return JobView(
            self.id,
            self.title,
            self.kind,
            self.state,
            self._progress,
            tuple(self._errors),
            self.message,
            self.can_pause and going,
            self.can_cancel and going,
            self.batch,
        )

    def start(self) -> None:
        """Begin."""
        raise NotImplementedError

    def pause(self) -> None:
        """Stop after the present item until `resume`."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop for good; what is done stays done."""
        raise NotImplementedError

    def close(self) -> None:
        """Cancel and wait until nothing runs any more."""
        self.cancel()
        self._let_go()

    def _let_go(self) -> None:
        """Forget who listens: the list keeps jobs that are over, and must not keep their project alive."""
        if not self._is_let_go and self.state in ENDED:
            self._is_let_go = True
            self.told.connect(_hear_nothing)  # Qt complains where there is nothing to disconnect
            self.finished.connect(_hear_nothing)
            self.told.disconnect()
            self.finished.disconnect()

    def _report(self, event: object) -> None:
        if isinstance(event, JobProgress):
            self._progress = self._meter.add(time.monotonic(), event)
            self.changed.emit()
        elif isinstance(event, JobError):
            if len(self._errors) < _MAX_ERRORS:
                self._errors.append(event)
            self.changed.emit()
        else:
            self.told.emit(event)

    def _set_state(self, state: JobState) -> None:
        if self.state in ENDED or state is self.state:
            return
        self.state = state
        if state in (JobState.PAUSED, JobState.RUNNING):
            self._meter.reset()
        self.changed.emit()

    def _end(self, state: JobState, message: str = "") -> None:
        if self.state in ENDED:
            return
        self.message = message
        self._set_state(state)
        self.finished.emit()


def _hear_nothing(*_: object) -> None:
    """Listen to no purpose."""


class JobControl:
    """What the work may ask while it runs, in its own thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._running = threading.Event()
        self._running.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether the work should stop as soon as it can."""
        return self._cancelled.is_set()

    def wait_if_paused(self) -> bool:
        """Block while the job is paused; return whether to go on."""
        self._running.wait()
        return not self._cancelled.is_set()

    def pause(self) -> None:
        """Let the work wait at its next event."""
        self._running.clear()

    def resume(self) -> None:
        """Let the work go on."""
        self._running.set()

    def cancel(self) -> None:
        """Stop the work at its next event, paused or not."""
        self._cancelled.set()
        self._running.set()


Work = Callable[[JobControl], Iterator[object]]


class ThreadJob(Job):
    """Runs a generator of events in a thread; cancelling closes the generator.

    Args:
        title: What the list calls it.
        work: Called in the thread; yields `JobProgress`, `JobError` and events of its own.
        kind: A word by which others recognise it.
        parent: Qt parent.
    """

    def __init__(self, title: str, work: Work, *, kind: str = "", parent: QObject | None = None) -> None:
        super().__init__(title, kind=kind, parent=parent)
        self._work = work
        self._control = JobControl()
        self._mailbox = Mailbox(self)
        self._thread = threading.Thread(target=self._run, name=f"job {title}", daemon=True)
        self._latest: JobProgress | None = None
        self._latest_lock = threading.Lock()

    def start(self) -> None:
        """Begin."""
        self._set_state(JobState.RUNNING)
        self._thread.start()

    def pause(self) -> None:
        """Stop at the next event until `resume`."""
        if self.state is JobState.RUNNING:
            self._control.pause()
            self._set_state(JobState.PAUSED)

    def resume(self) -> None:
        """Go on."""
        if self.state is JobState.PAUSED:
            self._control.resume()
            self._set_state(JobState.RUNNING)

    def cancel(self) -> None:
        """Close the generator at its next event."""
        self._control.cancel()

    def close(self) -> None:
        """Cancel and wait for the thread."""
        self._control.cancel()
        if self._thread.ident is not None:
            self._thread.join()
        self._mailbox.close()
        self._end(JobState.CANCELLED)
        self._work = lambda _: iter(())
        self._let_go()

    def _run(self) -> None:
        try:
            work = self._work(self._control)
            try:
                cancelled = not self._consume(work)
            finally:
                close = getattr(work, "close", None)
                if close is not None:
                    close()
        except CoordError as error:
            self._finish(JobState.FAILED, str(error))
        except Exception as error:  # the window must outlive any job
            _log.exception("job %s failed", self.title)
            self._finish(JobState.FAILED, f"{type(error).__name__}: {error}")
        else:
            self._finish(JobState.CANCELLED if cancelled else JobState.DONE, "")

    def _consume(self, work: Iterator[object]) -> bool:
        for event in work:
            if isinstance(event, JobProgress):
                self._post_progress(event)
            else:
                self._mailbox.post(lambda event=event: self._report(event))  # type: ignore[misc]
            if not self._control.wait_if_paused():
                return False
        return True

    def _post_progress(self, progress: JobProgress) -> None:
        # only the latest counts, however fast the work is
        with self._latest_lock:
            waiting = self._latest is not None
            self._latest = progress
        if not waiting:
            self._mailbox.post(self._take_progress)

    def _take_progress(self) -> None:
        with self._latest_lock:
            progress, self._latest = self._latest, None
        if progress is not None:
            self._report(progress)

    def _finish(self, state: JobState, message: str) -> None:
        self._mailbox.post(lambda: self._over(state, message))

    def _over(self, state: JobState, message: str) -> None:
        self._thread.join()
        self._end(state, message)


class JobRunner(QObject):
    """The list of jobs."""

    added = Signal(int)
    changed = Signal(int)
    told = Signal(int, object)
    finished = Signal(int)
    removed = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: dict[int, Job] = {}
        self._next = 1

    @property
    def is_busy(self) -> bool:
        """Whether any job is not over."""
        return any(not job.view().is_over for job in self._jobs.values())

    def start(self, title: str, work: Work, *, kind: str = "") -> int:
        """Run a generator of events in a thread and return the job's id."""
        return self.add(ThreadJob(title, work, kind=kind, parent=self))

    def add(self, job: Job) -> int:
        """Start a job of any sort and return its id."""
        self._forget_oldest()
        job.id, self._next = self._next, self._next + 1
        self._jobs[job.id] = job
        number = job.id
        job.changed.connect(lambda: self.changed.emit(number))
        job.told.connect(lambda event: self.told.emit(number, event))
        job.finished.connect(lambda: self.finished.emit(number))
        self.added.emit(number)
        job.start()
        return number

    def job(self, job_id: int) -> Job:
        """Return a job."""
        return self._jobs[job_id]

    def view(self, job_id: int) -> JobView:
        """Return what there is to show of a job."""
        return self._jobs[job_id].view()

    def views(self) -> list[JobView]:
        """Return all jobs, oldest first."""
        return [job.view() for job in self._jobs.values()]

    def pause(self, job_id: int) -> None:
        """Let a job wait at its next item."""
        self._jobs[job_id].pause()

    def resume(self, job_id: int) -> None:
        """Let a paused job go on."""
        self._jobs[job_id].resume()

    def cancel(self, job_id: int) -> None:
        """Stop a job; what is done stays done."""
        self._jobs[job_id].cancel()

    def remove(self, job_id: int) -> None:
        """Take a job that is over off the list; others stay."""
        job = self._jobs.get(job_id)
        if job is None or not job.view().is_over:
            return
        del self._jobs[job_id]
        job.close()
        job.deleteLater()
        self.removed.emit(job_id)

    def _forget_oldest(self) -> None:
        """Take off the list what has been over for long: each job holds memory, and so does its card."""
        over = [number for number, job in self._jobs.items() if job.state in ENDED]
        for number in over[: max(0, len(over) - _KEPT)]:
            self.remove(number)

    def close(self) -> None:
        """Cancel everything and wait for it."""
        for job in list(self._jobs.values()):
            job.cancel()
        for job in list(self._jobs.values()):
            job.close()

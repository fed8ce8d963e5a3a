"""A propagation as a job: results are stored as they come, human work stays, the run is one step back."""

from __future__ import annotations

import collections
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject

from app.domain.project import Result
from app.domain.propagation import (
    PropagationRequest,
    TargetPreview,
    engine_question,
    last_request,
    propagation_targets,
    result_of,
)
from app.services.changes import Changes
from app.services.dispatch import Mailbox
from app.services.engine import EngineClient
from app.services.job_values import ENDED, JobError, JobProgress, JobState
from app.services.jobs import Job, JobRunner
from app.services.session import Session
from coordgan_core.engine.protocol import Reply
from coordgan_core.errors import CoordError

__all__ = [
    "PropagationJob",
    "PropagationRequest",
    "TargetPreview",
    "last_request",
    "propagation_targets",
    "start_propagation",
]

_log = logging.getLogger(__name__)
_STOP = 100  # failures in a row after which something other than the images must be wrong


class PropagationJob(Job):
    """Runs one propagation in the engine and writes what comes."""

    def __init__(
        self,
        session: Session,
        engine: EngineClient,
        request: PropagationRequest,
        *,
        parent: QObject | None = None,
    ) -> None:
        super().__init__("Propagate", kind="propagation", parent=parent)
        self._session = session
        self._project = session.project
        self._engine = engine
        self._request = request
        self._mailbox = Mailbox(self)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="propagation")
        self._call: int | None = None
        self._held: list[Reply] = []
        self._inbox: collections.deque[tuple[int, Reply]] = collections.deque()
        self._writing = 0
        self._taken = 0
        self._protected = 0
        self._failures = 0
        self._names: dict[int, str] = {}
        self._started = 0.0
        self._after: Callable[[], None] | None = None
        self._suggestion: object = None
        session.closing.connect(self.close)

    # --- what the list of jobs asks

    def start(self) -> None:
        """Read the references in a worker, then ask the engine."""
        self._set_state(JobState.RUNNING)
        self._started = time.monotonic()
        self._submit(self._prepare)

    def pause(self) -> None:
        """Take no more results; the engine waits."""
        if self.state is JobState.RUNNING:
            self._set_state(JobState.PAUSED)

    def resume(self) -> None:
        """Go on where it stopped."""
        if self.state is JobState.PAUSED:
            self._set_state(JobState.RUNNING)
            held, self._held = self._held, []
            for reply in held:
                self._take(reply)

    def cancel(self) -> None:
        """Stop at once; results that are in the project stay there."""
        if self._call is not None:
            self._engine.cancel(self._call)
            self._call = None
        self._drop_held()
        if self.state in (JobState.RUNNING, JobState.PAUSED):
            self._end(JobState.CANCELLED, self._summary())
            self._submit(self._close_batch)

    def close(self) -> None:
        """Cancel and wait for what is being written; more than once is harmless."""
        self.cancel()
        self._pool.shutdown(wait=True)
        self._mailbox.close()
        self._let_go()

    def _let_go(self) -> None:
        if self.state in ENDED and not self._is_let_go:
            super()._let_go()
            del self._session, self._project  # nothing asks for them any more

    def _submit(self, function: Callable[..., None], *values: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the session has been closed meanwhile
            self._pool.submit(function, *values)

    # --- in the worker

    def _prepare(self) -> None:
        try:
            self._session.flush()
            targets = propagation_targets(self._project, self._request)
            params, arrays = engine_question(self._project, self._request, targets.queries)
            self._names = {row.id: row.path for row in self._project.rows(targets.queries)}
            details = self._request.details
            self.batch = self._project.batches.begin("propagation", "Propagate", details)
        except CoordError as error:
            message = str(error)
            self._mailbox.post(lambda: self._fail(message))
        except Exception as error:  # the window must outlive any job
            _log.exception("a propagation could not begin")
            text = f"{type(error).__name__}: {error}"
            self._mailbox.post(lambda: self._fail(text))
        else:
            self._protected = len(targets.protected)
            self._mailbox.post(lambda: self._ask(params, arrays))

    def _write_waiting(self) -> None:
        """Store all results that have come, together: their syncs are what takes time."""
        taken: dict[int, tuple[Reply, Result]] = {}
        while self._inbox:
            image_id, reply = self._inbox.popleft()
            try:
                taken[image_id] = reply, result_of(self._project, image_id, reply.data, reply.arrays)
            except (CoordError, KeyError, TypeError, ValueError) as error:
                self._tell(image_id, reply, error)
        if not taken or self.batch is None:
            return
        results = [(image_id, result) for image_id, (_, result) in taken.items()]
        outcomes: list[bool | CoordError]
        try:
            outcomes = self._project.batches.write_results(
                self.batch, results, refresh_edited=self._request.keep_human_pixels
            )
        except CoordError as error:
            outcomes = [error] * len(results)
        for (image_id, (reply, _)), outcome in zip(taken.items(), outcomes, strict=True):
            self._tell(image_id, reply, outcome)

    def _tell(self, image_id: int, reply: Reply, outcome: bool | Exception) -> None:  # noqa: FBT001
        message = "" if isinstance(outcome, bool) else str(outcome)
        taken = outcome is True
        self._mailbox.post(lambda: self._written(image_id, reply, taken=taken, message=message))

    def _note_failure(self, image_id: int, message: str) -> None:
        assert self.batch is not None
        try:
            self._project.batches.write_failure(self.batch, image_id, message)
        except CoordError as error:
            _log.warning("a failure could not be noted: %s", error)

    def _close_batch(self) -> None:
        self._pool.shutdown(
            wait=False
        )  # this is the last thing to do, and an idle thread would stay for ever
        if self.batch is None:
            return
        details: dict[str, Any] = {
            "taken": self._taken,
            "protected": self._protected,
            "failed": len(self._errors),
            "suggestion": self._suggestion,
        }
        try:
            self._project.batches.finish(self.batch, details)
        except CoordError as error:
            _log.warning("a propagation could not be closed: %s", error)
        batch = self.batch
        self._mailbox.post(lambda: self._session.add_batch(batch, "Propagate"))

    # --- in the window

    def _ask(self, params: dict[str, Any], arrays: dict[str, Any]) -> None:
        if self.state not in (JobState.RUNNING, JobState.PAUSED):
            self._submit(self._close_batch)
            return
        self._report(JobProgress(0, len(params["queries"])))
        self._call = self._engine.request(
            "propagate", params, arrays, on_event=self._on_event, on_done=self._on_done, on_error=self._fail
        )

    def _on_event(self, reply: Reply) -> None:
        if self.state is JobState.PAUSED and reply.arrays:
            self._held.append(reply)
        else:
            self._take(reply)

    def _take(self, reply: Reply) -> None:
        kind, image_id = reply.data.get("event"), reply.data.get("image")
        if kind == "progress":
            self._report(JobProgress(int(reply.data.get("done", 0)), int(reply.data.get("total", 0))))
        elif kind == "result" and isinstance(image_id, int) and "labels" in reply.arrays:
            self._writing += 1
            self._inbox.append((image_id, reply))
            self._submit(self._write_waiting)
        elif kind == "error" and isinstance(image_id, int):
            self._failed_one(image_id, str(reply.data.get("message", "")))
        elif reply.arrays:
            self._engine.release(reply)

    def _written(self, image_id: int, reply: Reply, *, taken: bool, message: str) -> None:
        self._writing -= 1
        self._engine.release(reply)
        if message:
            self._failed_one(image_id, message)
        elif taken:
            self._taken += 1
            self._failures = 0
            ids = frozenset({image_id})
            self._session.tell(Changes(ids, ids))
        else:
            self._protected += 1
        self._finish_if_idle()

    def _failed_one(self, image_id: int, message: str) -> None:
        self._report(JobError(self._names.get(image_id, str(image_id)), message, image_id))
        self._submit(self._note_failure, image_id, message)
        self._session.tell(Changes(frozenset({image_id})))
        self._failures += 1
        if self._failures >= _STOP and self.state is JobState.RUNNING:
            self._stop_engine()
            self._fail(f"Stopped after {_STOP} failures in a row: {message}")

    def _stop_engine(self) -> None:
        if self._call is not None:
            self._engine.cancel(self._call)
            self._call = None

    def _on_done(self, reply: Reply) -> None:
        self._call = None
        self._suggestion = reply.data.get("suggestion")
        self._after = lambda: self._end(JobState.DONE, self._summary())
        self._finish_if_idle()

    def _finish_if_idle(self) -> None:
        if self._after is not None and self._writing == 0 and not self._held:
            after, self._after = self._after, None
            after()
            self._submit(self._close_batch)

    def _fail(self, message: str) -> None:
        self._call = None
        self._drop_held()
        self._end(JobState.FAILED, message)
        self._submit(self._close_batch)

    def _drop_held(self) -> None:
        held, self._held = self._held, []
        for reply in held:
            self._engine.release(reply)

    def _summary(self) -> str:
        parts = [f"{self._taken} images labelled"]
        if self._protected:
            parts.append(f"{self._protected} left alone: a person worked on them")
        if self._errors:
            parts.append(f"{len(self._errors)} failed")
        return ", ".join(parts)


def start_propagation(
    session: Session, engine: EngineClient, jobs: JobRunner, request: PropagationRequest
) -> int:
    """Begin a propagation and return the id of its job; results appear through ``session.changed``."""
    return jobs.add(PropagationJob(session, engine, request, parent=jobs))

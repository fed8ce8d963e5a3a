"""One thread that writes a project: strokes to the journal in order, label files when there is time."""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.domain.project import Commit, Project
from app.services.dispatch import Mailbox
from coordgan_core.errors import CoordError

_log = logging.getLogger(__name__)
_RETRY_SEC = 2.0
_AT_ONCE = 64


@dataclass
class _Call:
    function: Callable[[], object]
    on_done: Callable[[object], None] | None
    on_error: Callable[[str], None] | None


class ProjectWriter(QObject):
    """Writes strokes, and runs calls that must stay in order with them.

    A stroke that cannot be written (disk full) stays in the queue and is tried again; nothing behind it
    overtakes it.

    Args:
        project: The project.
        flush_sec: Pause after which label files follow the journal.
        parent: Qt parent.
    """

    committed = Signal(int, int)
    """Image id and journal sequence of a stroke that is on disk now."""
    failed = Signal(str)
    """Something could not be written; it will be tried again."""
    unsavedChanged = Signal(int)  # noqa: N815 (Qt's way of writing signals)
    """How many strokes are not on disk yet."""

    def __init__(self, project: Project, *, flush_sec: float = 5.0, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._flush_sec = flush_sec
        self._mailbox = Mailbox(self)
        self._condition = threading.Condition()
        self._queue: collections.deque[Commit | _Call] = collections.deque()
        self._dirty: dict[int, float] = {}
        self._hurried: set[int] = set()
        self._busy = False
        self._stuck = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="project writer", daemon=True)
        self._thread.start()

    @property
    def unsaved(self) -> int:
        """How many strokes and calls are not done yet."""
        with self._condition:
            return len(self._queue) + self._busy

    def submit(self, commit: Commit) -> None:
        """Have a stroke written; `committed` follows."""
        self._put(commit)

    def call(
        self,
        function: Callable[[], object],
        on_done: Callable[[object], None] | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        """Call ``function`` in the writing thread, behind all strokes; answer in the window's thread."""
        self._put(_Call(function, on_done, on_error))

    def hurry(self, image_id: int) -> None:
        """Have the label file of an image written as soon as its strokes are (another one is opened)."""
        with self._condition:
            if any(_is_of(item, image_id) for item in self._queue) or self._busy:
                self._hurried.add(image_id)
            elif image_id in self._dirty:
                self._dirty[image_id] = 0.0
                self._condition.notify_all()

    def flush(self, timeout_sec: float = 30.0) -> bool:
        """Wait until every stroke is on disk; return whether that is so."""
        until = time.monotonic() + timeout_sec
        with self._condition:
            self._stuck = False
            self._condition.notify_all()
            while self._queue or self._busy:
                left = until - time.monotonic()
                if left <= 0 or self._stuck:
                    return False
                self._condition.wait(left)
        return True

    def close(self) -> bool:
        """Write everything, label files too, and end the thread; return whether every stroke is on disk."""
        saved = self.flush()
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self._thread.join()
        self._mailbox.close()
        return saved

    def _put(self, item: Commit | _Call) -> None:
        with self._condition:
            if self._stopping:
                raise RuntimeError("the project was closed")
            self._queue.append(item)
            self._stuck = False
            self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._wait_for_work()
                if self._stopping:
                    break
                batch = self._take()
                due = [] if batch else self._take_due()
                self._busy = bool(batch)
            if batch:
                self._work(batch)
            for image_id in due:
                self._flush_image(image_id)
        for image_id in list(self._dirty):
            self._flush_image(image_id)

    def _wait_for_work(self) -> None:
        while not self._stopping:
            if self._stuck:
                self._condition.wait(_RETRY_SEC)
                self._stuck = False
                continue
            now = time.monotonic()
            next_due = min(self._dirty.values(), default=None)
            if self._queue or (next_due is not None and next_due <= now):
                return
            self._condition.wait(None if next_due is None else next_due - now)

    def _take(self) -> list[Commit | _Call]:
        """Take the strokes at the head of the queue, or one call."""
        taken: list[Commit | _Call] = []
        while self._queue and len(taken) < _AT_ONCE:
            if isinstance(self._queue[0], _Call):
                if not taken:
                    taken.append(self._queue.popleft())
                break
            taken.append(self._queue.popleft())
        return taken

    def _take_due(self) -> list[int]:
        now = time.monotonic()
        due = [image_id for image_id, when in self._dirty.items() if when <= now]
        for image_id in due:
            del self._dirty[image_id]
        return due

    def _work(self, batch: list[Commit | _Call]) -> None:
        first = batch[0]
        if isinstance(first, _Call):
            self._run_call(first)
            self._done()
            return
        commits = [item for item in batch if isinstance(item, Commit)]
        try:
            self._project.commit(commits)
        except Exception as error:  # whatever it is, the strokes must not be lost
            _log.warning("strokes could not be written: %s", error)
            with self._condition:
                self._queue.extendleft(reversed(batch))
                self._busy = False
                self._stuck = True
                self._condition.notify_all()
            self._mailbox.post(lambda text=str(error): self.failed.emit(text))  # type: ignore[misc]
            return
        with self._condition:
            later = time.monotonic() + self._flush_sec
            for commit in commits:
                self._dirty[commit.image_id] = 0.0 if commit.image_id in self._hurried else later
            self._hurried -= {commit.image_id for commit in commits}
        self._done()
        for commit in commits:
            self._mailbox.post(
                lambda i=commit.image_id, s=commit.sequence: self.committed.emit(i, s)  # type: ignore[misc]
            )

    def _done(self) -> None:
        with self._condition:
            self._busy = False
            left = len(self._queue)
            self._condition.notify_all()
        self._mailbox.post(lambda: self.unsavedChanged.emit(left))

    def _run_call(self, call: _Call) -> None:
        try:
            result = call.function()
        except Exception as error:
            message = str(error) if isinstance(error, CoordError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, CoordError):
                _log.exception("a call in the writer failed")
            on_error = call.on_error or self.failed.emit
            self._mailbox.post(lambda: on_error(message))
        else:
            if call.on_done is not None:
                on_done = call.on_done
                self._mailbox.post(lambda: on_done(result))

    def _flush_image(self, image_id: int) -> None:
        try:
            self._project.flush(image_id)
        except Exception as error:  # the journal still holds everything
            _log.warning("a label file could not be written: %s", error)
            self._mailbox.post(lambda text=str(error): self.failed.emit(text))  # type: ignore[misc]
            with self._condition:
                if not self._stopping:
                    self._dirty.setdefault(image_id, time.monotonic() + 30.0)


def _is_of(item: Commit | _Call, image_id: int) -> bool:
    return isinstance(item, Commit) and item.image_id == image_id

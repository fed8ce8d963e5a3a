"""Single calls in a worker thread, with the answer in the window's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from PySide6.QtCore import QObject

from app.services.dispatch import Mailbox
from coordgan_core.errors import CoordError

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Task(Generic[T]):
    """One call that was given to a worker."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self._future: Future[None] | None = None

    def cancel(self) -> None:
        """Have nobody told of the answer; a call that has not begun is dropped."""
        self.is_cancelled = True
        if self._future is not None:
            self._future.cancel()


class Worker(QObject):
    """A few threads for calls such as those of `app.domain.assist`.

    Args:
        threads: How many calls run at a time; 1 keeps their order.
        parent: Qt parent.
    """

    def __init__(self, *, threads: int = 1, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._mailbox = Mailbox(self)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")

    def run(
        self,
        function: Callable[[], T],
        on_done: Callable[[T], None] | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> Task[T]:
        """Call ``function`` in a worker, then one of the two callbacks in the window's thread."""
        task: Task[T] = Task()

        def call() -> None:
            if task.is_cancelled:
                return
            try:
                result = function()
            except Exception as error:
                message = str(error) if isinstance(error, CoordError) else f"{type(error).__name__}: {error}"
                if not isinstance(error, CoordError):
                    _log.exception("a task failed")
                self._mailbox.post(lambda: self._tell(task, on_error, message))
            else:
                self._mailbox.post(lambda: self._tell(task, on_done, result))

        task._future = self._pool.submit(call)
        return task

    def close(self) -> None:
        """Drop what has not begun and wait for the rest; nobody is told any more."""
        self._mailbox.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _tell(task: Task[T], callback: Callable[..., None] | None, value: object) -> None:
        if callback is not None and not task.is_cancelled:
            callback(value)

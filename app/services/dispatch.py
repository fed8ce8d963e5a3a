"""From any thread into the window's thread, without flooding it."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal

_SLICE_SEC = 0.008


class Mailbox(QObject):
    """Runs calls posted from any thread in its own thread, in order, a few milliseconds at a time."""

    _wake = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._lock = threading.Lock()
        self._pending = False
        self._open = True
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(0)
        self._again.timeout.connect(self._drain)
        self._wake.connect(self._drain, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` run in the mailbox's thread; after `close` it is dropped."""
        with self._lock:
            if not self._open:
                return
            self._calls.append(call)
            if self._pending:
                return
            self._pending = True
            self._wake.emit()

    def close(self) -> None:
        """Drop what is waiting and take nothing more."""
        with self._lock:
            self._open = False
            self._calls.clear()
        self._again.stop()

    def _drain(self) -> None:
        until = time.monotonic() + _SLICE_SEC
        while True:
            with self._lock:
                if not self._calls:
                    self._pending = False
                    return
                call = self._calls.popleft()
            try:
                call()
            except BaseException:
                self._again.start()  # one bad call must not hold up the others
                raise
            if time.monotonic() > until:
                # the rest after the window has had its turn
                self._again.start()
                return

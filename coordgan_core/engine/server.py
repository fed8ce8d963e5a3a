"""The engine's loop: reads requests, runs them one after the other, and always stays able to cancel.

One thread reads, so that a cancel or release is heard at once; the main thread works. Whatever a request
does wrong becomes an error reply; only `shutdown`, the end of the input, or a crash ends the engine.
Results wait for the window: no more than `CREDIT` of them are on their way, which is also how the window
pauses a propagation.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Generator, Mapping
from typing import Any, BinaryIO, Protocol

from coordgan_core._version import __version__
from coordgan_core.engine.protocol import (
    VERSION,
    ProtocolError,
    Reply,
    Request,
    Segments,
    decode_request,
    encode_reply,
)
from coordgan_core.errors import CoordError, OutOfMemoryError

_log = logging.getLogger(__name__)

CREDIT = 16
"""Events with arrays that may be on their way to the window."""
ALIVE_SEC = 1.0

Answer = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Plain values and arrays of an event or of the final answer."""


class Backend(Protocol):
    """What the engine can do."""

    def run(self, request: Request) -> Generator[Answer, None, Answer | None]:
        """Yield the events of a request and return its final answer; closing the generator stops the work."""


class Server:
    """Answers requests of ``source`` on ``sink``.

    Args:
        backend: Does the work.
        source: Lines of requests.
        sink: Lines of replies.
        alive_sec: Pause between two signs of life.
    """

    def __init__(
        self, backend: Backend, source: BinaryIO, sink: BinaryIO, *, alive_sec: float = ALIVE_SEC
    ) -> None:
        self._backend = backend
        self._source = source
        self._sink = sink
        self._alive_sec = alive_sec
        self._segments = Segments()
        self._sink_lock = threading.Lock()
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._condition = threading.Condition()
        self._cancelled: set[int] = set()
        self._running = 0
        self._credit = CREDIT
        self._closing = threading.Event()

    def serve(self) -> None:
        """Work until `shutdown` or the end of the input."""
        threads = [
            threading.Thread(target=self._read, name="engine reader", daemon=True),
            threading.Thread(target=self._live, name="engine heart", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            while (request := self._requests.get()) is not None:
                self._work(request)
        finally:
            self._closing.set()
            self._segments.close()
            threads[1].join()

    # --- reading

    def _read(self) -> None:
        try:
            for line in self._source:
                if line.strip():
                    self._take(line)
                if self._closing.is_set():
                    return
        except (OSError, ValueError):
            _log.warning("the input of the engine broke")
        finally:
            self._stop()

    def _take(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except ProtocolError as error:
            self._send(Reply(error.request_id, "error", data=describe(error)))
            return
        if request.verb == "cancel":
            self._cancel(int(request.params.get("id", 0)))
        elif request.verb == "release":
            names = request.params.get("names", [])
            self._segments.release([str(n) for n in names] if isinstance(names, list) else [])
            with self._condition:
                self._credit = min(CREDIT, self._credit + 1)
                self._condition.notify_all()
        elif request.verb == "shutdown":
            self._stop()
        else:
            self._requests.put(request)

    def _cancel(self, request_id: int) -> None:
        with self._condition:
            self._cancelled.add(request_id)
            self._condition.notify_all()

    def _stop(self) -> None:
        self._closing.set()
        with self._condition:
            self._cancelled.add(self._running)
            self._condition.notify_all()
        self._requests.put(None)

    def _live(self) -> None:
        while not self._closing.wait(self._alive_sec):
            self._send(Reply(0, "alive"))

    # --- working

    def _work(self, request: Request) -> None:
        with self._condition:
            self._running = request.id
            self._credit = CREDIT
        try:
            if request.verb == "hello":
                self._reply(request, "done", {"version": __version__, "protocol": VERSION})
            elif not self._is_cancelled(request) and self._stream(request):
                pass
            else:
                self._reply(request, "cancelled")
        except Exception as error:  # the next request may well work
            if not isinstance(error, CoordError):
                _log.exception("request %s failed", request.verb)
            self._reply(request, "error", describe(error))
        finally:
            with self._condition:
                self._running = 0
                self._cancelled.discard(request.id)

    def _stream(self, request: Request) -> bool:
        """Send the events of a request; False if it was cancelled: its generator has then been closed."""
        events = self._backend.run(request)
        try:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    final: Answer = end.value or ({}, {})
                    break
                if self._is_cancelled(request) or not self._send_event(request, event):
                    return False
        finally:
            events.close()
        self._reply(request, "done", *final)
        return True

    def _send_event(self, request: Request, event: Answer) -> bool:
        data, arrays = event
        if arrays:
            with self._condition:
                while self._credit <= 0 and request.id not in self._cancelled:
                    self._condition.wait()
                if request.id in self._cancelled:
                    return False
                self._credit -= 1
        self._reply(request, "event", data, arrays)
        return True

    def _is_cancelled(self, request: Request) -> bool:
        with self._condition:
            return request.id in self._cancelled or self._closing.is_set()

    def _reply(
        self,
        request: Request,
        kind: Any,
        data: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Any] | None = None,
    ) -> None:
        self._send(Reply(request.id, kind, request.generation, data or {}, arrays or {}))

    def _send(self, reply: Reply) -> None:
        line = encode_reply(reply, self._segments)
        # a window that has gone is noticed by the reader
        with self._sink_lock, contextlib.suppress(OSError, ValueError):
            self._sink.write(line)
            self._sink.flush()


def describe(error: Exception) -> dict[str, str]:
    """Return an error as plain values for a reply."""
    if isinstance(error, CoordError):
        return {
            "type": type(error).__name__,
            "message": str(error),
            "found": error.found,
            "expected": error.expected,
            "remedy": error.remedy,
        }
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return describe(
            OutOfMemoryError(
                "the memory is full", remedy="close other programs, or choose the processor as device"
            )
        )
    text = str(error).strip().splitlines()
    return {"type": type(error).__name__, "message": f"{type(error).__name__}: {text[0] if text else ''}"}

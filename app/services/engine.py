"""The window's side of the engine: start it, ask it, cancel, and outlive it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PySide6.QtCore import QObject, QTimer, Signal

from app.processes import engine_command
from app.services.child import Child
from app.services.models import ModelInfo, described
from coordgan_core.engine.protocol import (
    VERSION,
    ProtocolError,
    Reply,
    Request,
    Verb,
    decode_reply,
    encode_request,
)
from coordgan_core.torch_folder import TORCH_VARIABLE

_log = logging.getLogger(__name__)
_CANCEL_SEC = 3.0
_ASLEEP_SEC = 5.0
_MAX_LINE = 128 << 20

Answer = Callable[[Reply], None]
Arrays = Mapping[str, npt.NDArray[Any]]


class EngineState(StrEnum):
    """Where the engine stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    CRASHED = "crashed"


@dataclass
class _Pending:
    request: Request
    on_event: Answer | None
    on_done: Answer | None
    on_error: Callable[[str], None] | None
    cancelled_at: float | None = None


class EngineClient(QObject):
    """Talks to one engine process, which starts with the first request and again after a crash.

    Args:
        command: What starts it; `app.processes.engine_command` by default.
        model_folders: Where models are looked for.
        device: ``auto``, ``cpu``, ``cuda``.
        precision: ``auto``, ``float32``, ``bfloat16``.
        hang_sec: Silence after which it counts as hanging and is restarted.
        parent: Qt parent.
    """

    stateChanged = Signal(str)  # noqa: N815
    crashed = Signal(str)

    def __init__(
        self,
        *,
        command: Sequence[str] | None = None,
        model_folders: Sequence[Path] = (),
        device: str = "auto",
        precision: str = "auto",
        hang_sec: float = 60.0,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._command = list(command or engine_command())
        self.model_folders = list(model_folders)
        self.device = device
        self.precision = precision
        self.torch_problem = ""
        """Why the private build of PyTorch is not used; empty where it is, or where there is none."""
        self._hang_sec = hang_sec
        self._child: Child | None = None
        self._state = EngineState.STOPPED
        self._pending: dict[int, _Pending] = {}
        self._next = 1
        self._generation = 0
        self._heard = 0.0
        self._looked = 0.0
        self._watch = QTimer(self)
        self._watch.setInterval(250)
        self._watch.timeout.connect(self._look)

    @property
    def state(self) -> str:
        """One of `EngineState`."""
        return self._state

    # --- asking

    def request(
        self,
        verb: Verb,
        params: Mapping[str, Any] | None = None,
        arrays: Arrays | None = None,
        *,
        on_event: Answer | None = None,
        on_done: Answer | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> int:
        """Send a request and return its id; ``on_done`` or ``on_error`` follows unless it is cancelled."""
        request_id, self._next = self._next, self._next + 1
        values = {"device": self.device, "precision": self.precision, **(params or {})}
        request = Request(request_id, verb, self._generation, values, arrays or {})
        self._pending[request_id] = _Pending(request, on_event, on_done, on_error)
        if self._child is None:
            self.start()
        if self._child is not None and self._state in (EngineState.READY, EngineState.BUSY):
            self._write(request)
        self._refresh()
        return request_id

    def cancel(self, request_id: int) -> None:
        """Stop a request: nobody hears of it again, and an engine that does not obey is killed."""
        pending = self._pending.get(request_id)
        if pending is None or pending.cancelled_at is not None:
            return
        pending.cancelled_at = time.monotonic()
        pending.on_event = pending.on_done = pending.on_error = None
        self._tell("cancel", {"id": request_id})

    def release(self, reply: Reply) -> None:
        """Tell the engine that the arrays of an event have been taken; only then it sends more."""
        self._tell("release", {"names": list(reply.segments)})

    def models(
        self,
        on_done: Callable[[list[ModelInfo]], None],
        on_error: Callable[[str], None] | None = None,
    ) -> int:
        """Ask for the list of models."""

        def done(reply: Reply) -> None:
            on_done([model for item in reply.data.get("models", []) if (model := described(item))])

        folders = [str(folder) for folder in self.model_folders]
        return self.request("models", {"folders": folders}, on_done=done, on_error=on_error)

    def link(
        self,
        model: str,
        image: Path,
        reference: Path,
        on_done: Answer,
        on_error: Callable[[str], None] | None = None,
    ) -> int:
        """Ask for the correspondence maps of an image and a reference, for the linked cursor."""
        params = {"model": model, "image": str(image), "reference": str(reference)}
        return self.request("link", params, on_done=on_done, on_error=on_error)

    # --- the process

    def start(self) -> None:
        """Start the engine; the first request does so anyway."""
        if self._child is not None:
            return
        self._child = Child(self._command, parent=self)
        self._child.heard.connect(self._on_heard)
        self._child.lineRead.connect(self._take)
        self._child.ended.connect(self._on_ended)
        self._child.notStarted.connect(self._on_not_started)
        self._generation += 1
        self._heard = self._looked = time.monotonic()
        self._set_state(EngineState.STARTING)
        self._child.start()
        self._watch.start()
        self._write(Request(0, "hello", self._generation))

    def stop(self) -> None:
        """End the engine, by force if it does not go; requests in flight are dropped."""
        self._watch.stop()
        self._pending.clear()
        child, self._child = self._child, None
        if child is not None:
            child.close(farewell=encode_request(Request(0, "shutdown")))
        self._set_state(EngineState.STOPPED)

    def _write(self, request: Request) -> None:
        if self._child is not None:
            self._child.write(encode_request(request))

    def _tell(self, verb: Verb, params: Mapping[str, Any]) -> None:
        self._write(Request(0, verb, self._generation, params))

    def _set_state(self, state: EngineState) -> None:
        if state is not self._state:
            self._state = state
            self.stateChanged.emit(state.value)

    def _refresh(self) -> None:
        if self._state in (EngineState.READY, EngineState.BUSY):
            self._set_state(EngineState.BUSY if self._pending else EngineState.READY)

    # --- listening

    def _on_heard(self) -> None:
        self._heard = time.monotonic()
        if self._child is not None and self._child.unfinished_bytes > _MAX_LINE:
            self._fail("The engine sent a line without an end.")

    def _take(self, line: bytes) -> None:
        try:
            reply = decode_reply(line)
        except ProtocolError as error:
            _log.warning("the engine sent nonsense: %s", error)
            if error.request_id in self._pending:
                self._over(error.request_id, str(error))
            return
        if self._state is EngineState.STARTING:
            self._welcome(reply)
        pending = self._pending.get(reply.id)
        if pending is None or reply.generation != pending.request.generation:
            if reply.segments or reply.arrays:
                self.release(reply)
            return
        if reply.kind == "event":
            if pending.on_event is not None:
                self._tell_window(pending, pending.on_event, reply)
            elif reply.arrays:
                self.release(reply)
            return
        del self._pending[reply.id]
        if reply.kind == "done" and pending.on_done is not None:
            self._tell_window(pending, pending.on_done, reply)
        elif reply.kind == "error" and pending.on_error is not None:
            pending.on_error(str(reply.data.get("message", "the engine gave no reason")))
        if reply.kind == "done" and reply.segments:
            self.release(reply)
        self._refresh()

    def _tell_window(self, pending: _Pending, answer: Answer, reply: Reply) -> None:
        """Hand an answer on; one that makes no sense to whoever asked ends its request and nothing else."""
        try:
            answer(reply)
        except Exception as error:  # an engine may say anything
            _log.exception("an answer of the engine makes no sense")
            on_error = pending.on_error
            self.cancel(reply.id)  # nothing happens where it is over already
            if on_error is not None:
                on_error(f"The engine's answer makes no sense ({type(error).__name__}: {error}). Try again.")

    def _welcome(self, reply: Reply) -> None:
        if reply.kind == "error" or reply.data.get("protocol", VERSION) != VERSION:
            self._fail(
                str(reply.data.get("message", "The engine belongs to another version of the program."))
            )
            return
        self._set_state(EngineState.READY)
        for pending in list(self._pending.values()):
            if pending.cancelled_at is None:
                self._write(pending.request)
        self._refresh()

    # --- trouble

    def _look(self) -> None:
        """Notice an engine that hangs or does not obey."""
        now = time.monotonic()
        if now - self._looked > _ASLEEP_SEC:  # not the engine slept, but this computer or the window
            self._heard = now
        self._looked = now
        if any(p.cancelled_at and now - p.cancelled_at > _CANCEL_SEC for p in self._pending.values()):
            self._restart("a request was cancelled and did not stop")
        elif now - self._heard > self._hang_sec:
            self._fail(f"The engine was silent for {self._hang_sec:.0f} seconds and was stopped.")

    def _restart(self, reason: str) -> None:
        """Kill the engine and send what is still wanted to a new one."""
        _log.warning("the engine is restarted: %s", reason)
        self._pending = {i: p for i, p in self._pending.items() if p.cancelled_at is None}
        started = [p for p in self._pending.values() if p.on_event is not None]
        for pending in started:  # half of its events have been told: it cannot begin again
            self._over(pending.request.id, "The engine had to be restarted; start again.")
        self._kill()
        if self._pending:
            self.start()
            self._pending = {
                i: _Pending(_renewed(p.request, self._generation), p.on_event, p.on_done, p.on_error)
                for i, p in self._pending.items()
            }

    def _kill(self) -> None:
        child, self._child = self._child, None
        self._watch.stop()
        if child is not None:
            child.close()
        self._set_state(EngineState.STOPPED)

    def _fail(self, message: str) -> None:
        """Tell everybody who waits that the engine has gone."""
        self._kill()
        self._set_state(EngineState.CRASHED)
        waiting, self._pending = list(self._pending.values()), {}
        self.crashed.emit(message)
        for pending in waiting:
            if pending.on_error is not None:
                pending.on_error(message)

    def _over(self, request_id: int, message: str) -> None:
        pending = self._pending.pop(request_id, None)
        if pending is not None and pending.on_error is not None:
            pending.on_error(message)
        self._refresh()

    def _on_ended(self, code: int, crashed: bool) -> None:  # noqa: FBT001 - a slot
        if not crashed and code == 0 and not self._pending:
            self._kill()
            return
        reason = self._explain(code, crashed=crashed)
        if self._state is EngineState.STARTING and TORCH_VARIABLE in os.environ:
            self._start_without_private_torch(reason)
        else:
            self._fail(reason)

    def _start_without_private_torch(self, reason: str) -> None:
        """Fall back to the PyTorch of the installation; requests in flight are sent to the new process."""
        _log.warning("the private build of PyTorch is not used: %s", reason)
        del os.environ[TORCH_VARIABLE]
        self.torch_problem = reason
        self._kill()
        self.start()
        for pending in self._pending.values():
            pending.request = _renewed(pending.request, self._generation)

    def _on_not_started(self, _reason: str) -> None:
        self._fail(f"The engine could not be started ({self._command[0]}).")

    def _explain(self, code: int, *, crashed: bool) -> str:
        tail = "" if self._child is None else self._child.errors()
        _log.warning("the engine ended with %s: %s", code, tail)
        last = next((line for line in reversed(tail.splitlines()) if line.strip()), "")
        if "out of memory" in tail.lower() or (crashed and code == 9):
            return "The engine ran out of memory. Close other programs or choose the processor as device."
        return "The engine stopped unexpectedly" + (f": {last.strip()[:300]}" if last else ".")


def _renewed(request: Request, generation: int) -> Request:
    return Request(request.id, request.verb, generation, request.params, request.arrays)

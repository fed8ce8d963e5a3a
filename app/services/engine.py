"""The window's side of the engine: start it, ask it, cancel, and outlive it."""

from __future__ import annotations

import collections
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

import coordgan_core
from coordgan_core.data.images import image_size as header_size
from coordgan_core.engine.protocol import (
    VERSION,
    ProtocolError,
    Reply,
    Request,
    Verb,
    decode_reply,
    encode_request,
)
from coordgan_core.errors import CoordError
from resources import model_folders

_log = logging.getLogger(__name__)
_CANCEL_SEC = 3.0
_STOP_MS = 2000
_ASLEEP_SEC = 5.0
_MAX_LINE = 128 << 20
_MAX_RESTARTS = 3
_ERROR_TAIL = 4000
ENGINE_FLAG = "--engine"
"""With it the frozen application runs as the engine."""

Answer = Callable[[Reply], None]
Arrays = Mapping[str, npt.NDArray[Any]]


class EngineState(StrEnum):
    """Where the engine stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    CRASHED = "crashed"


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be chosen: its card is plain JSON values; a stop-gap has no file."""

    id: str
    name: str
    category: str
    path: str
    card: dict[str, Any]
    builtin: bool


@dataclass
class _Pending:
    request: Request
    on_event: Answer | None
    on_done: Answer | None
    on_error: Callable[[str], None] | None
    cancelled_at: float | None = None


def engine_command() -> list[str]:
    """Return what starts the engine: this Python, or the frozen application itself."""
    if getattr(sys, "frozen", False):
        return [sys.executable, ENGINE_FLAG]
    return [sys.executable, "-m", "coordgan_core.engine"]


class EngineClient(QObject):
    """Talks to one engine process, which starts with the first request and again after a crash.

    Args:
        command: What starts it; `engine_command` by default.
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
        self._hang_sec = hang_sec
        self._process: QProcess | None = None
        self._state = EngineState.STOPPED
        self._buffer = bytearray()
        self._errors: collections.deque[str] = collections.deque(maxlen=200)
        self._pending: dict[int, _Pending] = {}
        self._next = 1
        self._generation = 0
        self._heard = 0.0
        self._looked = 0.0
        self._quick_crashes = 0
        self._started = 0.0
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
        if self._process is None:
            self.start()
        if self._process is not None and self._state in (EngineState.READY, EngineState.BUSY):
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
            on_done([model for item in reply.data.get("models", []) if (model := _model(item))])

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
        if self._process is not None:
            return
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("OMP_WAIT_POLICY", "PASSIVE")
        if not getattr(sys, "frozen", False):
            # the engine must be the one that belongs to this window, wherever both were started
            root = str(Path(coordgan_core.__file__).parents[1])
            others = environment.value("PYTHONPATH", "")
            environment.insert("PYTHONPATH", os.pathsep.join(filter(None, [root, others])))
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_process_error)
        self._process = process
        self._buffer.clear()
        self._errors.clear()
        self._generation += 1
        self._heard = self._started = self._looked = time.monotonic()
        self._set_state(EngineState.STARTING)
        process.start(self._command[0], self._command[1:])
        self._watch.start()
        self._write(Request(0, "hello", self._generation))

    def stop(self) -> None:
        """End the engine, by force if it does not go; requests in flight are dropped."""
        self._watch.stop()
        self._pending.clear()
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            process.write(encode_request(Request(0, "shutdown")))
            process.closeWriteChannel()
            if process.state() != QProcess.ProcessState.NotRunning and not process.waitForFinished(_STOP_MS):
                process.kill()
                process.waitForFinished(_STOP_MS)
            process.deleteLater()
        self._set_state(EngineState.STOPPED)

    def _write(self, request: Request) -> None:
        if self._process is not None:
            self._process.write(encode_request(request))

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

    def _read(self) -> None:
        if self._process is None:
            return
        self._buffer += self._process.readAllStandardOutput().data()
        self._heard = time.monotonic()
        if len(self._buffer) > _MAX_LINE and b"\n" not in self._buffer:
            self._fail("The engine sent a line without an end.")
            return
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            if line.strip():
                self._take(bytes(line))

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
                pending.on_event(reply)
            elif reply.arrays:
                self.release(reply)
            return
        del self._pending[reply.id]
        if reply.kind == "done" and pending.on_done is not None:
            pending.on_done(reply)
        elif reply.kind == "error" and pending.on_error is not None:
            pending.on_error(str(reply.data.get("message", "the engine gave no reason")))
        if reply.kind == "done" and reply.segments:
            self.release(reply)
        self._refresh()

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

    def _read_errors(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
            self._errors.extend(text.splitlines())

    # --- trouble

    def _look(self) -> None:
        """Notice an engine that hangs or does not obey."""
        now = time.monotonic()
        if (
            now - self._looked > _ASLEEP_SEC
        ):  # it was not the engine that slept, but this computer or the window
            self._heard = now
        self._looked = now
        if any(p.cancelled_at and now - p.cancelled_at > _CANCEL_SEC for p in self._pending.values()):
            self._restart("a request was cancelled and did not stop")
        elif now - self._heard > self._hang_sec:
            self._fail(f"The engine was silent for {self._hang_sec:.0f} seconds and was stopped.")
        elif not any(p.cancelled_at is None for p in self._pending.values()) and now - self._started > 60:
            self._quick_crashes = 0

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
        process, self._process = self._process, None
        self._watch.stop()
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(_STOP_MS)
            process.deleteLater()
        self._set_state(EngineState.STOPPED)

    def _fail(self, message: str) -> None:
        """Tell everybody who waits that the engine has gone."""
        self._read_errors()
        self._kill()
        self._set_state(EngineState.CRASHED)
        self._quick_crashes += 1
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

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        if self._process is None:
            return
        self._read()
        self._read_errors()
        if status is QProcess.ExitStatus.NormalExit and code == 0 and not self._pending:
            self._kill()
            return
        self._fail(self._explain(code, status))

    def _on_process_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._fail(f"The engine could not be started ({self._command[0]}).")

    def _explain(self, code: int, status: QProcess.ExitStatus) -> str:
        tail = "\n".join(self._errors)[-_ERROR_TAIL:]
        _log.warning("the engine ended with %s: %s", code, tail)
        last = next((line for line in reversed(self._errors) if line.strip()), "")
        if "out of memory" in tail.lower() or (status is QProcess.ExitStatus.CrashExit and code == 9):
            return "The engine ran out of memory. Close other programs or choose the processor as device."
        return "The engine stopped unexpectedly" + (f": {last.strip()[:300]}" if last else ".")


def _renewed(request: Request, generation: int) -> Request:
    return Request(request.id, request.verb, generation, request.params, request.arrays)


def _model(item: Any) -> ModelInfo | None:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    card = item.get("card")
    path = str(item.get("path") or "")
    return ModelInfo(
        item["id"],
        str(item.get("name") or item["id"]),
        str(item.get("category") or ""),
        path,
        card if isinstance(card, dict) else {},
        bool(item.get("builtin")) or Path(path).parent in model_folders(),
    )


class LinkedCursor(QObject):
    """Shows on the reference what lies under the cursor: the nearest position in the canonical frame."""

    ready = Signal(bool)
    """Whether `hover` can answer now."""
    matched = Signal(float, float, float)
    """x and y in the reference's pixels, and how certain that is, 0 to 1."""
    failed = Signal(str)

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._request: int | None = None
        self._matcher: Matcher | None = None

    def prepare(
        self,
        model: str,
        image: Path,
        reference: Path,
        *,
        image_size: tuple[int, int] | None = None,
        reference_size: tuple[int, int] | None = None,
    ) -> None:
        """Have the maps of an image and a reference computed.

        Sizes are ``(width, height)`` in pixels; those not given are read from the files.
        """
        self.clear()

        def done(reply: Reply) -> None:
            self._request = None
            try:
                sizes = image_size or header_size(image), reference_size or header_size(reference)
                self._matcher = Matcher(reply.arrays, *sizes)
            except (KeyError, ValueError, CoordError) as error:
                self.failed.emit(f"the engine sent no maps ({error})")
                return
            self.ready.emit(True)

        self._request = self._engine.link(model, image, reference, done, self.failed.emit)

    def clear(self) -> None:
        """Forget the maps and the request for them."""
        if self._request is not None:
            self._engine.cancel(self._request)
            self._request = None
        if self._matcher is not None:
            self._matcher = None
            self.ready.emit(False)

    def hover(self, x: float, y: float) -> tuple[float, float, float] | None:
        """Return and tell the match of a position in the image's pixels, None without maps."""
        found = None if self._matcher is None else self._matcher.match(x, y)
        if found is not None:
            self.matched.emit(*found)
        return found


class Matcher:
    """From positions in an image to positions in a reference through their correspondence maps.

    Args:
        arrays: ``image_map``, ``reference_map`` (``[2, h, w]``), ``image_reliability``,
            ``reference_reliability`` (``[h, w]``).
        image_size: ``(width, height)`` in pixels.
        reference_size: ``(width, height)`` in pixels.
    """

    def __init__(self, arrays: Arrays, image_size: tuple[int, int], reference_size: tuple[int, int]) -> None:
        self._map = arrays["image_map"].astype(np.float32)
        self._certain = arrays["image_reliability"].astype(np.float32)
        self._reference = arrays["reference_map"].astype(np.float32)
        if self._map.ndim != 3 or self._reference.ndim != 3:
            raise ValueError("maps of a wrong shape")
        self._reference_certain = arrays["reference_reliability"].astype(np.float32)
        self._size, self._reference_size = image_size, reference_size
        self._pitch = 2.0 / self._reference.shape[2]

    def match(self, x: float, y: float) -> tuple[float, float, float] | None:
        """Return x, y in the reference's pixels and the certainty, None outside of the image."""
        width, height = self._size
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            return None
        _, h, w = self._map.shape
        u, v = (x + 0.5) * w / width - 0.5, (y + 0.5) * h / height - 0.5
        position = np.array([bilinear(plane, u, v) for plane in self._map], np.float32)
        distance = ((self._reference - position[:, None, None]) ** 2).sum(0)
        best = int(distance.argmin())
        row, column = divmod(best, distance.shape[1])
        du, dv = self._shift(position, row, column)
        rw, rh = self._reference_size
        _, reference_h, reference_w = self._reference.shape
        found_x = (column + du + 0.5) * rw / reference_w - 0.5
        found_y = (row + dv + 0.5) * rh / reference_h - 0.5
        near = float(np.exp(-0.5 * distance[row, column] / (2 * self._pitch) ** 2))
        certain = min(bilinear(self._certain, u, v), float(self._reference_certain[row, column]))
        return found_x, found_y, max(0.0, min(1.0, near * certain))

    def _shift(self, position: npt.NDArray[np.float32], row: int, column: int) -> tuple[float, float]:
        """Return the step within the nearest cell, by one Newton step on the map's own differences."""
        _, h, w = self._reference.shape
        if not (0 < row < h - 1 and 0 < column < w - 1):
            return 0.0, 0.0
        reference = self._reference
        along_x = (reference[:, row, column + 1] - reference[:, row, column - 1]) / 2
        along_y = (reference[:, row + 1, column] - reference[:, row - 1, column]) / 2
        matrix = np.stack([along_x, along_y], 1)
        if abs(np.linalg.det(matrix)) < 1e-9:
            return 0.0, 0.0
        step = np.linalg.solve(matrix, position - reference[:, row, column])
        return float(np.clip(step[0], -0.5, 0.5)), float(np.clip(step[1], -0.5, 0.5))


def bilinear(plane: npt.NDArray[np.float32], u: float, v: float) -> float:
    """Return the value of ``plane`` at column ``u`` and row ``v``, clamped to its border."""
    height, width = plane.shape
    u, v = min(max(u, 0.0), width - 1.0), min(max(v, 0.0), height - 1.0)
    x0, y0 = int(u), int(v)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    fx, fy = u - x0, v - y0
    top = plane[y0, x0] * (1 - fx) + plane[y0, x1] * fx
    bottom = plane[y1, x0] * (1 - fx) + plane[y1, x1] * fx
    return float(top * (1 - fy) + bottom * fy)

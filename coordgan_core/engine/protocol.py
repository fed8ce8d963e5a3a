"""Messages between the window and the engine: one JSON object a line, arrays beside them in shared memory.

The window writes requests to the engine's standard input, the engine writes replies to its standard output.
Every reply names the request (``id``) and the generation that it answers; replies of an older generation
are dropped. Small arrays travel inside the message; the sender of a large one owns its shared memory until
the receiver has released it. Standard library and numpy.
"""

from __future__ import annotations

import base64
import json
import math
import sys
import threading
import types
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import shared_memory
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from coordgan_core.errors import DataError

VERSION = 1
"""Raised when messages change so that an older window or engine cannot read them."""

MAX_LINE_BYTES = 64 << 20
INLINE_BYTES = 1 << 16
"""Arrays up to this many bytes (compressed) are sent inside the message."""

Verb = Literal["hello", "models", "link", "propagate", "refine", "explore", "cancel", "release", "shutdown"]
VERBS: tuple[Verb, ...] = (
    "hello",
    "models",
    "link",
    "propagate",
    "refine",
    "explore",
    "cancel",
    "release",
    "shutdown",
)
Kind = Literal["event", "done", "error", "cancelled", "alive"]
KINDS: tuple[Kind, ...] = ("event", "done", "error", "cancelled", "alive")
_DTYPES = ("uint8", "int32", "int64", "float16", "float32", "bool")

Array = npt.NDArray[Any]


class ProtocolError(DataError):
    """A line is no message of this protocol; ``request_id`` names its request where that could be read."""

    def __init__(self, found: str, *, request_id: int = 0) -> None:
        self.request_id = request_id
        super().__init__(
            found,
            expected=f"a message of protocol {VERSION}",
            remedy="use a window and an engine of the same version",
        )


@dataclass(frozen=True)
class Request:
    """What the window asks.

    Args:
        id: Number of the request, from 1.
        verb: What to do.
        generation: Number that the reply repeats; the window raises it when older answers are of no use any
            more.
        params: Plain JSON values.
        arrays: Arrays by name.
    """

    id: int
    verb: Verb
    generation: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What the engine answers: events, then one of done, error, cancelled; ``alive`` answers nothing.

    Args:
        id: The request, 0 for ``alive`` and for lines that are no requests.
        kind: Which of these.
        generation: That of the request.
        data: Plain JSON values; an error has ``message``, ``found``, ``expected``, ``remedy`` and ``type``.
        arrays: Arrays by name.
        segments: Names of shared memory to release once the arrays have been copied.
    """

    id: int
    kind: Kind
    generation: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    segments: tuple[str, ...] = ()


class Segments:
    """The shared memory that this process has sent and the other has not released; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, shared_memory.SharedMemory] = {}

    @property
    def count(self) -> int:
        """How many are not released."""
        with self._lock:
            return len(self._sent)

    def send(self, array: Array) -> str:
        """Copy ``array`` into new shared memory and return its name."""
        memory = shared_memory.SharedMemory(create=True, size=max(1, array.nbytes))
        np.ndarray(array.shape, array.dtype, buffer=memory.buf)[...] = array
        with self._lock:
            self._sent[memory.name] = memory
        return memory.name

    def release(self, names: list[str]) -> None:
        """Free shared memory that the other side has copied; unknown names are no error."""
        with self._lock:
            gone = [self._sent.pop(name) for name in names if name in self._sent]
        for memory in gone:
            memory.close()
            memory.unlink()

    def close(self) -> None:
        """Free everything."""
        with self._lock:
            names = list(self._sent)
        self.release(names)


def encode_request(request: Request) -> bytes:
    """Return a request as a line; its arrays travel inside, compressed (they are label maps)."""
    arrays = {name: _inline(np.ascontiguousarray(array)) for name, array in request.arrays.items()}
    return _line(
        {
            "id": request.id,
            "verb": request.verb,
            "generation": request.generation,
            "params": dict(request.params),
            "arrays": arrays,
        }
    )


def encode_reply(reply: Reply, segments: Segments | None = None) -> bytes:
    """Return a reply as a line; large arrays go to shared memory of ``segments``, inside without it."""
    arrays = {name: _packed(array, segments) for name, array in reply.arrays.items()}
    return _line(
        {
            "id": reply.id,
            "kind": reply.kind,
            "generation": reply.generation,
            "data": dict(reply.data),
            "arrays": arrays,
        }
    )


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        ProtocolError: It is no request.
    """
    content = _object(line)
    request_id = _whole(content, "id")
    verb = content.get("verb")
    if verb not in VERBS:
        raise ProtocolError(f"an unknown verb {verb!r}", request_id=request_id)
    params, arrays = content.get("params", {}), content.get("arrays", {})
    if not isinstance(params, dict) or not isinstance(arrays, dict):
        raise ProtocolError("a request whose params or arrays are no objects", request_id=request_id)
    try:
        unpacked = {str(name): _unpacked(spec)[0] for name, spec in arrays.items()}
    except ProtocolError as error:
        raise ProtocolError(error.found, request_id=request_id) from error
    return Request(request_id, cast(Verb, verb), _whole(content, "generation", 0), params, unpacked)


def decode_reply(line: bytes) -> Reply:
    """Read a reply; its arrays are copies, and ``segments`` names what to release.

    Raises:
        ProtocolError: It is no reply, or its shared memory has gone.
    """
    content = _object(line)
    request_id = _whole(content, "id", 0)
    kind, data, arrays = content.get("kind"), content.get("data", {}), content.get("arrays", {})
    if kind not in KINDS or not isinstance(data, dict) or not isinstance(arrays, dict):
        raise ProtocolError(f"an unknown reply {kind!r}", request_id=request_id)
    unpacked, names = {}, []
    for name, spec in arrays.items():
        try:
            unpacked[str(name)], segment = _unpacked(spec)
        except ProtocolError as error:
            raise ProtocolError(error.found, request_id=request_id) from error
        names += [segment] if segment else []
    generation = _whole(content, "generation", 0)
    return Reply(request_id, cast(Kind, kind), generation, data, unpacked, tuple(names))


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(f"a line of {len(line)} bytes")
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a line that is no JSON ({line[:60]!r})") from error
    if not isinstance(content, dict):
        raise ProtocolError(f"a line that is no object ({line[:60]!r})")
    return content


def _whole(content: dict[str, Any], key: str, default: int | None = None) -> int:
    value = content.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProtocolError(f"a message whose {key} is {value!r}")
    return value


def _packed(array: Array, segments: Segments | None) -> dict[str, Any]:
    array = np.ascontiguousarray(array)
    if segments is None or array.nbytes <= INLINE_BYTES:
        return _inline(array)
    return {"shape": list(array.shape), "dtype": str(array.dtype), "memory": segments.send(array)}


def _inline(array: Array) -> dict[str, Any]:
    packed = base64.b64encode(zlib.compress(array.data, 1)).decode()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "zlib": packed}


def _unpacked(spec: Any) -> tuple[Array, str]:
    """Return an array and the name of the shared memory it was copied from, empty if it came inside."""
    if not isinstance(spec, dict) or spec.get("dtype") not in _DTYPES:
        raise ProtocolError("an array without a known type")
    shape = spec.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 1 << 31 for n in shape):
        raise ProtocolError("an array without a shape")
    dtype = np.dtype(spec["dtype"])
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes > 1 << 34:
        raise ProtocolError(f"an array of {nbytes} bytes")
    if "memory" in spec:
        return _from_memory(str(spec["memory"]), shape, dtype, nbytes), str(spec["memory"])
    try:
        expander = zlib.decompressobj()
        raw = expander.decompress(base64.b64decode(str(spec.get("zlib", "")), validate=True), nbytes + 1)
    except (zlib.error, ValueError) as error:
        raise ProtocolError("a damaged array") from error
    if len(raw) != nbytes:
        raise ProtocolError(f"an array of {len(raw)} instead of {nbytes} bytes")
    return np.frombuffer(raw, dtype).reshape(shape).copy(), ""


def _from_memory(name: str, shape: list[int], dtype: np.dtype[Any], nbytes: int) -> Array:
    try:
        memory = _attach(name)
    except (OSError, ValueError) as error:
        raise ProtocolError(f"shared memory {name} that has gone") from error
    try:
        if memory.size < nbytes:
            raise ProtocolError(f"shared memory {name} that is too small")
        return np.ndarray(shape, dtype, buffer=memory.buf).copy()
    finally:
        memory.close()


_attach_lock = threading.Lock()


def _attach(name: str) -> shared_memory.SharedMemory:
    """Open shared memory of the other process without becoming responsible for it."""
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name, track=False)
    # before 3.13 whoever opens it is also entered as its owner, and would remove it at exit
    quiet = types.SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)
    with _attach_lock:
        module: Any = shared_memory
        tracker = module.resource_tracker
        module.resource_tracker = quiet
        try:
            return shared_memory.SharedMemory(name)
        finally:
            module.resource_tracker = tracker

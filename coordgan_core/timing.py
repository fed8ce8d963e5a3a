"""Where the time of a step goes: parts of the code say their name, and a clock listens when someone asks.

Without a clock a part costs nothing to speak of. On a CUDA device a clock sets marks in the stream and reads
them at the end, so that it does not make the program wait for the device.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_listening: ContextVar[Clock | None] = ContextVar("clock", default=None)


class Clock:
    """Adds up the time of the parts that run while it listens; a part within a part belongs to the outer.

    Args:
        device: Whose time it is.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._spans: list[tuple[str, Any, Any]] = []
        self._open: tuple[str, Any] | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Hear the parts that run inside the block."""
        token = _listening.set(self)
        try:
            yield
        finally:
            _listening.reset(token)

    def begin(self, name: str) -> bool:
        """Open a part; False within another."""
        if self._open is not None:
            return False
        self._open = name, self._mark()
        return True

    def end(self) -> None:
        """Close the part that is open."""
        if self._open is not None:
            self._spans.append((*self._open, self._mark()))
            self._open = None

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each part since the last call, which are forgotten; waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()
        found: dict[str, float] = {}
        for name, begin, end in self._spans:
            lasted = begin.elapsed_time(end) / 1e3 if self._cuda else end - begin
            found[name] = found.get(name, 0.0) + lasted
        self._spans = []
        return found

    def _mark(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


class Part(ContextDecorator):
    """A named part of a step: ``with Part("backward"):`` around lines, ``@Part("views")`` above a function.

    Args:
        name: What it is called in tables.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._clock: Clock | None = None

    def __enter__(self) -> Part:
        clock = _listening.get()
        self._clock = clock if clock is not None and clock.begin(self._name) else None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._clock is not None:
            self._clock.end()
            self._clock = None

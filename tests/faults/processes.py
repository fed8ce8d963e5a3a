"""Processes that are made to be killed, forked from one that has loaded everything: each starts at once."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Tell = Callable[..., None]
Message = list[Any]
Actor = Callable[[Tell, Path, int], None]

READY_SEC = 180.0
"""How long anything may take to begin, on a machine that does other things as well."""
LOADED = ["tests.faults.strokes", "tests.faults.batches", "tests.faults.window"]
"""What is loaded before the first process is made."""


class NotReadyError(Exception):
    """A process has ended, or slept for too long, before it told what was waited for."""


class Victim:
    """A process that works on a folder and tells what it has done.

    Args:
        actor: ``module:function``, called with a teller, the folder and a seed.
        folder: What it works on.
        seed: Of its random choices.
    """

    def __init__(self, actor: str, folder: Path, seed: int) -> None:
        context = _context()
        self.messages: list[Message] = []
        self._silent = False
        self._inbox, outbox = context.Pipe(duplex=False)
        self._process = context.Process(target=_live, args=(actor, str(folder), seed, outbox))
        self._process.start()
        outbox.close()

    def wait_for(self, word: str, seconds: float = READY_SEC) -> Message:
        """Listen until a message begins with ``word``."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for message in self._listen(0.05):
                if message[0] == word:
                    return message
            if self._silent:
                break
        raise NotReadyError(f"the process ended or slept before {word!r}: {self.messages[-3:]}")

    def kill_after(self, seconds: float) -> list[Message]:
        """Let it work, kill it without warning, and return everything it had told by then."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._silent:
            self._listen(left)
        self.kill()
        return self.messages

    def kill(self) -> None:
        """Send SIGKILL, collect what is left in the pipe, and the process."""
        if self._process.pid is not None and self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.messages.append(json.loads(self._inbox.recv_bytes()))
        self._inbox.close()
        self._process.join()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def _listen(self, seconds: float) -> list[Message]:
        heard = []
        try:
            while self._inbox.poll(0 if heard else seconds):
                heard.append(json.loads(self._inbox.recv_bytes()))
        except (EOFError, OSError):
            self._silent = True
        self.messages += heard
        return heard


def _context() -> Any:
    """Return how processes are made: forked from a server where there is one, else started anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def _live(actor: str, folder: str, seed: int, outbox: Connection) -> None:
    import importlib

    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one at the keyboard is for the driver

    def tell(*content: Any) -> None:
        try:
            outbox.send_bytes(json.dumps(content).encode())
        except OSError:  # nobody listens any more
            os._exit(0)

    module, _, name = actor.partition(":")
    random.seed(seed)
    try:
        getattr(importlib.import_module(module), name)(tell, Path(folder), seed)
    except BaseException as error:  # told as a failure, whatever it is
        import traceback

        tell("failed", f"{type(error).__name__}: {error}", traceback.format_exc()[-1500:])
    finally:
        os._exit(0)

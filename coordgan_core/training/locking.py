"""A lock that the operating system releases when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold a lock on the file ``path`` (made where absent); yield whether it was free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        if not any(_try_again(stream, attempt) for attempt in range(_ATTEMPTS)):
            yield False
            return
        try:
            stream.truncate(0)
            stream.write(str(os.getpid()).encode())
            stream.flush()
            yield True
        finally:
            _unlock(stream)


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock ``path``."""
    try:
        with path.open("r+b") as stream:
            if not _try_lock(stream):
                return True
            _unlock(stream)
    except OSError:
        return False
    return False


_ATTEMPTS = 5  # somebody who only looks (`is_held`) holds it for an instant


def _try_again(stream: IO[bytes], attempt: int) -> bool:
    time.sleep(0.02 * attempt)
    return _try_lock(stream)


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows locks forbid reading the locked bytes: lock one beyond what is written

    def _try_lock(stream: IO[bytes]) -> bool:
        stream.seek(_FAR)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        stream.seek(_FAR)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(stream: IO[bytes]) -> bool:
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        fcntl.flock(stream.fileno(), fcntl.LOCK_UN)

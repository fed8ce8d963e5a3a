"""One writer a project: an operating system lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from pathlib import Path


class ProjectLock:
    """Hold ``path`` locked until `release`; the file says who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self.was_cut_off = False
        """Whether the holder before may have ended without `release`; known once the lock is ours."""

    def acquire(self) -> bool:
        """Return whether the lock is now ours; not if another window has it or nothing can be written."""
        is_new = not self._path.exists()
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return False
        if not _lock(handle):
            os.close(handle)
            return False
        self._handle = handle
        self.was_cut_off = is_new or os.fstat(handle).st_size > 0
        owner = {"process": os.getpid(), "machine": socket.gethostname(), "since": time.time()}
        with contextlib.suppress(OSError):  # the note is for people; the lock holds without it
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(owner).encode(), 0) if hasattr(os, "pwrite") else None
        return True

    def owner(self) -> str:
        """Return who holds the lock, in words."""
        try:
            owner = json.loads(self._path.read_text(encoding="utf-8"))
            return f"process {int(owner['process'])} on {owner['machine']}"
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return "another window"

    def release(self) -> None:
        """Give the lock back; more than once is harmless."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            # a byte far behind the note, so that others can read it
            os.lseek(handle, 1 << 20, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # a file system without locks must not make every project read-only
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True

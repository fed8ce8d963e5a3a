"""Atomic writing: a reader sees the old file or the whole new one, never half of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordgan_core.errors import DiskFullError

_CHUNK = 1 << 20


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it, synced to disk, when the block ends well.

    Parent folders are made. On any error the temporary file is removed and ``path`` stays as it was.

    Raises:
        DiskFullError: The disk is full, read-only, or the place may not be written to.
    """
    target = Path(path)
    temporary = _unfinished(target)
    try:
        yield temporary
        _finish(temporary, target)
    except OSError as error:
        if error.errno in _CANNOT_WRITE:
            raise _cannot_write(target, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)  # not there any more where all went well


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically.

    Raises:
        DiskFullError: The disk is full, read-only, or the place may not be written to.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically.

    Raises:
        DiskFullError: The disk is full, read-only, or the place may not be written to.
    """
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def plain_file(path: str | Path, *, max_bytes: int = 1 << 30) -> Path:
    """Return ``path`` if reading it comes to an end: a link may lead to a device or a pipe.

    Raises:
        OSError: It is no plain file, larger than ``max_bytes``, or not there.
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"it has {status.st_size} bytes, more than {max_bytes}", str(path))
    return Path(path)


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_CANNOT_WRITE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
    errno.EBUSY,
    errno.ENXIO,
    errno.ENODEV,
    *({errno.ESTALE} if hasattr(errno, "ESTALE") else ()),
}


def _unfinished(target: Path) -> Path:
    """Make an empty file beside ``target``, and the folders that it lies in."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent)
    except OSError as error:  # nothing has been read yet: whatever it is, it is about writing
        raise _cannot_write(target, error) from error
    os.close(handle)
    return Path(name)


def _finish(temporary: Path, target: Path) -> None:
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner may read
    temporary.replace(target)


def _cannot_write(target: Path, error: OSError) -> DiskFullError:
    file = next((folder for folder in target.parents if folder.is_file()), None)
    if file is not None:
        return DiskFullError(
            f"{target} could not be written: {file} is a file",
            expected="a folder",
            remedy="choose another one",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DiskFullError(
            f"{target} could not be written ({error.strerror})",
            expected="a folder that may be written to",
            remedy="change its permissions or choose another folder; nothing that existed was changed",
        )
    return DiskFullError(
        f"{target} could not be written ({error.strerror})",
        expected="a writable folder with free space",
        remedy="free some space or choose another folder; nothing that existed was changed",
    )

"""Fetching over HTTP: resumable, checked by checksum, only ever what somebody asked for."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.services.gpu.errors import BrokenOffError, GpuError
from app.services.gpu.index import Wheel
from coordgan_core._version import __version__

_CHUNK = 1 << 20
_TIMEOUT_SEC = 30.0
_MAX_PAGE = 32 << 20
_LOCAL = ("localhost", "127.0.0.1", "::1")
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep the certificates they trust; a Python that travels knows only its builder's place."""


def read(url: str) -> bytes:
    """Return what is at an address: a page or a small file.

    Raises:
        FileNotFoundError: There is nothing.
        BrokenOffError: The server cannot be reached or does not answer as it should.
    """
    with _open(url) as answer:
        try:
            content: bytes = answer.read(_MAX_PAGE)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(url, error) from error
        wanted = int(answer.headers.get("Content-Length") or 0)
    if len(content) < wanted:
        raise _broken(url, f"{len(content)} of {wanted} bytes came")
    return content


def size(url: str) -> int:
    """Return how many bytes are at an address, 0 if the server does not say."""
    try:
        with _open(url, method="HEAD") as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (FileNotFoundError, BrokenOffError, ValueError):
        return 0


def download(wheel: Wheel, folder: Path) -> Iterator[int]:
    """Fetch a wheel into ``folder`` and yield the bytes that are there, until it is complete and checked.

    What an earlier try has left is continued. Closing the generator keeps what has come.

    Raises:
        GpuError: The checksum is wrong: what was fetched is removed.
        BrokenOffError: The connection broke; another call goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / wheel.filename
    part = folder / f"{wheel.filename}.part"
    if target.exists():
        if checksum(target) == wheel.sha256:
            yield target.stat().st_size
            return
        target.unlink()
    yield from _continue(wheel, part)
    if checksum(part) != wheel.sha256:
        part.unlink()
        raise GpuError(
            f"{wheel.filename} arrived with another checksum than the index says",
            expected=wheel.sha256,
            remedy="it was removed; try again",
        )
    part.replace(target)


def _continue(wheel: Wheel, part: Path) -> Iterator[int]:
    have = part.stat().st_size if part.exists() else 0
    try:
        answer = _open(wheel.url, start=have)
    except _RangeError:  # there is nothing behind what is there: complete, or of another file
        if checksum(part) == wheel.sha256:
            return
        part.unlink()
        have = 0
        answer = _open(wheel.url)
    with answer:
        if have and answer.status != 206:
            have = 0  # a server that cannot continue begins anew
        with part.open("ab" if have else "wb") as file:
            total = int(answer.headers.get("Content-Length") or 0) + have
            try:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    yield have
            except (OSError, http.client.HTTPException) as error:
                raise _broken(wheel.url, error) from error
            if have < total:
                raise _broken(wheel.url, f"{have} of {total} bytes came")


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _RangeError(Exception):
    """The server has nothing from there on."""


def _open(url: str, *, start: int = 0, method: str = "GET") -> Any:
    _check_address(url)
    request = urllib.request.Request(url, method=method, headers={"User-Agent": f"coordlabel/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_SEC, context=_trust(url))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (403, 404):
            raise FileNotFoundError(url) from error
        if error.code == 416:
            raise _RangeError from error
        raise _broken(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, error) from error


def _check_address(url: str) -> None:
    """Refuse what somebody on the way could change: checksums and wheels come from the same place."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL):
        return
    raise GpuError(
        f"the address {url} is not safe",
        expected="one that begins with https://",
        remedy="correct the address of the index in the settings",
    )


def _trust(url: str) -> ssl.SSLContext | None:
    if not url.startswith("https"):
        return None
    context = ssl.create_default_context()
    if sys.platform == "linux" and not context.cert_store_stats()["x509_ca"]:
        for place in _CERTIFICATES:
            if Path(place).exists():
                context.load_verify_locations(place)
                break
    return context


def _broken(url: str, error: object) -> BrokenOffError:
    host = urllib.parse.urlsplit(url).netloc
    return BrokenOffError(
        f"the connection to {host} broke ({error})",
        expected="an answer",
        remedy="try again: what has come stays, and the rest follows",
    )

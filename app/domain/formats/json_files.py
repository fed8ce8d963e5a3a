"""JSON files of other tools: read with plain errors, checked at the door, written in a stream."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from app.domain.formats.base import whole_text
from coordgan_core.data.images import MAX_PIXELS
from coordgan_core.errors import DiskFullError, LabelError
from coordgan_core.files import atomic_path, plain_file

_SNIFFED = 1 << 18
_COPIED = 1 << 16


def load(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        LabelError: It cannot be read, is cut off, is no JSON, or nests without end.
    """
    try:
        text = plain_file(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise LabelError(f"there is no file {path}", remedy="choose an existing one") from None
    except (OSError, ValueError) as error:
        raise _no_json(str(path), error) from error
    return parsed(text, str(path))


def parsed(text: str, name: str) -> Any:
    """Return what a JSON text holds; halves of characters, which nothing can write again, are replaced.

    Raises:
        LabelError: It is cut off, no JSON, or nests without end.
    """
    try:
        value = json.loads(text)
        # of the files of most tools none is looked through a second time
        return _mended(value) if "\\ud" in text or "\\uD" in text else value
    except (ValueError, RecursionError) as error:
        raise _no_json(name, error) from error


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {whole_text(key): _mended(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return whole_text(value) if isinstance(value, str) else value


def _no_json(name: str, error: Exception) -> LabelError:
    return LabelError(
        f"{name} cannot be read ({error})",
        expected="a complete JSON file",
        remedy="export it again from the tool that wrote it",
    )


def sniff(path: Path) -> str:
    """Return the beginning and the end of a file as text, empty if it cannot be read; for probing."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_SNIFFED)
            stream.seek(0, 2)
            stream.seek(max(len(head), stream.tell() - _SNIFFED))
            return (head + stream.read()).decode("utf-8", "replace")
    except OSError:
        return ""


def json_files(path: Path, *folders: str) -> list[Path]:
    """Return ``path`` itself, or the JSON files in it and in these folders below it; none raises nothing."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    found: list[Path] = []
    for folder in (path, *(path / name for name in folders)):
        with contextlib.suppress(OSError):
            found += sorted(f for f in folder.glob("*.json") if f.is_file())
    return found


def member(value: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Return ``value[key]`` after checking its type; a truth value is no number.

    Raises:
        LabelError: It is missing or of another type.
    """
    found = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise LabelError(
            f"{where} holds {found!r:.60} as {key!r}",
            expected=f"a value of type {wanted}",
            remedy="export it again from the tool that wrote it",
        )
    return found


def image_shape(value: Any, width_key: str, height_key: str, where: str) -> tuple[int, int]:
    """Return ``(height, width)`` of an image.

    Raises:
        LabelError: They are no positive whole numbers, or of an image beyond all that can be opened.
    """
    width, height = member(value, width_key, int, where), member(value, height_key, int, where)
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise LabelError(
            f"{where} is of an image of {width} x {height} pixels",
            expected=f"at least one pixel, at most {MAX_PIXELS / 1e6:.0f} million",
            remedy="correct the size, or export it again",
        )
    return height, width


def inside(folder: Path, name: str, where: str) -> Path:
    """Return the file ``name`` below ``folder``.

    Raises:
        LabelError: The name leads out of the folder.
    """
    relative = clean_name(name)
    if relative != name.replace("\\", "/") or not relative:
        raise LabelError(
            f"{where} names the file {name!r:.80}",
            expected="a file in the folder of the labels",
            remedy="correct the name: nothing outside of the folder is opened",
        )
    return folder / relative


def clean_name(name: str) -> str:
    """Return a file name of another tool as a relative path with slashes, without drive and ``..``."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    drive = PureWindowsPath(name).drive
    kept = [p for p in parts if p not in ("/", "..", ".", drive) and "\0" not in p]
    return "/".join(kept)


def dump(value: Any) -> str:
    """Return ``value`` as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


class Spool:
    """A JSON list that grows on disk, one value a line, until it is put into its file.

    Args:
        folder: On whose disk; made if it is not there. The file has no name and leaves nothing behind.
    """

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._folder = folder
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            self._stream: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see `close`

    def add(self, value: Any) -> None:
        """Append a value.

        Raises:
            DiskFullError: The disk is full.
        """
        with self._told():
            self._stream.write((",\n" if self.count else "\n").encode() + dump(value).encode())
        self.count += 1

    def copy_to(self, target: IO[bytes]) -> None:
        """Write the list to ``target``."""
        self._stream.seek(0)
        target.write(b"[")
        shutil.copyfileobj(self._stream, target, _COPIED)
        target.write(b"\n]" if self.count else b"]")

    def close(self) -> None:
        """Give the disk space back."""
        with contextlib.suppress(OSError):  # what is not written yet is not needed any more
            self._stream.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskFullError(
                f"{self._folder} could not be written ({error.strerror})",
                expected="a writable folder with free space",
                remedy="free some space or choose another folder; nothing that existed was changed",
            ) from error


@contextlib.contextmanager
def spools(folder: Path, count: int) -> Iterator[list[Spool]]:
    """Yield empty lists on the disk of ``folder`` that are given back at the end, whatever happens.

    Raises:
        DiskFullError: The disk is full, or may not be written to.
    """
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(Spool(folder))
            stack.callback(made[-1].close)
        yield made


def write_object(path: Path, members: Mapping[str, Any]) -> None:
    """Write a JSON object, atomically; members that are a `Spool` are copied without reading them.

    Raises:
        DiskFullError: The file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as target:
        for number, (key, value) in enumerate(members.items()):
            target.write((",\n" if number else "{\n").encode() + f"{dump(key)}: ".encode())
            if isinstance(value, Spool):
                value.copy_to(target)
            else:
                target.write(dump(value).encode())
        target.write(b"\n}\n")


def write_list(path: Path, items: Spool) -> None:
    """Write a JSON list, atomically.

    Raises:
        DiskFullError: The file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as target:
        items.copy_to(target)
        target.write(b"\n")

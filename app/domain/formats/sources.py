"""Reading what others wrote, safely: folders and zip files alike, XML without entities, YAML without objects.

Nothing is ever unpacked to disk: members of a zip file are read by name, in memory, up to a limit.
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
from PIL import Image

from coordgan_core.errors import LabelError
from coordgan_core.files import plain_file

MAX_MEMBER_BYTES = 1 << 30
_MAX_YAML = 1 << 22
_CHUNK = 1 << 16
_READING = (
    *(OSError, ValueError, OverflowError, EOFError, RuntimeError, NotImplementedError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What reading a folder or a damaged zip file raises."""
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_IMAGES = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""By name: of what Pillow opens, some formats are programs that another one runs."""


class Tree:
    """The files below a folder, by their relative names with slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return all files, sorted; hidden ones are left out."""
        found = (f.relative_to(self.root) for f in self.root.rglob("*") if f.is_file())
        return sorted(f.as_posix() for f in found if not any(part.startswith(".") for part in f.parts))

    def open(self, name: str) -> IO[bytes]:
        """Open a file.

        Raises:
            LabelError: It cannot be opened.
        """
        try:
            return plain_file(self.root / name, max_bytes=MAX_MEMBER_BYTES).open("rb")
        except (OSError, ValueError) as error:
            raise unreadable(name, error) from error

    def read(self, name: str) -> bytes:
        """Return what is in a file.

        Raises:
            LabelError: It cannot be read.
        """
        try:
            with self.open(name) as stream:
                return stream.read()
        except _READING as error:
            raise unreadable(name, error) from error

    def text(self, name: str) -> str:
        """Return the text of a UTF-8 file.

        Raises:
            LabelError: It cannot be read, or is not UTF-8.
        """
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise unreadable(name, error) from error


class ZipTree(Tree):
    """The members of a zip file; the file stays open as long as this lives.

    Raises:
        LabelError: It is no zip file, or holds names that lead out of it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        try:
            self._zip = zipfile.ZipFile(root)
        except _READING as error:
            raise unreadable(str(root), error) from error
        # not `is_dir`, which looks at the last sign of names that may have none
        self._members = {i.filename: i for i in self._zip.infolist() if not i.filename.endswith("/")}
        for name in self._members:
            parts = PurePosixPath(name.replace("\\", "/")).parts
            if not parts or ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]:
                why = "which leads out of it" if parts else "which names no file"
                raise LabelError(
                    f"the archive {root.name} holds the path {name!r}, {why}",
                    expected="relative paths",
                    remedy="do not trust this file; export it again where it comes from",
                )

    def names(self) -> list[str]:
        """Return all members, sorted; hidden ones and those of macOS are left out."""
        kept = (n for n in self._members if not n.startswith("__MACOSX/"))
        return sorted(n for n in kept if not any(p.startswith(".") for p in PurePosixPath(n).parts))

    def open(self, name: str) -> IO[bytes]:
        """Open a member.

        Raises:
            LabelError: There is no such member, or it is too large.
        """
        info = self._members.get(name)
        if info is None:
            raise unreadable(name, "it is not in the archive")
        if info.file_size > MAX_MEMBER_BYTES:
            raise unreadable(name, f"it unpacks to {info.file_size} bytes, more than {MAX_MEMBER_BYTES}")
        try:
            return self._zip.open(info)
        except _READING as error:
            raise unreadable(name, error) from error


def open_tree(path: Path) -> Tree:
    """Return the files of a folder or of a zip file.

    Raises:
        LabelError: It is neither.
    """
    if path.is_dir():
        return Tree(path)
    if path.suffix.lower() == ".zip" and path.is_file():
        return ZipTree(path)
    raise LabelError(
        f"{path} is neither a folder nor a zip file",
        expected="what the other program exported",
        remedy="choose another one",
    )


def holds(path: Path, name: str) -> bool:
    """Return whether a folder or zip file holds a file of that name at any depth; raises nothing."""
    try:
        tree = open_tree(path)
        if isinstance(tree, ZipTree):
            return any(PurePosixPath(n).name == name for n in tree.names())
        return (path / name).exists() or any(True for _ in path.glob(f"*/{name}"))
    except (LabelError, OSError):
        return False


def unreadable(name: str, reason: object) -> LabelError:
    """Return the error of a file that cannot be read."""
    return LabelError(f"{name} cannot be read ({reason})", remedy="export it again, or leave it out")


def read_png(tree: Tree, name: str) -> npt.NDArray[Any]:
    """Return the stored numbers of a PNG: ``uint8 [H, W]`` ids, ``uint8 [H, W, 3]`` colours, or 16 bit.

    Raises:
        LabelError: It is no PNG, or damaged.
    """
    try:
        with Image.open(io.BytesIO(tree.read(name)), formats=("PNG",)) as image:
            if image.mode in ("RGBA", "RGBX", "LA"):
                return np.asarray(image.convert("RGB"))
            if image.mode == "1":
                return np.asarray(image, np.uint8)
            values = np.asarray(image)
    except LabelError:
        raise
    except Exception as error:  # Pillow's decoders fail on damaged files with a dozen unrelated types
        raise unreadable(name, error) from error
    return values.astype(np.uint16) if values.dtype in (np.int32, np.uint32) else values


def image_size(stream: IO[bytes]) -> tuple[int, int] | None:
    """Return ``(width, height)`` of an image as it is upright, None if it cannot be told."""
    try:
        with Image.open(stream, formats=_IMAGES) as image:
            turned = image.getexif().get(274, 1) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else image.size
    except Exception:  # Pillow's decoders fail on damaged files with a dozen unrelated types
        return None


@dataclass(frozen=True)
class Element:
    """Begin (``opens``) or end of an XML element; the text comes with its end.

    Args:
        name: The name of the element.
        attributes: Its attributes; empty at the end.
        opens: Whether it begins here.
        text: What is directly in it.
        at: Position of the first byte of this tag.
        path: Names of the elements around it.
    """

    name: str
    attributes: dict[str, str]
    opens: bool
    text: str
    at: int
    path: tuple[str, ...]


def xml_elements(stream: IO[bytes], name: str) -> Iterator[Element]:
    """Walk through XML piece by piece; declared entities and document types with them are refused.

    Raises:
        LabelError: It is no well-formed XML, not UTF-8, or declares entities.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    found: list[Element] = []
    path: list[str] = []
    texts: list[list[str]] = []

    def opened(tag: str, attributes: dict[str, str]) -> None:
        found.append(Element(tag, attributes, True, "", parser.CurrentByteIndex, tuple(path)))
        path.append(tag)
        texts.append([])

    def closed(tag: str) -> None:
        path.pop()
        text = "".join(texts.pop())
        found.append(Element(tag, {}, False, text, parser.CurrentByteIndex, tuple(path)))

    def said(text: str) -> None:
        if texts:
            texts[-1].append(text)

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler = said
    parser.EntityDeclHandler = _refuse(name, "declares entities")
    parser.StartDoctypeDeclHandler = _refuse(name, "declares a document type")
    parser.XmlDeclHandler = _check_encoding(name)
    try:
        while chunk := stream.read(_CHUNK):
            parser.Parse(chunk, False)
            yield from found
            found.clear()
        parser.Parse(b"", True)
        yield from found
    except (expat.ExpatError, *_READING) as error:
        raise unreadable(name, error) from error


def _refuse(name: str, what: str) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise LabelError(
            f"{name} {what}",
            expected="plain XML as annotation programs write it",
            remedy="do not trust this file",
        )

    return refuse


def _check_encoding(name: str) -> Callable[[str, str | None, int], None]:
    def check(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise unreadable(name, f"it is written in {encoding}, not in UTF-8")

    return check


def read_yaml(text: str, name: str) -> dict[str, Any]:
    """Return a YAML mapping of plain values.

    Raises:
        LabelError: It is no YAML, holds objects or references, or is no mapping.
    """
    import yaml

    if len(text) > _MAX_YAML:
        raise unreadable(name, f"it has {len(text)} signs, more than {_MAX_YAML}")
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few lines of these become a billion values
                raise unreadable(name, "it refers to values in other places")
        value = yaml.safe_load(text)
    except LabelError:
        raise
    except Exception as error:  # its constructors fail on values that they do not take with many types
        raise unreadable(name, error) from error
    if not isinstance(value, dict):
        raise unreadable(name, "it is no list of names and values")
    return {str(key): each for key, each in value.items()}

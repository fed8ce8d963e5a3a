"""Images on disk: find them, tell their size, read them as upright ``uint8 [H, W, 3]``. Loads no PyTorch.

What odd images become:

* 16-bit: the smallest of 8, 10, 12, 14 and 16 bits that holds the image's largest value is taken as its
  range, and the upper eight bits of that range are kept (full-range 16-bit: ``>> 8``; 12-bit films in
  16-bit files stay visible). Pillow reads 16-bit *colour* as its upper eight bits.
* 32-bit integers and floats: 0..1 and 0..255 are kept as they are, any other range is stretched from its
  minimum to its maximum; not-a-number becomes 0.
* grayscale, palette, YCbCr, CMYK: converted to RGB; embedded colour profiles are not applied.
* alpha: composited on white. Animations and multi-page files: the first frame.
* EXIF orientation: applied, in sizes too.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from coordgan_core.errors import DataError, ImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif"}
)
"""File name endings (lower case) that count as images."""

MAX_PIXELS = 200_000_000
"""Largest image that is decoded unless told otherwise (600 MB as RGB): guards against decompression bombs."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the upright image, the last two exclusive."""

ORIENTATION_TAG = 0x0112
_MAX_EXIF = 1 << 20
_DIGITS = re.compile(r"([0-9]+)")
_TRANSPOSED = frozenset({5, 6, 7, 8})  # EXIF orientations that exchange width and height
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF")  # Pillow opens MPO files as JPEG

# Pillow's own guard must not stand below ours; it goes on refusing files of more than twice this size.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def is_image(path: Path) -> bool:
    """Tell from its name whether ``path`` is an image file that `list_images` would list."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def list_images(folder: Path, recursive: bool = True) -> list[Path]:
    """List the images of ``folder`` in natural order ("2.png" before "10.png"), the same on every machine.

    Hidden files and folders (``.coordlabel`` among them) are passed over; symbolic links are followed,
    loops entered once.

    Raises:
        DataError: The folder is not there or cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder",
            expected="a folder of images",
            remedy="check the path for typing errors",
        )
    try:
        found = sorted(_walk(folder, recursive=recursive), key=natural_key)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror})",
            remedy="check its permissions and that its drive is there",
        ) from error
    return [folder / name for name in found]


def _walk(folder: Path, *, recursive: bool) -> Iterator[str]:
    """Yield image files relative to ``folder``, with ``/``: strings, since 100,000 paths are slow."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        current = folder / prefix
        info = current.stat()
        if (info.st_dev, info.st_ino) in seen:
            continue  # a symbolic link back to a folder that was already visited
        seen.add((info.st_dev, info.st_ino))
        with os.scandir(current) as entries:
            # links are popped after real folders, in an order that does not depend on the disk
            ordered = sorted(entries, key=lambda entry: (not entry.is_symlink(), entry.name))
        for entry in ordered:
            name = entry.name
            if name.startswith("."):
                continue
            try:
                if os.path.splitext(name)[1].lower() in SUFFIXES and entry.is_file():  # noqa: PTH122 - speed
                    yield prefix + name
                elif recursive and entry.is_dir():
                    waiting.append(f"{prefix}{name}/")
            except OSError:
                continue  # a link that leads to itself


def natural_key(name: str) -> tuple[list[list[int | str]], str]:
    """Return a sort key for paths with ``/``: folder by folder, numbers by value, ties by the exact name."""
    # text and digits alternate, starting with (perhaps empty) text: they are never compared with each other
    parts = [_DIGITS.split(part) for part in name.casefold().split("/")]
    return [[int(p) if k % 2 else p for k, p in enumerate(part)] for part in parts], name


def image_size(path: Path) -> tuple[int, int]:
    """Return the upright ``(width, height)`` in pixels, reading the header only.

    Raises:
        ImageError: The file is not a readable image.
    """
    with _opened(path) as image:
        width, height = image.size
        # Pillow turns TIFF files itself, sizes included
        turned = image.format != "TIFF" and _orientation(image, path) in _TRANSPOSED
    if width < 1 or height < 1:
        raise ImageError(
            f"{path} has {width} x {height} pixels",
            expected="at least one",
            remedy="remove it from the folder",
        )
    return (height, width) if turned else (width, height)


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS, max_side: int | None = None) -> NDArray[np.uint8]:
    """Read an image as upright ``uint8 [H, W, 3]`` RGB; the module's text says how odd ones are converted.

    Args:
        path: The file.
        max_pixels: Refuse images of more pixels, before decoding them.
        max_side: Shrink by area averaging so that the longer side is at most this; large JPEGs are then
            decoded at a reduced size, which is several times faster.

    Raises:
        ImageError: The file is not there, not an image, damaged, or has more than ``max_pixels`` pixels.
    """
    if max_side is None:
        return _read(path, max_pixels)[0]
    pixels, _ = _read(path, max_pixels, lambda size: fitted(size, max_side))
    height, width = pixels.shape[:2]
    return resize(pixels, *fitted((width, height), max_side))


def read_reduced(path: Path, *, width: int, height: int, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read an image as `read_image` does, shrunk by the decoder to ``width`` x ``height`` or a little more.

    The result has the size that was cheapest to decode; JPEGs come down by 2, 4 or 8, everything else stays.
    """
    return _read(path, max_pixels, lambda _: (width, height))[0]


def read_near(
    path: Path, *, longest: int, shortest: int, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read an image as `read_image` does, shrunk like `near`; large JPEGs are decoded at a reduced size.

    Returns:
        The pixels ``uint8 [H, W, 3]``, and the upright ``(width, height)`` of the image itself.
    """

    def least(size: tuple[int, int]) -> tuple[int, int]:
        scale = min(1.0, max(longest / max(size), shortest / min(size)))
        return math.ceil(size[0] * scale), math.ceil(size[1] * scale)

    pixels, size = _read(path, max_pixels, least)
    return near(pixels, longest=longest, shortest=shortest), size


def near(pixels: NDArray[np.uint8], *, longest: int, shortest: int) -> NDArray[np.uint8]:
    """Shrink ``uint8 [H, W, 3]`` by the largest whole factor that leaves ``longest`` and ``shortest`` px.

    What is resized from it further differs by rounding from what is resized at once, and costs a tenth.
    """
    height, width = pixels.shape[:2]
    factor = min(max(width, height) // longest, min(width, height) // shortest)
    while factor > 1 and (width % factor or height % factor):
        factor -= 1  # others are as slow as the step that they spare
    return resize(pixels, width // factor, height // factor) if factor > 1 else pixels


def resize(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize ``uint8 [H, W]`` or ``[H, W, C]``: area averages where sides shrink, else bilinear."""
    import cv2

    h, w = pixels.shape[:2]
    if (w, h) == (width, height):
        return pixels
    smaller = (min(w, width), min(h, height))
    if smaller != (w, h):
        pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return pixels


def fitted(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return ``(width, height)`` shrunk so that the longer side is at most ``max_side``; never enlarged."""
    longer = max(size)
    if longer <= max_side:
        return size
    return max(1, round(size[0] * max_side / longer)), max(1, round(size[1] * max_side / longer))


def _read(
    path: Path, max_pixels: int, wanted: Callable[[tuple[int, int]], tuple[int, int]] | None = None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return the upright pixels, shrunk no further than to what is wanted, and the upright size of all."""
    with _opened(path) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{path} has {width} x {height} = {width * height / 1e6:.0f} million pixels",
                expected=f"at most {max_pixels / 1e6:.0f} million",
                remedy="shrink the image or cut it into tiles",
            )
        upright = width, height
        if wanted is not None and image.format in ("JPEG", "MPO"):  # nothing else comes at a reduced size
            turned = _orientation(image, path) in _TRANSPOSED
            upright = (height, width) if turned else upright
            least = wanted(upright)
            image.draft(None, (least[1], least[0]) if turned else least)
        reduced = image.size != (width, height)
        try:
            image.load()
            pixels = _to_rgb(ImageOps.exif_transpose(image))
        # Pillow's decoders fail on damaged files with a dozen unrelated types (struct.error, zlib.error,
        # KeyError, ...)
        except Exception as error:
            raise ImageError(
                f"{path} is damaged or cut off ({_reason(error)})",
                expected="a complete image file",
                remedy="copy the file again from its source, or remove it from the folder",
            ) from error
    return pixels, upright if reduced else (pixels.shape[1], pixels.shape[0])


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in _WIDE_MODES:
        gray = _wide_to_uint8(np.asarray(image))
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"))


def _wide_to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype.kind == "u":
        largest = int(values.max())
        bits = next(bits for bits in (8, 10, 12, 14, 16, 32) if largest < 2**bits)
        return (values >> (bits - 8)).astype(np.uint8)
    real = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(real.min()), float(real.max())
    if low >= 0 and values.dtype.kind == "i" and 255 < high < 2**16:
        return _wide_to_uint8(real.astype(np.uint16))  # a 16-bit image in a 32-bit container
    if low >= 0 and high <= 1 and values.dtype.kind == "f":
        real = real * 255
    elif low < 0 or high > 255:
        real = (real - low) * (255 / (high - low))
    return np.rint(real).astype(np.uint8)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Read an image's header, turning every failure into `ImageError`; close the file in the end."""
    try:
        image = Image.open(path, formats=_FORMATS)
    except FileNotFoundError:
        raise ImageError(
            f"{path} is not there",
            expected="an image file",
            remedy="check the path, or scan the folder again",
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{path} is too large ({_reason(error)})",
            expected=f"at most {MAX_PIXELS / 1e6:.0f} million pixels",
            remedy="shrink the image or cut it into tiles",
        ) from error
    except Exception as error:  # see `_read`
        raise ImageError(
            f"{path} is not a readable image ({_reason(error)})",
            expected="a JPEG, PNG, TIFF, WebP, BMP or GIF file",
            remedy="convert the file, or remove it from the folder",
        ) from error
    with image:
        yield image


def _orientation(image: Image.Image, path: Path) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none; decodes no pixels."""
    try:
        if image.format == "PNG" and "exif" not in image.info:
            return _late_png_orientation(path)
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except (
        Exception
    ):  # damaged EXIF blocks are no reason to refuse an image; Pillow ignores them as well when turning it
        return 1


def _late_png_orientation(path: Path) -> int:
    """Look for an ``eXIf`` chunk behind a PNG's pixels, which Pillow only sees after decoding them."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"eXIf" and length <= _MAX_EXIF:
                exif = Image.Exif()
                exif.load(b"Exif\0\0" + file.read(length))
                return int(exif.get(ORIENTATION_TAG, 1))
            file.seek(length + 4, os.SEEK_CUR)
    return 1


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__

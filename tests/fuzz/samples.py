"""Sound files of every kind to begin with."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 23, 17


def _picture() -> Image.Image:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return Image.fromarray(np.stack([rows * 9, columns * 7, (rows + columns) * 5], -1).astype(np.uint8))


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def images() -> dict[str, bytes]:
    """Return file name -> bytes of images in every format and in odd forms."""
    rgb = _picture()
    gray = rgb.convert("L")
    frames = [rgb, rgb.rotate(180), rgb.rotate(90, expand=False)]
    found = {f"turned{i}.jpg": _saved(rgb, "JPEG", exif=_exif(i), quality=90) for i in range(1, 9)}
    found |= {f"turned{i}.png": _saved(rgb, "PNG", exif=_exif(i)) for i in (3, 6)}
    found |= {
        "plain.jpg": _saved(rgb, "JPEG"),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "profile.jpg": _saved(rgb, "JPEG", icc_profile=b"\0\0\2\x0cnot a profile" * 30),
        "plain.png": _saved(rgb, "PNG"),
        "palette.png": _saved(rgb.quantize(16), "PNG"),
        "alpha.png": _saved(rgb.convert("RGBA"), "PNG"),
        "bits.png": _saved(rgb.convert("1"), "PNG"),
        "wide.png": _saved(Image.fromarray(np.asarray(gray, np.uint16) * 200), "PNG"),
        "late.png": late_exif(_saved(rgb, "PNG")),
        "moving.png": _saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "moving.gif": _saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "plain.webp": _saved(rgb, "WEBP"),
        "moving.webp": _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "plain.tif": _saved(rgb, "TIFF"),
        "packed.tif": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "pages.tif": _saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "float.tif": _saved(Image.fromarray(np.asarray(gray, np.float32)), "TIFF"),
        "whole.tif": _saved(Image.fromarray(np.asarray(gray, np.int32)), "TIFF"),
        "plain.bmp": _saved(rgb, "BMP"),
        "palette.bmp": _saved(rgb.quantize(16), "BMP"),
        "long.png": _saved(Image.new("L", (60_000, 1)), "PNG"),
        "high.gif": _saved(Image.new("P", (1, 60_000)), "GIF"),
    }
    return found


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def late_exif(png: bytes) -> bytes:
    """Return a PNG with its orientation behind its pixels."""
    return png[:-12] + _chunk(b"eXIf", _exif(6)[6:]) + png[-12:]


def claimed(width: int, height: int) -> dict[str, bytes]:
    """Return files whose header claims a size that they do not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    png += _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
    gif = bytearray(images_cache()["moving.gif"])
    gif[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    bmp = bytearray(images_cache()["plain.bmp"])
    bmp[18:26] = struct.pack("<II", width, height)
    return {"claims.png": png, "claims.gif": bytes(gif), "claims.bmp": bytes(bmp)}


_cache: dict[str, bytes] = {}


def images_cache() -> dict[str, bytes]:
    """Return `images`, made once."""
    if not _cache:
        _cache.update(images())
    return _cache


def label_maps() -> dict[str, bytes]:
    """Return label maps, and pictures that are none."""
    ids = Image.fromarray((np.indices((32, 48)).sum(0) % 5).astype(np.uint8))
    palette = ids.copy()
    palette.putpalette(list(range(256)) * 3)
    return {
        "palette": _saved(palette, "PNG"),
        "gray": _saved(ids, "PNG"),
        "bits": _saved(ids.convert("1"), "PNG"),
        "four bits": _saved(palette, "PNG", bits=4),
        "wide": _saved(Image.fromarray(np.asarray(ids, np.uint16)), "PNG"),
        "colours": _saved(ids.convert("RGB"), "PNG"),
        "lossy": _saved(ids, "JPEG"),
        "gif": _saved(palette, "GIF"),
        "tiff": _saved(ids, "TIFF"),
        "bmp": _saved(palette, "BMP"),
        "program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n",
    }

"""Reads the requests of Explore: images, sizes, steps; what is wrong is named."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coordgan_core.data.images import read_image
from coordgan_core.engine.protocol import Request
from coordgan_core.errors import ConfigError, CoordError

Pixels = npt.NDArray[np.uint8]
Source = Mapping[str, Any]
"""``{"path": file}`` for a real image, ``{"seed": n}`` for a drawn one."""
Read = tuple[int, Pixels | CoordError]
"""Number of an image, and its pixels or why it has none."""

_MAX_AMOUNTS = 64


def readable(request: Request, key: str, side: int) -> Iterator[Read]:
    """Yield the images of a request, each with its number, or the reason why it cannot be read."""
    for index, source in enumerate(sources(request, key)):
        try:
            yield index, read_image(Path(path_of(source)), max_side=side)
        except CoordError as error:
            yield index, error


def parts(items: Iterator[Read], count: int) -> Iterator[list[Read]]:
    """Yield lists of up to ``count`` items."""
    while part := list(itertools.islice(items, count)):
        yield part


def problem(index: int, error: Exception) -> dict[str, Any]:
    """Return the event that tells of an image that cannot be used."""
    return {"event": "error", "index": index, "message": str(error)}


def is_about_a_file(error: CoordError) -> bool:
    """Return whether an error concerns one image alone."""
    return type(error).__name__ == "ImageError"


def sources(request: Request, key: str) -> list[Source]:
    """Return the images, or numbers that draw some, of a request."""
    found = request.params.get(key)
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ConfigError(f"{key} is no list of images", expected="a list of objects with path or seed")
    return found


def path_of(source: Source) -> str:
    """Return the file of a source."""
    path = source.get("path")
    if not isinstance(path, str) or not path:
        raise ConfigError("an image without a path", expected="a text")
    return path


def side_of(request: Request) -> int:
    """Return the longest side of the photographs that are sent."""
    side = request.params.get("side", 256)
    if not isinstance(side, int) or isinstance(side, bool) or not 16 <= side <= 2048:
        raise ConfigError(f"pictures of side {side!r}", expected="a whole number from 16 to 2048")
    return side


def amounts_of(request: Request, key: str, limit: int) -> list[list[float]]:
    """Return the steps along directions, at most ``limit`` directions each."""
    rows = request.params.get(key)
    if not isinstance(rows, list) or not 0 < len(rows) <= _MAX_AMOUNTS:
        raise ConfigError(f"no amounts of {key}", expected=f"1 to {_MAX_AMOUNTS} lists of numbers")
    if not all(isinstance(row, list) for row in rows):
        raise ConfigError(f"no amounts of {key}", expected=f"1 to {_MAX_AMOUNTS} lists of numbers")
    return [[float(amount) for amount in row[:limit]] for row in rows]


def model_name(request: Request) -> str:
    """Return what messages call the model."""
    return Path(str(request.params.get("model", ""))).stem


def model_key(request: Request) -> str:
    """Return what tells the model of a request from all others."""
    path = Path(str(request.params.get("model", "")))
    return f"{path}/{path.stat().st_mtime_ns if path.exists() else 0}/{request.params.get('device', 'auto')}"

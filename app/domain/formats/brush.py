"""Brush strokes as Label Studio writes them: a bit stream of the RGBA values of a mask, row by row.

32 bits: number of values; 5 bits: bits a value, less 1; four times 4 bits: bits of a length, less 1, by size
class. Then blocks: 1 bit "all the same", 2 bits size class, length less 1, one value or as many as the length
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.formats.rle import damaged

Mask = npt.NDArray[np.bool_]

_CHANNELS = 4
_LENGTH_BITS = np.array([3, 4, 8, 16])
_LONGEST = 1 << 16
_HEAD_BITS = 32 + 5 + 4 * 4
_HALF = 128


def encode(mask: Mask) -> list[int]:
    """Return the bytes of a mask, ``bool [H, W]``; pixels of it are opaque white."""
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size) * _CHANNELS
    whole = (lengths - 1) // _LONGEST
    blocks = np.full(int((whole + 1).sum()), _LONGEST, np.int64)
    blocks[np.cumsum(whole + 1) - 1] = lengths - whole * _LONGEST
    values = np.repeat(np.where(flat[starts], 255, 0), whole + 1)
    size_class = np.searchsorted([8, 16, 256], blocks)
    bits = _LENGTH_BITS[size_class]
    code = (((4 | size_class) << bits) | (blocks - 1)) << 8 | values
    head = (flat.size * _CHANNELS << 5 | 7) << 16 | sum(
        int(b) - 1 << 12 - 4 * i for i, b in enumerate(_LENGTH_BITS)
    )
    stream = np.concatenate([_bits(np.array([head]), np.array([_HEAD_BITS])), _bits(code, bits + 11)])
    return [int(b) for b in np.packbits(stream)]


def _bits(numbers: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the last ``lengths`` bits of ``numbers``, one after the other, the highest first."""
    shifts = lengths[:, None] - 1 - np.arange(int(lengths.max()))
    bits = (numbers[:, None] >> np.maximum(shifts, 0)) & 1
    return np.asarray(bits[shifts >= 0], np.uint8)


def decode(stream: Any, shape: tuple[int, int], where: str) -> Mask:
    """Return the mask of a stream: where it is at least half opaque, ``bool [H, W]``.

    Raises:
        LabelError: The stream is cut off, or of another size.
    """
    if not isinstance(stream, Sequence) or isinstance(stream, str):
        raise damaged(where, "a brush that is no list of bytes")
    try:
        data = bytes(stream)
    except (TypeError, ValueError):
        raise damaged(where, "a brush that is no list of bytes") from None
    reader = _Reader(data, where)
    count, word = reader.take(32), reader.take(5) + 1
    sizes = [reader.take(4) + 1 for _ in range(4)]
    if count != shape[0] * shape[1] * _CHANNELS or word != 8:
        raise damaged(
            where, f"a brush of {count} values of {word} bits in an image of {shape[1]} x {shape[0]}"
        )
    parts: list[bytes] = []
    done = 0
    while done < count:
        same = reader.take(1)
        length = reader.take(sizes[reader.take(2)]) + 1
        if done + length > count:
            raise damaged(where, "a brush that goes on past its image")
        parts.append(reader.take(8).to_bytes() * length if same else reader.take_bytes(length))
        done += length
    alpha = np.frombuffer(b"".join(parts), np.uint8)[_CHANNELS - 1 :: _CHANNELS]
    return (alpha >= _HALF).reshape(shape)


class _Reader:
    """Takes bits from bytes, the highest first."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._where, self._at = data, where, 0

    def take(self, bits: int) -> int:
        start, shift = divmod(self._at, 8)
        self._move(bits)
        word = int.from_bytes(self._data[start : start + 5].ljust(5, b"\0"))
        return (word >> (40 - shift - bits)) & ((1 << bits) - 1)

    def take_bytes(self, count: int) -> bytes:
        start, shift = divmod(self._at, 8)
        self._move(8 * count)
        word = int.from_bytes(self._data[start : start + count + 1].ljust(count + 1, b"\0"))
        return ((word >> (8 - shift)) & ((1 << 8 * count) - 1)).to_bytes(count)

    def _move(self, bits: int) -> None:
        self._at += bits
        if self._at > 8 * len(self._data):
            raise damaged(self._where, "a brush that is cut off")

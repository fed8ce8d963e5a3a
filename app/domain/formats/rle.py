"""Run lengths as COCO writes them: columns first, beginning with a run of zeros, as numbers or as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coordgan_core.errors import LabelError

Counts = npt.NDArray[np.int64]
_BITS, _FIRST_SIGN = 5, 48
_MAX_GROUPS = 7  # 35 bits: more than any image has pixels


def counts_of(values: npt.NDArray[Any]) -> dict[int, Counts]:
    """Return the run lengths of every value but 0 in one pass, values ascending.

    Args:
        values: ``integer [H, W]``.
    """
    flat = values.ravel(order="F")
    if not flat.size:
        return {}
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    of_run = flat[starts]
    order = np.argsort(of_run, kind="stable")
    found, firsts = np.unique(of_run[order], return_index=True)
    result = {}
    for value, runs in zip(found, np.split(order, firsts[1:]), strict=True):
        if value:
            limits = np.stack([starts[runs], ends[runs]], axis=1).ravel()
            counts = np.diff(limits, prepend=0)
            rest = flat.size - int(limits[-1])
            result[int(value)] = np.append(counts, rest) if rest else counts
    return result


def area(counts: Counts) -> int:
    """Return the pixels of a mask."""
    return int(counts[1::2].sum())


def bounds(counts: Counts, height: int) -> tuple[int, int, int, int]:
    """Return ``(x, y, width, height)`` of the box around a mask that is not empty."""
    limits = np.cumsum(counts)
    first, last = limits[0::2][: len(counts) // 2], limits[1::2] - 1
    filled = last >= first
    first, last = first[filled], last[filled]
    x0, x1 = int(first.min() // height), int(last.max() // height)
    if (first // height != last // height).any():  # a run over the end of a column touches top and bottom
        return x0, 0, x1 - x0 + 1, height
    y0, y1 = int((first % height).min()), int((last % height).max())
    return x0, y0, x1 - x0 + 1, y1 - y0 + 1


def to_text(counts: Counts) -> str:
    """Write run lengths as text: from the fourth on the difference to the last but one, 5 bits a sign."""
    rest = counts.copy()
    rest[3:] -= counts[1:-2]
    columns, used = [], []
    going = np.ones(len(rest), bool)
    while going.any():
        group = rest & 31
        rest = rest >> _BITS
        more = np.where(group & 16, rest != -1, rest != 0)
        columns.append(group + 32 * more + _FIRST_SIGN)
        used.append(going)
        going = going & more
    signs = np.stack(columns, axis=1)[np.stack(used, axis=1)]
    return bytes(signs.astype(np.uint8)).decode("ascii")


def from_text(text: str, where: str) -> Counts:
    """Read run lengths from text.

    Raises:
        LabelError: It is none.
    """
    try:
        signs = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_SIGN
    except UnicodeEncodeError:
        raise damaged(where, "run lengths with signs that are not ASCII") from None
    if not signs.size or (signs < 0).any() or (signs > 63).any() or signs[-1] & 32:
        raise damaged(where, "run lengths that are cut off or hold foreign signs")
    ends = np.flatnonzero(~(signs & 32).astype(bool))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MAX_GROUPS:
        raise damaged(where, "a run length beyond all sizes")
    position = np.arange(len(signs)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((signs & 31) << (_BITS * position), starts)
    numbers = numbers - ((signs[ends] & 16) > 0) * (np.int64(1) << (_BITS * lengths))
    counts: Counts = numbers.copy()
    counts[1::2] = np.cumsum(numbers[1::2])
    counts[2::2] = np.cumsum(numbers[2::2])
    return counts


def parse(value: Any, shape: tuple[int, int], where: str) -> Counts:
    """Check ``{"size": [h, w], "counts": text or numbers}`` and return the run lengths.

    Raises:
        LabelError: Sizes differ, a count is negative or no number, or their sum is not the image.
    """
    if not isinstance(value, dict) or value.get("size") != list(shape):
        size = value.get("size") if isinstance(value, dict) else value
        raise damaged(where, f"run lengths of size {size!r:.40} in an image of {list(shape)} (height, width)")
    given = value.get("counts")
    counts = from_text(given, where) if isinstance(given, str) else _numbers(given, where)
    if (counts < 0).any() or (counts > shape[0] * shape[1]).any():
        raise damaged(where, "run lengths that are negative or longer than the image")
    if int(counts.sum()) != shape[0] * shape[1]:
        raise damaged(where, f"run lengths of {int(counts.sum())} pixels in all, not {shape[0] * shape[1]}")
    return counts


def _numbers(given: Any, where: str) -> Counts:
    if not isinstance(given, Sequence) or not all(
        isinstance(n, int) and not isinstance(n, bool) for n in given
    ):
        raise damaged(where, "counts that are neither text nor whole numbers")
    try:
        return np.array(given, np.int64)
    except OverflowError:
        raise damaged(where, "a run length beyond all sizes") from None


def paint(flat: npt.NDArray[np.uint8], counts: Counts, value: int) -> None:
    """Set the pixels of a mask in ``flat``, ``uint8 [H * W]`` with the columns one after the other."""
    limits = np.cumsum(counts)
    for start, end in zip(limits[0::2].tolist(), limits[1::2].tolist(), strict=False):
        flat[start:end] = value


def damaged(where: str, found: str) -> LabelError:
    """Return the error of a file whose content cannot be what it says it is."""
    return LabelError(
        f"{where} holds {found}",
        expected="labels that fit the size of their image",
        remedy="export it again from the tool that wrote it",
    )

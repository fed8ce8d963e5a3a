"""The header of a safetensors file, checked completely before any tensor is read.

Nothing is believed: a file of another kind is told by its first bytes and not opened, lengths are bounded,
and the tensors that the header describes must fill the file exactly. Standard library only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordgan_core.errors import ModelError

MAX_HEADER_BYTES = 16 << 20
_MAX_TENSORS = 100_000
_DTYPE_BYTES = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
NOT_OURS = "train a model with `coordlabel train`, or ask for the .safetensors file"
DAMAGED = "copy or download the file again"


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the JSON header and the number of bytes behind it.

    Raises:
        ModelError: The file is missing or of another kind, or its header is cut off, too long, or no object.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(8)
            length = int.from_bytes(start, "little")
            _check_kind(path, start, length, size, stream.read(2))
            stream.seek(8)
            raw = stream.read(length)
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be opened ({error.strerror})",
            expected="a .safetensors file",
            remedy="check the path; `coordlabel models` lists the models that are there",
        ) from error
    try:
        header = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the header of {path} is no JSON", remedy=DAMAGED) from error
    if not isinstance(header, dict):
        raise ModelError(f"the header of {path} is no JSON object", remedy=DAMAGED)
    return header, size - 8 - length


def _check_kind(path: Path, start: bytes, length: int, size: int, following: bytes) -> None:
    """Tell by content what the file is; only the first ten bytes have been read."""
    # A header of 128, 384, ... bytes begins like a pickle: only the brace behind its length tells them apart.
    plausible = following[:1] == b"{" and length <= MAX_HEADER_BYTES
    if not plausible and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"):
        raise ModelError(
            f"{path} is a pickle, which can run code when it is opened; it was not opened",
            expected="a .safetensors model file",
            remedy=NOT_OURS,
        )
    if len(start) < 8 or following[:1] != b"{":
        raise ModelError(
            f"{path} is no safetensors file", expected="a .safetensors model file", remedy=NOT_OURS
        )
    if length > MAX_HEADER_BYTES:
        raise ModelError(
            f"the header of {path} claims {length} bytes",
            expected=f"at most {MAX_HEADER_BYTES}",
            remedy=DAMAGED,
        )
    if length > size - 8:
        raise ModelError(
            f"{path} ends inside its header: it has {size} bytes",
            expected=f"at least {length + 8}",
            remedy=DAMAGED,
        )


def check_tensors(path: Path, header: Mapping[str, Any], data_bytes: int) -> dict[str, tuple[int, ...]]:
    """Check that tensors have sane shapes, fill the file and do not overlap; return their shapes.

    Args:
        path: The file, for messages.
        header: Name -> description, without the metadata.
        data_bytes: How many bytes lie behind the header.

    Raises:
        ModelError: They do not.
    """
    if len(header) > _MAX_TENSORS:
        raise ModelError(
            f"{path} lists {len(header)} tensors", expected=f"at most {_MAX_TENSORS}", remedy=DAMAGED
        )
    spans, shapes = [], {}
    for name, entry in header.items():
        try:
            shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
            width = _DTYPE_BYTES[entry["dtype"]]
            numbers = [*shape, begin, end]
        except (KeyError, TypeError, ValueError) as error:
            raise _bad_tensor(path, name, "has an incomplete or unknown description") from error
        if not all(type(n) is int and n >= 0 for n in numbers) or len(shape) > 8:
            raise _bad_tensor(path, name, f"has shape {list(shape)[:8]} at {begin} to {end}")
        if math.prod(shape) * width != end - begin:
            raise _bad_tensor(path, name, f"of shape {list(shape)} takes {end - begin} bytes")
        if end > data_bytes:
            raise ModelError(
                f"{path} is cut off: tensor {name[:80]!r} ends at byte {end} of {data_bytes}",
                expected="a complete file",
                remedy=DAMAGED,
            )
        spans.append((begin, end, name))
        shapes[name] = shape
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            raise _bad_tensor(path, name, "overlaps another one" if begin < position else "lies behind a gap")
        position = end
    if position != data_bytes:
        raise ModelError(
            f"{path} has {data_bytes - position} bytes behind its last tensor",
            expected="none",
            remedy=DAMAGED,
        )
    return shapes


def _bad_tensor(path: Path, name: str, what: str) -> ModelError:
    return ModelError(f"in {path} the tensor {name[:80]!r} {what}", expected="a sound header", remedy=DAMAGED)

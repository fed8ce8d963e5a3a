"""Edits as values: what changed, with its old and new values, compressed tile by tile."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coordgan_core.errors import LabelError

LabelMap = npt.NDArray[np.uint8]

TILE_PX = 256
"""Side of the tiles in which changes are kept."""

_HEADER = struct.Struct("<IQ")
_PATCH = struct.Struct("<6I")
_MAX_PIXELS = 1 << 29
_LEVEL = 1  # strokes are saved while the person goes on painting: speed before size


class Box(NamedTuple):
    """A rectangle of pixels, half open: columns ``x0`` to ``x1 - 1``, rows ``y0`` to ``y1 - 1``."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return max(0, self.x1 - self.x0)

    @property
    def height(self) -> int:
        """Rows."""
        return max(0, self.y1 - self.y0)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.area == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """What indexes an array ``[H, W]`` by this box."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def union(self, other: Box) -> Box:
        """Return the smallest box that holds both; an empty box adds nothing."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        return Box(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )

    def intersect(self, other: Box) -> Box:
        """Return what both hold, ``Box(0, 0, 0, 0)`` if that is nothing."""
        box = Box(
            max(self.x0, other.x0), max(self.y0, other.y0), min(self.x1, other.x1), min(self.y1, other.y1)
        )
        return NOWHERE if box.is_empty else box

    def moved(self, dx: int, dy: int) -> Box:
        """Return the box shifted by ``dx`` columns and ``dy`` rows."""
        return Box(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Box:
        """Return the box of a whole array ``[H, W, ...]``."""
        return cls(0, 0, shape[1], shape[0])


NOWHERE = Box(0, 0, 0, 0)


def bounding_box(mask: npt.NDArray[np.bool_], origin: Box | None = None) -> Box:
    """Return the smallest box around the true pixels of ``mask``, moved by the corner of ``origin``."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return NOWHERE
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    x, y = (origin.x0, origin.y0) if origin else (0, 0)
    return Box(x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)


@dataclass(frozen=True)
class Patch:
    """The old and new values (zlib) of one box inside one tile."""

    box: Box
    old: bytes
    new: bytes


@dataclass(frozen=True)
class Edit:
    """What one action changed: the box around it, the patches inside, and how many pixels differ.

    Only tiles in which something changed are kept, so that a long thin stroke over a huge image stays small
    and quick.
    """

    box: Box
    patches: tuple[Patch, ...]
    changed: int

    @classmethod
    def between(cls, old: LabelMap, new: LabelMap, box: Box | None = None) -> Edit | None:
        """Return the edit from ``old`` to ``new``, None where nothing differs.

        Args:
            old: Values before, ``uint8 [h, w]``.
            new: Values after, of the same shape.
            box: Where the two arrays lie in the label map; its upper left corner by default.
        """
        x, y = (box.x0, box.y0) if box else (0, 0)
        tiles = (
            (Box(x + tile.x0, y + tile.y0, x + tile.x1, y + tile.y1), old[tile.slices], new[tile.slices])
            for tile in tiles_of(Box.of(old.shape))
        )
        return cls.from_tiles(tiles)

    @classmethod
    def from_tiles(cls, tiles: Iterable[tuple[Box, LabelMap, LabelMap]]) -> Edit | None:
        """Return the edit of boxes that do not overlap, each with its values before and after."""
        patches, around, changed = [], NOWHERE, 0
        for box, old, new in tiles:
            differs = old != new
            inner = bounding_box(differs)
            if inner.is_empty:
                continue
            moved = Box(box.x0 + inner.x0, box.y0 + inner.y0, box.x0 + inner.x1, box.y0 + inner.y1)
            patches.append(Patch(moved, _pack(old[inner.slices]), _pack(new[inner.slices])))
            changed += int(np.count_nonzero(differs))
            around = around.union(moved)
        return cls(around, tuple(patches), changed) if patches else None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the values take."""
        return sum(len(patch.old) + len(patch.new) + 128 for patch in self.patches)

    def inverse(self) -> Edit:
        """Return the edit that takes this one back."""
        patches = tuple(Patch(patch.box, patch.new, patch.old) for patch in self.patches)
        return Edit(self.box, patches, self.changed)

    def apply(self, labels: LabelMap) -> Box:
        """Write the new values into ``labels`` and return the box around them.

        Raises:
            LabelError: The edit is damaged or lies outside of the label map; ``labels`` is then unchanged.
        """
        if self.box != self.box.intersect(Box.of(labels.shape)):
            raise LabelError(
                f"an edit of {tuple(self.box)} in a label map of {labels.shape[1]} x {labels.shape[0]}",
                expected="an edit inside of the label map",
                remedy="the image file was replaced by one of another size; restore it",
            )
        for box, values in [(patch.box, _unpack(patch.new, patch.box)) for patch in self.patches]:
            labels[box.slices] = values
        return self.box

    def class_changes(self) -> dict[int, int]:
        """Return how many pixels each class gains or loses."""
        change = np.zeros(256, np.int64)
        for patch in self.patches:
            change += np.bincount(_unpack(patch.new, patch.box).ravel(), minlength=256)
            change -= np.bincount(_unpack(patch.old, patch.box).ravel(), minlength=256)
        return {int(i): int(change[i]) for i in np.flatnonzero(change)}

    def to_bytes(self) -> bytes:
        """Return the edit as bytes for the journal."""
        parts = [_HEADER.pack(len(self.patches), self.changed)]
        for patch in self.patches:
            parts += [_PATCH.pack(*patch.box, len(patch.old), len(patch.new)), patch.old, patch.new]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Edit:
        """Read what `to_bytes` wrote.

        Raises:
            LabelError: The bytes are damaged.
        """
        try:
            count, changed = _HEADER.unpack_from(data)
            position, patches, around = _HEADER.size, [], NOWHERE
            for _ in range(count):
                *corners, old, new = _PATCH.unpack_from(data, position)
                position += _PATCH.size
                body = data[position : position + old + new]
                position += old + new
                box = Box(*corners)
                if len(body) != old + new or box.is_empty:
                    raise _damaged()
                patches.append(Patch(box, body[:old], body[old:]))
                around = around.union(patches[-1].box)
        except struct.error as error:
            raise _damaged() from error
        return cls(around, tuple(patches), changed)


def tiles_of(box: Box) -> Iterator[Box]:
    """Yield the parts of ``box`` that lie in each tile of the fixed grid."""
    for top in range(box.y0 // TILE_PX * TILE_PX, box.y1, TILE_PX):
        for left in range(box.x0 // TILE_PX * TILE_PX, box.x1, TILE_PX):
            yield Box(left, top, left + TILE_PX, top + TILE_PX).intersect(box)


class Recorder:
    """Remember what a label map held before a stroke, at the cost of the tiles that are touched."""

    def __init__(self, labels: LabelMap) -> None:
        self._labels = labels
        self._tiles: dict[Box, LabelMap] = {}

    def touch(self, box: Box) -> None:
        """Keep the present values of all tiles that ``box`` meets; call it before painting there."""
        whole = Box.of(self._labels.shape)
        grid = Box(
            box.x0 // TILE_PX * TILE_PX,
            box.y0 // TILE_PX * TILE_PX,
            -(-box.x1 // TILE_PX) * TILE_PX,
            -(-box.y1 // TILE_PX) * TILE_PX,
        )
        for tile in tiles_of(grid.intersect(whole)):
            if tile not in self._tiles:
                self._tiles[tile] = self._labels[tile.slices].copy()

    def before(self, box: Box) -> LabelMap:
        """Return the values that ``box`` held before the stroke."""
        values = self._labels[box.slices].copy()
        for tile, old in self._tiles.items():
            both = tile.intersect(box)
            if not both.is_empty:
                inner = _moved(both, tile)
                values[_moved(both, box).slices] = old[inner.slices]
        return values

    def finish(self) -> Edit | None:
        """Return the edit since the start, None where nothing changed."""
        return Edit.from_tiles((tile, old, self._labels[tile.slices]) for tile, old in self._tiles.items())

    def rollback(self) -> Box:
        """Put everything back and return the box that changed."""
        around = NOWHERE
        for tile, old in self._tiles.items():
            self._labels[tile.slices] = old
            around = around.union(tile)
        self._tiles.clear()
        return around


def _moved(box: Box, origin: Box) -> Box:
    return Box(box.x0 - origin.x0, box.y0 - origin.y0, box.x1 - origin.x0, box.y1 - origin.y0)


def pack_labels(labels: LabelMap) -> bytes:
    """Compress a whole label map, ``uint8 [H, W]``, with its size."""
    return struct.pack("<2I", *labels.shape) + _pack(labels)


def unpack_labels(data: bytes) -> LabelMap:
    """Read what `pack_labels` wrote.

    Raises:
        LabelError: The bytes are damaged.
    """
    if not isinstance(data, bytes) or len(data) < 8:  # SQLite keeps text in a column of bytes too
        raise _damaged()
    height, width = struct.unpack_from("<2I", data)
    return _unpack(data[8:], Box(0, 0, width, height))


def _pack(values: LabelMap) -> bytes:
    return zlib.compress(np.ascontiguousarray(values).data, _LEVEL)


def _unpack(data: bytes, box: Box) -> LabelMap:
    if box.is_empty or box.area > _MAX_PIXELS:
        raise _damaged()
    expander = zlib.decompressobj()
    try:
        # one byte more than allowed shows a lying header without expanding a bomb
        raw = expander.decompress(data, box.area + 1)
    except zlib.error as error:
        raise _damaged() from error
    if len(raw) != box.area:
        raise _damaged()
    return np.frombuffer(raw, np.uint8).reshape(box.height, box.width).copy()


def _damaged() -> LabelError:
    return LabelError(
        "a damaged edit in the journal",
        expected="the values of its whole box",
        remedy="the label map keeps its last complete state",
    )

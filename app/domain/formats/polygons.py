"""Polygons that hold a mask exactly: tracing and filling.

The outline of a region runs a quarter of a pixel inside its edge, only to the right, left, up and down. A
pixel centre is then never on the line, and a coordinate cut to a whole number is always the pixel on the
inner side. That makes the outline exact under each of the usual ways of filling: by pixel centres (ours), by
cut coordinates with the line drawn (labelme, supervision, X-AnyLabeling), by scaled edges (pycocotools). A
hole is joined to the ring on its left by a bridge of no width through pixels of the region, there and back,
so that one polygon holds a region with all its holes. Pixels that touch at a corner only are regions of their
own.

Coordinates are pixels, ``(x, y)``; 0 is the outer edge of the first pixel, 0.5 its centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Ring = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

INSET_PX = 0.25
_CHUNK = 1 << 20
# sides of a pixel, walked with the region on the right hand: top, right, bottom, left
_RIGHT, _LEFT = 1, 3
_AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))
_OUT = ((0, -1), (1, 0), (0, 1), (-1, 0))


def trace(mask: Mask, *, inset: float = INSET_PX) -> list[Ring]:
    """Return one polygon for each region of ``mask``, holes joined to it by bridges.

    Args:
        mask: ``bool [H, W]``.
        inset: How far inside the edge the line runs, in pixels, 0 (on the edge) to below 0.5.

    Returns:
        Rings ``float64 [N, 2]`` of ``(x, y)``, N at least 4, the first point not repeated; from the top down.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    y, x = int(rows[0]), int(columns[0])
    cut = mask[y : rows[-1] + 1, x : columns[-1] + 1]
    return [ring + (x, y) for ring in _joined(cut, _borders(np.ascontiguousarray(cut), inset))]


def fill(rings: Iterable[npt.ArrayLike], shape: tuple[int, int]) -> Mask:
    """Return the pixels whose centres lie inside an odd number of ``rings``, ``bool [H, W]``.

    Exact for every polygon: self-crossing, outside of the image, with bridges.

    Args:
        rings: Corners ``[N, 2]``, ``(x, y)``, finite; closed by themselves, cut off outside of the image.
        shape: ``(height, width)``.
    """
    toggles = np.zeros((shape[0], shape[1] + 1), np.uint8)
    for ring in rings:
        start = np.asarray(ring, np.float64).reshape(-1, 2)
        end = np.roll(start, -1, axis=0)
        falling = (start[:, 1] <= end[:, 1])[:, None]
        _toggle(toggles, np.where(falling, np.hstack([start, end]), np.hstack([end, start])))
    return np.bitwise_xor.accumulate(toggles[:, :-1], axis=1).astype(bool)


def paint(labels: npt.NDArray[np.uint8], ring: npt.ArrayLike, value: int) -> None:
    """Set the pixels whose centres lie inside one ring; only its box is looked at."""
    points = np.asarray(ring, np.float64)
    height, width = labels.shape
    x0, y0 = np.clip(np.floor(points.min(axis=0)), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(axis=0)), 0, (width, height)).astype(int)
    labels[y0:y1, x0:x1][fill([points - (x0, y0)], (y1 - y0, x1 - x0))] = value


def _toggle(toggles: npt.NDArray[np.uint8], edges: Ring) -> None:
    """Flip, in each row that an edge (top to bottom) crosses, the first pixel centre right of it."""
    height, width = toggles.shape[0], toggles.shape[1] - 1
    first = np.clip(np.ceil(edges[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(edges[:, 3] - 0.5), 0, height).astype(np.int64)
    counts = last - first
    stops = np.cumsum(counts)
    flat = toggles.reshape(-1)
    begin = 0
    while begin < len(edges):  # in portions: a million long edges are many crossings
        before = int(stops[begin] - counts[begin])
        end = max(begin + 1, int(np.searchsorted(stops, before + _CHUNK)))
        chosen = np.repeat(np.arange(begin, end), counts[begin:end])
        starts = stops[begin:end] - counts[begin:end] - before
        row = np.arange(len(chosen)) - np.repeat(starts, counts[begin:end]) + first[chosen]
        x0, y0, x1, y1 = edges[chosen].T
        with np.errstate(over="ignore", invalid="ignore"):
            crossing = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
        column = np.clip(np.ceil(np.nan_to_num(crossing) - 0.5), 0, width).astype(np.int64)
        places, times = np.unique(row * (width + 1) + column, return_counts=True)
        flat[places] ^= (times & 1).astype(np.uint8)
        begin = end


@dataclass(frozen=True)
class _Borders:
    """The turns of all border lines: where each is, what follows it, and to which ring it belongs."""

    edge_ids: Ints
    line_end: Ints  # edge -> the turn that ends its line
    side: Ints
    place: Ints  # [N, 2] pixel of the line's last edge
    points: Ring
    rings: list[list[int]]
    ring_of: list[int]


def _borders(mask: Mask, inset: float) -> _Borders:
    height, width = mask.shape
    padded = np.pad(mask, 1)

    def region(x: Ints, y: Ints) -> Mask:
        return padded[y + 1, x + 1]

    parts = []
    for number, ((dx, dy), (ox, oy)) in enumerate(zip(_AHEAD, _OUT, strict=True)):
        open_side = mask & ~padded[1 + oy : 1 + oy + height, 1 + ox : 1 + ox + width]
        if number % 2 == 0:
            y, x = np.nonzero(open_side)
        else:
            x, y = np.nonzero(open_side.T)
        right = ~region(x + dx, y + dy)
        straight = ~right & ~region(x + dx + ox, y + dy + oy)
        left = ~right & ~straight
        next_side = (number + right - left) % 4
        next_x = x + np.where(right, 0, dx) + np.where(left, ox, 0)
        next_y = y + np.where(right, 0, dy) + np.where(left, oy, 0)
        parts.append((np.full(len(x), number), x, y, ~straight, next_side, next_x, next_y))
    side, x, y, turns, next_side, next_x, next_y = (np.concatenate(p) for p in zip(*parts, strict=True))
    ids = _ids(side, x, y, mask.shape)
    turn = np.flatnonzero(turns)
    edges = np.arange(len(ids))
    forward = side < 2
    line_end = np.where(
        forward,
        np.searchsorted(turn, edges, "left"),
        np.searchsorted(turn, edges, "right") - 1,
    )
    following = np.searchsorted(ids, _ids(next_side, next_x, next_y, mask.shape)[turn])
    rings, ring_of = _cycles(line_end[following].tolist())
    line = np.where(side % 2 == 0, y, x) + np.where((side == 0) | (side == _LEFT), inset, 1 - inset)
    own, other = line[turn], line[following]
    level = side[turn] % 2 == 0
    points = np.stack([np.where(level, other, own), np.where(level, own, other)], axis=1)
    place = np.stack([x[turn], y[turn]], axis=1)
    return _Borders(ids, line_end, side[turn], place, points, rings, ring_of)


def _ids(side: Ints, x: Ints, y: Ints, shape: tuple[int, ...]) -> Ints:
    """Number edges so that those of one straight line follow each other."""
    height, width = shape
    return side * (height * width) + np.where(side % 2 == 0, y * width + x, x * height + y)


def _cycles(following: list[int]) -> tuple[list[list[int]], list[int]]:
    ring_of = [-1] * len(following)
    rings: list[list[int]] = []
    for start in range(len(following)):
        if ring_of[start] >= 0:
            continue
        ring, at = [], start
        while ring_of[at] < 0:
            ring_of[at] = len(rings)
            ring.append(at)
            at = following[at]
        rings.append(ring)
    return rings, ring_of


_Way = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Hanging:
    """A hole on its bridge: its ring, the turn at which that is entered, and the two ends of the bridge."""

    ring: int
    entry: int
    way: _Way


_Bridges = dict[int, list[_Hanging]]  # by the turn that ends the line on which they hang


def _joined(mask: Mask, borders: _Borders) -> list[Ring]:
    outer: list[int] = []
    bridges: _Bridges = {}
    for number, ring in enumerate(borders.rings):
        x, y = borders.points[ring].T
        if np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1)):
            outer.append(number)
        else:
            target, hanging = _bridge(mask, borders, number)
            bridges.setdefault(target, []).append(hanging)
    for waiting in bridges.values():
        waiting.sort(key=lambda hanging: -hanging.way[0][1])  # left edges are walked upwards
    return [np.array(list(_walk(borders, number, bridges))) for number in outer]


def _bridge(mask: Mask, borders: _Borders, number: int) -> tuple[int, _Hanging]:
    """Return the bridge from the leftmost pixel of a hole to the line on its left, and that line's turn."""
    entries = [turn for turn in borders.rings[number] if borders.side[turn] == _RIGHT]
    entry = min(entries, key=lambda turn: (borders.place[turn][0], borders.place[turn][1]))
    x, y = (int(v) for v in borders.place[entry])
    gaps = np.flatnonzero(~mask[y, :x])
    start = gaps[-1:] + 1 if gaps.size else np.zeros(1, np.int64)
    edge = _ids(np.array([_LEFT]), start, np.array([y]), mask.shape)
    target = int(borders.line_end[np.searchsorted(borders.edge_ids, edge)][0])
    ends = (float(borders.points[target][0]), float(borders.points[entry][0]))
    return target, _Hanging(number, entry, ((ends[0], y + 0.5), (ends[1], y + 0.5)))


def _walk(borders: _Borders, number: int, bridges: _Bridges) -> Iterator[tuple[float, float]]:
    """Walk round a ring and, over the bridges, round all holes that hang on it."""
    stack: list[tuple[Iterator[int | _Hanging], _Way]] = [(_steps(borders.rings[number], bridges), ())]
    while stack:
        steps, way_back = stack[-1]
        step = next(steps, None)
        if step is None:
            stack.pop()
            yield from way_back
        elif isinstance(step, _Hanging):
            yield from step.way
            ring = borders.rings[step.ring]
            at = ring.index(step.entry)
            stack.append((_steps([*ring[at:], *ring[:at]], bridges), step.way[::-1]))
        else:
            yield (float(borders.points[step][0]), float(borders.points[step][1]))


def _steps(ring: Sequence[int], bridges: _Bridges) -> Iterator[int | _Hanging]:
    for turn in ring:
        yield from bridges.get(turn, ())
        yield turn

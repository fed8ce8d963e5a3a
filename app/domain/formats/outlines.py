"""Outlines of masks along the edges between pixels; `polygons.fill` fills them again, exactly.

Corners are ``(x, y)`` with 0 at the outer edge of the first pixel; pixel ``i`` reaches from ``i`` to
``i + 1``. A pixel is inside where its centre is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """What hangs together over the sides of pixels: its outline and those of its holes, ``[N, 2]`` each.

    The outline runs clockwise on the screen, holes run against it; first and last corner differ.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """All outlines, the outer one first."""
        return (self.outer, *self.holes)


def trace(mask: Mask) -> list[Piece]:
    """Return the pieces of ``mask``, ``bool [H, W]``, in reading order of their first pixels."""
    import cv2

    if not mask.any():
        return []
    _, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    outers: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _rings(mask):
        x, y = ring[0].astype(int)
        # the first corner is the topmost, then leftmost: below it lies the piece, or a hole with it above
        if y < mask.shape[0] and x < mask.shape[1] and mask[y, x]:
            outers[int(numbers[y, x])] = _turned(ring, clockwise=True)
        else:
            holes.setdefault(int(numbers[y - 1, x]), []).append(_turned(ring, clockwise=False))
    return [Piece(outer, tuple(holes.get(number, ()))) for number, outer in outers.items()]


def area(ring: npt.ArrayLike) -> float:
    """Return the area inside a ring, positive when it runs clockwise on the screen."""
    x, y = np.asarray(ring, np.float64).reshape(-1, 2).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _turned(ring: Ring, *, clockwise: bool) -> Ring:
    return ring if (area(ring) > 0) == clockwise else np.concatenate([ring[:1], ring[:0:-1]])


def _rings(mask: Mask) -> list[Ring]:
    """Return all closed outlines, each from its topmost, then leftmost corner, in reading order of these.

    At every corner an outline turns: the horizontal edges of a row of corners are its 1st to 2nd, 3rd to 4th
    and so on; the vertical ones of a column likewise. A corner where only diagonal pixels meet counts twice.
    """
    xs, ys, up_first = _corners(mask)
    count = len(xs)
    by_row = np.lexsort((np.arange(count), xs, ys))
    # of two corners at one place, the first ends the edge from the left; which one ends the edge from above
    # decides that diagonal pixels do not hang together
    by_column = np.lexsort((up_first, ys, xs))
    across, along = np.empty(count, np.int64), np.empty(count, np.int64)
    across[by_row[0::2]], across[by_row[1::2]] = by_row[1::2], by_row[0::2]
    along[by_column[0::2]], along[by_column[1::2]] = by_column[1::2], by_column[0::2]
    horizontal, vertical = across.tolist(), along.tolist()
    seen = bytearray(count)
    rings = []
    for start in by_row.tolist():
        if seen[start]:
            continue
        order, at = [], start
        while not seen[at]:
            other = horizontal[at]
            seen[at] = seen[other] = 1
            order += [at, other]
            at = vertical[other]
        rings.append(np.stack([xs[order], ys[order]], axis=1).astype(np.float64))
    return rings


def _corners(mask: Mask) -> tuple[npt.NDArray[np.int64], ...]:
    """Return x, y and the order along the column of all corners, doubled where only diagonal pixels meet."""
    inside = np.pad(mask, 1)
    up_left, up_right = inside[:-1, :-1], inside[:-1, 1:]
    down_left, down_right = inside[1:, :-1], inside[1:, 1:]
    odd = up_left ^ up_right ^ down_left ^ down_right
    crossed = (up_left == down_right) & (up_right == down_left) & (up_left != up_right)
    ys, xs = np.nonzero(odd | crossed)
    repeats = np.where(crossed[ys, xs], 2, 1)
    second = np.zeros(int(repeats.sum()), np.int64)
    second[np.cumsum(repeats)[repeats == 2] - 1] = 1
    ys, xs = np.repeat(ys, repeats), np.repeat(xs, repeats)
    # pixels up-left and down-right: the copy that ends the left edge is the corner of the upper pixel;
    # pixels up-right and down-left: it is the corner of the lower one
    falling = up_left[ys, xs]
    return xs, ys, np.where(falling, second, 1 - second)


def painted(labels: npt.NDArray[np.uint8]) -> list[tuple[int, Ring]]:
    """Return class ids and rings without holes that give the label map when they are painted in this order.

    What lies in a hole is painted after what surrounds it, background (0) too; background at the border of
    the image is left out.
    """
    height, width = labels.shape
    found: list[tuple[float, int, Ring]] = []
    for class_id in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist():
        found += [(area(piece.outer), class_id, piece.outer) for piece in trace(labels == class_id)]
    # the inside of a ring holds all that is nested in it: the larger area comes first
    found.sort(key=lambda each: -each[0])
    return [
        (class_id, ring)
        for _, class_id, ring in found
        if class_id or not ((ring == 0).any() or (ring == (width, height)).any())
    ]


def centred(ring: Ring) -> Ring:
    """Return a ring along the centres of the outermost pixels inside, in whole pixels from 0.

    For formats whose readers paint the outline too: what `fill_centred` fills is what the ring encloses.

    Args:
        ring: Clockwise along edges between pixels, as `trace` gives outlines.
    """
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    coming, going = np.sign(ring - before), np.sign(after - ring)
    # clockwise, the inside is to the right: right of (x, y) is (-y, x)
    first = ring + (np.stack([-coming[:, 1], coming[:, 0]], axis=1) - coming) / 2
    second = ring + (np.stack([-going[:, 1], going[:, 0]], axis=1) + going) / 2
    points = np.stack([first, second], axis=1).reshape(-1, 2) - 0.5
    kept = (points != np.roll(points, 1, axis=0)).any(axis=1)
    return points[kept] if kept.any() else points[:1]


def fill_centred(ring: npt.ArrayLike, shape: tuple[int, int]) -> Mask:
    """Return the pixels inside of a ring of pixel centres and those under the ring itself, ``bool [H, W]``.

    Raises:
        ValueError: The corners are no pairs of finite numbers.
    """
    from PIL import Image, ImageDraw

    corners = np.asarray(ring, np.float64).reshape(-1, 2)
    if not np.isfinite(corners).all():
        raise ValueError("corners that are no numbers")
    height, width = shape
    image = Image.new("1", (width, height))
    limit = 4 * (width + height)
    points = [(float(x), float(y)) for x, y in np.clip(corners, -limit, limit)]
    draw = ImageDraw.Draw(image)
    if len(points) > 2:
        draw.polygon(points, fill=1, outline=1)
    elif points:
        draw.line([*points, points[0]], fill=1)
        draw.point(points, fill=1)
    return np.asarray(image, bool)

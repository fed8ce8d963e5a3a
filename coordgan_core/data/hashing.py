"""Near-duplicates by perceptual hash: pictures that look the same although their files differ. No PyTorch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""``[N, 4]``: 256 bits an image."""

SIDE = 16
SAME_BITS = 15
"""Hashes that differ in no more of their 256 bits belong to pictures that look the same. Measured on 300
faces, X-rays and cars each: the same picture as JPEG of quality 40 differs in up to 19 bits, in 99 of 100
cases in up to 16; at half the size in up to 14; two different pictures of a kind in at least 32."""

_ALL_PAIRS = 20_000  # up to here every pair is compared; beyond, pairs that share 16 bits
_ROWS = 512
_CROWDED = 200  # images that share 16 bits of flat background: those bits tell nothing
_LEAST_CONTRAST = 2.0


def perceptual_hash(pixels: NDArray[np.uint8]) -> NDArray[np.uint64] | None:
    """Return the hash ``uint64 [4]`` of a picture ``uint8 [H, W, 3]``: where it brightens from left to right.

    None for a picture of one colour, which has nothing to compare.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    if float(small.std()) < _LEAST_CONTRAST:
        return None
    packed = np.packbits(small[:, 1:] > small[:, :-1])
    return packed.view(np.uint64)


def duplicate_groups(hashes: Hashes) -> list[list[int]]:
    """Return groups of rows of ``hashes [N, 4]`` whose pictures look the same, each group and all sorted."""
    owner = np.arange(len(hashes))

    def root(index: int) -> int:
        while owner[index] != index:
            owner[index] = owner[owner[index]]
            index = int(owner[index])
        return index

    for first, second in _close_pairs(hashes):
        low, high = sorted((root(first), root(second)))
        owner[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(hashes)):
        groups[root(index)].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _close_pairs(hashes: Hashes) -> Iterator[tuple[int, int]]:
    if len(hashes) > _ALL_PAIRS:
        yield from _sharing_pairs(hashes)
        return
    for start in range(0, len(hashes), _ROWS):
        rows = hashes[start : start + _ROWS]
        differing = np.zeros((len(rows), len(hashes) - start), np.uint16)
        for word in range(hashes.shape[1]):
            differing += np.bitwise_count(rows[:, None, word] ^ hashes[None, start:, word])
        for i, j in np.argwhere(differing <= SAME_BITS):
            if j > i:
                yield start + int(i), start + int(j)


def _sharing_pairs(hashes: Hashes) -> Iterator[tuple[int, int]]:
    """Compare images that share one of sixteen parts of the hash: two close ones share at least one."""
    parts = np.ascontiguousarray(hashes).view(np.uint16)
    for column in range(parts.shape[1]):
        order = np.argsort(parts[:, column], kind="stable")
        values = parts[order, column]
        edges = np.flatnonzero(np.diff(values)) + 1
        for bucket in np.split(order, edges):
            if 1 < len(bucket) <= _CROWDED:
                found = np.bitwise_count(hashes[bucket][:, None] ^ hashes[bucket][None]).sum(-1)
                for i, j in np.argwhere(found <= SAME_BITS):
                    if j > i:
                        yield int(bucket[i]), int(bucket[j])

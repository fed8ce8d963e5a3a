"""Classical peers that need no training (copying, optical flow), and residual alignment on top of a map."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch

from coordgan_core import coords
from coordgan_core.atlas import AtlasConfig, LabelAtlas
from coordgan_core.data.images import resize
from coordgan_core.errors import ConfigError
from coordgan_core.labels import LabelMap, resize_labels

Image = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Structure = Literal["gray", "gradient", "local", "local-gradient"]
PEERS: tuple[str, ...] = ("copy", "dis", "dis-gradient")
"""Names of the peers: copy the label map; DIS optical flow on gray; DIS on colour gradients."""

LOCAL_CONTRAST_REACH, LOCAL_GRADIENT_REACH = 6 / 128, 8 / 128
"""Standard deviations of the neighbourhoods of the ``"local"`` structure images, as parts of the side."""


def structure_image(image: Image, kind: Structure) -> Image:
    """Return what optical flow compares, ``uint8 [H, W]``, of an image ``uint8 [H, W, 3]``.

    ``"gray"`` is the luma. ``"gradient"`` is the smoothed magnitude of the smoothed Lab image's gradient over
    all three channels, stretched so that its 99th percentile is white: it shows where edges are, whatever
    the colours. The ``"local"`` ones are these two by the contrast of their neighbourhood: a collarbone
    before a lung, or an eyelid, counts as much as the outline of the body, and light from one side nothing.
    """
    if kind == "gray":
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    if kind == "local":
        return _local_contrast(structure_image(image, "gray"))
    if kind == "local-gradient":
        return _local_strength(structure_image(image, "gradient"))
    lab = cv2.cvtColor(np.multiply(image, np.float32(1 / 255), dtype=np.float32), cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
    squares = cv2.Sobel(lab, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(lab, cv2.CV_32F, 0, 1) ** 2
    magnitude = cv2.GaussianBlur(cv2.sqrt(cv2.transform(squares, np.ones((1, 3), np.float32))), (0, 0), 1.0)
    white = np.float32(_percentile(magnitude, 99) + 1e-6)
    return np.asarray(np.clip(magnitude * (np.float32(255) / white), 0, 255), np.uint8)


def _percentile(values: npt.NDArray[np.float32], percent: float) -> float:
    """Return what `numpy.percentile` does, in a quarter of its time."""
    place = percent / 100.0 * (values.size - 1)
    first = math.floor(place)
    second = min(first + 1, values.size - 1)
    ordered = np.partition(values.ravel(), (first, second))
    low, high = float(ordered[first]), float(ordered[second])
    return low + (place - first) * (high - low)


def _local_contrast(values: Image) -> Image:
    """Return deviations from the mean around each pixel, in standard deviations around it."""
    plain = values.astype(np.float32)
    mean = _neighbourhood(plain, LOCAL_CONTRAST_REACH)
    variance = _neighbourhood(plain * plain, LOCAL_CONTRAST_REACH) - mean * mean
    deviation = np.sqrt(np.maximum(variance, 0.0)) + 6.0  # of 255: flat ground shows no noise
    return np.asarray(np.clip(128.0 + 50.0 * (plain - mean) / deviation, 0, 255), np.uint8)


def _local_strength(values: Image) -> Image:
    """Return magnitudes by their mean around each pixel."""
    plain = values.astype(np.float32)
    mean = _neighbourhood(plain, LOCAL_GRADIENT_REACH)
    return np.asarray(np.clip(90.0 * plain / (mean + 12.0), 0, 255), np.uint8)


def _neighbourhood(values: npt.NDArray[np.float32], reach: float) -> npt.NDArray[np.float32]:
    """Return a wide Gaussian mean; at a quarter of the size, where it costs little and looks the same."""
    height, width = values.shape
    small = cv2.resize(values, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    mean = cv2.GaussianBlur(small, (0, 0), reach * small.shape[0])
    return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def dis_flow(query: Image, reference: Image, *, fine: bool = False) -> npt.NDArray[np.float32]:
    """Return the flow ``float32 [H, W, 2]``, in pixels: query(x) looks like reference(x + flow(x)).

    Both are `structure_image` of one size. Dense inverse search (Kroeger et al. 2016), medium preset, which
    ends at half the size; ``fine`` goes on to the size itself, for four times the time.
    """
    # A new one each time: to keep one would save a fifth of the flow, but after a small image it stays with
    # the few scales that fitted that.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if fine:
        dis.setFinestScale(0)
    return np.asarray(dis.calc(query, reference, None), np.float32)


def warp_labels(labels: LabelMap, flow: npt.NDArray[np.float32]) -> LabelMap:
    """Return labels(x + flow(x)), nearest neighbour, edges continued."""
    x, y = _positions(flow)
    return np.asarray(cv2.remap(labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _positions(flow: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    y, x = np.ogrid[: flow.shape[0], : flow.shape[1]]
    return flow[..., 0] + x.astype(np.float32), flow[..., 1] + y.astype(np.float32)


class Peer:
    """One classical peer with one reference; `propagate` carries its label map to a query.

    Args:
        name: One of `PEERS`.
        image: The reference, ``uint8 [H, W, 3]``.
        labels: Its label map, ``uint8 [H, W]``.
        size: Everything is compared at ``size x size`` pixels.

    Raises:
        ConfigError: There is no peer of that name.
    """

    def __init__(self, name: str, image: Image, labels: LabelMap, *, size: int = 128) -> None:
        if name not in PEERS:
            raise ConfigError(f"there is no peer {name!r}", expected=f"one of {', '.join(PEERS)}")
        kinds: dict[str, Structure] = {"dis": "gray", "dis-gradient": "gradient"}
        self._kind = kinds.get(name)
        self._size = size
        self._labels = resize_labels(labels, size, size)
        self._structure = self._prepare(image)

    def propagate(self, image: Image) -> LabelMap:
        """Return the label map ``uint8 [size, size]`` of a query ``uint8 [H, W, 3]``."""
        structure = self._prepare(image)
        if structure is None or self._structure is None:
            return self._labels
        return warp_labels(self._labels, dis_flow(structure, self._structure))

    def _prepare(self, image: Image) -> Image | None:
        if self._kind is None:
            return None
        return structure_image(resize(image, self._size, self._size), self._kind)


@dataclass(frozen=True)
class AlignConfig:
    """Residual alignment: a short flow between the reference, carried to the query, and the query itself."""

    size: int = 256
    """Side, in pixels, of the structure images."""
    shrink: int = 2
    """How many times smaller they are compared first: 2 is the size at which DIS ends, for a quarter of the
    time; 1 leaves them as they are."""
    kinds: tuple[Structure, ...] = ("local", "local-gradient")
    """A flow is tried on each of these structure images; the one that aligns all of them best is kept."""
    max_flow: float = 3 / 64
    """Longer displacements are cut to this part of the side, where the images are not alike."""
    max_trusted_flow: float = 10 / 64
    """The same where they are."""
    trust: tuple[float, float] = (0.55, 0.7)
    """Correlations after alignment at which trust begins and is full: X-rays get there, few faces."""
    gate: float = 3 / 128
    """Neighbourhood, as a part of the side, in which an untrusted flow must lower the difference to be
    applied; 0: everywhere."""
    gate_slope: float = 3.0
    """How fast an untrusted flow is let in with the share of the difference that it removes."""
    min_gain: float = 0.02
    """Smallest rise of the mean correlation of the structure images for a flow to be kept."""
    fine: bool = True
    """Images that an alignment has earned some trust are aligned at full resolution as well."""
    atlas: AtlasConfig = field(default_factory=AtlasConfig)
    """Grid by which the reference's structure images are carried to the query."""


@dataclass(frozen=True)
class Aligned:
    """A map after residual alignment, whether it was changed, the correlations before and after."""

    correspondence: torch.Tensor
    accepted: bool
    before: float
    after: float
    difference: npt.NDArray[np.float32]
    """Mean difference of the structure images that is left at each pixel, ``[size, size]``, of 255."""


class Aligner:
    """Residual alignment of queries with one reference.

    The reference's structure images are carried to the query through both maps; a short DIS flow
    from the query to them corrects the query's map. The result is kept only if it makes the structure images
    correlate better.

    Args:
        correspondence: Correspondence map of the reference, ``[2, h, w]``.
        image: The reference, ``uint8 [H, W, 3]``.
        config: Options.
    """

    def __init__(self, correspondence: torch.Tensor, image: Image, config: AlignConfig | None = None) -> None:
        self.config = config or AlignConfig()
        size = self.config.size
        structures = torch.from_numpy(self.structures(image)).float() / 255.0
        # an atlas whose "probabilities" are brightness: it is linear in its values
        atlas = LabelAtlas(len(structures), config=self.config.atlas)
        atlas.splat(coords.resize_map(correspondence[None].cpu().float(), size, size)[0], structures)
        brightness = 255.0 * atlas.probabilities()[None]
        self._small = _Ground(brightness, max(1, size // self.config.shrink), self.config)
        self._whole = _Ground(brightness, size, self.config) if self.config.fine else self._small

    def structures(self, image: Image) -> Image:
        """Return the structure images ``uint8 [kinds, size, size]`` of an image ``uint8 [H, W, 3]``.

        They are the same for all aligners of one configuration.
        """
        small = resize(image, self.config.size, self.config.size)
        return np.stack([structure_image(small, kind) for kind in self.config.kinds])

    def likeness(self, correspondence: torch.Tensor, query: Image) -> float:
        """Return how well the reference, carried to a query, correlates with it before any alignment.

        Args:
            correspondence: Map of the query, ``[2, h, w]``.
            query: Its `structures`.
        """
        ground = self._small
        return _mean_correlation(ground.shrunk(query), ground.carry(ground.offset(correspondence)))

    def align(self, correspondence: torch.Tensor, query: Image) -> Aligned:
        """Correct the map ``[2, h, w]`` of a query, given its `structures`; returns ``[2, size, size]``."""
        found = self._small.align(correspondence, query, fine=self.config.shrink > 1)
        # where images differ, finer detail of the flow follows the differences
        if self.config.fine and found.after > self.config.trust[0]:
            found = self._whole.align(correspondence, query, fine=True, known=found)
        size = self.config.size
        maps = coords.resize_map(torch.from_numpy(found.map)[None], size, size)[0]
        left = cv2.resize(found.difference, (size, size), interpolation=cv2.INTER_LINEAR)
        return Aligned(maps, found.accepted, found.before, found.after, np.asarray(left, np.float32))


@dataclass(frozen=True)
class _Found:
    """The best alignment on a `_Ground`: map and difference of its size, `Aligned` says the rest."""

    offset: Flow
    map: npt.NDArray[np.float32]
    accepted: bool
    before: float
    after: float
    difference: npt.NDArray[np.float32]


class _Ground:
    """Where the structure images of a reference and of queries are compared: at one size.

    Maps are kept as their distance from the identity, in canonical units, ``[side, side, 2]`` as OpenCV has
    it.

    Args:
        brightness: The reference's structure images in the canonical frame, 0 to 255,
            ``[1, kinds, cells, cells]``.
        side: In pixels.
        config: Options.
    """

    def __init__(self, brightness: torch.Tensor, side: int, config: AlignConfig) -> None:
        self.side, self.config = side, config
        self._brightness = brightness
        self._pixels = np.ascontiguousarray(np.mgrid[:side, :side][::-1].transpose(1, 2, 0), np.float32)
        self._identity = np.ascontiguousarray(coords.canonical_grid(side, side).permute(1, 2, 0).numpy())

    def align(
        self, correspondence: torch.Tensor, query: Image, *, fine: bool, known: _Found | None = None
    ) -> _Found:
        """Return the best of a flow on each kind of structure image, and of what is ``known`` already."""
        query = self.shrunk(query)
        start = self.offset(correspondence)
        carried = self.carry(start)
        before = _mean_correlation(query, carried)
        best, nearest, after = start, carried, before
        if known is not None and known.accepted:
            best = self._resized(known.offset)
            nearest = self.carry(best)
            after = _mean_correlation(query, nearest)
        for ours, theirs in zip(query, carried, strict=True):
            candidate, there = self._follow(dis_flow(ours, theirs, fine=fine), start, query, carried)
            score = _mean_correlation(query, there)
            if score >= max(after, before + self.config.min_gain):
                best, nearest, after = candidate, there, score
        found = np.ascontiguousarray((best + self._identity).transpose(2, 0, 1))
        return _Found(best, found, best is not start, before, after, _difference(query, nearest))

    def shrunk(self, structures: Image) -> Image:
        """Return structure images ``[kinds, size, size]`` at this size."""
        side = (self.side, self.side)
        if structures.shape[1:] == side:
            return structures
        return np.stack([cv2.resize(one, side, interpolation=cv2.INTER_AREA) for one in structures])

    def offset(self, correspondence: torch.Tensor) -> Flow:
        """Return a map ``[2, h, w]`` as it is kept here."""
        found = correspondence.cpu().float() - coords.canonical_grid(*correspondence.shape[1:])
        return self._resized(np.ascontiguousarray(found.permute(1, 2, 0).numpy()))

    def carry(self, offset: Flow) -> Image:
        """Return the reference's structure images at the positions of a map."""
        where = (offset + self._identity) * np.float32(1.0 / self.config.atlas.extent)
        grid = torch.from_numpy(where).permute(2, 0, 1)[None]
        # not by OpenCV, which rounds positions to a 32nd of a cell: flow sees the steps
        values = coords.sample(self._brightness, grid)[0].clamp_(0.0, 255.0)  # rounds half to even, as numpy
        return np.asarray(values.round_().to(torch.uint8).numpy(), np.uint8)

    def _resized(self, offset: Flow) -> Flow:
        side = (self.side, self.side)
        return np.asarray(cv2.resize(offset, side, interpolation=cv2.INTER_LINEAR), np.float32)

    def _follow(self, flow: Flow, start: Flow, query: Image, carried: Image) -> tuple[Flow, Image]:
        """Return ``start`` corrected by a flow, as far as the flow deserves it, and what it carries there.

        Two images that the flow makes nearly equal are of a kind that flow understands: it is followed
        everywhere. Otherwise only short ways are gone, and only where the neighbourhood comes closer by it.
        """
        config = self.config
        shortest, longest = config.max_flow * self.side, config.max_trusted_flow * self.side
        way = limit_flow(flow, longest)
        moved = self._moved(start, way)
        there = self.carry(moved)
        low, full = config.trust
        trust = float(np.clip((_mean_correlation(query, there) - low) / (full - low), 0.0, 1.0))
        if trust == 1.0:
            return moved, there
        shorter = limit_flow(way, shortest + trust * (longest - shortest))
        if shorter is not way:
            moved = self._moved(start, shorter)
            there = self.carry(moved)
        if config.gate > 0:
            gate = np.maximum(self._gate(query, carried, there), np.float32(trust))
            moved = start + gate[..., None] * (moved - start)
            there = self.carry(moved)
        return moved, there

    def _moved(self, start: Flow, way: Flow) -> Flow:
        """Compose ``start`` with a flow in pixels; beyond its edges ``start`` goes on as it is there."""
        there = cv2.remap(start, self._pixels + way, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(there + way * np.float32(2.0 / self.side), np.float32)

    def _gate(self, query: Image, before: Image, after: Image) -> npt.NDArray[np.float32]:
        """Return in [0, 1], ``[side, side]``, how much structures around each pixel have come closer."""
        reach = self.config.gate * self.side

        def blurred(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return np.asarray(cv2.GaussianBlur(values, (0, 0), reach), np.float32)

        old, new = (blurred(_difference(query, other)) for other in (before, after))
        removed = (old - new) / (old + 4.0)  # 4 of 255 is noise
        return blurred(np.clip(self.config.gate_slope * removed, 0.0, 1.0))


def limit_flow(flow: Flow, longest_px: float) -> Flow:
    """Cut the displacements of a flow ``[H, W, 2]`` to a length in pixels; itself where none is longer."""
    length, limit = cv2.magnitude(*cv2.split(flow)), np.float32(longest_px)
    if length.max() <= limit:
        return flow
    return np.asarray(flow * (limit / np.maximum(length, limit))[..., None], np.float32)


def _difference(first: Image, second: Image) -> npt.NDArray[np.float32]:
    """Return the mean absolute difference of structure images ``[kinds, side, side]`` at each pixel."""
    total = np.zeros(first.shape[1:], np.float32)
    for a, b in zip(first, second, strict=True):
        cv2.accumulate(cv2.absdiff(a, b), total)
    return total / np.float32(len(first))


def _mean_correlation(first: Image, second: Image) -> float:
    return float(np.mean([_correlation(a, b) for a, b in zip(first, second, strict=True)]))


def _correlation(first: Image, second: Image) -> float:
    """Return the correlation coefficient of two images of bytes; 0 if one is flat."""
    # sums of squares of bytes are whole numbers: nothing is lost, and no copy of a larger type is made
    count, kind = first.size, cv2.NORM_L2SQR
    squares, others, apart = cv2.norm(first, kind), cv2.norm(second, kind), cv2.norm(first, second, kind)
    a, b = cv2.sumElems(first)[0], cv2.sumElems(second)[0]
    norm = math.sqrt(max(0.0, squares - a * a / count) * max(0.0, others - b * b / count))
    return ((squares + others - apart) / 2.0 - a * b / count) / norm if norm > 0 else 0.0

"""Classical peers that need no training (copying, optical flow), and residual alignment on top of a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

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
    lab = cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
    squares = cv2.Sobel(lab, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(lab, cv2.CV_32F, 0, 1) ** 2
    magnitude = cv2.GaussianBlur(cv2.sqrt(cv2.transform(squares, np.ones((1, 3), np.float32))), (0, 0), 1.0)
    white = np.float32(np.percentile(magnitude, 99) + 1e-6)
    return np.asarray(np.clip(magnitude * (np.float32(255) / white), 0, 255), np.uint8)


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


def dis_flow(query: Image, reference: Image) -> npt.NDArray[np.float32]:
    """Return the flow ``float32 [H, W, 2]``, in pixels: query(x) looks like reference(x + flow(x)).

    Both are `structure_image` of one size. Dense inverse search (Kroeger et al. 2016), medium preset.
    """
    # A new one each time: to keep one would save a fifth of the flow, but after a small image it stays with
    # the few scales that fitted that.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
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
    """Side, in pixels, at which it works."""
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
        structures = torch.from_numpy(self.structures(image)).float() / 255.0
        # an atlas whose "probabilities" are brightness: it is linear in its values
        self._atlas = LabelAtlas(len(structures), config=self.config.atlas)
        self._atlas.splat(self._grown(correspondence)[0], structures)
        self._brightness = 255.0 * self._atlas.probabilities()[None]

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
        return _mean_correlation(query, self._carry(self._grown(correspondence)))

    def align(self, correspondence: torch.Tensor, query: Image) -> Aligned:
        """Correct the map ``[2, h, w]`` of a query, given its `structures`; returns ``[2, size, size]``."""
        start = self._grown(correspondence)
        carried = self._carry(start)
        before = _mean_correlation(query, carried)
        best, after = start, before
        for ours, theirs in zip(query, carried, strict=True):
            candidate, score = self._follow(dis_flow(ours, theirs), start, query, carried)
            if score >= max(after, before + self.config.min_gain):
                best, after = candidate, score
        left = cv2.absdiff(query, self._carry(best)).mean(0, dtype=np.float32)
        return Aligned(best[0], best is not start, before, after, left)

    def _follow(
        self, flow: npt.NDArray[np.float32], start: torch.Tensor, query: Image, carried: Image
    ) -> tuple[torch.Tensor, float]:
        """Return ``start`` corrected by a flow, as far as the flow deserves it, and the correlation then.

        Two images that the flow makes nearly equal are of a kind that flow understands: it is followed
        everywhere. Otherwise only short ways are gone, and only where the neighbourhood comes closer by it.
        """
        config = self.config
        moved = self._moved(start, flow, config.max_trusted_flow * config.size)
        low, full = config.trust
        there = self._carry(moved)
        likeness = _mean_correlation(query, there)
        trust = float(np.clip((likeness - low) / (full - low), 0.0, 1.0))
        if trust < 1.0:
            shortest, longest = config.max_flow * config.size, config.max_trusted_flow * config.size
            moved = self._moved(start, flow, shortest + trust * (longest - shortest))
            there = self._carry(moved)
        if trust == 1.0:
            return moved, likeness
        if config.gate > 0:
            gate = self._gate(query, carried, there).clamp_min(trust)
            moved = start + gate * (moved - start)
            there = self._carry(moved)
        return moved, _mean_correlation(query, there)

    def _moved(self, start: torch.Tensor, flow: npt.NDArray[np.float32], longest_px: float) -> torch.Tensor:
        way = torch.from_numpy(limit_flow(flow, longest_px)).permute(2, 0, 1)
        field = coords.canonical_grid(*way.shape[1:]) + way * (2.0 / self.config.size)
        return coords.compose(start, field[None])

    def _gate(self, query: Image, before: Image, after: Image) -> torch.Tensor:
        """Return in [0, 1], ``[size, size]``, how much structures around each pixel have come closer."""

        def blurred(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return np.asarray(
                cv2.GaussianBlur(values, (0, 0), self.config.gate * self.config.size), np.float32
            )

        ours = query.astype(np.float32)
        old, new = (blurred(np.abs(ours - other).mean(0)) for other in (before, after))
        removed = (old - new) / (old + 4.0)  # 4 of 255 is noise
        return torch.from_numpy(blurred(np.clip(self.config.gate_slope * removed, 0.0, 1.0)))

    def _grown(self, correspondence: torch.Tensor) -> torch.Tensor:
        size = self.config.size
        return coords.resize_map(correspondence[None].cpu().float(), size, size)

    def _carry(self, correspondence: torch.Tensor) -> Image:
        where = correspondence / self._atlas.config.extent
        values = coords.sample(self._brightness, where)[0].clamp_(0.0, 255.0)  # rounds half to even, as numpy
        return np.asarray(values.round_().to(torch.uint8).numpy(), np.uint8)


def limit_flow(flow: npt.NDArray[np.float32], longest_px: float) -> npt.NDArray[np.float32]:
    """Cut the displacements of a flow ``[H, W, 2]`` to a length in pixels."""
    x, y = flow[..., 0], flow[..., 1]
    length = np.sqrt(x * x + y * y)
    scale = np.minimum(np.float32(1), np.float32(longest_px) / np.maximum(length, np.float32(1e-6)))
    return np.asarray(flow * scale[..., None], np.float32)


def _mean_correlation(first: Image, second: Image) -> float:
    return float(np.mean([_correlation(a, b) for a, b in zip(first, second, strict=True)]))


def _correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Return the correlation coefficient of two images; 0 if one is flat."""
    a, b = (values.astype(np.float64).ravel() - values.mean() for values in (first, second))
    norm = np.sqrt((a @ a) * (b @ b))
    return float((a @ b) / norm) if norm > 0 else 0.0

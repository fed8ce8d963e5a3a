"""Classical peers that need no training (copying, optical flow), and residual alignment on top of a map."""

from __future__ import annotations

from dataclasses import dataclass
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
Structure = Literal["gray", "gradient"]
PEERS: tuple[str, ...] = ("copy", "dis", "dis-gradient")
"""Names of the peers: copy the label map; DIS optical flow on gray; DIS on colour gradients."""


def structure_image(image: Image, kind: Structure) -> Image:
    """Return what optical flow compares, ``uint8 [H, W]``, of an image ``uint8 [H, W, 3]``.

    ``"gray"`` is the luma; ``"gradient"`` the smoothed magnitude of the smoothed Lab image's gradient over
    all three channels, stretched so that its 99th percentile is white: it shows where edges are, whatever
    the colours.
    """
    if kind == "gray":
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    lab = cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
    squares = cv2.Sobel(lab, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(lab, cv2.CV_32F, 0, 1) ** 2
    magnitude = cv2.GaussianBlur(np.sqrt(squares.sum(-1)), (0, 0), 1.0)
    white = np.percentile(magnitude, 99) + 1e-6
    return np.asarray(np.clip(magnitude * (255.0 / white), 0, 255), np.uint8)


def dis_flow(query: Image, reference: Image) -> npt.NDArray[np.float32]:
    """Return the flow ``float32 [H, W, 2]``, in pixels: query(x) looks like reference(x + flow(x)).

    Both are `structure_image` of one size. Dense inverse search (Kroeger et al. 2016), medium preset.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = dis.calc(query, reference, None)
    return np.asarray(flow, np.float32)


def warp_labels(labels: LabelMap, flow: npt.NDArray[np.float32]) -> LabelMap:
    """Return labels(x + flow(x)), nearest neighbour, edges continued."""
    x, y = _positions(flow)
    return np.asarray(cv2.remap(labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _positions(flow: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return x + flow[..., 0], y + flow[..., 1]


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

    size: int = 128
    """Side, in pixels, at which it works."""
    kind: Structure = "gradient"
    max_flow_px: float = 8.0
    """Longer displacements are cut to this length."""
    min_gain: float = 0.02
    """Smallest rise of the correlation of both structure images for the flow to be kept."""


@dataclass(frozen=True)
class Aligned:
    """A map after residual alignment, whether it was changed, the correlations before and after."""

    correspondence: torch.Tensor
    accepted: bool
    before: float
    after: float


class Aligner:
    """Residual alignment of queries with one reference.

    The reference's structure image is carried to the query through both correspondence maps; a short DIS
    flow from the query to it corrects the query's map. The result is kept only if it makes the two
    structure images correlate better.

    Args:
        correspondence: Correspondence map of the reference, ``[2, h, w]``.
        image: The reference, ``uint8 [H, W, 3]``.
        config: Options.
    """

    def __init__(self, correspondence: torch.Tensor, image: Image, config: AlignConfig | None = None) -> None:
        self.config = config or AlignConfig()
        size = self.config.size
        structure = structure_image(resize(image, size, size), self.config.kind)
        # an atlas of one "class" whose probability is the brightness; it is linear in its values
        self._atlas = LabelAtlas(1, config=AtlasConfig())
        large = coords.resize_map(correspondence[None].cpu().float(), size, size)[0]
        self._atlas.splat(large, torch.from_numpy(structure).float()[None] / 255.0)

    def align(self, correspondence: torch.Tensor, image: Image) -> Aligned:
        """Correct the map ``[2, h, w]`` of a query ``uint8 [H, W, 3]``; the result is ``[2, size, size]``."""
        size = self.config.size
        query = structure_image(resize(image, size, size), self.config.kind)
        before_map = coords.resize_map(correspondence[None].cpu().float(), size, size)
        carried = self._carry(before_map)
        flow = self._limit(dis_flow(query, carried))
        x, y = _positions(flow)
        field = torch.from_numpy(np.stack([x, y]))
        after_map = coords.compose(before_map, coords.to_normalised(field, size)[None])
        before, after = _correlation(query, carried), _correlation(query, self._carry(after_map))
        accepted = after >= before + self.config.min_gain
        return Aligned((after_map if accepted else before_map)[0], accepted, before, after)

    def _carry(self, correspondence: torch.Tensor) -> Image:
        values = self._atlas.sample(correspondence).probabilities[0, 0].numpy()
        return np.asarray(np.rint(255.0 * np.clip(values, 0, 1)), np.uint8)

    def _limit(self, flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        length = np.linalg.norm(flow, axis=-1, keepdims=True)
        scale = np.minimum(1.0, self.config.max_flow_px / np.maximum(length, 1e-6))
        return np.asarray(flow * scale, np.float32)


def _correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Return the correlation coefficient of two images; 0 if one is flat."""
    a, b = first.astype(np.float64) - first.mean(), second.astype(np.float64) - second.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0

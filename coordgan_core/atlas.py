"""The label atlas: label probabilities in the canonical frame; references splatted in, queries sampled out.

The published propagation compares every query pixel with every reference pixel (fact sheet section 5):
label(q) = sum_p L(p) k(m_q - m_p) / sum_p k(m_q - m_p) with k(r) = exp(-|r| / 0.01). That is a kernel
density estimate in the canonical frame and does not depend on the query. Here it is computed once on a
grid, numerator and denominator apart, and each query only samples the quotient at its correspondence map:
O(N) in place of O(N^2). Several references are a sum of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core import coords
from coordgan_core.errors import ShapeError


@dataclass(frozen=True)
class AtlasConfig:
    """Grid and kernel of an atlas; the defaults agree with the published affinity."""

    size: int = 192
    """Cells a side."""
    extent: float = 1.125
    """The grid covers [-extent, extent] on both axes; positions beyond are moved to its edge."""
    temperature: float = 0.01
    """Of the affinity exp(-distance / temperature) that the kernel stands for, in canonical units."""
    radius: int = 8
    """Cells that the kernel reaches."""
    min_density: float = 2e-4
    """Cells with less cover (1 = even) per unit of reference weight copy the nearest cell that has more."""

    @property
    def pitch(self) -> float:
        """Side of a cell in canonical units."""
        return 2.0 * self.extent / self.size


@dataclass(frozen=True)
class AtlasSample:
    """What queries read: probabilities ``[B, K, H, W]`` and density ``[B, 1, H, W]``.

    Density 1 is the cover of one reference of weight 1 whose map is the identity; 0 means that no reference
    is near.
    """

    probabilities: Tensor
    density: Tensor


class LabelAtlas:
    """Label probabilities of K classes in the canonical frame, built from any number of references.

    Args:
        num_classes: K, background included.
        config: Grid and kernel.
        device: Where its tensors lie.

    Example:
        >>> atlas = LabelAtlas(2, device="cpu")
        >>> identity = coords.canonical_grid(64, 64)
        >>> left = (identity[0] < 0).float()
        >>> atlas.splat(identity, torch.stack([1 - left, left]))
        >>> atlas.sample(identity[None]).probabilities[0, :, 32, 8].argmax().item()
        1
    """

    def __init__(
        self,
        num_classes: int,
        *,
        config: AtlasConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config or AtlasConfig()
        self.num_classes = num_classes
        # classes, then the density: both are smoothed by the same kernel and divided at the end
        self._mass = torch.zeros(num_classes + 1, self.config.size, self.config.size, device=device)
        self._weight = 0.0
        self._finished: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """The device its tensors lie on."""
        return self._mass.device

    def splat(
        self,
        correspondence: Tensor,
        soft_labels: Tensor,
        *,
        weight: float = 1.0,
        pixel_weights: Tensor | None = None,
    ) -> None:
        """Add one reference.

        Args:
            correspondence: Correspondence map of the reference, ``[2, H, W]``.
            soft_labels: Its labels, ``[K, H, W]``, each pixel sums to 1.
            weight: Weight of the whole reference.
            pixel_weights: Weight of each pixel, ``[H, W]``, for instance the reliability of the map.

        Raises:
            ShapeError: The sizes do not fit each other or K.
        """
        self._check(correspondence, soft_labels, pixel_weights)
        height, width = correspondence.shape[1:]
        # the weight of a pixel is its area in cells, so that the density does not depend on the resolution
        area = 4.0 / (height * width) / self.config.pitch**2
        weights = torch.full((height * width,), weight * area, device=self.device)
        if pixel_weights is not None:
            weights = weights * pixel_weights.to(weights).reshape(-1)
        values = torch.cat(
            [soft_labels.to(weights).reshape(self.num_classes, -1), torch.ones_like(weights)[None]]
        )
        index, fraction = self._cells(correspondence.to(weights))
        mass = self._mass.view(self.num_classes + 1, -1)
        for dy in (0, 1):
            for dx in (0, 1):
                share = (fraction[0] if dx else 1 - fraction[0]) * (fraction[1] if dy else 1 - fraction[1])
                mass.index_add_(1, index + dy * self.config.size + dx, values * (share * weights))
        self._weight += weight
        self._finished = None

    def merge(self, other: LabelAtlas) -> None:
        """Add all references of another atlas of the same K and configuration.

        Raises:
            ShapeError: The two differ in K or configuration.
        """
        if other.num_classes != self.num_classes or other.config != self.config:
            raise ShapeError(
                f"an atlas of {other.num_classes} classes and {other.config} is merged",
                expected=f"{self.num_classes} classes and {self.config}",
                remedy="build both with the same classes and AtlasConfig",
            )
        self._mass += other._mass.to(self.device)
        self._weight += other._weight
        self._finished = None

    def probabilities(self) -> Tensor:
        """Return the atlas itself, ``[K, size, size]``; each cell sums to 1, holes are filled."""
        return self._finish()[:-1]

    def density(self) -> Tensor:
        """Return the smoothed density of reference pixels, ``[size, size]`` (see `AtlasSample`)."""
        return self._finish()[-1]

    def sample(self, correspondence: Tensor) -> AtlasSample:
        """Read probabilities and density at correspondence maps ``[B, 2, H, W]``.

        Raises:
            ShapeError: The maps have another shape.
        """
        coords.check_shape(correspondence, "B 2 H W", "correspondence map")
        finished = self._finish()
        values = coords.sample(finished[None], correspondence.to(finished) / self.config.extent)
        return AtlasSample(values[:, :-1], values[:, -1:])

    def _finish(self) -> Tensor:
        """Smooth, divide, fill holes: probabilities, then the density; kept until the next splat."""
        if self._finished is None:
            smooth = F.conv2d(self._mass[:, None], self._kernel()[None, None], padding=self.config.radius)[
                :, 0
            ]
            density = smooth[-1].clamp(min=0.0)
            filled = density > self.config.min_density * max(self._weight, 1e-12)
            probabilities = smooth[:-1] / density.clamp(min=1e-12)
            if not bool(filled.any()):
                probabilities = torch.zeros_like(probabilities)
                probabilities[0] = 1.0
            elif not bool(filled.all()):
                probabilities = _fill_nearest(probabilities, filled)
            self._finished = torch.cat([probabilities, density[None]])
        return self._finished

    def _kernel(self) -> Tensor:
        """Return exp(-r / t), ``[2 radius + 1]^2``, sum 1; t allows for what splatting and sampling add.

        exp(-r / t) has variance 3 t^2 an axis; the two bilinear tents add 1/6 cell^2 each.
        """
        cells = self.config.temperature / self.config.pitch
        t = math.sqrt(max(cells**2 - 1.0 / 9.0, 0.01))
        axis = torch.arange(
            -self.config.radius, self.config.radius + 1, device=self.device, dtype=torch.float32
        )
        kernel = torch.exp(-torch.hypot(axis[:, None], axis[None]) / t)
        return kernel / kernel.sum()

    def _cells(self, correspondence: Tensor) -> tuple[Tensor, Tensor]:
        """Return each pixel's upper left cell, ``[N]``, and its fractions towards the next, ``[2, N]``."""
        size = self.config.size
        position = coords.to_pixels(correspondence.reshape(2, -1) / self.config.extent, size)
        position = position.nan_to_num().clamp(0, size - 1)
        corner = position.floor().clamp(max=size - 2)
        return (corner[1] * size + corner[0]).long(), position - corner

    def _check(self, correspondence: Tensor, soft_labels: Tensor, pixel_weights: Tensor | None) -> None:
        coords.check_shape(correspondence, "2 H W", "correspondence map of the reference")
        height, width = correspondence.shape[1:]
        coords.check_shape(
            soft_labels, f"{self.num_classes} {height} {width}", "soft labels of the reference"
        )
        if pixel_weights is not None:
            coords.check_shape(pixel_weights, f"{height} {width}", "pixel weights of the reference")


def _fill_nearest(values: Tensor, filled: Tensor) -> Tensor:
    """Give every cell that is not ``filled [A, A]`` the ``values [K, A, A]`` of the nearest one that is.

    The exact affinity does the same far from all reference pixels: its softmax goes to the nearest one.
    """
    import cv2

    mask = filled.cpu().numpy()
    _, nearest = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int64)
    cells = np.flatnonzero(mask)
    owner[nearest.ravel()[cells]] = cells
    index = torch.from_numpy(owner[nearest.ravel()]).to(values.device)
    return values.flatten(1)[:, index].view_as(values)


def splat_reference(
    correspondence: Tensor, soft_labels: Tensor, weights: Tensor, config: AtlasConfig
) -> Tensor:
    """Splat one pixel after the other: the plain form of `LabelAtlas.splat`, before smoothing and division.

    Args:
        correspondence: ``[2, H, W]``.
        soft_labels: ``[K, H, W]``.
        weights: Of each pixel, ``[H, W]``.
        config: Grid of the atlas.

    Returns:
        Mass of each class, and of all, in each cell: ``[K + 1, size, size]``.
    """
    classes, height, width = soft_labels.shape
    mass = torch.zeros(classes + 1, config.size, config.size)
    cells_a_pixel = 4.0 / (height * width) / config.pitch**2
    last = config.size - 1
    for y in range(height):
        for x in range(width):
            column, row = (
                min(max((float(u) + config.extent) / config.pitch - 0.5, 0.0), last)
                for u in correspondence[:, y, x]
            )
            values = torch.cat([soft_labels[:, y, x], torch.ones(1)]) * weights[y, x] * cells_a_pixel
            for i in (math.floor(row), math.floor(row) + 1):
                for j in (math.floor(column), math.floor(column) + 1):
                    share = max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
                    if share > 0:
                        mass[:, i, j] += values * share
    return mass

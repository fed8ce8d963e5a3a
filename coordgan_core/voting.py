"""Several references label a query by a vote, each aligned with it on its own.

One atlas of all references blurs what they disagree about: a collarbone that each of five people has a little
higher or lower. Where images can be aligned, every reference therefore carries its own labels, and counts at
each pixel the more, the less its surroundings differ from the query's then: locally weighted voting
(Artaechevarria et al. 2009, "Combination strategies in multi-atlas image segmentation"; Sabuncu et al. 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from coordgan_core import coords
from coordgan_core.atlas import LabelAtlas
from coordgan_core.confidence import BlurredAtlas
from coordgan_core.flow import Aligned, Aligner

Image = npt.NDArray[np.uint8]
Soft = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VoteConfig:
    """How references vote."""

    most: int = 5
    """References that vote on an image: those that look most like it; each costs an alignment."""
    reach: float = 3 / 128
    """Neighbourhood in which images are compared, as a part of the side."""
    unit: float = 5.0
    """Difference of brightness, of 255, that divides a reference's say by e."""


@dataclass(frozen=True)
class Ballot:
    """What the references say of a query, at working size.

    Attributes:
        soft: Soft labels ``[K, s, s]``; they sum to 1 over the classes.
        correspondence: Correspondence map ``[2, s, s]``, corrected by the reference that agrees best.
        agreement: Of the query with that reference, 0 to 1; 0 without alignment.
    """

    soft: Soft
    correspondence: Tensor
    agreement: float


class Panel:
    """The references of a propagation, ready to vote.

    Args:
        atlases: One for each reference, all of the same classes and configuration.
        aligners: One for each reference; none where nothing is aligned: then all share one atlas.
        weights: Say of each reference.
        size: Working size, in pixels.
        sigma: Standard error of correspondence maps that `blurred` allows for, in canonical units.
    """

    def __init__(
        self,
        atlases: Sequence[LabelAtlas],
        aligners: Sequence[Aligner],
        weights: Sequence[float],
        *,
        size: int,
        sigma: float,
        config: VoteConfig | None = None,
    ) -> None:
        self.config = config or VoteConfig()
        self._atlases, self._aligners, self._weights = list(atlases), list(aligners), list(weights)
        self._size, self._sigma = size, sigma
        self.atlas = merged(atlases)
        self.blurred = BlurredAtlas(self.atlas, sigma)

    def without(self, index: int) -> Panel:
        """Return the panel of all references but one."""
        keep = [i for i in range(len(self._atlases)) if i != index]
        return Panel(
            [self._atlases[i] for i in keep],
            [self._aligners[i] for i in keep if self._aligners],
            [self._weights[i] for i in keep],
            size=self._size,
            sigma=self._sigma,
            config=self.config,
        )

    def vote(self, correspondence: Tensor, image: Image) -> Ballot:
        """Label a query of which the network says ``correspondence [2, h, w]``; its image as read."""
        if not self._aligners:
            grown = self._grown(correspondence)
            return Ballot(self._read(self.atlas, grown), grown, 0.0)
        query = self._aligners[0].structures(image)
        voters = self._voters(correspondence, query)
        aligned = [self._aligners[i].align(correspondence, query) for i in voters]
        maps = [self._grown(one.correspondence if one.accepted else correspondence) for one in aligned]
        best = max(range(len(voters)), key=lambda i: aligned[i].after)
        low, full = self._aligners[0].config.trust
        agreement = float(np.clip((aligned[best].after - low) / (full - low), 0.0, 1.0))
        if len(voters) == 1:
            return Ballot(self._read(self._atlases[voters[0]], maps[0]), maps[0], agreement)
        says = self._says(aligned, [self._weights[i] for i in voters])
        soft = sum(
            say * self._read(self._atlases[i], one) for say, i, one in zip(says, voters, maps, strict=True)
        )
        return Ballot(np.asarray(soft, np.float32), maps[best], agreement)

    def _voters(self, correspondence: Tensor, query: Image) -> list[int]:
        numbers = list(range(len(self._aligners)))
        if len(numbers) <= self.config.most:
            return numbers
        likeness = [aligner.likeness(correspondence, query) for aligner in self._aligners]
        return sorted(sorted(numbers, key=lambda i: -likeness[i])[: self.config.most])

    def _says(self, aligned: Sequence[Aligned], weights: Sequence[float]) -> Soft:  # [N, s, s]
        size, reach = self._size, self.config.reach * self._size
        differences = np.stack(
            [
                cv2.GaussianBlur(
                    cv2.resize(one.difference, (size, size), interpolation=cv2.INTER_AREA), (0, 0), reach
                )
                for one in aligned
            ]
        )
        says = np.asarray(weights, np.float32)[:, None, None] * np.exp(
            (differences.min(0) - differences) / np.float32(self.config.unit)
        )
        return np.asarray(says / says.sum(0), np.float32)

    def _read(self, atlas: LabelAtlas, correspondence: Tensor) -> Soft:
        return np.asarray(atlas.sample(correspondence[None]).probabilities[0].numpy(), np.float32)

    def _grown(self, correspondence: Tensor) -> Tensor:
        return coords.resize_map(correspondence[None].cpu().float(), self._size, self._size)[0]


def merged(parts: Sequence[LabelAtlas]) -> LabelAtlas:
    """Return one atlas of all references' atlases."""
    first = parts[0]
    atlas = LabelAtlas(first.num_classes, config=first.config)
    for part in parts:
        atlas.merge(part)
    return atlas

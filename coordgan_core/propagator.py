"""The propagator: references in an atlas, ready to label any number of queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core import coords
from coordgan_core.atlas import AtlasConfig, LabelAtlas
from coordgan_core.calibration import Calibration, Example, fit
from coordgan_core.confidence import features, image_score
from coordgan_core.config import CropConfig
from coordgan_core.data.crop import crop_box
from coordgan_core.data.images import fitted, near, read_image, read_near
from coordgan_core.errors import LabelError
from coordgan_core.flow import AlignConfig, Aligner
from coordgan_core.labels import LabelMap, check_labels, read_label_map, resize_labels, resize_soft
from coordgan_core.predictor import Analysis, Predictor
from coordgan_core.refine import RefineConfig, Refined, refine
from coordgan_core.timing import Part
from coordgan_core.voting import Ballot, Panel, VoteConfig

Image = npt.NDArray[np.uint8]
Confidence = npt.NDArray[np.float32]
_MIN_REFERENCES_TO_CALIBRATE = 3
_MAY_BE_EQUAL = (
    6.0  # mean difference of shrunk images, of 255, up to which the images themselves are compared
)
_UNREFINED = RefineConfig(colour_weight=0, smooth_lambda=0)


@dataclass(frozen=True)
class Reference:
    """An image whose label map a person finished.

    Args:
        image: ``uint8 [H, W, 3]``, upright.
        labels: ``uint8 [H, W]``, of the size of its image.
        weight: Its say among several references.
        name: What messages call it.
    """

    image: Image
    labels: LabelMap
    weight: float = 1.0
    name: str = ""


def read_reference(image: Path, labels: Path, *, known_ids: Sequence[int] | None = None) -> Reference:
    """Read a reference from its two files.

    Raises:
        ImageError: The image cannot be read.
        LabelError: The label map cannot be read, does not fit the image, is empty or holds unknown ids.
    """
    pixels, ids = read_image(Path(image)), read_label_map(labels)
    size = (pixels.shape[1], pixels.shape[0])
    check_labels(ids, image_size=size, known_ids=known_ids, reference=True, name=str(image))
    return Reference(pixels, ids, name=Path(image).name)


@dataclass(frozen=True)
class PropagationOptions:
    """Options of a propagation."""

    work_px: int = 128
    """Side at which maps are compared and labels splatted; at least the network's own."""
    atlas: AtlasConfig = field(default_factory=AtlasConfig)
    refine: RefineConfig | None = field(default_factory=RefineConfig)
    """None keeps the raw result."""
    align: AlignConfig | None = field(default_factory=AlignConfig)
    """Residual alignment; None trusts the maps as they are."""
    vote: VoteConfig = field(default_factory=VoteConfig)
    """How several references share the say, where images are aligned."""
    reliability_weights: bool = True
    """Pixels of references count by the reliability of their map."""
    keep_raw: bool = True
    """Also return the label map before refinement."""
    calibrate: bool = True
    """With three references or more, fit the confidence on the references themselves, each left out once."""
    confidence_px: int = 0
    """Longer side at which the confidence is given; 0: that of the image."""


@dataclass(frozen=True)
class Query:
    """An image to be labelled, shrunk as far as all but the last step of a propagation allows.

    Args:
        near: ``uint8 [h, w, 3]``, upright (`Propagator.query`, `Propagator.read`).
        size: ``(width, height)`` of the image itself, and of its label map.
        whole: Gives the image itself, ``uint8 [H, W, 3]``.
    """

    near: Image
    size: tuple[int, int]
    whole: Callable[[], Image]


@dataclass(frozen=True)
class Prepared:
    """The atlas is built; the first event."""

    references: int
    classes: tuple[int, ...]
    calibration: Calibration


@dataclass(frozen=True)
class Propagated:
    """One query is done: label map ``uint8 [H, W]``, confidence ``float32 [H, W]``, score in [0, 1].

    With `PropagationOptions.confidence_px` the confidence covers the image at a smaller size.
    """

    index: int
    labels: LabelMap
    confidence: Confidence
    score: float
    raw: LabelMap | None = None
    """The label map before refinement, if `PropagationOptions.keep_raw`."""
    reverted: tuple[int, ...] = ()
    """Classes at which the refinement's safeguard stepped in."""


class Propagator:
    """References splatted into an atlas, ready to label any number of queries; see `propagate_labels`."""

    def __init__(
        self,
        predictor: Predictor,
        references: Sequence[Reference],
        *,
        options: PropagationOptions | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        _check(references)
        self.predictor = predictor
        self.options = options or PropagationOptions()
        self.classes = tuple(sorted({0} | {int(k) for r in references for k in np.unique(r.labels)}))
        queries = [self.query(r.image) for r in references]
        analyses = predictor.analyse([query.near for query in queries])
        self._size = max(self.options.work_px, *analyses[0].map.shape[1:])
        parts = [self._splat(r, a) for r, a in zip(references, analyses, strict=True)]
        aligners = self._make_aligners(references, analyses)
        self._references = list(zip(references, queries, strict=True))
        start = (calibration or Calibration()).for_references(len(references))
        self._panel = Panel(
            parts,
            aligners,
            [r.weight for r in references],
            size=self._size,
            sigma=start.position_sigma,
            config=self.options.vote,
        )
        if self.options.calibrate and len(references) >= _MIN_REFERENCES_TO_CALIBRATE:
            start = self._calibrated(references, analyses, start)
        self.calibration = start

    @property
    def atlas(self) -> LabelAtlas:
        """The labels of all references, in the canonical frame."""
        return self._panel.atlas

    @property
    def prepared(self) -> Prepared:
        """What was built, as an event."""
        return Prepared(len(self._references), self.classes, self.calibration)

    def query(self, image: Image) -> Query:
        """Prepare an image ``uint8 [H, W, 3]`` to be labelled."""
        size, limits = _size(image), self._least_sides()
        return Query(near(image, **limits) if limits else image, size, lambda: image)

    def read(self, path: Path) -> Query:
        """Read an image to be labelled; large JPEGs are decoded at a reduced size.

        Raises:
            ImageError: The file is not there, not an image, damaged, or too large.
        """
        limits = self._least_sides()
        if not limits:
            return self.query(read_image(path))
        pixels, size = read_near(path, **limits)
        return Query(pixels, size, lambda: read_image(path))

    def _least_sides(self) -> dict[str, int]:
        """Return how many pixels the sides of an image need; nothing for models that see a part of it."""
        if self.predictor.crop.mode != "whole":
            return {}
        options = self.options
        refined = (options.refine.work_px, options.refine.colour_px) if options.refine else ()
        least = max(self.predictor.resolution, options.align.size if options.align else 0)
        return {"longest": max((least, *refined)), "shortest": least}

    def run(
        self, images: Sequence[Image | Query], *, first: int = 0, pool: Executor | None = None
    ) -> Iterator[Propagated]:
        """Label a batch of queries, in threads if there is a ``pool``; indices count from ``first``."""
        queries = [image if isinstance(image, Query) else self.query(image) for image in images]
        analyses = self.predictor.analyse([query.near for query in queries])
        label = map if pool is None else pool.map
        yield from label(self.label, queries, analyses, range(first, first + len(images)))

    def label(self, image: Image | Query, analysis: Analysis, index: int = 0) -> Propagated:
        """Label one query that was analysed already; safe to call from several threads."""
        query = image if isinstance(image, Query) else self.query(image)
        own = self._own_labels(query)
        if own is not None:
            width, height = self._confidence_size(query.size)
            return Propagated(index, own, np.ones((height, width), np.float32), 1.0, own)
        with Part("alignment and atlas"):
            ballot = self._panel.vote(analysis.map, query.near)
        with Part("refinement"):
            refined, raw = self._refined(ballot.soft, query.near, query.size)
        with Part("confidence"):
            soft = self._at_work_size(refined)
            channels = soft.argmax(0).astype(np.uint8)
            values = self._features(self._panel, soft, channels, ballot, analysis)
            small = self.calibration.apply(values)
            confidence = _enlarge(small, self._confidence_size(query.size))
        blank_outside(self.predictor.crop, refined.labels, confidence, *([] if raw is None else [raw]))
        return Propagated(
            index,
            refined.labels,
            confidence,
            image_score(small, np.asarray(self.classes, np.uint8)[channels]),
            raw,
            refined.reverted,
        )

    def example(self, image: Image, labels: LabelMap, analysis: Analysis) -> Example:
        """Label an image whose labels are known, and return what a calibration is fitted to."""
        return self._example(self._panel, labels, image, analysis)

    def _example(self, panel: Panel, labels: LabelMap, image: Image, analysis: Analysis) -> Example:
        ballot = panel.vote(analysis.map, image)
        soft = self._at_work_size(self._refined(ballot.soft, image, _size(image))[0])
        channels = soft.argmax(0).astype(np.uint8)
        values = self._features(panel, soft, channels, ballot, analysis)
        truth = resize_labels(labels, self._size, self._size)
        right = np.asarray(self.classes, np.uint8)[channels] == truth
        # neighbours say the same: a fifth of the pixels tells as much
        return Example(values.reshape(len(values), -1)[:, ::5], right.ravel()[::5])

    def _own_labels(self, query: Query) -> LabelMap | None:
        """Return the finished labels if the query is one of the references itself; they are kept."""
        few = slice(None, None, 7), slice(None, None, 9)  # pixels that tell most images apart at once
        for reference, other in self._references:
            if other.size != query.size:
                continue
            difference = np.abs(other.near[few].astype(np.int16) - query.near[few])
            # decoders shrink otherwise than we do: only the images themselves tell
            if float(difference.mean()) < _MAY_BE_EQUAL and np.array_equal(reference.image, query.whole()):
                return reference.labels
        return None

    def _refined(
        self, soft: npt.NDArray[np.float32], image: Image, size: tuple[int, int]
    ) -> tuple[Refined, LabelMap | None]:
        config = self.options.refine or _UNREFINED
        refined = refine(soft, image, config, classes=self.classes, size=size)
        if self.options.refine is None or not self.options.keep_raw:
            return refined, refined.labels if self.options.refine is None else None
        return refined, refine(soft, image, _UNREFINED, classes=self.classes, size=size).labels

    def _at_work_size(self, refined: Refined) -> npt.NDArray[np.float32]:
        """Return refined soft labels of all classes at working size, ``[K, s, s]``."""
        soft = np.zeros((len(self.classes), self._size, self._size), np.float32)
        for plane, class_id in zip(refined.soft, refined.classes, strict=True):
            channel = self.classes.index(class_id)
            soft[channel] = cv2.resize(plane, (self._size, self._size), interpolation=cv2.INTER_NEAREST)
        return soft

    def _confidence_size(self, size: tuple[int, int]) -> tuple[int, int]:
        longest = self.options.confidence_px
        return fitted(size, longest) if longest else size

    def _features(
        self,
        panel: Panel,
        soft: npt.NDArray[np.float32],
        channels: npt.NDArray[np.uint8],
        ballot: Ballot,
        analysis: Analysis,
    ) -> npt.NDArray[np.float32]:
        moved = panel.blurred.sample(ballot.correspondence[None])[0].numpy()
        reliability = self._enlarged(analysis.reliability).numpy()
        return features(channels, soft, moved, reliability, ballot.agreement)

    def _grown(self, correspondence: Tensor) -> Tensor:
        return coords.resize_map(correspondence[None], self._size, self._size)[0]

    def _enlarged(self, reliability: Tensor) -> Tensor:
        return F.interpolate(reliability[None, None], size=(self._size, self._size), mode="bilinear")[0, 0]

    def _splat(self, reference: Reference, analysis: Analysis) -> LabelAtlas:
        atlas = LabelAtlas(len(self.classes), config=self.options.atlas)
        soft = resize_soft(reference.labels, self._size, self._size, classes=self.classes)
        pixel_weights = None
        if self.options.reliability_weights:
            reliability = self._enlarged(analysis.reliability)
            pixel_weights = reliability.clamp(min=0.05) * (
                reliability > 0
            )  # 0: not seen, as outside of a crop
        atlas.splat(
            self._grown(analysis.map),
            torch.from_numpy(soft),
            weight=reference.weight,
            pixel_weights=pixel_weights,
        )
        return atlas

    def _make_aligners(self, references: Sequence[Reference], analyses: Sequence[Analysis]) -> list[Aligner]:
        if self.options.align is None:
            return []
        return [
            Aligner(a.map, r.image, self.options.align) for r, a in zip(references, analyses, strict=True)
        ]

    def _calibrated(
        self, references: Sequence[Reference], analyses: Sequence[Analysis], start: Calibration
    ) -> Calibration:
        """Fit the confidence on the references: the others label each, its own labels are the truth."""
        examples = [
            self._example(self._panel.without(i), reference.labels, reference.image, analysis)
            for i, (reference, analysis) in enumerate(zip(references, analyses, strict=True))
        ]
        fitted = fit(examples, dataclasses.replace(start, references=len(references) - 1))
        return dataclasses.replace(fitted, references=len(references))


def blank_outside(crop: CropConfig, *values: npt.NDArray[Any]) -> None:
    """Set arrays ``[H, W]`` of an image to 0, in place, where the network does not look."""
    if crop.mode == "whole":
        return
    for array in values:
        height, width = array.shape
        left, top, right, bottom = crop_box(crop, width, height)
        for outside in (np.s_[:top], np.s_[bottom:], np.s_[:, :left], np.s_[:, right:]):
            array[outside] = 0


def _size(image: Image) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _enlarge(confidence: Confidence, size: tuple[int, int]) -> Confidence:
    # 8 bits are what is stored, and enlarge four times faster
    small = np.rint(confidence * 255).astype(np.uint8)
    large = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large.astype(np.float32) * np.float32(1 / 255), np.float32)


def _check(references: Sequence[Reference]) -> None:
    if not references:
        raise LabelError(
            "there is no reference",
            expected="at least one image with a finished label map",
            remedy="label one image first",
        )
    for i, reference in enumerate(references):
        size = (reference.image.shape[1], reference.image.shape[0])
        check_labels(
            reference.labels, image_size=size, reference=True, name=reference.name or f"reference {i + 1}"
        )

"""Evaluation of label propagation on labelled images (fact sheet section 5), beside classical peers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coordgan_core.calibration import Calibration, fit
from coordgan_core.data.images import resize
from coordgan_core.devices import worker_threads
from coordgan_core.errors import DataError
from coordgan_core.flow import Peer
from coordgan_core.labels import LabelMap, resize_labels
from coordgan_core.metrics import BoundaryScore, CalibrationError, Confusion
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import Image, PropagationOptions, Propagator, Reference


@dataclass(frozen=True)
class LabelledImage:
    """An image with its label map, ``uint8 [H, W, 3]`` and ``uint8 [H, W]``, and its name."""

    name: str
    image: Image
    labels: LabelMap


@dataclass(frozen=True)
class Measured:
    """A reference was carried to all queries by the model or by a peer; ``done`` of ``total`` steps."""

    what: str
    miou: float
    done: int
    total: int


@dataclass(frozen=True)
class Evaluation:
    """The result; ratios are means over the references, each propagated alone, unless they were fused."""

    miou: float
    foreground_iou: float
    per_class: dict[str, float]
    references: int
    queries: int
    ece: float
    boundary_f: float
    images_per_second: float
    peers: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Protocol:
    """How to measure.

    Args:
        class_names: Names by id, background first; their number is K.
        excluded: Ids that do not count in the published foreground IoU.
        size: Labels are compared at ``size x size`` pixels.
        fuse: All references together instead of one after the other.
        peers: Names of `flow.PEERS` to measure too.
    """

    class_names: Sequence[str]
    excluded: Sequence[int] = ()
    size: int = 128
    fuse: bool = False
    peers: Sequence[str] = ()


def evaluate(
    predictor: Predictor,
    references: Sequence[LabelledImage],
    queries: Sequence[LabelledImage],
    protocol: Protocol,
    *,
    options: PropagationOptions | None = None,
    calibration: Calibration | None = None,
) -> Iterator[Measured | Evaluation]:
    """Measure label propagation on labelled images (fact sheet section 5).

    Every reference is carried to every query; intersections and unions are summed over the queries, the means
    over classes averaged over the references.

    Yields:
        `Measured` after each reference and peer, `Evaluation` last.

    Raises:
        DataError: There is no reference or no query.
    """
    if not references or not queries:
        raise DataError(
            f"{len(references)} references and {len(queries)} queries are left",
            expected="at least one of each",
            remedy="check the stems after --references",
        )
    truth = [resize_labels(q.labels, protocol.size, protocol.size) for q in queries]
    groups = [list(references)] if protocol.fuse else [[r] for r in references]
    total = len(groups) * (1 + len(protocol.peers))
    scores, done = [], 0
    for group in groups:
        score = _Score(protocol)
        _measure_model(predictor, group, queries, truth, score, options, calibration)
        scores.append(score)
        done += 1
        yield Measured(", ".join(r.name for r in group), score.confusion.mean_iou(), done, total)
    peers = {}
    for name in protocol.peers:
        figures = []
        for reference in references if not protocol.fuse else references[:1]:
            confusion = _measure_peer(name, reference, queries, truth, protocol)
            figures.append((confusion.mean_iou(), confusion.foreground_iou(excluded=protocol.excluded)))
            done += 1
            yield Measured(f"{name} from {reference.name}", figures[-1][0], done, total)
        miou, foreground = np.mean(figures, axis=0)
        peers[name] = {"miou": float(miou), "foreground_iou": float(foreground)}
    yield _summary(scores, peers, len(references), len(queries), protocol)


def calibrate(
    predictor: Predictor,
    images: Sequence[LabelledImage],
    *,
    options: PropagationOptions | None = None,
    references: int = 5,
) -> Calibration:
    """Fit a model's calibration on labelled images: some are the reference in turn, the others the truth.

    Store the result with the model (`snapshot.save_model`).

    Args:
        predictor: The model.
        images: At least two labelled images.
        options: Options of the propagation.
        references: How many of them, evenly spread, are the reference.

    Raises:
        DataError: There are fewer than two images.
    """
    if len(images) < 2:
        raise DataError(f"there are {len(images)} labelled images", expected="two or more to calibrate on")
    chosen = np.unique(np.linspace(0, len(images) - 1, min(references, len(images))).round().astype(int))
    examples = []
    for i in chosen.tolist():
        propagator = Propagator(
            predictor, [Reference(images[i].image, images[i].labels, name=images[i].name)], options=options
        )
        others = [image for k, image in enumerate(images) if k != i]
        for start in range(0, len(others), predictor.batch):
            part = others[start : start + predictor.batch]
            for item, analysis in zip(part, predictor.analyse([o.image for o in part]), strict=True):
                examples.append(propagator.example(item.image, item.labels, analysis))  # noqa: PERF401
    return fit(examples)


class _Score:
    """What is counted for one group of references."""

    def __init__(self, protocol: Protocol) -> None:
        classes = len(protocol.class_names)
        self.confusion = Confusion(classes)
        self.boundary = BoundaryScore(classes)
        self.calibration = CalibrationError()
        self.seconds = 0.0
        self.images = 0


def _measure_model(
    predictor: Predictor,
    references: Sequence[LabelledImage],
    queries: Sequence[LabelledImage],
    truth: Sequence[LabelMap],
    score: _Score,
    options: PropagationOptions | None,
    calibration: Calibration | None,
) -> None:
    began = time.perf_counter()
    usable = [Reference(r.image, r.labels, name=r.name) for r in references]
    propagator = Propagator(predictor, usable, options=options, calibration=calibration)
    score.seconds += time.perf_counter() - began
    for start in range(0, len(queries), predictor.batch):
        part = queries[start : start + predictor.batch]
        began = time.perf_counter()
        with ThreadPoolExecutor(worker_threads()) as pool:
            found = list(propagator.run([q.image for q in part], first=start, pool=pool))
        score.seconds += time.perf_counter() - began
        score.images += len(part)
        for result in found:
            true = truth[result.index]
            size = true.shape[1], true.shape[0]
            labels = resize_labels(result.labels, *size)
            score.confusion.add(labels, true)
            score.boundary.add(labels, true)
            confidence = resize(np.rint(result.confidence * 255).astype(np.uint8), *size) / 255.0
            score.calibration.add(confidence, labels == true)


def _measure_peer(
    name: str,
    reference: LabelledImage,
    queries: Sequence[LabelledImage],
    truth: Sequence[LabelMap],
    protocol: Protocol,
) -> Confusion:
    peer = Peer(name, reference.image, reference.labels, size=protocol.size)
    confusion = Confusion(len(protocol.class_names))
    for query, true in zip(queries, truth, strict=True):
        confusion.add(peer.propagate(query.image), true)
    return confusion


def _summary(
    scores: Sequence[_Score],
    peers: dict[str, dict[str, float]],
    references: int,
    queries: int,
    protocol: Protocol,
) -> Evaluation:
    def mean(figure: Callable[[_Score], Any]) -> float:
        return float(np.mean([figure(score) for score in scores]))

    ious = np.array([score.confusion.iou() for score in scores])
    per_class = {
        name: float(ious[~np.isnan(ious[:, k]), k].mean())
        for k, name in enumerate(protocol.class_names)
        if not np.isnan(ious[:, k]).all()
    }
    return Evaluation(
        miou=mean(lambda s: s.confusion.mean_iou()),
        foreground_iou=mean(lambda s: s.confusion.foreground_iou(excluded=protocol.excluded)),
        per_class=per_class,
        references=references,
        queries=queries,
        ece=mean(lambda s: s.calibration.ece()),
        boundary_f=mean(lambda s: s.boundary.mean()),
        images_per_second=sum(s.images for s in scores) / max(sum(s.seconds for s in scores), 1e-9),
        peers=peers,
    )

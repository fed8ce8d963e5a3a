"""Measures a model and its peers in one run: label quality, seconds an image, seconds of preparation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from coordgan_core.evaluation import LabelledImage, Protocol
from coordgan_core.labels import LabelMap, resize_labels
from coordgan_core.metrics import Confusion
from peers.carriers import SLOW, Carrier, PeerOptions, obstacle, prepare

Maker = Callable[[Sequence[LabelledImage]], Carrier]
"""Prepares a way with its references: one, or several that are fused."""
MODEL = "model"
UNALIGNED = f"{MODEL}, not aligned"
AS_SLOW = f"{MODEL}, as slow peers"
"""On the references and queries that slow peers see."""


@dataclass(frozen=True)
class Figures:
    """What one way of carrying labels reached; ratios are means over the references.

    Times are of the wall clock and, in ``cpu``, of all processors together, which tells what was its own
    where others use them too. Preparation is for one reference, or for all that are fused; a model's training
    is not part of it.
    """

    way: str
    miou: float
    foreground_iou: float
    per_class: dict[str, float]
    references: int
    queries: int
    seconds_per_image: float
    cpu_per_image: float
    seconds_of_preparation: float
    cpu_of_preparation: float


@dataclass(frozen=True)
class Skipped:
    """A peer that cannot be measured here, and why."""

    way: str
    reason: str


@dataclass(frozen=True)
class Step:
    """A way was measured with one reference."""

    what: str
    done: int
    total: int


def spread(queries: Sequence[LabelledImage], count: int) -> list[LabelledImage]:
    """Return ``count`` of the queries, evenly spread; all if it is 0 or there are no more."""
    if not count or count >= len(queries):
        return list(queries)
    return [queries[i * len(queries) // count] for i in range(count)]


@dataclass(frozen=True)
class _Run:
    """One row of the table; each group of references is carried on its own."""

    way: str
    maker: Maker
    queries: Sequence[LabelledImage]
    groups: Sequence[Sequence[LabelledImage]]


def compare(
    peers: Sequence[str],
    references: Sequence[LabelledImage],
    queries: Sequence[LabelledImage],
    protocol: Protocol,
    options: PeerOptions,
    *,
    model: Maker | None = None,
    unaligned: Maker | None = None,
    slow_queries: int = 0,
    slow_references: int = 0,
) -> Iterator[Step | Skipped | Figures]:
    """Measure the model and peers on the same references and queries.

    Slow peers see some of both; the model is then measured on those as well, as the row `AS_SLOW`. With
    several references the row ``model, N fused`` follows.

    Args:
        peers: Names of peers.
        references: Each is carried alone.
        queries: They receive labels.
        protocol: Classes and size.
        options: How peers are prepared.
        model: The model as it is used.
        unaligned: The model without residual alignment: what its maps are worth alone.
        slow_queries: How many queries slow peers see, evenly spread; 0 for all.
        slow_references: From how many references, the first, they carry labels; 0 for all.
    """
    few = spread(queries, slow_queries)
    alone = [[reference] for reference in references]
    first = alone[: slow_references or None]
    usable: list[str] = []
    for name in peers:
        reason = obstacle(name, options)
        if reason is None:
            usable.append(name)
        else:
            yield Skipped(name, reason)
    runs: list[_Run] = []
    if model is not None:
        runs.append(_Run(MODEL, model, queries, alone))
        if (len(few) < len(queries) or len(first) < len(alone)) and any(name in SLOW for name in usable):
            runs.append(_Run(AS_SLOW, model, few, first))
        if len(references) > 1:
            runs.append(_Run(f"{MODEL}, {len(references)} fused", model, queries, [references]))
    if unaligned is not None:
        runs.append(_Run(UNALIGNED, unaligned, queries, alone))
    for name in usable:
        seen, groups = (few, first) if name in SLOW else (queries, alone)
        runs.append(_Run(name, _maker(name, options), seen, groups))
    yield from _measured(runs, protocol)


def _measured(runs: Sequence[_Run], protocol: Protocol) -> Iterator[Step | Figures]:
    done, total = 0, sum(len(run.groups) for run in runs)
    for run in runs:
        tally = _Tally(run.way, protocol)
        for group in run.groups:
            tally.measure(run.maker, group, run.queries)
            done += 1
            yield Step(f"{run.way} from {', '.join(one.name for one in group)}", done, total)
        yield tally.figures(len(run.queries), references=sum(len(group) for group in run.groups))


def _maker(name: str, options: PeerOptions) -> Maker:
    return lambda references: prepare(name, references[0], options)


class _Clock:
    """Seconds of the wall clock and of the processors since it was made."""

    def __init__(self) -> None:
        self._began = self._now()

    def read(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return self._now() - self._began

    @staticmethod
    def _now() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([time.perf_counter(), time.process_time()])


class _Tally:
    """What is counted for one way, reference after reference."""

    def __init__(self, way: str, protocol: Protocol) -> None:
        self._way = way
        self._protocol = protocol
        self._confusions: list[Confusion] = []
        self._preparing = np.zeros(2)
        self._carrying = np.zeros(2)

    def measure(
        self, maker: Maker, references: Sequence[LabelledImage], queries: Sequence[LabelledImage]
    ) -> None:
        """Prepare with references and carry their labels to the queries."""
        clock = _Clock()
        carrier = maker(references)
        self._preparing += clock.read()
        clock = _Clock()
        found: list[LabelMap] = list(carrier.carry([query.image for query in queries]))
        self._carrying += clock.read()
        confusion = Confusion(len(self._protocol.class_names))
        size = self._protocol.size
        for labels, query in zip(found, queries, strict=True):
            confusion.add(labels, resize_labels(query.labels, size, size))
        self._confusions.append(confusion)

    def figures(self, queries: int, *, references: int) -> Figures:
        """Return the means over the groups of references."""
        count = len(self._confusions)
        ious = np.array([confusion.iou() for confusion in self._confusions])
        names = self._protocol.class_names
        excluded = self._protocol.excluded
        image, preparation = self._carrying / (count * queries), self._preparing / count
        return Figures(
            way=self._way,
            miou=float(np.mean([c.mean_iou() for c in self._confusions])),
            foreground_iou=float(np.mean([c.foreground_iou(excluded=excluded) for c in self._confusions])),
            per_class={
                name: float(ious[~np.isnan(ious[:, k]), k].mean())
                for k, name in enumerate(names)
                if not np.isnan(ious[:, k]).all()
            },
            references=references,
            queries=queries,
            seconds_per_image=float(image[0]),
            cpu_per_image=float(image[1]),
            seconds_of_preparation=float(preparation[0]),
            cpu_of_preparation=float(preparation[1]),
        )

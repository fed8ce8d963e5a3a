"""Propagation: references -> label atlas -> label map and confidence of each query.

`propagate_labels` works on arrays, `propagate_folder` on files. Both are generators of frozen events;
closing the generator stops the work and leaves files consistent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from coordgan_core.calibration import Calibration
from coordgan_core.folder import Failed, Finished, Labelled, Started, propagate_folder
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import (
    Image,
    Prepared,
    Propagated,
    PropagationOptions,
    Propagator,
    Reference,
    read_reference,
)

__all__ = [
    "Failed",
    "Finished",
    "Labelled",
    "Prepared",
    "Propagated",
    "PropagationOptions",
    "Propagator",
    "Reference",
    "Started",
    "propagate_folder",
    "propagate_labels",
    "read_reference",
]


def propagate_labels(
    predictor: Predictor,
    references: Sequence[Reference],
    queries: Iterable[Image],
    *,
    options: PropagationOptions | None = None,
    calibration: Calibration | None = None,
) -> Iterator[Prepared | Propagated]:
    """Carry the labels of references to queries.

    Args:
        predictor: The model, ready for use.
        references: One or more; they need not have one size.
        queries: Images ``uint8 [H, W, 3]`` of any sizes; taken from the iterable in small batches.
        options: Options.
        calibration: Of the model; the default prior if None.

    Yields:
        One `Prepared`, then one `Propagated` a query, in order.

    Raises:
        LabelError: There is no reference, or one does not fit its image or is empty.
    """
    propagator = Propagator(predictor, references, options=options, calibration=calibration)
    yield propagator.prepared
    batch: list[Image] = []
    first = 0
    for query in queries:
        batch.append(query)
        if len(batch) == predictor.batch:
            yield from propagator.run(batch, first=first)
            first, batch = first + len(batch), []
    yield from propagator.run(batch, first=first)

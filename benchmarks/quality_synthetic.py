"""Quality on the synthetic category, whose correspondences are known exactly.

A model finds a canonical frame of its own, so its maps cannot be compared with the true ones directly. What
is compared is what maps are for: which pixel of one picture shows the same point as a pixel of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coordgan_core import coords
from coordgan_core.calibration import Calibration
from coordgan_core.correspondence import match
from coordgan_core.data.synthetic import CLASSES, SyntheticCategory, SyntheticSample
from coordgan_core.evaluation import Evaluation, LabelledImage, Measured, Protocol, evaluate
from coordgan_core.flow import PEERS
from coordgan_core.predictor import Predictor

Points = npt.NDArray[np.float64]

HELD_OUT_SEED = 101
"""Of the pictures that are measured; `make_synthetic` makes training pictures of seed 0, the sample has 2."""
IMAGE_PX = 256
MAP_PX = 64
"""Maps are compared at this size, and errors are given in its pixels."""
LABEL_PX = 128
_LABELS_FROM = 1000
_NEIGHBOURS = (1, 5)
"""Picture i is compared with pictures i + 1 and i + 5."""


@dataclass(frozen=True)
class MapError:
    """Errors of correspondences between pairs of pictures, in pixels at `MAP_PX`.

    ``pck_05`` is the share of pixels that err by at most 0.05 times the side; ``unmoved_px`` what one errs
    without any model, by taking the same position in the other picture.
    """

    mean_px: float
    median_px: float
    pck_05: float
    pck_10: float
    unmoved_px: float
    pairs: int


def measure_maps(predictor: Predictor, *, pictures: int = 24) -> MapError:
    """Measure the model's correspondences between pairs of held-out pictures."""
    category = SyntheticCategory(HELD_OUT_SEED)
    samples = [category.sample(i, MAP_PX) for i in range(pictures)]
    analyses = predictor.analyse([category.sample(i, IMAGE_PX).image for i in range(pictures)])
    maps = [coords.resize_map(a.map[None], MAP_PX, MAP_PX)[0] for a in analyses]
    return summarise(maps, samples)


def summarise(maps: list[Tensor], samples: list[SyntheticSample]) -> MapError:
    """Compare maps ``[2, s, s]`` of pictures with the truth, in pairs of neighbours in the list."""
    count = len(samples)
    steps = {step % count for step in _NEIGHBOURS} - {0}
    pairs = [(i, (i + step) % count) for step in sorted(steps) for i in range(count)]
    found = np.concatenate([pair_errors(maps[i], maps[j], samples[i], samples[j]) for i, j in pairs])
    still = np.concatenate([_unmoved(samples[i], samples[j]) for i, j in pairs])
    side = maps[0].shape[-1]
    return MapError(
        mean_px=float(found.mean()),
        median_px=float(np.median(found)),
        pck_05=float((found <= 0.05 * side).mean()),
        pck_10=float((found <= 0.10 * side).mean()),
        unmoved_px=float(still.mean()),
        pairs=len(pairs),
    )


def pair_errors(
    first_map: Tensor, second_map: Tensor, first: SyntheticSample, second: SyntheticSample
) -> Points:
    """Return how far, in pixels, the maps' match in the second picture lies from the true one.

    Args:
        first_map: Correspondence map of the first picture, ``[2, s, s]``.
        second_map: Of the second one.
        first: The first picture's truth at ``s x s`` pixels.
        second: The second one's.

    Returns:
        One distance for each pixel of the first figure that the second picture shows too.
    """
    rows, columns, truth = true_matches(first, second)
    found = find(second_map, first_map[:, rows, columns])
    return np.asarray(np.hypot(*(found - truth)), np.float64)


def _unmoved(first: SyntheticSample, second: SyntheticSample) -> Points:
    rows, columns, truth = true_matches(first, second)
    return np.asarray(np.hypot(truth[0] - columns, truth[1] - rows), np.float64)


def true_matches(
    first: SyntheticSample, second: SyntheticSample
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Points]:
    """Return rows and columns of pixels of the first figure, and ``(x, y) [2, n]`` in the second."""
    rows, columns = np.nonzero(first.labels)
    u, v = first.correspondence[:, rows, columns].astype(np.float64)
    x, y = second.locate(u, v)
    height, width = second.labels.shape
    seen = (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
    seen[seen] = second.labels[np.rint(y[seen]).astype(int), np.rint(x[seen]).astype(int)] > 0
    return rows[seen], columns[seen], np.stack([x[seen], y[seen]])


def find(correspondence: Tensor, positions: Tensor) -> Points:
    """Return where a map ``[2, h, w]`` takes canonical positions ``[2, n]``: pixels ``(x, y)``, ``[2, n]``.

    The nearest pixel in the canonical frame, then one Newton step of at most a pixel where that comes nearer.
    """
    height, width = correspondence.shape[1:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32), indexing="ij"
    )
    nearest = match(positions[:, None], correspondence, torch.stack([x, y]), hard=True)[:, 0]
    column, row = nearest.long()
    along_y, along_x = torch.gradient(correspondence, dim=(1, 2))
    a, b = along_x[:, row, column], along_y[:, row, column]
    missing = positions - correspondence[:, row, column]
    determinant = a[0] * b[1] - a[1] * b[0]
    determinant = torch.where(determinant.abs() < 1e-9, torch.full_like(determinant, 1e-9), determinant)
    step = torch.stack([missing[0] * b[1] - missing[1] * b[0], a[0] * missing[1] - a[1] * missing[0]])
    moved = nearest + (step / determinant).clamp(-1, 1)
    where = torch.stack([coords.to_normalised(moved[0], width), coords.to_normalised(moved[1], height)])
    reached = coords.sample(correspondence[None], where[None, :, None])[0, :, 0]
    nearer = (reached - positions).norm(dim=0) < missing.norm(dim=0)
    return torch.where(nearer, moved, nearest).numpy().astype(np.float64)


def measure_labels(
    predictor: Predictor,
    *,
    references: int = 5,
    queries: int = 60,
    calibration: Calibration | None = None,
) -> Iterator[Measured | Evaluation]:
    """Carry the labels of each of several held-out pictures to others; the events of `evaluate`."""
    category = SyntheticCategory(HELD_OUT_SEED)
    labelled = list(_labelled(category, range(_LABELS_FROM, _LABELS_FROM + references + queries)))
    rules = Protocol(CLASSES, size=LABEL_PX, peers=PEERS)
    return evaluate(predictor, labelled[:references], labelled[references:], rules, calibration=calibration)


def _labelled(category: SyntheticCategory, indices: Iterable[int]) -> Iterator[LabelledImage]:
    for index in indices:
        sample = category.sample(index, IMAGE_PX)
        yield LabelledImage(f"figure {index}", sample.image, sample.labels)

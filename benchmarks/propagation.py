"""The label atlas against the exact affinity: speed and agreement, on the same maps, in the same run.

Usage: python benchmarks/propagation.py [--json] [--maps 4] [--threads N]

Maps and label maps are those of the synthetic category (its exact correspondences; background gets the
nearest figure's), at 128 x 128 as published. Each query is labelled from one reference by
`correspondence.match` with soft affinity at temperature 0.01 and by `LabelAtlas`. The speed is per query;
the atlas is built once for a reference, which is timed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch

from coordgan_core.atlas import LabelAtlas
from coordgan_core.correspondence import match
from coordgan_core.data.synthetic import CLASSES, SyntheticCategory
from coordgan_core.labels import resize_soft
from coordgan_core.metrics import Confusion

SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--maps", type=int, default=4, help="queries")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of PyTorch; 0: as it is")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    figures = measure(options.maps)
    if options.json:
        print(json.dumps(figures))
        return
    for name, key in (("exact affinity", "exact"), ("label atlas", "atlas")):
        seconds, iou = figures[f"{key}_seconds"], figures[f"{key}_iou"]
        print(f"{name:14s} {seconds * 1e3:9.2f} ms a query, mean IoU {iou:.4f}")
    print(f"{'':14s} {figures['build_seconds'] * 1e3:9.2f} ms a reference to build")
    print(f"speedup {figures['speedup']:.0f} x, IoU difference {figures['iou_difference']:.5f}")


def measure(queries: int) -> dict[str, Any]:
    """Return speed and agreement over a number of queries."""
    classes = len(CLASSES)
    category = SyntheticCategory(0)
    reference_map, reference_labels = _sample(category, 0)
    soft = torch.from_numpy(resize_soft(reference_labels, SIZE, SIZE, classes=range(classes)))

    def build() -> LabelAtlas:
        atlas = LabelAtlas(classes)
        atlas.splat(reference_map, soft)
        atlas.probabilities()
        return atlas

    build_seconds, atlas = _timed(build, repeats=5)
    exact_score, atlas_score = Confusion(classes), Confusion(classes)
    agreement, exact_times, atlas_times = [], [], []
    for i in range(1, queries + 1):
        query, truth = _sample(category, i)
        seconds, exact = _timed(lambda q=query: match(q, reference_map, soft).argmax(0), repeats=2)
        exact_times.append(seconds)
        seconds, fast = _timed(lambda q=query: atlas.sample(q[None]).probabilities[0].argmax(0), repeats=30)
        atlas_times.append(seconds)
        exact_score.add(exact.numpy().astype(np.uint8), truth)
        atlas_score.add(fast.numpy().astype(np.uint8), truth)
        agreement.append(float((exact == fast).float().mean()))
    exact_seconds, atlas_seconds = statistics.median(exact_times), statistics.median(atlas_times)
    return {
        "speedup": exact_seconds / atlas_seconds,
        "speedup_with_build": exact_seconds / (atlas_seconds + build_seconds),
        "iou_difference": abs(exact_score.mean_iou() - atlas_score.mean_iou()),
        "exact_seconds": exact_seconds,
        "atlas_seconds": atlas_seconds,
        "build_seconds": build_seconds,
        "exact_iou": exact_score.mean_iou(),
        "atlas_iou": atlas_score.mean_iou(),
        "agreement": statistics.mean(agreement),
        "queries": queries,
        "threads": torch.get_num_threads(),
    }


def _sample(category: SyntheticCategory, index: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return correspondence map and label map of a sample; background goes on from the nearest figure."""
    sample = category.sample(index, SIZE)
    known = ~np.isnan(sample.correspondence).any(0)
    _, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int64)
    owner[nearest.ravel()[known.ravel()]] = np.flatnonzero(known)
    y, x = np.divmod(owner[nearest], SIZE)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    away = np.stack([columns - x, rows - y]) * (2 / SIZE)
    filled = sample.correspondence[:, y, x] + away  # and goes on from there as the identity does
    return torch.from_numpy(filled.astype(np.float32)), sample.labels


def _timed(work: Callable[[], Any], *, repeats: int) -> tuple[float, Any]:
    """Return the shortest of several times, in seconds, and the result; one more run warms up."""
    result = work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return min(times), result


if __name__ == "__main__":
    main()

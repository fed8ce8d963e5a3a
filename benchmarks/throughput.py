"""Images a second from a one-megapixel photograph in memory to its label map and confidence.

Usage: python benchmarks/throughput.py [--model M.safetensors] [--images 32] [--json]

Encoder, atlas and refinement, with and without residual alignment, in the threads that `coordlabel evaluate`
uses. Without a model an untrained `quick-64` stands in: its maps mean nothing but cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.predictor import Predictor
from coordgan_core.presets import preset
from coordgan_core.propagator import PropagationOptions, Propagator, Reference
from coordgan_core.snapshot import load_model

SIDE = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="model file; an untrained quick-64 if absent")
    parser.add_argument("--images", type=int, default=32, help="queries")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = measure(options.model, options.images)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32s} {value:8.1f}")


def measure(model: Path | None, count: int) -> dict[str, float]:
    """Return images a second by what was switched on."""
    category = SyntheticCategory(0)
    samples = [category.sample(i, SIDE) for i in range(9)]
    queries = [samples[1 + i % 8].image for i in range(count)]
    predictor = Predictor(load_model(model) if model else _untrained())
    reference = Reference(samples[0].image, samples[0].labels)
    figures = {}
    for name, settings in {
        "images_per_second": PropagationOptions(keep_raw=False, align=None),
        "images_per_second_aligned": PropagationOptions(keep_raw=False),
        "images_per_second_unrefined": PropagationOptions(keep_raw=False, align=None, refine=None),
    }.items():
        propagator = Propagator(predictor, [reference], options=settings)
        with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
            list(propagator.run(queries[:4], pool=pool))  # warms up
            began = time.perf_counter()
            for start in range(0, count, predictor.batch):
                list(propagator.run(queries[start : start + predictor.batch], pool=pool))
            figures[name] = count / (time.perf_counter() - began)
    return figures


def _untrained() -> CoordGAN:
    torch.manual_seed(0)
    model = CoordGAN(preset("quick-64").model)
    if model.embedding is not None:
        model.embedding.prototypes.normal_()
    return model


if __name__ == "__main__":
    main()

"""A whole CoordGAN small enough to train in tests, and figures to train it on."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coordgan_core.config import Config, DenseHeadConfig, EmbeddingConfig
from coordgan_core.data.sampler import ImageSource
from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.training.stages import Stage
from tests.core.tiny import tiny_config

CPU = torch.device("cpu")
BATCH = 4


def config(**changes: object) -> Config:
    tiny: dict[str, object] = {
        "model.embedding": EmbeddingConfig(dim=8, channels=(8, 16), input_px=32, prototype_px=8),
        "model.dense_head": DenseHeadConfig(channels=4),
        "model.warp.residual": True,
        "model.warp.squash": False,
        "model.warp.grid": "centres",
        "model.synthesis.noise": False,
        "train.batch": BATCH,
        "train.embedding.queries": 64,
        "train.embedding.prototype_images": 8,
    }
    return tiny_config(**(tiny | changes))


def model(**changes: object) -> CoordGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CoordGAN(config(**changes).model)


@functools.cache
def source() -> ImageSource:
    figures = SyntheticCategory(0)
    return ImageSource.from_images(np.stack([figures.sample(i, 32).image for i in range(BATCH)]))


def batch() -> Tensor:
    return source().images(range(BATCH))


def run(stage: Stage, first: int, last: int) -> list[dict[str, float]]:
    """Take the steps from number ``first`` to ``last`` on the same images; return their losses."""
    history = []
    for number in range(first, last):
        losses = stage.step(batch(), nimg=number * BATCH)
        assert all(value.ndim == 0 and not value.requires_grad for value in losses.values())
        assert all(bool(value.isfinite()) for value in losses.values())
        history.append({name: float(value) for name, value in losses.items()})
    return history


def state(stage: Stage) -> dict[str, Any]:
    """Return all that a checkpoint holds."""
    parts = {"modules": stage.modules(), "optimizers": stage.optimizers()}
    return copy.deepcopy({k: {n: part.state_dict() for n, part in v.items()} for k, v in parts.items()})


def restore(stage: Stage, saved: dict[str, Any]) -> None:
    saved = copy.deepcopy(saved)
    for name, module in stage.modules().items():
        module.load_state_dict(saved["modules"][name])
    for name, optimizer in stage.optimizers().items():
        optimizer.load_state_dict(saved["optimizers"][name])


def same(a: Any, b: Any) -> bool:
    """Compare nested states bit for bit."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def mean(history: list[dict[str, float]], name: str, part: slice) -> float:
    return float(np.mean([losses[name] for losses in history[part]]))

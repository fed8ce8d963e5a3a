"""The part of `quality` that judges what a model paints: swap consistency, and likeness to real images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Row
from torch import Tensor

from coordgan_core.data.images import list_images, natural_key, read_image, resize
from coordgan_core.data.pixels import to_tensor, to_uint8
from coordgan_core.errors import DataError
from coordgan_core.explore import abilities
from coordgan_core.image_quality import (
    RandomFeatures,
    inception_distances,
    inception_obstacle,
    random_feature_distances,
)
from coordgan_core.models.codes import Codes
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.swap_scores import crossed, drawn_pairs, encoded_pairs, swap_scores

Report = dict[str, Any]
BATCH = 16


def measure_swaps(model: CoordGAN, *, samples: int, images: Path | None = None) -> Report:
    """Return swap scores and, with real images, how like them the model's are.

    A model that can draw from noise does, as published. One that cannot exchanges the codes of the images.

    Raises:
        DataError: The model cannot draw, and there are no images.
    """
    draws = abilities(model).draws
    real = None if images is None else _read(images, model.config.resolution, samples)
    if not draws and real is None:
        raise DataError(
            "this model has no trained prior, so its swaps start from real images",
            remedy="pass --images DIR, a folder of images of its category",
        )
    scores = swap_scores(model, _pairs(model, real, samples, draws=draws))
    report: Report = {
        "codes": "drawn from noise" if draws else "of real images",
        "swaps": asdict(scores),
        "structure_kept": scores.structure_kept(),
        "texture_kept": scores.texture_kept(),
    }
    if real is not None:
        report["images"] = likeness(model, real, samples=samples, draws=draws)
    return report


def _pairs(
    model: CoordGAN, real: Tensor | None, samples: int, *, draws: bool, first_seed: int = 0
) -> Iterator[tuple[Codes, Codes]]:
    if draws or real is None:
        return drawn_pairs(model, max(1, samples // 2), batch=BATCH, first_seed=first_seed)
    return encoded_pairs(model, real, batch=BATCH)


def _read(folder: Path, side: int, count: int) -> Tensor:
    """Return the first images of a folder, resized without cropping as published, ``[N, 3, side, side]``."""
    paths = sorted(list_images(folder), key=lambda path: natural_key(path.as_posix()))[:count]
    if len(paths) < 2:
        raise DataError(f"{folder} holds {len(paths)} images", expected="two or more")
    return torch.cat([to_tensor(resize(read_image(path), side, side)[None]) for path in paths])


def likeness(model: CoordGAN, real: Tensor, *, samples: int, draws: bool) -> Report:
    """Return FID and KID where they can be measured, and always the distances of random features.

    What is compared with the images: samples drawn from noise, or else images in each other's textures.
    """
    found = []
    with torch.no_grad():
        for first, second in _pairs(model, real, samples, draws=draws, first_seed=samples):
            batches = (first, second) if draws else (crossed(first, second),)
            found += [model.render(codes).cpu() for codes in batches]
    generated = torch.cat(found)
    report: Report = {"real": len(real), "generated": len(generated)}
    report |= random_feature_distances(_features(real), _features(generated))
    obstacle = inception_obstacle()
    if obstacle is None:
        report |= inception_distances(_bytes(real), _bytes(generated))
    else:
        report["fid_obstacle"] = obstacle
    return report


def _features(images: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    network = RandomFeatures()
    return torch.cat([network(part) for part in images.split(64)]).double().numpy()


def _bytes(images: Tensor) -> list[Tensor]:
    return list(torch.from_numpy(to_uint8(images)).permute(0, 3, 1, 2))


def rows(report: Report) -> Iterator[Row]:
    """Yield the rows of the report."""
    pairs = report["swaps"]["pairs"]
    yield Row(f"codes {report['codes']}, {pairs} pairs", "")
    yield Row("texture swap: structure kept", f"{report['structure_kept']:.3f} of 1")
    yield Row("structure swap: colours kept", f"{report['texture_kept']:.3f} of 1")
    for measure, found in report["swaps"]["distances"].items():
        figures = ", ".join(f"{found[pair]:.4f}" for pair in ("texture_swap", "structure_swap", "unrelated"))
        yield Row(f"  {measure}: texture swap, structure swap, unrelated", figures)
    for note in report["swaps"]["notes"]:
        yield Row(f"  {note}", "")
    if images := report.get("images"):
        against = f"{images['generated']} painted, {images['real']} images"
        if "fid" in images:
            yield Row(f"FID, KID: {against}", f"{images['fid']:.2f}, {images['kid']:.4f}")
        else:
            yield Row(f"  FID, KID: not measured, {images['fid_obstacle']}", "")
        yield Row(
            f"random-feature Frechet distance (not FID): {against}", f"{images['random_feature_frechet']:.2f}"
        )
        yield Row("random-feature kernel distance (not KID)", f"{images['random_feature_kernel']:.4f}")

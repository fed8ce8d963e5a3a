"""Swap consistency in figures (fact sheet section 5): does each code decide what it should, and that alone?

With two codes of each kind, drawn from noise or of real images, ``G(s1, t1)`` is compared with ``G(s1, t2)``
(texture swap), with ``G(s2, t1)`` (structure swap), and with ``G(s2, t2)``, of which nothing is shared: what
two images of the model differ by. The published scores are LPIPS, and for faces the distance of ArcFace, of
the first two. Without weights structure is compared by edges and local correlation (`losses.structural`), and
colours by their distribution alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coordgan_core.errors import DataError
from coordgan_core.explore import abilities, draw_codes
from coordgan_core.losses.perceptual import lpips_obstacle, perceptual_loss
from coordgan_core.losses.structural import StructuralLoss
from coordgan_core.models.codes import Codes
from coordgan_core.models.coordgan import CoordGAN

PAIRS = ("texture_swap", "structure_swap", "unrelated")
_DIRECTIONS = 16
_SHADES = 256  # quantiles of each projection


@dataclass(frozen=True)
class SwapScores:
    """Mean distances of `PAIRS` by measure.

    Args:
        pairs: How many pairs were compared.
        distances: Measure, such as ``structure``, to pair to mean distance.
        notes: What was not measured, and why.
    """

    pairs: int
    distances: dict[str, dict[str, float]]
    notes: tuple[str, ...] = field(default=())

    def structure_kept(self) -> float:
        """Return how much of the structure a texture swap keeps.

        1 - (structural distance over a texture swap) / (that of unrelated images): 1 keeps all, 0 nothing.
        """
        return _kept(self.distances["structure"], "texture_swap")

    def texture_kept(self) -> float:
        """Return how much of the colours a structure swap keeps, as `structure_kept` by colours."""
        return _kept(self.distances["colour"], "structure_swap")


def _kept(distances: dict[str, float], pair: str) -> float:
    return 1.0 - distances[pair] / max(distances["unrelated"], 1e-12)


@torch.no_grad()
def swap_scores(model: CoordGAN, pairs: Iterable[tuple[Codes, Codes]]) -> SwapScores:
    """Measure swap consistency.

    Args:
        model: A model with a trained generator; its own device is used.
        pairs: Batches of two codes each: `drawn_pairs`, as published, or `encoded_pairs`.

    Raises:
        DataError: There is no pair.
    """
    measures = _measures(model)
    sums = {name: torch.zeros(len(PAIRS), dtype=torch.float64) for name in measures}
    count = 0
    for first, second in pairs:
        both = (first, crossed(first, second), crossed(second, first), second)
        base, *others = (model.render(codes) for codes in both)
        for name, measure in measures.items():
            found = [measure(base, other) for other in others]
            sums[name] += torch.stack([one.double().sum().cpu() for one in found])
        count += len(first)
    if not count:
        raise DataError("there is no pair of codes to swap", expected="two images or more")
    distances = {
        name: dict(zip(PAIRS, (total / count).tolist(), strict=True)) for name, total in sums.items()
    }
    notes = ["ArcFace: not measured, the project has no network that knows faces"]
    if obstacle := lpips_obstacle():
        notes.insert(0, f"LPIPS: not measured, {obstacle}")
    return SwapScores(count, distances, tuple(notes))


@torch.no_grad()
def drawn_pairs(
    model: CoordGAN, count: int, *, batch: int = 8, first_seed: int = 0
) -> Iterator[tuple[Codes, Codes]]:
    """Yield ``count`` pairs of codes drawn from noise, in batches; 5,000 as published.

    Raises:
        ModelError: The model cannot draw.
    """
    for start in range(0, count, batch):
        seeds = range(first_seed + 2 * start, first_seed + 2 * min(start + batch, count))
        codes = draw_codes(model, seeds)
        half = len(codes) // 2
        yield codes[:half], codes[half:]


@torch.no_grad()
def encoded_pairs(model: CoordGAN, images: Tensor, *, batch: int = 8) -> Iterator[tuple[Codes, Codes]]:
    """Yield the codes of images ``[N, 3, H, W]``, each paired with those of the next, in batches.

    Raises:
        ModelError: The model cannot take images apart.
    """
    abilities(model).require_encoder("that is measured")
    device, total = next(model.parameters()).device, len(images)
    for start in range(0, total if total > 1 else 0, batch):
        index = torch.arange(start, min(start + batch, total))
        both = (images[index], images[(index + 1) % total])
        first, second = (model.encode(part.to(device)) for part in both)
        yield first, second


def crossed(structures: Codes, textures: Codes) -> Codes:
    """Return the codes with the structure of one batch and the texture of another of the same size."""
    return Codes(structures.structure, textures.texture, structures.maps)


def colour_distance(a: Tensor, b: Tensor) -> Tensor:
    """Compare the colours of images ``[B, 3, H, W]``, wherever they are, -> ``[B]``.

    Sliced Wasserstein distance of the two clouds of colours: mean difference of equal quantiles along fixed
    random directions, in units of [-1, 1].
    """
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(_DIRECTIONS, 3, generator=generator), dim=1)
    shares = ((torch.arange(_SHADES) + 0.5) / _SHADES).to(a.device)

    def quantiles(images: Tensor) -> Tensor:  # [_SHADES, B, _DIRECTIONS]
        along = torch.einsum("bcn,dc->bdn", images.float().flatten(2), directions.to(images.device))
        return torch.quantile(along, shares, dim=2)

    return (quantiles(a) - quantiles(b)).abs().mean(dim=(0, 2))


def _measures(model: CoordGAN) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    found: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "structure": StructuralLoss(),
        "colour": colour_distance,
    }
    if model.embedding is not None and model.embedding.ready:
        found["map"] = lambda a, b: _map_distance(model, a, b)
    if lpips_obstacle() is None:
        loss = perceptual_loss("lpips", device=next(model.parameters()).device)
        found["lpips"] = lambda a, b: torch.stack([loss(x[None], y[None]) for x, y in zip(a, b, strict=True)])
    return found


def _map_distance(model: CoordGAN, a: Tensor, b: Tensor) -> Tensor:
    """Return how far the model's own maps of two images lie apart, mean over pixels, canonical units."""
    difference = model.correspondence(a).map - model.correspondence(b).map
    distance: Tensor = difference.norm(dim=1).mean(dim=(1, 2))
    return distance

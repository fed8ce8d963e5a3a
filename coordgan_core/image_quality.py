"""How like real images generated ones are: FID and KID where their weights are, else weight-free distances.

FID and KID are names of figures of one network, Inception v3 as torch-fidelity ships it; nothing else is
called so. Without its weights two sets are compared by the same formulas on `RandomFeatures`, whose figures
compare models on the same images, and nothing beyond. Nothing is ever downloaded from here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.errors import ConfigError, DataError, ShapeError
from coordgan_core.models.embedding import resize_square

INCEPTION_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""File of the network of FID in the cache of torch.hub, under the name that torch-fidelity gives it."""
Features = npt.NDArray[np.float64]


class RandomFeatures(nn.Module):  # images -> features
    """Three random convolutions, always the same ones, averaged over the quarters of the image.

    What images must share to be near: colours, edges and textures, and roughly where they are. It has learned
    nothing, so it is blind to what only a trained network sees.

    Args:
        side: Images are resized to ``side x side``.
    """

    CHANNELS = (16, 32, 64)

    def __init__(self, side: int = 64) -> None:
        super().__init__()
        self.side = side
        generator = torch.Generator().manual_seed(20220330)
        steps = zip((3, *self.CHANNELS[:-1]), self.CHANNELS, strict=True)
        for i, (a, b) in enumerate(steps):
            weight = torch.randn(b, a, 3, 3, generator=generator) * (2.0 / (9 * a)) ** 0.5
            self.register_buffer(f"weight{i}", weight)

    @property
    def dim(self) -> int:
        """Number of features: the mean of every channel in every quarter."""
        return 4 * sum(self.CHANNELS)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[B, 3, H, W]`` in [-1, 1] to features ``float32 [B, 448]``."""
        x, found = resize_square(images, self.side).float(), []
        for i in range(len(self.CHANNELS)):
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.get_buffer(f"weight{i}")))
            found.append(F.adaptive_avg_pool2d(x, 2).flatten(1))
            x = F.avg_pool2d(x, 2)
        return torch.cat(found, dim=1)


def frechet_distance(real: Features, generated: Features) -> float:
    """Return ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)`` of two sets of features ``[N, D]``, ``[M, D]``.

    Raises:
        DataError: A set has fewer than two images.
        ShapeError: The numbers of features differ.
    """
    _check(real, generated)
    difference = real.mean(0) - generated.mean(0)
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(first))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    # the eigenvalues of S1 S2 are those of the symmetric S1^1/2 S2 S1^1/2
    product = np.linalg.eigvalsh(root @ np.atleast_2d(second) @ root)
    trace = np.trace(np.atleast_2d(first)) + np.trace(np.atleast_2d(second))
    return float(difference @ difference + trace - 2.0 * np.sqrt(np.maximum(product, 0.0)).sum())


def kernel_distance(
    real: Features, generated: Features, *, subset: int = 500, subsets: int = 20, seed: int = 0
) -> float:
    """Return the unbiased squared maximum mean discrepancy with the kernel ``(x.y / D + 1)^3``.

    The mean over random subsets of both sets ``[N, D]``, ``[M, D]``; it may be below 0 for equal sets.

    Raises:
        DataError: A set has fewer than two images.
        ShapeError: The numbers of features differ.
    """
    _check(real, generated)
    rng, size = np.random.default_rng(seed), min(subset, len(real), len(generated))
    found = []
    for _ in range(subsets):
        x = real[rng.choice(len(real), size, replace=False)]
        y = generated[rng.choice(len(generated), size, replace=False)]
        xx, yy, xy = (_kernel(a, b) for a, b in ((x, x), (y, y), (x, y)))
        within = sum((k.sum() - np.trace(k)) / (size * (size - 1)) for k in (xx, yy))
        found.append(within - 2.0 * xy.mean())
    return float(np.mean(found))


def _kernel(x: Features, y: Features) -> Features:
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3, np.float64)


def _check(real: Features, generated: Features) -> None:
    if min(len(real), len(generated)) < 2:
        raise DataError(
            f"{len(real)} real and {len(generated)} generated images are compared",
            expected="two or more of each, and better more than there are features",
        )
    if real.shape[1:] != generated.shape[1:]:
        raise ShapeError(
            f"features of {list(real.shape)} and {list(generated.shape)}", expected="[N, D] and [M, D]"
        )


def random_feature_distances(real: Features, generated: Features) -> dict[str, float]:
    """Return both distances of `RandomFeatures`, each feature in units of its deviation over the real set.

    Keys: ``random_feature_frechet``, ``random_feature_kernel``. They are not FID and not KID.
    """
    _check(real, generated)
    mean, deviation = real.mean(0), real.std(0) + 1e-6
    a, b = (real - mean) / deviation, (generated - mean) / deviation
    return {
        "random_feature_frechet": frechet_distance(a, b),
        "random_feature_kernel": kernel_distance(a, b),
    }


def inception_obstacle() -> str | None:
    """Say why FID and KID cannot be measured on this machine without a download; None if they can."""
    if importlib.util.find_spec("torch_fidelity") is None:
        return "the package torch-fidelity is not installed"
    if not (Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_WEIGHTS).is_file():
        return f"the weights of FID ({INCEPTION_WEIGHTS}) are not on this machine"
    return None


def inception_distances(real: Sequence[Tensor], generated: Sequence[Tensor]) -> dict[str, float]:
    """Return ``fid`` and ``kid`` by torch-fidelity.

    Args:
        real: Images ``uint8 [3, H, W]``.
        generated: The same.

    Raises:
        ConfigError: torch-fidelity or its weights are not there.
    """
    obstacle = inception_obstacle()
    if obstacle is not None:
        raise ConfigError(
            f"FID cannot be measured: {obstacle}",
            expected="the package `torch-fidelity`, and its weights in the cache of torch.hub",
            remedy="read the distances of random features, which need no weights",
        )
    import torch_fidelity

    found: dict[str, Any] = torch_fidelity.calculate_metrics(
        input1=_Images(generated),
        input2=_Images(real),
        fid=True,
        kid=True,
        kid_subset_size=min(1000, len(real), len(generated)),
        cuda=torch.cuda.is_available(),
        verbose=False,
    )
    return {
        "fid": float(found["frechet_inception_distance"]),
        "kid": float(found["kernel_inception_distance_mean"]),
    }


class _Images(torch.utils.data.Dataset[Tensor]):
    """What torch-fidelity takes: a data set of uint8 images."""

    def __init__(self, images: Sequence[Tensor]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return self._images[index]

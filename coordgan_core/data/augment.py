"""Random warps and photometric changes, batched, every draw from a given generator.

Images are ``float32 [B, 3, H, W]`` in [-1, 1]; results may leave that range a little, as camera noise
would. Every sample of a batch gets draws of its own. Strengths of 1 are those at which the equivariant
embedding trains well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from coordgan_core.coords import canonical_grid, sample
from coordgan_core.data.sampler import shared_rows

_ROTATION = 0.35  # radians
_LOG_SCALE = 0.25
_LOG_ASPECT = 0.10
_SHEAR = 0.10
_SHIFT = 0.20  # of half the image
_DISPLACEMENTS = ((3, 0.10), (6, 0.05))  # (control points a side, standard deviation in canonical units)
_FOLD_MARGIN = 0.8  # largest part of the affine map's smallest stretch that displacements may undo


def random_warp(
    batch: int,
    height: int,
    width: int | None = None,
    *,
    strength: float = 1.0,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw sampling fields ``[B, 2, height, width]``: each warped pixel -> its position in the image.

    Rotation, scale, aspect, shear and shift, plus smooth random displacements at two scales. The fields
    never fold: displacements are scaled down where they would.

    Args:
        batch: Number of fields.
        height: Rows.
        width: Columns, as many as rows if None. Rotations are rigid in pixels, not in normalised coordinates.
        strength: 0 for the identity, 1 for the usual strength.
        generator: Source of the draws; the result depends on it and on the arguments only.
        device: Where the field lies, by default where the generator draws.
    """
    width = width or height
    draw = _Draws(batch, generator, device)
    matrix, shift = _random_affine(draw, strength)
    grid = canonical_grid(height, width, device=draw.device)
    stretch = grid.new_ones(2)  # normalised -> isotropic units
    stretch[0].fill_(width / height)
    isotropic = grid * stretch[:, None, None]
    field = torch.einsum("bij,jhw->bihw", matrix, isotropic) + shift[:, :, None, None]
    displacement = torch.zeros_like(field)
    for points, deviation in _DISPLACEMENTS:
        control = draw.normal(2, points, points) * (deviation * strength)
        displacement = displacement + F.interpolate(
            control, size=(height, width), mode="bicubic", align_corners=True
        )
    return (field + _without_folds(displacement, matrix)) / stretch[:, None, None]


def _random_affine(draw: _Draws, strength: float) -> tuple[Tensor, Tensor]:
    angle = draw.signed() * (_ROTATION * strength)
    scale = torch.exp(draw.signed() * (_LOG_SCALE * strength))
    aspect = torch.exp(draw.signed() * (_LOG_ASPECT * strength))
    shear = draw.signed() * (_SHEAR * strength)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rotation = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    zero = torch.zeros_like(shear)
    shape = torch.stack([torch.stack([aspect, shear], -1), torch.stack([zero, 1 / aspect], -1)], -2)
    return rotation @ shape, draw.signed(2) * (_SHIFT * strength)


def _without_folds(displacement: Tensor, matrix: Tensor) -> Tensor:
    """Scale displacements so that matrix + their gradient keeps a positive determinant in every cell.

    It does whenever the gradient's spectral norm stays below the smallest singular value of the matrix.
    """
    if min(displacement.shape[-2:]) < 2:
        return displacement
    pitch = 2.0 / displacement.shape[-2]  # pixels are square in isotropic units
    along_x = (displacement[:, :, :-1, 1:] - displacement[:, :, :-1, :-1]) / pitch
    along_y = (displacement[:, :, 1:, :-1] - displacement[:, :, :-1, :-1]) / pitch
    steepest = (
        torch.stack([along_x, along_y], 1).square().sum((1, 2)).sqrt().amax((1, 2))
    )  # Frobenius >= spectral
    smallest = smallest_stretch(matrix)
    factor = (_FOLD_MARGIN * smallest / steepest.clamp(min=1e-9)).clamp(max=1.0)
    limited: Tensor = displacement * factor[:, None, None, None]
    return limited


def smallest_stretch(matrix: Tensor) -> Tensor:  # [B, 2, 2] -> [B]
    """Return the smallest singular value, ``|det| / largest``: torch.linalg.svdvals waits for the device."""
    power = matrix.square().sum((1, 2))
    product = (matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]).abs()
    largest = (0.5 * (power + (power.square() - 4.0 * product.square()).clamp(min=0.0).sqrt())).sqrt()
    return product / largest.clamp(min=1e-30)


def warp_images(images: Tensor, field: Tensor, *, padding: str = "reflection") -> Tensor:
    """Warp images ``[B, C, H, W]`` by sampling fields ``[B, 2, h, w]`` -> ``[B, C, h, w]``."""
    return sample(images, field, padding=padding)


def inside(field: Tensor) -> Tensor:
    """Tell which positions ``[B, 2, H, W]`` lie inside the image -> ``float32 [B, 1, H, W]``, 0 or 1."""
    return (field.abs() < 1).all(1, keepdim=True).float()


def photometric(images: Tensor, *, strength: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Apply `jitter_colours`, `noise` and `blur`: everything that changes colours and keeps geometry."""
    images = jitter_colours(images, strength=strength, generator=generator)
    images = noise(images, deviation=0.03 * strength, generator=generator)
    return blur(images, probability=min(1.0, 0.3 * strength), generator=generator)


def jitter_colours(
    images: Tensor, *, strength: float = 1.0, gray: float = 0.2, generator: torch.Generator | None = None
) -> Tensor:
    """Change gamma, contrast, brightness, gains, colour matrix, saturation and illumination at random.

    Args:
        images: ``[B, 3, H, W]`` in [-1, 1].
        strength: 0 changes nothing, 1 is the usual strength.
        gray: Probability that an image loses its colours.
        generator: Source of the draws.
    """
    draw = _Draws(images.shape[0], generator, images.device)

    def scalar(*shape: int) -> Tensor:
        return draw.signed(*shape)[..., None, None] * strength

    x = ((images.float() + 1.0) / 2.0).clamp(0.0, 1.0) ** torch.exp(scalar(1) * 0.5)
    mean = x.mean((2, 3), keepdim=True)
    x = (x - mean) * torch.exp(scalar(1) * 0.5) + mean + scalar(1) * 0.2
    x = x * torch.exp(scalar(3) * 0.25)
    matrix = torch.eye(3, device=x.device) + draw.normal(3, 3) * (0.15 * strength)
    x = torch.einsum("bij,bjhw->bihw", matrix, x)
    without = (draw.uniform(1) < gray * strength).float()[..., None, None]
    x = torch.lerp(x, x.mean(1, keepdim=True), without)
    grid = canonical_grid(*x.shape[-2:], device=x.device)
    x = x + torch.einsum("chw,bc->bhw", grid, draw.normal(2) * (0.15 * strength))[:, None]
    return x * 2.0 - 1.0


def noise(images: Tensor, *, deviation: float = 0.03, generator: torch.Generator | None = None) -> Tensor:
    """Add Gaussian noise; each image draws its deviation from 0 to ``deviation`` (of the range 0 to 1)."""
    draw = _Draws(images.shape[0], generator, images.device)
    amount = draw.uniform(1, 1, 1) * (2.0 * deviation)
    return images + draw.normal(*images.shape[1:]) * amount


def blur(images: Tensor, *, probability: float = 0.3, generator: torch.Generator | None = None) -> Tensor:
    """Blur a random part of the images with a 3 x 3 box."""
    draw = _Draws(images.shape[0], generator, images.device)
    chosen = (draw.uniform(1, 1, 1) < probability).to(images.dtype)
    smooth = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.lerp(images, smooth, chosen)


def occlude(images: Tensor, *, probability: float = 0.5, generator: torch.Generator | None = None) -> Tensor:
    """Cover a rectangle of a random part of the images, with one colour or (every other time) with noise."""
    count, channels, height, width = images.shape
    draw = _Draws(count, generator, images.device)
    grid = canonical_grid(height, width, device=images.device)[None]
    centre = draw.signed(2)[:, :, None, None]
    half = (draw.uniform(2) * 0.3 + 0.1)[:, :, None, None]
    chosen = (draw.uniform(1) < probability)[:, :, None, None]
    covered = ((grid - centre).abs() < half).all(1, keepdim=True) & chosen
    colour = draw.normal(channels)[:, :, None, None] * 0.5
    grainy = (draw.uniform(1) < 0.5).float()[:, :, None, None]
    cover = colour + grainy * 0.5 * draw.normal(channels, height, width)
    return torch.where(covered, cover.to(images.dtype), images)


def diff_augment(
    images: Tensor,
    *,
    policy: Sequence[str] = ("color", "translation", "cutout"),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Augment what a discriminator sees, differentiably (Zhao et al. 2020, DiffAugment).

    ``color``: brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5; ``translation``: whole pixels up to
    1/8 of the image, zeros outside; ``cutout``: a square of half the image's sides becomes zero.
    """
    for name in policy:
        images = _DIFF_POLICIES[name](images, _Draws(images.shape[0], generator, images.device))
    return images


def _diff_color(x: Tensor, draw: _Draws) -> Tensor:
    x = x + (draw.uniform(1, 1, 1) - 0.5)
    gray = x.mean(1, keepdim=True)
    x = (x - gray) * (draw.uniform(1, 1, 1) * 2.0) + gray
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (draw.uniform(1, 1, 1) + 0.5) + mean


def _diff_translation(x: Tensor, draw: _Draws, ratio: float = 0.125) -> Tensor:
    B, _, H, W = x.shape
    rows = torch.arange(H, device=x.device)[None] + draw.integers(int(H * ratio + 0.5))[:, None]
    columns = torch.arange(W, device=x.device)[None] + draw.integers(int(W * ratio + 0.5))[:, None]
    padded = F.pad(x, (1, 1, 1, 1))  # everything outside reads the ring of zeros
    rows, columns = (rows + 1).clamp(0, H + 1), (columns + 1).clamp(0, W + 1)
    index = torch.arange(B, device=x.device)
    return padded.permute(0, 2, 3, 1)[index[:, None, None], rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def _diff_cutout(x: Tensor, draw: _Draws, ratio: float = 0.5) -> Tensor:
    covered = torch.ones(x.shape[0], 1, 1, dtype=torch.bool, device=x.device)
    for axis, size in ((1, x.shape[2]), (2, x.shape[3])):
        length = int(size * ratio + 0.5)
        start = (draw.uniform(1) * (size + 1 - length % 2)).floor() - length // 2
        position = torch.arange(size, device=x.device)[None]
        hit = (position >= start) & (position < start + length)
        covered = covered & (hit[:, :, None] if axis == 1 else hit[:, None, :])
    return x * (~covered)[:, None].to(x.dtype)


_DIFF_POLICIES = {"color": _diff_color, "translation": _diff_translation, "cutout": _diff_cutout}


class _Draws:
    """Random numbers for a batch, all from one generator."""

    def __init__(
        self, batch: int, generator: torch.Generator | None, device: torch.device | str | None
    ) -> None:
        self._batch = batch
        self._generator = generator
        # drawn where the generator lives, moved to where they are used
        self._source = generator.device if generator is not None else torch.device(device or "cpu")
        self.device = torch.device(device) if device is not None else self._source

    def uniform(self, *shape: int) -> Tensor:
        """Draw from [0, 1), ``[B, *shape]``."""
        return self._drawn(torch.rand, shape)

    def signed(self, *shape: int) -> Tensor:
        """Draw from [-1, 1), ``[B, *shape]``."""
        return self.uniform(*shape) * 2.0 - 1.0

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution, ``[B, *shape]``."""
        return self._drawn(torch.randn, shape)

    def integers(self, largest: int) -> Tensor:
        """Draw whole numbers from -largest to largest, ``int64 [B]``."""
        return (self.uniform() * (2 * largest + 1)).floor().long() - largest

    def _drawn(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        def rows(count: int) -> Tensor:
            return draw(count, *shape, generator=self._generator, device=self._source)

        return shared_rows(rows, self._batch, self._generator).to(self.device, non_blocking=True)

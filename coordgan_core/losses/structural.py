"""Structure without weights: are edges and patterns of two images in the same places, whatever their colours?

Takes the place of LPIPS where no weights are, above all for texture swaps, which LPIPS punishes for the very
colours that they exchange. Three measures, each blind to colour, contrast and its sign:

* normalised gradient fields (Haber and Modersitzki 2006): direction of the edges;
* local normalised cross-correlation: shape of the patches;
* self-similarity, MIND (Heinrich et al. 2012): how each pixel differs from its neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.errors import ShapeError
from coordgan_core.models.layers import full_precision

FLOOR = 1e-4
"""Added to mean squares before division: what is flatter than this, in units of [-1, 1], counts as flat."""


class StructuralLoss(nn.Module):  # images, images -> [B]
    """Mean over scales of the weighted three measures; 0 for equal images.

    Args:
        gradient: Weight of the normalised gradient fields.
        correlation: Weight of the local cross-correlation, squared (blind to its sign).
        self_similarity: Weight of MIND.
        scales: Octaves, the full size included; those below 8 pixels are left out.
    """

    def __init__(
        self,
        *,
        gradient: float = 1.0,
        correlation: float = 1.0,
        self_similarity: float = 0.0,
        scales: int = 3,
    ) -> None:
        super().__init__()
        self.gradient, self.correlation, self.self_similarity = gradient, correlation, self_similarity
        self.scales = scales

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare images ``[B, 3, H, W]`` in [-1, 1] -> one number an image ``[B]``; gradients reach both."""
        if a.shape != b.shape:
            raise ShapeError(f"images of {list(a.shape)} and {list(b.shape)}", expected="equal shapes")
        with full_precision(a):
            a, b = a.float(), b.float()
            total, count = a.new_zeros(a.shape[0]), 0
            for scale in range(self.scales):
                if scale and min(a.shape[-2:]) < 16:
                    break
                if scale:
                    a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
                total = total + self._one_scale(a, b)
                count += 1
            return total / count

    def _one_scale(self, a: Tensor, b: Tensor) -> Tensor:
        total = a.new_zeros(a.shape[0])
        if self.gradient:
            total = total + self.gradient * gradient_distance(a, b)
        if self.correlation:
            correlation = local_correlation(a.mean(1, keepdim=True), b.mean(1, keepdim=True))
            total = total + self.correlation * (1.0 - correlation.square()).mean(dim=(1, 2, 3))
        if self.self_similarity:
            difference = mind(a) - mind(b)
            total = total + self.self_similarity * difference.abs().mean(dim=(1, 2, 3))
        return total


def gradient_distance(a: Tensor, b: Tensor) -> Tensor:  # [B, C, H, W] twice -> [B]
    """Compare edges: ``|N_a - N_b|^2`` of the normalised structure tensors, mean over pixels.

    0 where both are flat or both have an edge of the same direction, 1 where one alone has an edge, 2 where
    their edges are at right angles. For one channel this is the normalised gradient field with the flat case
    added.
    """
    return (edge_tensor(a) - edge_tensor(b)).square().sum(dim=1).mean(dim=(1, 2))


def edge_tensor(images: Tensor) -> Tensor:  # [B, C, H, W] -> [B, 3, H, W]
    """Return the structure tensor ``sum_c g g^T / (sum_c |g|^2 + eta^2)`` of the colour gradients g.

    Channels: xx, yy and sqrt(2) xy, so that the sum of their squares is the tensor's squared norm. ``eta^2``
        is the
    image's mean squared gradient: edges count by how they stand out of their own image.
    """
    gx, gy = _gradients(images)
    xx, yy, xy = (product.sum(dim=1) for product in (gx * gx, gy * gy, gx * gy))
    power = xx + yy
    eta = power.detach().mean(dim=(1, 2), keepdim=True) + FLOOR
    return torch.stack([xx, yy, 2.0**0.5 * xy], dim=1) / (power + eta)[:, None]


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:  # central differences, edges repeated
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    gx = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2.0
    gy = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2.0
    return gx, gy


def local_correlation(a: Tensor, b: Tensor, window: int = 7) -> Tensor:  # [B, C, H, W] twice -> [B, C, H, W]
    """Return the normalised cross-correlation of the windows around each pixel, -1 to 1; 0 if one is flat."""
    mean_a, mean_b = _box(a, window), _box(b, window)
    covariance = _box(a * b, window) - mean_a * mean_b
    variance_a = (_box(a * a, window) - mean_a.square()).clamp_min(0.0)
    variance_b = (_box(b * b, window) - mean_b.square()).clamp_min(0.0)
    return covariance * torch.rsqrt((variance_a + FLOOR) * (variance_b + FLOOR))


def correlation_loss(a: Tensor, b: Tensor, window: int = 7) -> Tensor:  # [B, C, H, W] twice -> [B]
    """Return 1 minus the mean local correlation: for reconstructions, where the sign of contrast counts."""
    return (1.0 - local_correlation(a, b, window)).mean(dim=(1, 2, 3))


def mind(images: Tensor, radius: int = 1, spacing: int = 2) -> Tensor:  # [B, C, H, W] -> [B, 4, H, W]
    """Describe pixels by their likeness to four neighbours, ``exp(-D_r / V)``, scaled to a maximum of 1.

    ``D_r`` is the mean squared difference of the patches (side ``2 radius + 1``) here and ``spacing`` pixels
    away, ``V`` its mean over the four directions, not below a small part of its mean over the image.
    """
    padded = F.pad(images, (spacing,) * 4, mode="replicate")
    H, W = images.shape[-2:]
    distances = []
    for dy, dx in ((0, spacing), (0, -spacing), (spacing, 0), (-spacing, 0)):
        other = padded[:, :, spacing + dy : spacing + dy + H, spacing + dx : spacing + dx + W]
        distances.append(_box((images - other).square().mean(dim=1, keepdim=True), 2 * radius + 1))
    stacked = torch.cat(distances, dim=1)
    variance = stacked.mean(dim=1, keepdim=True)
    floor = 0.01 * variance.detach().mean(dim=(2, 3), keepdim=True) + FLOOR
    return torch.exp(-(stacked - stacked.amin(dim=1, keepdim=True)) / variance.clamp_min(floor))


def _box(images: Tensor, side: int) -> Tensor:  # mean over windows, cut at the border
    return F.avg_pool2d(images, side, stride=1, padding=side // 2, count_include_pad=False)

"""The co-occurrence patch discriminator: do these crops come from an image of that texture?

It shows the generator what must stay when only the structure changes: crops of an image with another
structure but the same texture must look as if taken from the same image (fact sheet section 1.6; Park et al.
2020, Swapping Autoencoder).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.config import PatchConfig
from coordgan_core.coords import check_shape
from coordgan_core.models.layers import EqualConv, EqualLinear, ResidualDown

BLUR = (1, 3, 3, 1)


def random_crops(
    images: Tensor, config: PatchConfig, generator: torch.Generator | None = None
) -> Tensor:  # [B, 3, H, W] -> [B, N, 3, P, P]
    """Cut N random boxes out of every image, mirror half of them, resize them bilinearly to P x P.

    Each side of a box is drawn on its own, uniform in [``min_scale``, ``max_scale``] of the image's side; its
    place is uniform inside the image.

    Args:
        images: Images of any size.
        config: Number, size and scale of the crops.
        generator: Source of the random draws, on the images' device.
    """
    check_shape(images, "B 3 H W", "image batch")
    B, N, P = images.shape[0], config.crops, config.crop_px
    draws = torch.rand(B, N, 5, generator=generator, device=images.device)
    scale, place, mirror = draws[..., 0:2], draws[..., 2:4], draws[..., 4:]
    half = config.min_scale + (config.max_scale - config.min_scale) * scale  # half sides in units of [-1, 1]
    centre = (2.0 * place - 1.0) * (1.0 - half)
    half = torch.cat([torch.where(mirror < 0.5, -half[..., :1], half[..., :1]), half[..., 1:]], dim=2)
    steps = (2.0 * torch.arange(P, device=images.device, dtype=torch.float32) + 1.0) / P - 1.0
    along = centre[..., None] + half[..., None] * steps  # [B, N, 2, P]: sampled x, sampled y
    x, y = along[:, :, 0, None, :].expand(B, N, P, P), along[:, :, 1, :, None].expand(B, N, P, P)
    grid = torch.stack([x, y], dim=-1).flatten(
        1, 2
    )  # all crops of an image under each other: no copy of the image
    crops = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return crops.reshape(B, 3, N, P, P).transpose(1, 2)


class PatchDiscriminator(nn.Module):  # reference crops, target crops -> logits
    """Judge whether target crops have the texture of reference crops; 4.53 M parameters.

    Args:
        config: Channels of the first layer, size of the crops.
    """

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        c, self.crop_px = config.channels, config.crop_px
        self.encoder = nn.Sequential(
            EqualConv(3, c, 3),
            ResidualDown(c, 2 * c, blur=BLUR),
            ResidualDown(2 * c, 4 * c, blur=BLUR),
            ResidualDown(4 * c, 4 * c, blur=BLUR),
            EqualConv(4 * c, 4 * c, 3, padding=None),
            nn.Flatten(),
        )
        features = 4 * c * (config.crop_px // 8 - 2) ** 2
        self.head = nn.Sequential(
            EqualLinear(2 * features, features, activation=True), EqualLinear(features, 1)
        )

    def features(self, crops: Tensor) -> Tensor:
        """Map crops ``[B, N, 3, P, P]`` to features ``[B, N, F]``."""
        check_shape(crops, f"B N 3 {self.crop_px} {self.crop_px}", "batch of crops")
        encoded: Tensor = self.encoder(crops.flatten(0, 1))
        return encoded.reshape(*crops.shape[:2], -1)

    def judge(self, reference: Tensor, target: Tensor) -> Tensor:
        """Compare the mean of ``reference [B, M, F]`` with each ``target [B, N, F]`` -> logits ``[B, N]``."""
        mean = reference.mean(dim=1, keepdim=True).expand_as(target)
        logits: Tensor = self.head(torch.cat([mean, target], dim=2))
        return logits.squeeze(2).float()

    def forward(self, reference: Tensor, target: Tensor) -> Tensor:
        """Map crops, reference ``[B, M, 3, P, P]`` and target ``[B, N, 3, P, P]``, to logits ``[B, N]``."""
        return self.judge(self.features(reference), self.features(target))

"""Groupwise registration: maps of a batch, each corrected by a short optical flow to another image.

The teacher of joint training sees roughly where the pixels of a photograph lie. A residual alignment
(`flow.Aligner`) of the photograph with another one, through both maps, says more precisely where they would
have to lie *for these two to agree*. Each pair errs by the other image's error and by the flow's, but over
thousands of partners these cancel: what the student learns is the mean, as in unbiased groupwise registration
(Joshi et al. 2004). It needs no labels, and at use one pass of the network.
"""

from __future__ import annotations

from torch import Tensor

from coordgan_core.atlas import AtlasConfig
from coordgan_core.coords import resize_map
from coordgan_core.data.pixels import to_uint8
from coordgan_core.flow import AlignConfig, Aligner

ALIGNMENT = AlignConfig(size=128, shrink=1, fine=False, atlas=AtlasConfig(size=112, radius=3))
"""Training images are hardly larger than this; the small atlas takes a twentieth of the usual one's time."""


def register(images: Tensor, maps: Tensor, count: int | None = None) -> Tensor:
    """Align each image of a batch with the next one; optical flow runs on the processor.

    Args:
        images: ``[B, 3, H, W]`` in [-1, 1].
        maps: Their correspondence maps, ``[B, 2, h, w]``.
        count: How many images are aligned, from the first; all by default. Each costs about 15 ms.

    Returns:
        The maps ``[B, 2, h, w]``, corrected where the two images are more alike by it.
    """
    count = len(images) if count is None else count
    if len(images) < 2 or count < 1:
        return maps
    pictures = to_uint8(images)
    plain = maps.detach().cpu().float()
    result = plain.clone()
    for i in range(count):
        partner = (i + 1) % len(images)
        aligner = Aligner(plain[partner], pictures[partner], ALIGNMENT)
        aligned = aligner.align(plain[i], aligner.structures(pictures[i]))
        if aligned.accepted:
            result[i] = resize_map(aligned.correspondence[None], *maps.shape[-2:])[0]
    return result.to(maps.device)

"""A small U-Net that learns to segment from the one labelled image, warped and recoloured anew each step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coordgan_core.coords import sample
from coordgan_core.data.augment import photometric, random_warp, warp_images
from coordgan_core.data.images import resize
from coordgan_core.data.pixels import to_tensor
from coordgan_core.evaluation import LabelledImage
from coordgan_core.flow import Image
from coordgan_core.labels import LabelMap
from coordgan_core.models.unet import FeatureUNet
from coordgan_core.training.acceleration import autocast
from peers.carriers import PeerOptions

CHANNELS = (32, 64, 96, 128)
BATCH = 8
LEARNING_RATE = 2e-3


class Segmenter(nn.Module):  # images -> logits
    """The library's U-Net with one more step up and a class for every pixel; 0.9 million parameters.

    Args:
        classes: K.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = FeatureUNet(CHANNELS)
        self.fine = nn.Conv2d(3, 16, 3, padding=1)
        self.up = nn.Conv2d(CHANNELS[0], 4 * 16, 1)
        self.mix = nn.Conv2d(16, 16, 3, padding=1)
        self.out = nn.Conv2d(16, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, K, H, W]``; sides are multiples of 16."""
        features, _ = self.trunk(images)
        x = F.pixel_shuffle(self.up(F.relu(features)), 2) + self.fine(images)
        logits: Tensor = self.out(F.relu(self.mix(F.relu(x))))
        return logits


class OneShotUNet:
    """Train a `Segmenter` on one labelled image for a given time; then it segments queries.

    Args:
        name: Not used; all peers are made alike.
        reference: The labelled image.
        options: Size, classes, seconds of processor time, and whether flips are allowed.
        steps: Train so many steps, whatever the time.
    """

    def __init__(
        self, name: str, reference: LabelledImage, options: PeerOptions, *, steps: int | None = None
    ) -> None:
        del name
        self._size = options.size
        torch.manual_seed(0)
        self.network = Segmenter(options.classes).to(memory_format=torch.channels_last)
        self.steps = self._train(reference, options, steps)

    def carry(self, images: Sequence[Image]) -> Iterator[LabelMap]:
        """Yield the label map ``uint8 [size, size]`` of every image, in order."""
        for image in images:
            with torch.inference_mode():
                logits = self.network(self._tensor(image))
            yield logits[0].argmax(0).to(torch.uint8).numpy().copy()

    def _tensor(self, image: Image) -> Tensor:
        small = resize(image, self._size, self._size)
        return to_tensor(small[None]).contiguous(memory_format=torch.channels_last)

    def _train(self, reference: LabelledImage, options: PeerOptions, steps: int | None) -> int:
        image, truth = self._tensor(reference.image), self._truth(reference.labels, options.classes)
        share = truth.mean((0, 2, 3))
        weights = torch.where(share > 0, (share + 1e-3).rsqrt(), 0.0)  # small parts count for more
        weights = weights / (weights * share).sum()
        optimiser = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=0.01)
        generator = torch.Generator().manual_seed(0)
        began, done, progress = time.process_time(), 0, 0.0
        threads = torch.get_num_threads()
        self.network.train()
        while progress < 1.0:
            warm = min(1.0, (done + 1) / 20)
            rate = LEARNING_RATE * warm * 0.5 * (1.0 + np.cos(np.pi * progress))
            for group in optimiser.param_groups:
                group["lr"] = rate
            views, targets = _views(image, truth, options.mirror, generator)
            with autocast("auto", views.device):
                logits = self.network(views)
            loss = _loss(logits.float(), targets, weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            done += 1
            spent = (time.process_time() - began) / threads
            progress = done / steps if steps is not None else spent / max(options.seconds, 1e-9)
        self.network.eval()
        return done

    def _truth(self, labels: LabelMap, classes: int) -> Tensor:
        one_hot = F.one_hot(torch.from_numpy(np.array(labels)).long(), classes).permute(2, 0, 1)[None].float()
        return F.interpolate(one_hot, (self._size, self._size), mode="bilinear", antialias=True)


def _views(image: Tensor, truth: Tensor, mirror: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a batch of warped and recoloured images and the soft labels that go with them."""
    field = random_warp(BATCH, *image.shape[-2:], generator=generator)
    if mirror:
        flip = torch.rand(BATCH, generator=generator) < 0.5
        field[flip, 0] *= -1.0
    views = warp_images(image.expand(BATCH, -1, -1, -1), field)
    views = photometric(views, generator=generator).contiguous(memory_format=torch.channels_last)
    return views, sample(truth, field, padding="reflection")


def _loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return cross-entropy, small classes weighted up, plus the Dice loss of the classes that are there."""
    log_p = logits.log_softmax(1)
    entropy = -(targets * log_p * weights[:, None, None]).sum(1).mean()
    p = log_p.exp()
    both, either = (p * targets).sum((0, 2, 3)), (p + targets).sum((0, 2, 3))
    dice = (2.0 * both + 1.0) / (either + 1.0)
    present = weights > 0
    return entropy + 1.0 - dice[present].mean()

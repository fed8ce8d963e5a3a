"""What a peer is: made from one labelled image, it gives every query a label map."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordgan_core.calibration import Calibration
from coordgan_core.devices import worker_threads
from coordgan_core.errors import ConfigError
from coordgan_core.evaluation import LabelledImage
from coordgan_core.flow import PEERS as FLOWS
from coordgan_core.flow import Image, Peer
from coordgan_core.labels import LabelMap, resize_labels
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import PropagationOptions, Propagator, Reference

REGISTRATIONS = ("demons", "demons-gradient", "bspline", "bspline-gradient")
SLOW = (*REGISTRATIONS, "unet", "dinov2")
PEERS = (*FLOWS, *SLOW)
"""All peers; `SLOW` ones may be measured on fewer queries."""


class Carrier(Protocol):
    """A way of carrying labels, prepared with one reference."""

    def carry(self, images: Sequence[Image]) -> Iterator[LabelMap]:
        """Yield the label map ``uint8 [size, size]`` of every image ``uint8 [H, W, 3]``, in order."""
        ...


@dataclass(frozen=True)
class PeerOptions:
    """How peers are prepared.

    Args:
        classes: K, the number of classes with background.
        size: Side of the label maps, pixels.
        seconds: Processor time in which the U-Net may train for each reference.
        mirror: Whether images may be flipped: no class is the left or the right one of two.
        dinov2: Weights of DINOv2, of the user's; None for none.
    """

    classes: int
    size: int = 128
    seconds: float = 60.0
    mirror: bool = False
    dinov2: Path | None = None


class ModelCarrier:
    """Propagation with a CoordGAN, as `evaluation.evaluate` measures it."""

    def __init__(
        self,
        predictor: Predictor,
        references: Sequence[LabelledImage],
        size: int,
        calibration: Calibration | None,
        options: PropagationOptions,
    ) -> None:
        own = [Reference(one.image, one.labels, name=one.name) for one in references]
        self._propagator = Propagator(predictor, own, options=options, calibration=calibration)
        self._batch = predictor.batch
        self._size = size

    def carry(self, images: Sequence[Image]) -> Iterator[LabelMap]:
        """Yield the label map ``uint8 [size, size]`` of every image, in order."""
        for start in range(0, len(images), self._batch):
            with ThreadPoolExecutor(worker_threads()) as pool:
                found = list(self._propagator.run(images[start : start + self._batch], pool=pool))
            for result in sorted(found, key=lambda one: one.index):
                yield resize_labels(result.labels, self._size, self._size)


class FlowCarrier:
    """A peer of `coordgan_core.flow`: copying, or optical flow."""

    def __init__(self, name: str, reference: LabelledImage, options: PeerOptions) -> None:
        self._peer = Peer(name, reference.image, reference.labels, size=options.size)

    def carry(self, images: Sequence[Image]) -> Iterator[LabelMap]:
        """Yield the label map ``uint8 [size, size]`` of every image, in order."""
        return map(self._peer.propagate, images)


def obstacle(name: str, options: PeerOptions) -> str | None:
    """Say why a peer cannot be measured here, and what would change that; None if it can."""
    if name in REGISTRATIONS and importlib.util.find_spec("SimpleITK") is None:
        return "SimpleITK is not installed (pip install coordlabel[peers])"
    if name == "dinov2" and options.dinov2 is None:
        return "no weights were given (--dinov2 FILE, such as dinov2_vits14_pretrain.pth)"
    return None


def prepare(name: str, reference: LabelledImage, options: PeerOptions) -> Carrier:
    """Prepare a peer with its reference.

    Raises:
        ConfigError: There is no such peer, or it cannot be measured here.
    """
    if name not in PEERS:
        raise ConfigError(f"there is no peer {name!r}", expected=f"peers of {', '.join(PEERS)}")
    reason = obstacle(name, options)
    if reason is not None:
        raise ConfigError(f"the peer {name} cannot be measured: {reason}")
    return _maker(name)(name, reference, options)


def _maker(name: str) -> Callable[[str, LabelledImage, PeerOptions], Carrier]:
    # imported when wanted: SimpleITK is an extra
    if name in REGISTRATIONS:
        from peers.registration import Registration

        return Registration
    if name == "unet":
        from peers.unet import OneShotUNet

        return OneShotUNet
    if name == "dinov2":
        from peers.dinov2 import NearestPatches

        return NearestPatches
    return FlowCarrier

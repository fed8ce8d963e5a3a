"""Which builds of PyTorch fit a graphics card and its driver: a table."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from app.services.gpu.machine import Card


@dataclass(frozen=True)
class CudaBuild:
    """A line of builds.

    Args:
        tag: Its folder in the index, such as ``cu130``.
        linux_driver: Oldest driver that runs it on Linux.
        windows_driver: The same on Windows.
        oldest: Oldest generation of cards it holds code for.
        newest: Newest one, exclusive; None: also those to come.
    """

    tag: str
    linux_driver: tuple[int, ...]
    windows_driver: tuple[int, ...]
    oldest: float
    newest: float | None = None

    @property
    def title(self) -> str:
        """What people call it: ``CUDA 13.0``."""
        return f"CUDA {self.tag[2:-1]}.{self.tag[-1]}"


BUILDS: tuple[CudaBuild, ...] = (
    CudaBuild("cu130", (580, 65), (580, 88), 7.5),
    CudaBuild("cu132", (595, 58), (595, 0), 7.5),
    CudaBuild("cu129", (525, 60, 13), (527, 41), 7.0),
    CudaBuild("cu126", (525, 60, 13), (527, 41), 5.0, 10.0),
)
"""In the order of preference: the stable line first. Which of them exist for a version the index tells.

Drivers: NVIDIA's table of CUDA releases, with minor-version compatibility. Generations: PyTorch's notes.
"""


def suitable(card: Card, *, system: str = sys.platform) -> list[CudaBuild]:
    """Return the builds that run on a card with its driver, best first; empty if none does."""
    driver = tuple(int(number) for number in re.findall(r"\d+", card.driver))
    return [
        build
        for build in BUILDS
        if driver >= (build.windows_driver if system == "win32" else build.linux_driver)
        and (card.capability == 0.0 or build.oldest <= card.capability)
        and (build.newest is None or card.capability < build.newest)
    ]


def why_none(card: Card) -> str:
    """Return in words why no build runs on a card."""
    oldest = min(build.oldest for build in BUILDS)
    if card.capability and card.capability < oldest:
        return f"{card.name} is of generation {card.capability}; PyTorch needs {oldest} or newer."
    wanted = min(build.linux_driver[0] for build in BUILDS)
    return f"The driver {card.driver} of {card.name} is too old. Expected {wanted} or newer: update it."

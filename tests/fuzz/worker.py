"""The process that is fed: whatever happens to it is seen from outside."""

from __future__ import annotations

import random
import resource
import shutil
import traceback
import warnings
from pathlib import Path

from tests.faults.processes import Tell
from tests.fuzz import models, targets
from tests.fuzz.campaign import ONLY

TARGETS = {**targets.TARGETS, **models.TARGETS}
SHARES = {
    "image": 8,
    "label map": 4,
    "import": 6,
    "odd import": 6,
    "database": 4,
    "model file": 6,
    "message": 2,
    "text": 2,
}
"""How often a target comes; one where nothing is said."""
MEMORY = 12 << 30
"""Bytes of address space: an input that wants more is a crash."""


def names() -> list[str]:
    """Return the targets, each as often as it comes."""
    return [name for name in TARGETS for _ in range(SHARES.get(name, 1))]


def feed(target: str, place: Path, seed: int | random.Random) -> None:
    """Give one input to a target, in an empty folder; the seed may be what makes all choices itself."""
    folder = place / "input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what reads files: a warning is no crash
        chance = random.Random(f"{target} {seed}") if isinstance(seed, int) else seed
        TARGETS[target](folder, chance)


def work(tell: Tell, place: Path, seed: int) -> None:
    """Feed one input after the other, told before and after; the driver ends it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance, order = random.Random(seed), names()
    if (place.parent / ONLY).exists():
        order = [(place.parent / ONLY).read_text()]
    while True:
        target, number = chance.choice(order), chance.randrange(1 << 40)
        tell("feed", target, number)
        try:
            feed(target, place, number)
        except Exception as error:
            tell("crash", f"{type(error).__name__}: {error}"[:300], traceback.format_exc()[-1800:])
        else:
            tell("fine")

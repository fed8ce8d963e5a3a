"""Feeds a process, watches it, and counts: inputs, crashes (a foreign exception, a dead process), hangs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.processes import LOADED, Victim

HANG_SEC = 60.0
ONLY = "target.txt"
"""Names the one target of a campaign that has only one, for its workers."""
START_SEC = 120.0
"""What a worker may take to load PyTorch on a busy machine."""


@dataclass
class Report:
    """What was tried and what came of it."""

    inputs: int = 0
    crashes: int = 0
    hangs: int = 0
    seconds: float = 0.0
    by_target: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def run(
    root: Path,
    *,
    seconds: float,
    inputs: int = 10**9,
    seed: int = 0,
    hang_sec: float = HANG_SEC,
    worker: str = "tests.fuzz.worker:work",
    target: str = "",
    progress: Callable[[Report], None] = lambda _: None,
    enough: Callable[[Report], bool] = lambda _: False,
) -> Report:
    """Feed all targets, or one, until the time or the inputs are over, or it is enough."""
    if target:
        (root / ONLY).write_text(target)
    if "tests.fuzz.worker" not in LOADED:
        LOADED.append("tests.fuzz.worker")
    report, began, started = Report(), time.monotonic(), 0
    victim: Victim | None = None
    last, since = ("", 0), time.monotonic()
    while report.inputs < inputs and time.monotonic() - began < seconds and not enough(report):
        if victim is None:
            place = root / f"worker{started}"
            place.mkdir(parents=True, exist_ok=True)
            victim, last, since = Victim(worker, place, seed + started), ("", 0), time.monotonic()
            started += 1
        heard, victim.messages = victim._listen(0.2), []
        for message in heard:
            since = time.monotonic()
            if message[0] == "feed":
                last = (message[1], message[2])
                continue
            report.inputs += 1
            report.by_target[last[0]] += 1
            if message[0] == "crash":
                report.crashes += 1
                report.problems.append(f"{last[0]} --seed {last[1]}: {message[1]}\n{message[2]}")
            elif message[0] == "failed":
                report.crashes += 1
                report.problems.append(f"the worker failed: {message[1:]}")
        if victim._silent:
            report.crashes += 1
            report.problems.append(f"{last[0]} --seed {last[1]}: the process died")
        elif time.monotonic() - since > (hang_sec if last[0] else START_SEC):
            report.hangs += 1
            report.problems.append(f"{last[0]} --seed {last[1]}: no answer for {hang_sec:.0f} s")
        else:
            progress(report)
            continue
        victim.kill()
        victim = None
        progress(report)
    if victim is not None:
        victim.kill()
    report.seconds = time.monotonic() - began
    return report

"""kill -9 at any moment: what was acknowledged is there, and the project opens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from app.domain.project import Project
from coordgan_core.labels import read_label_map

PAINTER = Path(__file__).with_name("painter.py")
ROOT = Path(__file__).parents[3]
KILLS = 6


def run_and_kill(folder: Path, start: int, after_sec: float) -> int:
    """Return the number of the last stroke that was acknowledged before the kill."""
    process = subprocess.Popen(
        [sys.executable, str(PAINTER), str(folder), str(start)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline(), "the painter did not begin"
    time.sleep(after_sec)
    process.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
    process.stdout.close()
    process.wait()
    return max(acknowledged, default=start + 1)


def painted(numbers: range) -> np.ndarray:
    labels = np.zeros((32, 48), np.uint8)
    for number in numbers:
        x, y = number % 40, number % 24
        labels[y : y + 5, x : x + 5] = number % 200 + 1
    return labels


def test_nothing_acknowledged_is_lost_by_kill(project: Project) -> None:
    image, other = (int(i) for i in project.ids()[:2])
    folder = project.folder
    project.close()
    chance = random.Random(5)
    last = 0
    for _ in range(KILLS):
        acknowledged = run_and_kill(folder, last, chance.uniform(0.0, 0.25))
        with Project.open(folder) as again:
            assert not again.read_only
            found = [int(row[2]) for row in again.store.history(image)]
            assert found == list(range(1, len(found) + 1)), "strokes are missing or doubled"
            assert found[-1] >= acknowledged
            last = found[-1]
            assert np.array_equal(again.labels(image), painted(range(1, last + 1)))
            assert np.array_equal(read_label_map(again.label_path(image)), again.labels(image))
            present = again.labels(other)
            assert (present == present[0, 0]).all()
            assert again.row(other).has_labels == again.label_path(other).exists()
    assert last > 10 * KILLS, "too few strokes to mean anything"

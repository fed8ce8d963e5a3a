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

from app.domain.project import Project, Result
from app.domain.status import Status
from coordgan_core.labels import read_label_map

PAINTER = Path(__file__).with_name("painter.py")
PROPAGATOR = Path(__file__).with_name("propagator.py")
ROOT = Path(__file__).parents[3]
KILLS = 6
PROPAGATIONS = 4


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


def test_what_a_killed_propagation_has_stored_is_there(project: Project) -> None:
    ids = [int(i) for i in project.ids()]
    labels = np.zeros((32, 48), np.uint8)
    labels[8:24, 8:24] = 1
    project.batches.write_result(project.batches.begin("import", "x"), ids[0], Result(labels))
    project.set_status(ids[:1], Status.REFERENCE)
    folder = project.folder
    project.close()
    chance = random.Random(3)
    seen: set[int] = set()
    for turn in range(PROPAGATIONS):
        stored, engine = propagate_and_kill(folder, turn, chance.uniform(0.0, 0.05))
        seen |= stored
        assert gone(engine), "the engine has outlived its window"
        with Project.open(folder) as again:
            assert not again.read_only
            assert np.array_equal(again.labels(ids[0]), labels)
            for row in again.rows(ids[1:]):
                assert (row.status is Status.PROPAGATED) == row.has_labels
                assert row.has_labels or row.id not in stored, f"{row.path} was told and is lost"
                if row.has_labels:
                    assert again.labels(row.id).any()
                    assert np.array_equal(read_label_map(again.label_path(row.id)), again.labels(row.id))
            assert all(run.finished is not None for run in again.runs()), "what was cut off can be undone"
            newest = again.runs()[0]
            if turn == PROPAGATIONS - 1:
                assert newest.kind == "propagation"
                list(again.exchange(newest.id))
    assert seen, "nothing was stored before the kills"


def propagate_and_kill(folder: Path, count: int, after_sec: float) -> tuple[set[int], int]:
    """Kill after ``count`` images and a moment; return the images that were told and the engine's number."""
    process = subprocess.Popen(
        [sys.executable, str(PROPAGATOR), str(folder)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    while sum(line.startswith(b"stored") for line in lines) < count + 1:
        line = process.stdout.readline()
        assert line, "the propagation did not begin"
        lines.append(line)
    time.sleep(after_sec)
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().split(b"\n")[:-1]
    process.stdout.close()
    process.wait()
    words = [line.split() for line in lines]
    engines = [int(number) for word, number in words if word == b"engine" and int(number)]
    return {int(number) for word, number in words if word == b"stored"}, engines[-1]


def gone(process: int) -> bool:
    """Return whether a process ends within a few seconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if "\nState:\tZ" in Path(f"/proc/{process}/status").read_text():
            return True  # it waits for the test's own parent to collect it
        time.sleep(0.05)
    return False

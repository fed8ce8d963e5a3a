"""Data check, estimate and devices: other processes, told by signals."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QApplication

from app.services import tool
from app.services.training import TrainingService
from app.services.training_values import DataReport, Estimate, TrainRequest
from tests.app.conftest import WaitUntil

SCRIPT = """
import json, sys, time
lines, words = json.loads(sys.argv[1]), sys.argv[2:]
for line in lines:
    if line == "wait": time.sleep(60)
    elif line == "die": sys.stderr.write("no memory left\\n"); sys.exit(137)
    elif line == "noise": print("not JSON")
    else: print(json.dumps(line), flush=True)
sys.exit(1 if lines and isinstance(lines[-1], dict) and lines[-1].get("event") == "error" else 0)
"""


@pytest.fixture
def service(tmp_path: Path, qapp: QApplication) -> Iterator[TrainingService]:
    made = TrainingService(tmp_path / "training", poll_sec=0.05)
    yield made
    made.close()


def answer(monkeypatch: pytest.MonkeyPatch, *lines: object) -> list[tuple[str, ...]]:
    """Let the next commands write these lines; return the list of what is asked."""
    asked: list[tuple[str, ...]] = []

    def command(*words: str) -> list[str]:
        asked.append(words)
        return [sys.executable, "-c", SCRIPT, json.dumps(lines), *words]

    monkeypatch.setattr(tool, "command", command)
    return asked


def test_a_real_check_tells_progress_and_its_report(
    service: TrainingService, wait_until: WaitUntil, tmp_path: Path
) -> None:
    (tmp_path / "i").mkdir()
    draws = np.random.default_rng(0)
    for index in range(5):
        pixels = draws.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"i/{index}.png")
    (tmp_path / "i/x.jpg").write_bytes(b"broken")
    steps, found = list[tuple[int, int]](), list[DataReport]()
    service.checkProgress.connect(lambda done, total: steps.append((done, total)))
    service.checkDone.connect(found.append)
    service.check(tmp_path / "i", changes={"model.crop.mode": "centre", "train.batch": 8})
    wait_until(lambda: found, timeout_sec=90)
    (report,) = found
    assert (report.count, report.sizes, report.can_train) == (5, ((40, 30, 5),), True)
    assert report.unreadable[0][0] == "x.jpg"
    assert {item.level for item in report.advice} <= {"error", "warning", "hint", "good"}
    assert report.contact_sheet is not None
    assert report.contact_sheet.is_file()
    assert steps[-1] == (6, 6)


def test_a_check_that_fails_says_why(
    service: TrainingService, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    service.checkFailed.connect(told.append)
    error = {
        "event": "error",
        "found": "x is not a folder",
        "expected": "a folder",
        "remedy": "check the path",
    }
    asked = answer(monkeypatch, "noise", error)
    service.check(Path("x"), recursive=False, changes={"model.crop.mode": "centre", "train.batch": 8})
    wait_until(lambda: told)
    assert told == ["x is not a folder. Expected a folder. Check the path."]
    assert "--no-recursive" in asked[0]
    assert 'model.crop.mode="centre"' in asked[0]
    assert not any("train.batch" in word for word in asked[0])  # the images look the same
    told.clear()
    answer(monkeypatch, "die")
    service.check(Path("x"))
    wait_until(lambda: told)
    assert "no memory left" in told[0]


def test_an_estimate_is_told_step_by_step(
    service: TrainingService, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = {"name": "joint", "images_per_second": 5.0, "total_nimg": 50, "seconds": 10.0, "steps": 10}
    numbers = {
        "device": "cpu", "seconds": 10.0, "memory_bytes": 1, "memory_total_bytes": 2, "disk_bytes": 3,
        "disk_free_bytes": 4, "batch": 8, "images": 9, "stages": [stage], "warnings": ["tight"],
    }  # fmt: skip
    asked = answer(
        monkeypatch,
        {"event": "measuring", "stage": "joint", "step": 3, "steps": 10},
        {"event": "estimate", **numbers},
    )
    steps, found = list[str](), list[Estimate]()
    service.estimateProgress.connect(steps.append)
    service.estimateDone.connect(found.append)
    service.estimate(TrainRequest(Path("x"), device="cuda:all", changes={"train.batch": 8}))
    wait_until(lambda: found)
    assert steps == ["Measuring the joint training: step 3 of 10"]
    assert (found[0].batch, found[0].stages[0].seconds, found[0].warnings) == (8, 10.0, ("tight",))
    assert asked[0][asked[0].index("--device") + 1] == "cuda"


def test_a_later_check_drops_the_one_before_and_closing_ends_all(
    service: TrainingService, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    service.checkFailed.connect(told.append)
    answer(monkeypatch, "wait")
    service.check(Path("x"))
    service.check(Path("y"))
    service.estimate(TrainRequest(Path("x")))
    begin = time.monotonic()
    service.cancel_check()
    service.close()
    assert time.monotonic() - begin < 3
    assert not told


def test_several_cards_can_be_taken_together(
    service: TrainingService, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = [
        {"id": i, "name": i, "free_bytes": 10**9, "total_bytes": 2 * 10**9}
        for i in ("cpu", "cuda:0", "cuda:1")
    ]
    answer(monkeypatch, {"event": "devices", "devices": cards})
    assert [device.id for device in service.devices] == ["cpu"]
    found: list[object] = []
    service.devicesFound.connect(found.append)
    service.find_devices()
    wait_until(lambda: found)
    assert [device.id for device in service.devices] == ["cpu", "cuda:0", "cuda:1", "cuda:all"]
    assert service.devices[-1].free_bytes == 2 * 10**9
    assert service.devices[1].text == "1.0 of 2.0 GB free"

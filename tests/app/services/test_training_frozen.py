"""Trainings of the installed application: their processes are the application itself, never a Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app import selftest
from app.services import training_process as processes
from app.services.training import TrainingService
from app.services.training_queue import Order
from app.services.training_values import DataReport, RunState, TrainRequest
from tests.app.conftest import WaitUntil

FAKE = Path(__file__).with_name("fake_trainer.py")
ROOT = Path(__file__).parents[3]
DEVICES = {
    "event": "devices",
    "devices": [{"id": i, "name": i, "free_bytes": 1, "total_bytes": 2} for i in ("cpu", "cuda:0", "cuda:1")],
}
SCRIPT = """#!/bin/sh
echo "$*" >> '{told}'
case "$*" in
*--devices*) echo '{devices}' ;;
*--check*) PYTHONPATH='{root}' exec '{python}' -m app "$@" ;;
*) PYTHONPATH='{root}' exec '{python}' '{fake}' "$@" ;;
esac
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend to be the installed application; return the file in which it notes how it was started."""
    program, told = tmp_path / "Coord Läbel" / "coordlabel", tmp_path / "told"
    program.parent.mkdir()
    program.write_text(
        SCRIPT.format(told=told, devices=json.dumps(DEVICES), root=ROOT, python=sys.executable, fake=FAKE)
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(program))
    for name in ("APPIMAGE", "APPDIR"):
        monkeypatch.delenv(name, raising=False)
    return told


@pytest.fixture
def service(tmp_path: Path, qapp: QApplication) -> Iterator[TrainingService]:
    made = TrainingService(tmp_path / "training", poll_sec=0.03)
    yield made
    made.close()


def test_a_run_is_trained_by_the_application_itself(
    service: TrainingService, told: Path, wait_until: WaitUntil
) -> None:
    run = service.start(TrainRequest(Path("my photos"), name="faces", device="cpu"))
    wait_until(lambda: (view := service.run(run)) is not None and view.state is RunState.FINISHED)
    expected = f"train --images my photos --preset quick-64 --recursive --run {run} --device cpu --name faces"
    assert told.read_text().splitlines() == [expected]


def test_it_names_devices_and_checks_data_and_never_takes_several_cards(
    service: TrainingService, told: Path, wait_until: WaitUntil, tmp_path: Path
) -> None:
    found: list[object] = []
    service.devicesFound.connect(found.append)
    service.find_devices()
    wait_until(lambda: found)
    assert [device.id for device in service.devices] == ["cpu", "cuda:0", "cuda:1"], "torchrun needs a Python"
    reports: list[DataReport] = []
    service.checkDone.connect(reports.append)
    service.check(ROOT / "resources" / "sample_project" / "images")
    wait_until(lambda: reports)
    assert reports[0].count == 24
    assert [line.split()[:2] for line in told.read_text().splitlines()] == [
        ["train", "--devices"],
        ["train", "--check"],
    ]


def test_a_queue_for_several_cards_goes_on_with_one(told: Path, tmp_path: Path) -> None:
    new = Order(tmp_path, device="cuda:all", request=TrainRequest(Path("photos")))
    for order, verb in ((new, "train"), (Order(tmp_path, "resume", "cuda:all"), "resume")):
        words = processes.arguments(order)
        assert words[:2] == [str(tmp_path / "Coord Läbel" / "coordlabel"), verb]
        assert words[words.index("--device") + 1] == "cuda"


def test_the_self_test_trains_in_the_same_way(told: Path, tmp_path: Path, qapp: QApplication) -> None:
    assert selftest._train(Path("photos"), tmp_path / "out") == len(b"a model")
    (words,) = told.read_text().splitlines()
    assert "--set train.minutes=0" in words, "its length is given in images"
    assert (tmp_path / "out/training").is_dir()


def test_the_self_test_tells_why_a_training_fails(told: Path, tmp_path: Path, qapp: QApplication) -> None:
    Path(sys.executable).write_text("#!/bin/sh\necho 'Error: a library is missing' >&2\nexit 3\n")
    with pytest.raises(selftest.SelfTestError, match="the training failed: .*a library is missing"):
        selftest._train(Path("photos"), tmp_path / "out")

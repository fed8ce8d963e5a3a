"""What is said about the hardware, and that switching builds reaches the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.services.engine import EngineClient
from app.services.gpu.choice import BUILDS
from app.services.gpu.machine import Card, Machine
from app.services.gpu.probe import Probe
from app.services.hardware import Hardware, HardwareState, verdict
from app.services.settings import Settings
from coordgan_core.torch_folder import TORCH_VARIABLE
from tests.app.conftest import WaitUntil
from tests.app.services.wheel_server import WheelServer, make_libraries, make_torch, serving

CARD = Card("RTX 3060", "596.1", 12288, 8.6)
HERE = Machine((CARD,))
CPU = Probe("2.13.0+cpu")
CUDA = Probe("2.13.0+cu130", "13.0", ("RTX 3060",))
Make = Callable[..., Hardware]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication) -> Iterator[Make]:
    monkeypatch.delenv(TORCH_VARIABLE, raising=False)
    made: list[Hardware] = []
    engine = EngineClient()
    monkeypatch.setattr("app.services.hardware.torch_version", lambda: "2.13.0+cpu")

    def build(machine: Machine, attempt: Callable[[Path | None], Probe], index: str = "") -> Hardware:
        settings = Settings(tmp_path / "profile")
        if index:
            settings.set("engine.gpu_index", index)
        made.append(Hardware(settings, engine, look_at=lambda: machine, attempt=attempt))
        return made[-1]

    yield build
    for hardware in made:
        hardware.close()
        hardware.deleteLater()
    engine.stop()
    engine.deleteLater()
    os.environ.pop(TORCH_VARIABLE, None)


def attempt(folder: Path | None) -> Probe:
    return CUDA if folder is not None or TORCH_VARIABLE in os.environ else CPU


@pytest.mark.parametrize(
    ("state", "wanted", "fallen_back", "device", "reason"),
    [
        (HardwareState(machine=HERE, used=CUDA), "auto", "", "RTX 3060", "2.13.0+cu130"),
        (HardwareState(machine=HERE, used=CUDA), "cpu", "", "Processor", "settings"),
        (HardwareState(machine=HERE, used=CPU, offered=BUILDS), "auto", "", "Processor", "could be used"),
        (HardwareState(machine=HERE, used=CPU, offered=BUILDS), "auto", "crashed", "Processor", "crashed"),
        (HardwareState(machine=Machine(problem="No driver"), used=CPU), "auto", "", "Processor", "No driver"),
        (
            HardwareState(machine=Machine((Card("K80", "5", 0, 3.7),)), used=CPU),
            "auto",
            "",
            "Processor",
            "3.7",
        ),
        (
            HardwareState(machine=HERE, used=Probe("2.13", "13.0")),
            "auto",
            "",
            "Processor",
            "update its driver",
        ),
        (HardwareState(machine=HERE, used=Probe(problem="gone")), "auto", "", "Nothing", "gone"),
    ],
)
def test_the_device_is_named_with_its_reason(
    state: HardwareState, wanted: str, fallen_back: str, device: str, reason: str
) -> None:
    found = verdict(state, wanted, fallen_back)
    assert found.device == device
    assert reason in found.reason


def test_looking_asks_no_network_and_offers_what_fits(
    make: Make, wait_until: WaitUntil, tmp_path: Path
) -> None:
    with serving(WheelServer(tmp_path)) as server:
        hardware = make(HERE, attempt, server.url)
        hardware.look()
        wait_until(lambda: not hardware.state.looking)
        assert server.asked == []
    assert hardware.state.offered == BUILDS
    assert hardware.state.can_enable
    assert hardware.verdict.device == "Processor"


def test_fetching_makes_the_engine_use_the_card_and_removing_goes_back(
    make: Make, wait_until: WaitUntil, tmp_path: Path
) -> None:
    make_torch(tmp_path / "wheels", "2.13.0+cu130")
    make_libraries(tmp_path / "wheels")
    with serving(WheelServer(tmp_path / "wheels")) as server:
        hardware = make(HERE, attempt, server.url)
        hardware.look()
        wait_until(lambda: not hardware.state.looking)
        hardware.fetch()
        wait_until(lambda: hardware.state.build is not None and not hardware.state.looking)
    assert hardware.state.error == ""
    assert os.environ[TORCH_VARIABLE] == str(hardware.store.builds()[0].folder)
    assert hardware.verdict.device == "RTX 3060"
    assert not hardware.state.can_enable
    hardware.remove()
    wait_until(lambda: not hardware.state.looking)
    assert TORCH_VARIABLE not in os.environ
    assert hardware.verdict.device == "Processor"
    assert hardware.store.builds() == []


def test_what_fails_is_said_and_changes_nothing(make: Make, wait_until: WaitUntil, tmp_path: Path) -> None:
    with serving(WheelServer(tmp_path)) as server:
        hardware = make(HERE, attempt, server.url)
        hardware.look()
        wait_until(lambda: not hardware.state.looking)
        hardware.fetch()
        wait_until(lambda: hardware.state.error)
    assert "not offered" in hardware.state.error
    assert TORCH_VARIABLE not in os.environ
    assert hardware.state.can_enable, "it can be tried again"


def test_an_engine_whose_private_torch_does_not_load_serves_with_the_installed_one(
    make: Make, wait_until: WaitUntil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('no driver for it')")
    monkeypatch.setenv(TORCH_VARIABLE, str(tmp_path))
    engine = EngineClient(model_folders=[tmp_path])
    answers: list[object] = []
    engine.models(answers.append, lambda message: pytest.fail(message))
    wait_until(lambda: answers, 60)
    assert "no driver for it" in engine.torch_problem
    assert TORCH_VARIABLE not in os.environ, "trainings must not try it again"
    engine.stop()
    engine.deleteLater()

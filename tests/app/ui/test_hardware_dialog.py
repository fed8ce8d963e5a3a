"""The hardware dialog: what it says and offers, by what was found; nothing is fetched unasked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.services.engine import EngineClient
from app.services.gpu.active import Build
from app.services.gpu.choice import BUILDS
from app.services.gpu.machine import Card, Machine
from app.services.gpu.probe import Probe
from app.services.hardware import Hardware, HardwareState
from app.services.job_values import JobProgress
from app.services.settings import Settings
from app.ui.dialogs.hardware import HardwareDialog
from app.ui.theme import Theme

CARD = Card("RTX 3060", "580.95", 12288, 8.6)
FOUND = HardwareState(looking=False, machine=Machine((CARD,)), used=Probe("2.13.0+cpu"), offered=BUILDS)


class Still(Hardware):
    """Looks at nothing and counts what is asked of it."""

    asked: list[str]

    def look(self) -> None:
        """Find nothing out."""

    def fetch(self) -> None:
        """Count."""
        self.asked.append("fetch")

    def cancel(self) -> None:
        """Count."""
        self.asked.append("cancel")

    def remove(self) -> None:
        """Count."""
        self.asked.append("remove")

    def become(self, state: HardwareState) -> None:
        """Show another state."""
        self.state = state
        self.changed.emit()


@pytest.fixture
def dialog(qapp: QApplication, tmp_path: Path) -> Iterator[HardwareDialog]:
    theme = Theme(qapp, "light")
    engine = EngineClient()
    hardware = Still(Settings(tmp_path), engine)
    hardware.asked = []
    made = HardwareDialog(hardware)
    made.show()
    yield made
    made.close()
    made.deleteLater()
    hardware.close()
    hardware.deleteLater()
    engine.deleteLater()
    theme.deleteLater()


def still(dialog: HardwareDialog) -> Still:
    assert isinstance(dialog._hardware, Still)
    return dialog._hardware


def test_a_card_that_could_be_used_is_offered_and_only_a_click_fetches(dialog: HardwareDialog) -> None:
    assert dialog.device.text() == "Looking…"
    still(dialog).become(FOUND)
    assert dialog.device.text() == "Processor"
    assert "RTX 3060 could be used" in dialog.reason.text()
    assert dialog.cards.text() == "RTX 3060  ·  12 GB  ·  driver 580.95"
    assert "CUDA 13.0" in dialog.build.text()
    assert dialog.promise.isVisible()
    assert still(dialog).asked == []
    dialog.fetch.click()
    assert still(dialog).asked == ["fetch"]


def test_without_a_card_there_is_nothing_to_fetch(dialog: HardwareDialog) -> None:
    still(dialog).become(replace(FOUND, machine=Machine(problem="No driver."), offered=()))
    assert not dialog.fetch.isVisible()
    assert not dialog.remove.isVisible()
    assert dialog.reason.text() == "No driver."


def test_fetching_shows_how_far_it_is_and_can_be_stopped(dialog: HardwareDialog) -> None:
    progress = JobProgress(812, 2904, "fetching torch", 10.0, 190)
    still(dialog).become(replace(FOUND, busy="fetching torch", progress=progress))
    assert dialog.progress_text.text() == "fetching torch  ·  812 of 2,904 MB  ·  3 min left"
    assert dialog.bar.value() == round(812 / 2904 * 1000)
    assert not dialog.fetch.isVisible()
    assert not dialog.from_file.isVisible()
    dialog.stop.click()
    assert still(dialog).asked == ["cancel"]


def test_what_failed_is_said_and_can_be_tried_again(dialog: HardwareDialog) -> None:
    still(dialog).become(replace(FOUND, error="the connection broke."))
    assert dialog.error.isVisible()
    assert dialog.error.text == "The connection broke."
    assert "Try again" in dialog.fetch.text()


def test_a_build_in_use_is_named_and_can_be_removed(dialog: HardwareDialog) -> None:
    used = Probe("2.13.0+cu130", "13.0", ("RTX 3060",))
    still(dialog).become(replace(FOUND, used=used, build=Build(Path("/x"), "2.13.0+cu130", "3.11")))
    assert dialog.device.text() == "RTX 3060"
    assert "2.13.0+cu130" in dialog.build.text()
    assert not dialog.fetch.isVisible()
    dialog.remove.click()
    assert still(dialog).asked == ["remove"]

from __future__ import annotations

from pathlib import Path

import pytest

from coordgan_core.training import pace
from tests.core.training import toys


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return toys.write_images(tmp_path / "images")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Train toys, one step a tick, so that every step can be interrupted."""
    toys.install(monkeypatch)
    monkeypatch.setattr(pace.Pace, "stride", lambda self, batch: 1)
    return monkeypatch

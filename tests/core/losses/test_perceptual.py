from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coordgan_core.errors import ConfigError
from coordgan_core.losses import perceptual
from coordgan_core.losses.perceptual import Perceptual, perceptual_loss
from tests.core.tiny import images


@pytest.fixture
def without_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "lpips_obstacle", lambda: "the package lpips is not installed")


def describe(batch: torch.Tensor) -> torch.Tensor:
    return F.normalize(F.avg_pool2d(batch, 4), dim=1)


@pytest.mark.usefixtures("without_lpips")
def test_auto_says_what_it_picked() -> None:
    plain, taught = perceptual_loss(), perceptual_loss(embedding=describe)
    assert plain.kind == "structural"
    assert "lpips is not installed" in plain.reason
    assert taught.kind == "embedding"
    assert "embedding takes its place" in taught.reason


def test_auto_takes_lpips_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "lpips_obstacle", lambda: None)
    monkeypatch.setattr(perceptual, "_load_lpips", lambda _device: nn.PairwiseDistance())
    assert perceptual_loss(embedding=describe).kind == "lpips"


@pytest.mark.usefixtures("without_lpips")
def test_what_is_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match="LPIPS"):
        perceptual_loss("lpips")
    with pytest.raises(ConfigError, match="embedding"):
        perceptual_loss("embedding")


def test_weights_are_looked_for_on_disk_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert "not on this machine" in (perceptual.lpips_obstacle() or "")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / perceptual.VGG_WEIGHTS).touch()
    assert perceptual.lpips_obstacle() is None


def test_embedding_distance_by_hand() -> None:
    loss = perceptual_loss("embedding", embedding=lambda x: F.normalize(x, dim=1))
    a = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    b = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert float(loss(a, b)) == pytest.approx(1 - 0.6)
    assert float(loss(a, a)) == pytest.approx(0.0)


def test_it_is_a_scalar_and_never_trains() -> None:
    loss = perceptual_loss("structural")
    assert loss(images(), images(seed=1)).ndim == 0
    dropout = Perceptual("test", "test", nn.Sequential(nn.Dropout()).train())  # type: ignore[arg-type]
    assert not any(module.training for module in dropout.train().modules())
    assert not list(perceptual_loss("structural").state_dict())

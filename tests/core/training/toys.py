"""A model and a stage small enough to train in milliseconds, with everything that a real stage has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from coordgan_core.config import Config, replace
from coordgan_core.data.sampler import generator
from coordgan_core.training import outputs, stages
from coordgan_core.training.events import Event, SnapshotWritten
from coordgan_core.training.loop import train
from coordgan_core.training.state import Position
from coordgan_core.training.steps import take_step


class ToyModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(images)))


class ToyStage:
    """Denoises images; keeps a moving average and a plain number of its own."""

    noise = 0.5

    def __init__(self, name: str, config: Config, model: ToyModel, device: torch.device) -> None:
        self.name = name
        self.total_nimg = config.train.gan.total_nimg if name == "gan" else config.train.encoder.total_nimg
        self._seed = config.train.seed
        self._model = model
        self._average = ToyModel().to(device)
        self._average.load_state_dict(model.state_dict())
        self._optimizer = torch.optim.Adam(model.parameters(), 0.01)
        self._largest = 0.0

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        draws = generator(self._seed, "noise", nimg)
        noise = torch.randn(images.shape, generator=draws) * self.noise
        noise = noise + torch.rand(()) * self.noise  # a draw from the global generator that slipped in
        loss = (self._model(images + noise) - images).square().mean()
        self._optimizer.zero_grad()
        loss.backward()
        take_step(self._optimizer)
        with torch.no_grad():
            for average, value in zip(self._average.parameters(), self._model.parameters(), strict=True):
                average.lerp_(value, 0.1)
        self._largest = max(self._largest, float(nimg))
        return {"loss": loss.detach()}

    def modules(self) -> Mapping[str, nn.Module]:
        return {"model": self._model, "average": self._average}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"adam": self._optimizer}

    def export(self) -> ToyModel:
        return self._average

    def finish(self) -> None:
        with torch.no_grad():
            self._average.last.bias.add_(1.0)

    def state(self) -> dict[str, Any]:
        return {"largest": self._largest}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._largest = state["largest"]


def write_toy_outputs(
    folder: Any, name: str, position: Position, model: ToyModel, source: Any, *, last: bool = False
) -> Iterator[Event]:
    path = folder.snapshot_path(position.stage, name, position.nimg)
    path.parent.mkdir(exist_ok=True)
    save_file(model.state_dict(), path)
    folder.publish(path)
    yield SnapshotWritten(path, folder.model_path, name, position.nimg)


def install(patch: Any, stage: type[ToyStage] = ToyStage) -> None:
    """Let the loop train toys; ``patch`` is a monkeypatch or anything with its ``setattr``."""
    patch.setattr(stages, "build_model", lambda config: ToyModel())
    patch.setattr(
        stages,
        "build_stage",
        lambda name, config, model, source, device: stage(name, config, model, device),
    )
    patch.setattr(outputs, "write", write_toy_outputs)


def toy_config(**changes: Any) -> Config:
    """Two stages of ten and six steps of four images at 32 pixels, without time-driven files."""
    basic: dict[str, Any] = {
        "model.resolution": 32,
        "model.encoder": None,
        "train.batch": 4,
        "train.seed": 3,
        "train.gan.total_nimg": 40,
        "train.encoder.total_nimg": 24,
        "train.snapshot_nimg": 16,
        "train.checkpoint_sec": 1e6,
    }
    return replace(Config(), **{**basic, **changes})


def write_images(folder: Path, count: int = 7) -> Path:
    """Write small pictures and one that cannot be read."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(1)
    for index in range(count):
        pixels = draws.integers(0, 256, (24, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


def final_state(run: Path) -> dict[str, Any]:
    """Return the newest checkpoint, without what depends on the clock."""
    from coordgan_core.training import checkpoint

    path, _ = checkpoint.newest(run / "checkpoints")
    assert path is not None
    state = checkpoint.read(path)
    state["position"].pop("active_sec")
    return state


def assert_same(left: Any, right: Any, where: str = "") -> None:
    """Assert that two nested states are equal bit for bit."""
    assert type(left) is type(right), where
    if isinstance(left, Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, Mapping):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}/{key}")
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for index, pair in enumerate(zip(left, right, strict=True)):
            assert_same(*pair, f"{where}/{index}")
    else:
        assert left == right, where


def run_whole(images: Path, run: Path, **changes: object) -> list[Event]:
    """Train a toy to its end; return all that it told."""
    return list(train(toy_config(**changes), images=images, run=run, device="cpu"))

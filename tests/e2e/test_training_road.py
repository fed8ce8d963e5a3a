"""A real training from data check to propagation: the window closed and opened, the trainer killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PySide6.QtWidgets import QApplication
from safetensors.torch import load_file

from app.processes import child_environment, command
from app.services import training_process as processes
from app.services.training import TrainingService
from app.services.training_values import DataReport, RunState, TrainRequest
from coordgan_core.data.images import list_images, read_image
from coordgan_core.labels import read_label_map
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import Propagated, Reference, propagate_labels
from coordgan_core.snapshot import inspect, load_model
from resources import sample_project
from tests.core.training.toys import assert_same, final_state

SMALL: dict[str, Any] = {
    "model.resolution": 32,
    "model.mapping.code_dim": 16,
    "model.warp.resolution": 16,
    "model.warp.width": 16,
    "model.synthesis.trunk_channels": 8,
    "model.synthesis.trunk_blocks": 1,
    "model.synthesis.upsample_channels": [8],
    "model.encoder.channels": 4,
    "model.encoder.max_channels": 16,
    "model.encoder.downsamplings": 2,
    "model.encoder.structure_channels": 4,
    "model.encoder.texture_channels": 16,
    "model.embedding.dim": 8,
    "model.embedding.channels": [8, 16],
    "model.embedding.input_px": 32,
    "model.embedding.prototype_px": 8,
    "model.dense_head.channels": 4,
    "train.minutes": 0.0,
    "train.batch": 4,
    "train.precision": "float32",
    "train.checkpoint_sec": 1.0,
    "train.snapshot_nimg": 100_000,
    "train.embedding.total_nimg": 600,
    "train.embedding.queries": 16,
    "train.joint.total_nimg": 48,
}


@pytest.fixture
def opened(tmp_path: Path, qapp: QApplication) -> Iterator[list[TrainingService]]:
    services: list[TrainingService] = []
    yield services
    for service in services:
        service.close()
    for order in json.loads((tmp_path / "training/queue.json").read_text())["orders"]:
        if processes.is_running(order["pid"]):
            os.kill(order["pid"], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_training_ends_as_an_undisturbed_one_and_its_model_propagates(
    opened: list[TrainingService], tmp_path: Path
) -> None:
    images = sample_project() / "images"
    labels = {p.name: sample_project() / "labels" / f"{p.stem}.png" for p in list_images(images)}
    labels = dict([next((n, p) for n, p in labels.items() if p.is_file())])
    request = TrainRequest(
        images, changes=SMALL, device="cpu", name="sample", labels=labels, category="figures"
    )
    with subprocess.Popen(
        command("train", *processes.settings(request), "--run", str(tmp_path / "whole"), "--device", "cpu"),
        env=child_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as undisturbed:
        service = open_service(opened, tmp_path)
        reports: list[DataReport] = []
        service.checkDone.connect(reports.append)
        service.check(images)
        wait_until(lambda: reports, timeout_sec=60)
        assert reports[0].can_train
        assert reports[0].preset == request.preset

        run = service.start(request)
        wait_until(lambda: list(Path(run).glob("checkpoints/*.json")), timeout_sec=120)
        service.close()
        service = open_service(opened, tmp_path)
        service.attach(run)
        wait_until(lambda: "equivariance" in service.history(run).curves, timeout_sec=60)
        assert state(service, run) is RunState.RUNNING

        (order,) = json.loads((tmp_path / "training/queue.json").read_text())["orders"]
        os.kill(order["pid"], signal.SIGKILL)
        wait_until(lambda: state(service, run) is RunState.INTERRUPTED)
        ready: list[Path] = []
        service.modelReady.connect(lambda _run, path: ready.append(path))
        service.resume(run)
        wait_until(lambda: ready, timeout_sec=180)
        assert undisturbed.wait(timeout=120) == 0
    assert_same(final_state(Path(run)), final_state(tmp_path / "whole"))
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (Path(run), tmp_path / "whole"))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)

    history = service.history(run)
    points = history.curves["equivariance"].nimg
    assert list(points) == sorted(set(points))  # what was done twice is shown once
    assert {sheet.kind for sheet in history.sheets} == {
        "all", "maps", "reconstruction", "texture", "structure", "labels",
    }  # fmt: skip
    assert history.quality_kind == "copies"
    card = inspect(ready[0]).card
    assert (card.name, card.category, card.data_count) == ("sample", "figures", 24)
    assert len(card.data_fingerprint) == 64
    assert card.sample_strip
    name, path = next(iter(labels.items()))
    reference = Reference(read_image(images / name), read_label_map(path))
    query = next(image for image in list_images(images) if image.name != name)
    (result,) = (
        event
        for event in propagate_labels(
            Predictor(load_model(ready[0]), device="cpu"), [reference], [read_image(query)]
        )
        if isinstance(event, Propagated)
    )
    assert result.labels.any()


def wait_until(condition: Callable[[], object], *, timeout_sec: float = 30.0) -> None:
    until = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        QApplication.processEvents()
        time.sleep(0.005)


def open_service(opened: list[TrainingService], folder: Path) -> TrainingService:
    opened.append(TrainingService(folder / "training", poll_sec=0.1))
    return opened[-1]


def state(service: TrainingService, run: str) -> RunState | None:
    view = service.run(run)
    return None if view is None else view.state

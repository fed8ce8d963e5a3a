"""Services of the tests for the Training tab: they answer at once and do nothing."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject

from app.services.model_library import ModelEntry, ModelLibrary
from app.services.settings import Settings
from app.services.training import TrainingService
from app.services.training_values import (
    DeviceInfo,
    FieldInfo,
    PresetInfo,
    RunHistory,
    RunState,
    RunView,
    TrainRequest,
)
from app.ui.pages.train.page import TrainPage

PRESETS = (
    PresetInfo(
        "quick-64",
        "Quick, 64 px",
        "Useful on a two-core processor in minutes.",
        64,
        30.0,
        ("embedding", "joint"),
    ),
    PresetInfo(
        "fast-128",
        "Fast, 128 px",
        "Finer maps; an evening on a processor.",
        128,
        60.0,
        ("embedding", "joint"),
    ),
    PresetInfo(
        "fast-256", "Fast, 256 px", "Finest maps; wants a graphics card.", 256, 120.0, ("embedding", "joint")
    ),
    PresetInfo(
        "paper-128",
        "As published, 128 px",
        "The published method; days on graphics cards.",
        128,
        0.0,
        ("gan",),
    ),
)
FIELDS = (
    FieldInfo(
        "train.batch",
        "train",
        "Training: the whole run",
        "Batch",
        "Images a step; even",
        "int",
        24,
        2,
        1024,
        "images",
        basic=True,
    ),
    FieldInfo(
        "train.minutes",
        "train",
        "Training: the whole run",
        "Minutes",
        "Time it may take, 0 for no limit",
        "float",
        30.0,
        0.0,
        None,
        "min",
        basic=True,
    ),
    FieldInfo(
        "train.mirror",
        "train",
        "Training: the whole run",
        "Mirror",
        "Flip images at random",
        "bool",
        False,
        basic=True,
    ),
    FieldInfo(
        "train.precision",
        "train",
        "Training: the whole run",
        "Precision",
        "Arithmetic of the convolutions",
        "choice",
        "auto",
        choices=("auto", "float32", "bfloat16"),
    ),
    FieldInfo(
        "train.stages",
        "train",
        "Training: the whole run",
        "Stages",
        "What is trained, in order",
        "choices",
        ("embedding", "joint"),
        choices=("embedding", "joint", "gan", "encoder"),
    ),
    FieldInfo(
        "train.joint.fold",
        "train.joint",
        "Joint training on real images",
        "Fold",
        "Weight of the fold-over penalty",
        "float",
        1.0,
        0.0,
    ),
    FieldInfo(
        "model.embedding.channels",
        "model.embedding",
        "Embedding with prototypes",
        "Channels",
        "Channels a level",
        "list",
        (48, 96, 160, 192),
        4,
        1024,
    ),
    FieldInfo(
        "model.crop.mode",
        "model.crop",
        "Cropping",
        "Mode",
        "What of an image",
        "choice",
        "whole",
        choices=("whole", "centre", "labels", "box"),
    ),
)


class FakeTraining(TrainingService):
    """Remembers what was asked; a test sends the answers."""

    def __init__(self, parent: QObject | None = None) -> None:
        QObject.__init__(self, parent)
        self.asked: list[tuple[Any, ...]] = []
        self.views: dict[str, RunView] = {}
        self.histories: dict[str, RunHistory] = {}
        self.found: tuple[DeviceInfo, ...] = (DeviceInfo("cpu", "Processor", 3 << 30, 8 << 30, "2 cores"),)
        self.attached: set[str] = set()
        self.is_closed = False

    def presets(self) -> tuple[PresetInfo, ...]:
        return PRESETS

    def fields(self, preset: str) -> tuple[FieldInfo, ...]:
        return FIELDS

    def problem(self, preset: str, changes: dict[str, Any]) -> str:
        return "The batch is odd: choose an even number." if changes.get("train.batch", 2) % 2 else ""

    def find_devices(self) -> None:
        self.asked.append(("devices",))

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        return self.found

    def check(
        self,
        images: Path,
        *,
        recursive: bool = True,
        changes: dict[str, Any] | None = None,
        labels: dict[str, Path] | None = None,
    ) -> None:
        self.asked.append(("check", images, recursive, changes, labels))

    def cancel_check(self) -> None:
        self.asked.append(("cancel_check",))

    def estimate(self, request: TrainRequest) -> None:
        self.asked.append(("estimate", request))

    def cancel_estimate(self) -> None:
        self.asked.append(("cancel_estimate",))

    def start(self, request: TrainRequest) -> str:
        self.asked.append(("start", request))
        self.put(RunView("run-1", request.name or "wings", Path("run-1"), RunState.STARTING))
        return "run-1"

    def put(self, view: RunView, history: RunHistory | None = None) -> None:
        is_new = view.id not in self.views
        self.views[view.id] = view
        if history is not None:
            self.histories[view.id] = dataclasses.replace(history, id=view.id)
            self.historyChanged.emit(view.id)
        (self.runsChanged.emit if is_new else lambda: self.runChanged.emit(view.id))()

    def runs(self) -> tuple[RunView, ...]:
        return tuple(self.views.values())

    def run(self, run_id: str) -> RunView | None:
        return self.views.get(run_id)

    def pause(self, run_id: str) -> None:
        self.asked.append(("pause", run_id))

    def resume(self, run_id: str, *, device: str | None = None) -> None:
        self.asked.append(("resume", run_id))

    def stop(self, run_id: str) -> None:
        self.asked.append(("stop", run_id))

    def discard(self, run_id: str) -> None:
        self.asked.append(("discard", run_id))
        del self.views[run_id]
        self.runsChanged.emit()

    def move(self, run_id: str, place: int) -> None:
        self.asked.append(("move", run_id, place))

    def attach(self, run_id: str) -> None:
        self.attached.add(run_id)

    def detach(self, run_id: str) -> None:
        self.attached.discard(run_id)

    def history(self, run_id: str) -> RunHistory:
        return self.histories.get(run_id, RunHistory(run_id))

    def log_text(self, run_id: str, *, lines: int = 400) -> str:
        return f"log of {run_id}"

    def close(self) -> None:
        self.is_closed = True


class FakeLibrary(ModelLibrary):
    """A list of models that a test fills."""

    def __init__(self, parent: QObject | None = None) -> None:
        QObject.__init__(self, parent)
        self.models: tuple[ModelEntry, ...] = ()
        self.asked: list[tuple[Any, ...]] = []

    def refresh(self) -> None:
        self.changed.emit()

    def entries(self) -> tuple[ModelEntry, ...]:
        return self.models

    def entry(self, model_id: str) -> ModelEntry | None:
        return next((entry for entry in self.models if entry.id == model_id), None)

    def rename(self, model_id: str, name: str) -> None:
        self.asked.append(("rename", model_id, name))

    def describe(self, model_id: str, **values: str) -> None:
        self.asked.append(("describe", model_id, values))

    def import_model(self, path: Path) -> None:
        self.asked.append(("import", path))

    def export(self, model_id: str, path: Path) -> None:
        self.asked.append(("export", model_id, path))

    def delete(self, model_id: str) -> None:
        self.asked.append(("delete", model_id))

    def compare(
        self, model_ids: tuple[str, ...], images: Path, labels: dict[str, Path], references: tuple[str, ...]
    ) -> None:
        self.asked.append(("compare", model_ids, images, labels, references))

    def cancel_compare(self) -> None:
        self.asked.append(("cancel_compare",))

    def close(self) -> None:
        pass


class FakeHost:
    """What a page sees of a window, without the window."""

    def __init__(self, profile: Path) -> None:
        self.context = SimpleNamespace(settings=Settings(profile))
        self.actions_by_id: dict[str, object] = {}
        self.workspace: Any = None
        self.said: list[str] = []
        self.shown = ""

    def say(self, text: str) -> None:
        self.said.append(text)

    def show_page(self, page_id: str) -> None:
        self.shown = page_id

    def open_project(self, path: Path) -> bool:
        return False


@contextlib.contextmanager
def shown_page(training: FakeTraining, library: FakeLibrary, profile: Path) -> Iterator[TrainPage]:
    """Show the Training tab alone, with these services; they go with it."""
    page = TrainPage(FakeHost(profile), training=training, library=library)  # type: ignore[arg-type]
    page.resize(1200, 760)
    page.show()
    yield page
    page.close_page()
    page.close()
    for each in (page, library, training):
        each.deleteLater()

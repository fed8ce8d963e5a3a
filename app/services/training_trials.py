"""What is found out before a training starts, each in a process of its own: devices, data check, estimate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from app.processes import is_frozen
from app.services import training_process as processes
from app.services.tool import Tool
from app.services.training_values import Advice, DataReport, DeviceInfo, Estimate, StageEstimate, TrainRequest
from app.services.translations import mark, translated

if TYPE_CHECKING:
    from app.services.training import TrainingService

CPU = DeviceInfo("cpu", "CPU")
_NAMES = {
    "embedding": mark("Measuring the embedding: step {step} of {steps}"),
    "joint": mark("Measuring the joint training: step {step} of {steps}"),
    "gan": mark("Measuring the adversarial training: step {step} of {steps}"),
    "encoder": mark("Measuring the encoder: step {step} of {steps}"),
}


class Trials(QObject):
    """Three tools, whose results are told by the service's signals.

    Args:
        service: Whose signals they are.
        folder: Where the contact sheet and copies of labels go.
    """

    def __init__(self, service: TrainingService, folder: Path) -> None:
        super().__init__(service)
        self._service, self._folder = service, folder
        self.devices: tuple[DeviceInfo, ...] = (CPU,)
        self._found = Tool(self._device_event, self._devices_end, parent=self)
        self._check = Tool(self._check_event, self._check_end, parent=self)
        self._estimate = Tool(self._estimate_event, self._estimate_end, parent=self)
        self._sheets = 0
        self._done: dict[Tool, bool] = {}

    def find_devices(self) -> None:
        """Begin to look for devices."""
        self._found.start("train", "--devices", "--json")

    def check(self, request: TrainRequest) -> None:
        """Begin a check."""
        self._done[self._check] = False
        self._sheets += 1  # a new name each time: the window keeps pictures by name
        sheet = self._folder / f"contact-{self._sheets % 4}.png"
        words = ["train", "--check", "--json", "--contact-sheet", str(sheet), *processes.settings(request)]
        self._start(self._check, words, request, "check-labels", self._service.checkFailed)

    def estimate(self, request: TrainRequest, runs: Path) -> None:
        """Begin an estimate."""
        self._done[self._estimate] = False
        device = "cuda" if request.device == "cuda:all" else request.device
        words = ["train", "--estimate", "--json", "--run", str(runs), "--device", device]
        words += processes.settings(request)
        self._start(self._estimate, words, request, "estimate-labels", self._service.estimateFailed)

    def cancel_check(self) -> None:
        """Drop the check."""
        self._check.cancel()

    def cancel_estimate(self) -> None:
        """Drop the estimate."""
        self._estimate.cancel()

    def close(self) -> None:
        """Drop everything."""
        for tool in (self._found, self._check, self._estimate):
            tool.cancel()

    def _start(self, tool: Tool, words: list[str], request: TrainRequest, name: str, failed: Any) -> None:
        """Start a tool; the labels it needs (for a box around them) are few and copied before."""
        tool.cancel()
        if request.changes.get("model.crop.mode") == "labels":
            place = self._folder / name
            try:
                shutil.rmtree(place, ignore_errors=True)
                found = processes.lay_down_labels(request.labels, place)
            except OSError as error:
                failed.emit(f"the labels cannot be read: {error}")
                return
            words += ["--labels", str(found)] if found else []
        tool.start(*words)

    # --- devices

    def _device_event(self, event: dict[str, Any]) -> None:
        if event.get("event") != "devices":
            return
        found = [
            DeviceInfo(
                str(item["id"]),
                str(item["name"]),
                int(item["free_bytes"]),
                int(item["total_bytes"]),
                translated("{free:.1f} of {total:.1f} GB free").format(
                    free=item["free_bytes"] / 1e9, total=item["total_bytes"] / 1e9
                ),
            )
            for item in event["devices"]
        ]
        gpus = [item for item in found if item.id.startswith("cuda")]
        if len(gpus) > 1 and not is_frozen():  # torchrun needs a Python of its own
            text = translated("Trains on {count} graphics cards at once").format(count=len(gpus))
            free, total = (sum(getattr(g, n) for g in gpus) for n in ("free_bytes", "total_bytes"))
            found.append(DeviceInfo("cuda:all", translated("All graphics cards"), free, total, text))
        self.devices = tuple(found)

    def _devices_end(self, _message: str) -> None:
        self._service.devicesFound.emit(self.devices)

    # --- check

    def _check_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "checking":
            self._service.checkProgress.emit(int(event["done"]), int(event["total"]))
        elif event.get("event") == "data_report":
            self._done[self._check] = True
            self._service.checkDone.emit(report_of(event))

    def _check_end(self, message: str) -> None:
        if not self._done.get(self._check):
            self._service.checkFailed.emit(message or translated("The check ended without a report."))

    # --- estimate

    def _estimate_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "measuring":
            template = _NAMES.get(str(event["stage"]), mark("Measuring: step {step} of {steps}"))
            self._service.estimateProgress.emit(
                translated(template).format(step=event["step"], steps=event["steps"])
            )
        elif event.get("event") == "estimate":
            self._done[self._estimate] = True
            self._service.estimateDone.emit(estimate_of(event))

    def _estimate_end(self, message: str) -> None:
        if not self._done.get(self._estimate):
            self._service.estimateFailed.emit(message or translated("The trial ended without a result."))


def report_of(event: dict[str, Any]) -> DataReport:
    """Return the report that a line of JSON describes."""
    smallest, sheet = event["smallest"], event["contact_sheet"]
    return DataReport(
        images=Path(event["images"]),
        count=event["count"],
        sizes=tuple((w, h, n) for w, h, n in event["sizes"]),
        smallest=None if smallest is None else (smallest[0], smallest[1]),
        unreadable=tuple((name, reason) for name, reason in event["unreadable"]),
        duplicates=tuple(tuple(group) for group in event["duplicates"]),
        alignment=event["alignment"],
        alignment_text=event["alignment_text"],
        advice=tuple(Advice(item["level"], item["text"]) for item in event["advice"]),
        contact_sheet=None if sheet is None else Path(sheet),
        preset=event["preset"],
        can_train=event["can_train"],
    )


def estimate_of(event: dict[str, Any]) -> Estimate:
    """Return the estimate that a line of JSON describes."""
    return Estimate(
        device=event["device"],
        seconds=event["seconds"],
        memory_bytes=event["memory_bytes"],
        memory_total_bytes=event["memory_total_bytes"],
        disk_bytes=event["disk_bytes"],
        disk_free_bytes=event["disk_free_bytes"],
        batch=event["batch"],
        images=event["images"],
        stages=tuple(StageEstimate(**stage) for stage in event["stages"]),
        warnings=tuple(event["warnings"]),
    )

"""Step 4: where it is trained."""

from __future__ import annotations

from PySide6.QtWidgets import QButtonGroup, QLabel, QRadioButton

from app.services.training import TrainingService
from app.services.training_values import DeviceInfo
from app.ui.pages.train.draft import Draft
from app.ui.pages.train.step import StepCard
from app.ui.pages.train.words import size_text
from app.ui.texts import tr
from app.ui.widgets.basics import clear, column, icon_button, label, row


def best_device(devices: tuple[DeviceInfo, ...]) -> str:
    """Return the device to offer: the graphics card with most free memory, else the processor."""
    cards = [device for device in devices if device.id.startswith("cuda:") and device.id != "cuda:all"]
    best = max(cards, key=lambda device: device.free_bytes, default=None)
    return best.id if best is not None else "cpu"


class DeviceStep(StepCard):
    """One line a device, with its free memory."""

    def __init__(self, draft: Draft, training: TrainingService) -> None:
        self._draft, self._training = draft, training
        self.choices: dict[str, QRadioButton] = {}
        self._facts_of: dict[DeviceInfo, QLabel] = {}
        self._group: QButtonGroup | None = None
        self._list = column(spacing=2)
        again = icon_button("mdi6.refresh", tr("Look for devices again"), training.find_devices)
        super().__init__(4, tr("Device"), self._list, again)
        training.devicesFound.connect(self.show_devices)
        training.runsChanged.connect(self._tell_facts)
        draft.trainingChanged.connect(self.refresh)
        self.show_devices(training.devices)

    def show_devices(self, devices: tuple[DeviceInfo, ...]) -> None:
        """Offer these devices; a chosen one that is gone gives way to the best."""
        clear(self._list)
        self._group = QButtonGroup(self)
        self.choices, self._facts_of = {}, {}
        for device in devices:
            made = QRadioButton(device.name or device.id)
            made.clicked.connect(lambda _on=False, name=device.id: self._draft.choose_device(name))
            self._group.addButton(made)
            self.choices[device.id] = made
            self._facts_of[device] = label("", "muted")
            self._list.addLayout(row(made, self._facts_of[device], None, spacing=10))
        self._tell_facts()
        if self._draft.now.device not in self.choices and self.choices:
            self._draft.choose_device(best_device(devices))
        self.refresh()

    def _tell_facts(self) -> None:
        for device, shown in self._facts_of.items():
            shown.setText(self._facts(device))
            self.choices[device.id].setAccessibleDescription(shown.text())

    def _facts(self, device: DeviceInfo) -> str:
        parts = [device.text] if device.text else []
        if device.total_bytes and not device.text:
            free, total = size_text(device.free_bytes), size_text(device.total_bytes)
            parts.append(tr("{free} of {total} free", free=free, total=total))
        waiting = sum(view.device == device.id and view.place > 0 for view in self._training.runs())
        if waiting:
            parts.append(tr("{n} waiting", n=waiting))
        return "  ·  ".join(parts)

    def refresh(self) -> None:
        """Show which device is chosen."""
        chosen = self.choices.get(self._draft.now.device)
        if chosen is not None:
            chosen.setChecked(True)
        self.set_state("done" if chosen is not None else "", chosen.text() if chosen is not None else "")

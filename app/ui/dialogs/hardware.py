"""On what models are computed and why, and how to have them computed on the graphics card."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QLabel, QProgressBar, QWidget

from app.services.hardware import Hardware, HardwareState
from app.ui.dialogs.base import Dialog
from app.ui.texts import duration, tr
from app.ui.theme import icon
from app.ui.widgets.basics import Card, Notice, button, column, label, row, set_property


class HardwareDialog(Dialog):
    """What is used and why; fetch, install from a file, or remove the build for the graphics card."""

    def __init__(self, hardware: Hardware, parent: QWidget | None = None) -> None:
        super().__init__(tr("Hardware"), tr("Models are computed in a process of their own."), parent)
        self._hardware = hardware
        self._picture = QLabel()
        self.device = label(role="section")
        self.reason = label(role="muted", wrap=True)
        self.cards = label(wrap=True)
        self.build = label(wrap=True)
        self.promise = label(role="muted", wrap=True)
        self.progress_text = label(role="muted")
        self.bar = QProgressBar(textVisible=False, minimum=0, maximum=1000)
        self.error = Notice("", "bad")
        self._make_buttons()
        self.finish(self._body(), tr("Close"), cancel=False)
        hardware.changed.connect(self._show)
        self._show()
        self.resize(640, 520)
        if not hardware.state.busy:
            hardware.look()

    def _make_buttons(self) -> None:
        self.fetch = button(
            tr("Fetch the GPU build"), self._hardware.fetch, kind="primary", icon_name="mdi6.download-outline"
        )
        self.from_file = button(tr("From a file…"), self._ask_file, icon_name="mdi6.folder-open-outline")
        self.remove = button(tr("Remove"), self._hardware.remove, icon_name="mdi6.trash-can-outline")
        self.stop = button(tr("Stop"), self._hardware.cancel, icon_name="mdi6.stop")
        self.primary.setAutoDefault(False)
        set_property(self.primary, "kind", "")  # what a person came for is the other one

    def _body(self) -> QWidget:
        used = column(self.device, self.reason, spacing=3)
        card = Card(row(self._picture, used, spacing=14))
        card.layout().setStretch(1, 1)  # type: ignore[union-attr]
        inside = QWidget()
        inside.setLayout(
            column(
                label(tr("In use"), "section"),
                card,
                12,
                label(tr("Graphics cards"), "section"),
                self.cards,
                12,
                label(tr("GPU build of PyTorch"), "section"),
                self.build,
                self.promise,
                self.bar,
                self.progress_text,
                self.error,
                row(self.fetch, self.from_file, self.remove, self.stop, None),
                None,
            )
        )
        return inside

    def _show(self) -> None:
        state = self._hardware.state
        self._show_used(state)
        self.cards.setText(_cards_text(state))
        self.build.setText(_build_text(state))
        busy = bool(state.busy)
        self.promise.setText(
            tr(
                "Nothing is fetched before you press the button. It is several gigabytes, comes from the "
                "address in the settings, is checked by checksum, and goes on where it stopped."
            )
        )
        self.promise.setVisible(state.can_enable)
        self.fetch.setVisible(state.can_enable)
        self.fetch.setText(" " + _fetch_text(state))
        self.from_file.setVisible(not busy)
        self.from_file.setEnabled(not state.looking)
        self.remove.setVisible(not busy and state.build is not None)
        self.stop.setVisible(busy)
        self._show_progress(state)
        self.error.setVisible(bool(state.error))
        if state.error:
            self.error.show_text(state.error[:1].upper() + state.error[1:], "bad")

    def _show_used(self, state: HardwareState) -> None:
        if state.looking:
            name, token = "mdi6.timer-sand", "muted"
            device, reason = tr("Looking…"), tr("A process of the engine is started and asked.")
        else:
            found = self._hardware.verdict
            device, reason = found.device, found.reason
            on_card = bool(state.used.devices) and device in state.used.devices
            name, token = ("mdi6.expansion-card", "good") if on_card else ("mdi6.chip", "accent")
        self._picture.setPixmap(icon(name, token).pixmap(30, 30))
        self.device.setText(device)
        self.reason.setText(reason)

    def _show_progress(self, state: HardwareState) -> None:
        busy, progress = bool(state.busy), state.progress
        self.bar.setVisible(busy)
        self.progress_text.setVisible(busy)
        self.bar.setMaximum(1000 if progress.total else 0)
        self.bar.setValue(round(progress.fraction * 1000))
        parts = [progress.text or tr("beginning")]
        if progress.total:
            parts.append(tr("{done} of {total} MB", done=f"{progress.done:,}", total=f"{progress.total:,}"))
        if progress.left_sec:
            parts.append(tr("{time} left", time=duration(progress.left_sec)))
        self.progress_text.setText("  ·  ".join(parts))

    def _ask_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, tr("Wheel of PyTorch, with what it needs in the same folder"), "", tr("Wheels (*.whl)")
        )
        if chosen:
            self._hardware.install_from(Path(chosen))


def _cards_text(state: HardwareState) -> str:
    if state.looking and not state.machine.cards and not state.machine.problem:
        return tr("Looking…")
    lines = []
    for card in state.machine.cards:
        memory = tr("{gb} GB", gb=f"{card.memory_mb / 1024:.0f}") if card.memory_mb else ""
        lines.append(
            "  ·  ".join(filter(None, [card.name, memory, tr("driver {version}", version=card.driver)]))
        )
    return "\n".join(lines) or state.machine.problem


def _build_text(state: HardwareState) -> str:
    if state.build is not None:
        return tr("Installed: PyTorch {version}", version=state.build.version)
    if state.used.devices:
        return tr("Not needed: the PyTorch of this program computes on the card already.")
    if state.offered:
        return tr("Not installed. The card can use {name}.", name=state.offered[0].title)
    return (
        tr("Not installed; it would change nothing on this computer.")
        if not state.looking
        else tr("Looking…")
    )


def _fetch_text(state: HardwareState) -> str:
    if state.error:
        return tr("Try again")
    return tr("Fetch the GPU build")

"""On what models are computed and why, and the way to the graphics card; what the hardware dialog shows."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.services.engine import EngineClient, EngineState
from app.services.gpu.active import Build, adopt
from app.services.gpu.choice import CudaBuild, suitable, why_none
from app.services.gpu.machine import Machine, look
from app.services.gpu.probe import Probe, probe
from app.services.gpu.store import Store
from app.services.job_values import JobProgress, JobState
from app.services.jobs import JobControl, JobRunner
from app.services.settings import Paths, Settings
from app.services.translations import mark, translated
from coordgan_core.torch_folder import TORCH_VARIABLE

if TYPE_CHECKING:
    from app.services.gpu.acquire import Progress

MB = 1_000_000


@dataclass(frozen=True)
class HardwareState:
    """Everything there is to show.

    Args:
        looking: Whether it is still being found out.
        machine: The graphics cards.
        used: What a process of the engine has.
        build: The private build, None if there is none.
        offered: Builds that fit the first card, best first.
        busy: What is being done, empty if nothing.
        progress: How far that is, in MB.
        error: Why the last thing did not work, empty if it did.
    """

    looking: bool = True
    machine: Machine = Machine()
    used: Probe = Probe()
    build: Build | None = None
    offered: tuple[CudaBuild, ...] = ()
    busy: str = ""
    progress: JobProgress = JobProgress()
    error: str = ""

    @property
    def can_enable(self) -> bool:
        """Whether a build for the card would change anything."""
        return not self.looking and not self.busy and bool(self.offered) and not self.used.devices


@dataclass(frozen=True)
class Verdict:
    """On what models are computed, and why."""

    device: str
    reason: str


def verdict(state: HardwareState, wanted: str, fallen_back: str = "") -> Verdict:
    """Say on what models are computed and why.

    Args:
        state: What was found.
        wanted: The setting: ``auto``, ``cpu``, ``cuda``.
        fallen_back: Why the engine does not use the private build, if it tried to.
    """
    processor, used = translated(mark("Processor")), state.used
    if used.problem:
        reason = translated(mark("PyTorch cannot be loaded: {reason}")).format(reason=used.problem)
        return Verdict(translated(mark("Nothing")), reason)
    if wanted == "cpu":
        return Verdict(processor, translated(mark("The settings say so.")))
    if fallen_back:
        text = translated(mark("The GPU build could not be loaded; the other one serves. {reason}"))
        return Verdict(processor, text.format(reason=fallen_back))
    if used.devices:
        text = translated(mark("PyTorch {version} finds this card.")).format(version=used.torch)
        return Verdict(used.devices[0], text)
    if not state.machine.cards:
        return Verdict(processor, state.machine.problem or translated(mark("No graphics card was found.")))
    card = state.machine.cards[0]
    if used.cuda:
        text = translated(mark("PyTorch {version} is a GPU build but cannot use {card}: update its driver."))
        return Verdict(processor, text.format(version=used.torch, card=card.name))
    if not state.offered:
        return Verdict(processor, why_none(card))
    text = translated(mark("{card} could be used, but this PyTorch is the build for processors."))
    return Verdict(processor, text.format(card=card.name))


def torch_version() -> str:
    """Return the version of PyTorch that the program brings, empty if there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def use_private_torch(paths: Paths) -> Build | None:
    """Let the engine and trainings use the private build, if there is one that fits; return it."""
    return adopt(paths.data, torch_version())


class Hardware(QObject):
    """Looks at the machine, fetches and removes the build for its card; work is done in threads.

    Args:
        settings: Device, address of the index, places.
        engine: Is stopped when another build shall be used: the next request starts it anew.
        look_at: Returns the cards.
        attempt: Tries a build, or what is used now (None).
        parent: Qt parent.
    """

    changed = Signal()

    def __init__(
        self,
        settings: Settings,
        engine: EngineClient,
        *,
        look_at: Callable[[], Machine] = look,
        attempt: Callable[[Path | None], Probe] = probe,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._engine = engine
        self._look_at = look_at
        self._attempt = attempt
        self.store = Store(settings.paths.data)
        self._jobs = JobRunner(self)
        self._jobs.changed.connect(self._job_changed)
        self._jobs.told.connect(self._told)
        self._jobs.finished.connect(self._job_finished)
        self.state = HardwareState()

    @property
    def verdict(self) -> Verdict:
        """On what models are computed, and why."""
        return verdict(self.state, str(self._settings.get("engine.device")), self._engine.torch_problem)

    def look(self) -> None:
        """Find out what there is; nothing is asked of any network."""
        self._set(looking=True, build=self._fitting())

        def work(_: JobControl) -> Iterator[object]:
            machine = self._look_at()
            yield machine
            yield self._attempt(None)

        self._jobs.start("look", work, kind="look")

    def fetch(self) -> None:
        """Fetch the build for the card, check it, use it; the one thing here that uses the network."""
        from app.services.gpu.acquire import fetch_build

        base, version = str(self._settings.get("engine.gpu_index")), torch_version()
        lines = self.state.offered
        self._start(lambda: fetch_build(self.store, lines, base, version, self._attempt))

    def install_from(self, wheel: Path) -> None:
        """Use the build in a file, with what it needs beside it."""
        from app.services.gpu.acquire import install_files

        version = torch_version()
        self._start(lambda: install_files(self.store, wheel, version, self._attempt))

    def cancel(self) -> None:
        """Stop fetching; what has come stays for the next time."""
        for view in self._jobs.views():
            if view.kind == "gpu" and not view.is_over:
                self._jobs.cancel(view.id)

    def remove(self) -> None:
        """Go back to the PyTorch that the program brings; delete the build and what was fetched."""
        self._switch(None)
        for build in self.store.builds():
            self.store.remove(build)
        self.store.forget_downloads()
        self._set(build=None, error="")
        self.look()

    def close(self) -> None:
        """Stop all work and wait for it."""
        self._jobs.close()

    def _start(self, work: Callable[[], Iterator[Progress]]) -> None:
        def steps(_: JobControl) -> Iterator[object]:
            for step in work():
                yield JobProgress(step.done // MB, step.total // MB, step.text)

        self._set(busy="…", error="", progress=JobProgress())
        self._jobs.start("gpu", steps, kind="gpu")

    def _job_changed(self, job_id: int) -> None:
        view = self._jobs.view(job_id)
        if view.kind == "gpu" and not view.is_over:
            self._set(busy=view.progress.text or "…", progress=view.progress)

    def _told(self, _job_id: int, event: object) -> None:
        if isinstance(event, Machine):
            offered = suitable(event.cards[0]) if event.cards else []
            self._set(machine=event, offered=tuple(offered))
        elif isinstance(event, Probe):
            self._set(used=event)

    def _job_finished(self, job_id: int) -> None:
        view = self._jobs.view(job_id)
        if view.kind == "look":
            self._set(looking=False)
            return
        self._set(busy="", error=view.message if view.state is JobState.FAILED else "")
        if view.state is JobState.DONE:
            self._switch(self._fitting())
            self.look()

    def _fitting(self) -> Build | None:
        build = self.store.active()
        return build if build is not None and build.fits(torch_version()) else None

    def _switch(self, build: Build | None) -> None:
        """Let new processes use another build; an engine that works finishes first."""
        if build is None:
            os.environ.pop(TORCH_VARIABLE, None)
        else:
            os.environ[TORCH_VARIABLE] = str(build.folder)
        self._engine.torch_problem = ""
        if self._engine.state != EngineState.BUSY:
            self._engine.stop()

    def _set(self, **values: object) -> None:
        self.state = replace(self.state, **values)  # type: ignore[arg-type]
        self.changed.emit()

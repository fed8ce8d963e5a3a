"""The installed program tests itself: window, engine, propagation of the sample project, export, end.

What `coordlabel selftest` runs, and with it the smoke test of every installer. The same window, engine
process and formats serve as in daily work; only nobody presses the buttons.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordgan_core.errors import CoordError

if TYPE_CHECKING:
    from app.launch import Running
    from app.services.models import ModelInfo
    from app.ui.workspace import Workspace

PATIENCE_SEC = 600.0
"""For one step: a training took more than 180 s where ten processes shared two processors."""
MODEL = "sample"
"""Name of the bundled model that knows the sample project."""
FEW = 2
"""Images that each of the other bundled models labels."""
TRAIN_PRESET, TRAIN_NIMG = "quick-64", 8
"""A training that is over in seconds: it shows that one runs here, not what it can learn."""


class SelfTestError(CoordError):
    """A part of the program does not do what it must."""


@dataclass(frozen=True)
class Step:
    """A part that works: its name, seconds since the test began, and what was seen."""

    name: str
    seconds: float
    seen: dict[str, Any]


def run(
    out: Path, *, start_only: bool = False, train: bool = False, all_models: bool = False
) -> Iterator[Step]:
    """Open the window, propagate the sample with a bundled model, export, quit; yield what works.

    Args:
        out: Folder for the profile, the copy of the sample and the exported label maps.
        start_only: Open the window and quit.
        train: Also train for a moment on the sample's images.
        all_models: Also propagate with every other bundled model, and draw images in Explore.

    Raises:
        SelfTestError: Something does not work.
    """
    begin = time.monotonic()

    def step(name: str, **seen: Any) -> Step:
        return Step(name, round(time.monotonic() - begin, 3), seen)

    from app.launch import Running, make_application

    make_application()
    running = Running(make_application(), out / "profile")
    try:
        running.show(None)
        _wait(lambda: _on_screen(running), "the window did not appear")
        yield step("window", libraries=_heavy(), platform=_platform())
        if start_only:
            return
        workspace = _open_sample(running, out)
        yield step("project", images=workspace.project.count())
        yield step("assisted", superpixels=_assist(workspace))
        model, *others = _bundled_models(running)
        runtime = _runtime(running, workspace, model)
        yield step("engine", model=model.name, computes=_computes(running), runtime=runtime)
        yield step("propagated", images=_propagate(running, workspace, model))
        yield step("exported", files=_export(running, workspace, out / "exported"))
        if all_models:
            for other in others:
                runtime = _runtime(running, workspace, other)
                images = _propagate(running, workspace, other, FEW)
                yield step("model", model=Path(other.path).stem, runtime=runtime, images=images)
            yield step("explored", pictures=_explore(running, workspace, model))
        if train:
            yield step("trained", model_bytes=_train(workspace.project.images_folder, out))
    finally:
        running.close()
    yield step("closed")


def _wait(condition: Callable[[], object], problem: str) -> None:
    """Let the window work until a condition holds."""
    from PySide6.QtWidgets import QApplication

    until = time.monotonic() + PATIENCE_SEC
    while not condition():
        if time.monotonic() > until:
            raise SelfTestError(
                problem, expected=f"it within {PATIENCE_SEC:.0f} s", remedy="install the program again"
            )
        QApplication.processEvents()
        time.sleep(0.002)


def _on_screen(running: Running) -> bool:
    handle = running.window.windowHandle()
    return handle is not None and handle.isExposed()


def _heavy() -> list[str]:
    """Return what the window has loaded and must not."""
    return [name for name in ("torch", "cv2") if name in sys.modules]


def _platform() -> str:
    from PySide6.QtGui import QGuiApplication

    return QGuiApplication.platformName()


def _open_sample(running: Running, out: Path) -> Workspace:
    from app.services.sample import prepare_sample

    images = prepare_sample(out / "sample")
    if not running.window.open_project(images) or running.window.workspace is None:
        raise SelfTestError(
            f"the project {images} cannot be opened", expected="a project", remedy="choose another folder"
        )
    workspace = running.window.workspace
    _wait(lambda: workspace.canvas.has_image, "the first image did not appear")
    return workspace


def _assist(workspace: Workspace) -> int:
    """Compute what the painting tools take from large libraries, which are loaded late; count superpixels."""
    from app.domain.assist import smooth_to_edges, superpixels
    from coordgan_core.data.images import read_image

    project = workspace.project
    image_id = project.references()[0]
    pixels, labels = read_image(project.image_path(image_id)), project.labels(image_id)
    count = int(superpixels(pixels).max()) + 1
    mended = smooth_to_edges(pixels, labels, int(labels.max()))
    if count < 2 or not mended.any():
        raise SelfTestError(
            f"{count} superpixels, and {int(mended.sum())} pixels of a part smoothed to edges",
            expected="more of both",
            remedy="install the program again",
        )
    return count


def _bundled_models(running: Running) -> list[ModelInfo]:
    """Return the bundled models as the engine names them, that of the sample first."""
    answers: list[list[ModelInfo]] = []
    problems: list[str] = []
    running.engine.models(answers.append, problems.append)
    _wait(lambda: answers or problems, "the engine did not answer")
    bundled = [model for model in (answers or [[]])[0] if model.builtin and model.path]
    bundled.sort(key=lambda model: Path(model.path).stem != MODEL)
    if not bundled:
        raise SelfTestError(
            f"the engine names no bundled model ({', '.join(problems) or 'none found'})",
            expected="a model in resources/models",
            remedy="install the program again",
        )
    return bundled


def _computes(running: Running) -> str:
    from coordgan_core.torch_folder import TORCH_VARIABLE

    private = os.environ.get(TORCH_VARIABLE)
    problem = running.engine.torch_problem
    return f"installed PyTorch ({problem})" if problem else (private or "installed PyTorch")


def _runtime(running: Running, workspace: Workspace, model: ModelInfo) -> str:
    """Have the engine align two images, and return what it says has run the model's network."""
    answers: list[str] = []
    problems: list[str] = []
    first, second = (workspace.project.image_path(int(i)) for i in list(workspace.project.ids(""))[:2])
    running.engine.link(
        model.path, first, second, lambda reply: answers.append(str(reply.data["runtime"])), problems.append
    )
    _wait(lambda: answers or problems, f"the engine did not align two images with {model.name}")
    if problems:
        raise SelfTestError(
            f"the engine cannot run {model.name} ({problems[0]})",
            expected="maps of two images",
            remedy="install the program again",
        )
    return answers[0]


def _propagate(running: Running, workspace: Workspace, model: ModelInfo, count: int | None = None) -> int:
    """Propagate to ``count`` images, None: to all, and return their number."""
    from app.domain.propagation import PropagationRequest
    from app.domain.status import Status
    from app.services.propagation import start_propagation

    project = workspace.project
    references = tuple(project.references())
    queries = tuple(int(i) for i in project.ids("") if int(i) not in references)[:count]
    request = PropagationRequest(model.id, references, queries)
    job = start_propagation(workspace.session, running.engine, running.jobs, request)
    _finish(running, job, f"the propagation with {model.name}")
    labelled = sum(project.row(image_id).status is Status.PROPAGATED for image_id in queries)
    if labelled != len(queries):
        raise SelfTestError(
            f"{labelled} of {len(queries)} images are labelled", expected="all", remedy="see the log"
        )
    if not all(project.labels(image_id).any() for image_id in queries):
        raise SelfTestError("a label map is empty", expected="parts in every image", remedy="see the log")
    return labelled


def _explore(running: Running, workspace: Workspace, model: ModelInfo) -> int:
    """Swap structure and texture of two images as Explore does; return how many pictures were drawn."""
    from app.services.explore import ExploreService, Source

    service = ExploreService(running.engine)
    cells: set[tuple[int, int]] = set()
    problems: list[str] = []
    done: list[bool] = []
    try:
        service.set_model(model.path)
        _wait(lambda: service.abilities is not None or service.problem, "Explore did not take the model")
        project = workspace.project
        sources = [Source(project.image_path(int(i))).to_params() for i in list(project.ids(""))[:FEW]]
        service.asker().ask(
            "grid",
            {"rows": sources, "columns": sources, "rows_are": "structure"},
            on_event=lambda data, *_: cells.add((data.get("row", -1), data.get("column", -1))),
            on_done=lambda *_: done.append(True),
            on_error=problems.append,
        )
        _wait(lambda: done or problems, "Explore drew nothing")
    finally:
        service.close()
    drawn = sum(min(cell) >= 0 for cell in cells)
    if problems or drawn != FEW * FEW:
        raise SelfTestError(
            f"Explore drew {drawn} pictures ({service.problem or ', '.join(problems) or 'no error'})",
            expected=str(FEW * FEW),
            remedy="see the log",
        )
    return drawn


def _export(running: Running, workspace: Workspace, out: Path) -> int:
    from app.services.transfer import start_export

    ids = [int(i) for i in workspace.project.ids("")]
    job = start_export(workspace.session, running.jobs, ids, "pascal-voc", out)
    _finish(running, job, "the export")
    files = len(list(out.glob("SegmentationClass/*.png")))
    if files != len(ids):
        raise SelfTestError(
            f"{files} of {len(ids)} label maps are exported", expected="all", remedy="see the log"
        )
    return files


def _train(images: Path, out: Path) -> int:
    """Train as the page Train does, in a process of its own; return the size of the model."""
    from app.services.training import TrainingService
    from app.services.training_values import ALIVE, RunState, TrainRequest

    service = TrainingService(out / "training", out / "models")
    stages = next(preset.stages for preset in service.presets() if preset.name == TRAIN_PRESET)
    changes = {f"train.{stage}.total_nimg": TRAIN_NIMG for stage in stages}
    changes |= {"train.batch": 4, "train.minutes": 0}  # else the limit of time says how many images it takes
    over = set(RunState) - ALIVE - {RunState.QUEUED}
    view, run = None, service.start(TrainRequest(images, TRAIN_PRESET, changes, device="cpu"))
    try:
        _wait(lambda: (found := service.run(run)) and found.state in over, "the training did not end")
        view = service.run(run)
        if view is None or view.state is not RunState.FINISHED or view.model is None:
            raise SelfTestError(
                f"the training failed: {view.message if view else 'it is gone'}",
                expected="a model",
                remedy=f"see the log in {run}",
            )
        return view.model.stat().st_size
    finally:
        if view is None:
            service.discard(run)
        service.close()


def _finish(running: Running, job: int, what: str) -> None:
    from app.services.job_values import JobState

    _wait(lambda: running.jobs.view(job).is_over, f"{what} did not end")
    view = running.jobs.view(job)
    if view.state is not JobState.DONE or view.errors:
        reasons = [view.message, *(error.message for error in view.errors)]
        raise SelfTestError(
            f"{what} failed: {'; '.join(filter(None, reasons))}", expected="no error", remedy="see the log"
        )

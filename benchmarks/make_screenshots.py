"""Make the pictures of the window in docs/images: ``python benchmarks/make_screenshots.py [--out FOLDER]``.

The sample project is opened, propagated and reviewed as a person would. With a trained model among the
bundled ones the real engine answers. Without one an oracle answers from the exact correspondences with which
the sample was drawn, so that the pictures show the window at work; they are no figures about a model.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from app import launch
from app.services.engine import Answer, EngineClient
from app.services.models import ModelInfo
from app.services.propagation import PropagationRequest
from benchmarks.explore_screenshots import take_exploring
from benchmarks.training_screenshots import take_training
from coordgan_core.engine.protocol import Reply

SIZE = (1440, 900)
STEP_MS = 250
PATIENCE_SEC = 1200
"""Longest wait for anything."""
PLAIN = ("settings", "shortcuts", "propagate")
"""Pictures that a palette of 256 colours does no harm."""
REVIEWED = "figure-02.jpg"
POINTED_AT = (0.51, 0.49)
"""Where the cursor is in the review, as a part of the image."""
ORACLE = ModelInfo(
    "oracle",
    "Drawn figures (exact)",
    "figures",
    "",
    {"description": "The exact correspondences with which the sample was drawn; for pictures only."},
    builtin=True,
)


class Oracle(EngineClient):
    """Answers with the correspondences that the drawn figures are made of."""

    def __init__(self) -> None:
        super().__init__(command=["none"])
        self._timers: list[QTimer] = []
        self._maps: dict[str, np.ndarray] = {}

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop answering."""
        for timer in self._timers:
            timer.stop()

    def release(self, reply: Reply) -> None:
        """Own no memory."""

    def cancel(self, request_id: int) -> None:  # noqa: ARG002
        """Stop answering."""
        self.stop()

    def models(
        self,
        on_done: Callable[[list[ModelInfo]], None],
        on_error: Callable[[str], None] | None = None,  # noqa: ARG002
    ) -> int:
        """Name the oracle."""
        self._soon(0, lambda: on_done([ORACLE]))
        return 0

    def _map(self, path: str) -> np.ndarray:
        """Return the correspondence map of a figure, ``float32 [2, 256, 256]``, nan outside of it."""
        if path not in self._maps:
            from benchmarks.make_sample_project import SEED, SIDE_PX
            from coordgan_core.data.synthetic import SyntheticCategory

            number = int(Path(path).stem.rpartition("-")[2]) - 1
            self._maps[path] = SyntheticCategory(SEED).sample(number, SIDE_PX).correspondence
        return self._maps[path]

    def link(
        self,
        model: str,  # noqa: ARG002
        image: Path,
        reference: Path,
        on_done: Answer,
        on_error: Callable[[str], None] | None = None,  # noqa: ARG002
    ) -> int:
        """Answer with both maps; outside of the figure nothing is sure."""
        arrays = {}
        for name, path in (("image", image), ("reference", reference)):
            found = self._map(str(path))
            arrays[f"{name}_map"] = np.nan_to_num(found, nan=9.0)
            arrays[f"{name}_reliability"] = np.isfinite(found[0]).astype(np.float32) * 0.95
        self._soon(0, lambda: on_done(Reply(0, "done", arrays=arrays)))
        return 0

    def request(  # type: ignore[override]
        self,
        verb: str,  # noqa: ARG002
        params: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        on_event: Answer | None = None,
        on_done: Answer | None = None,
        on_error: Callable[[str], None] | None = None,  # noqa: ARG002
    ) -> int:
        """Carry the reference's labels to every query."""
        assert params is not None
        assert arrays is not None
        assert on_event is not None
        assert on_done is not None
        source = self._map(params["references"][0]["path"])
        queries = params["queries"]
        found = [carried(source, arrays["labels0"], self._map(query["path"])) for query in queries]
        for place, query in enumerate(queries):

            def send(place: int = place, query: Mapping[str, Any] = query) -> None:
                labels, sure = found[place]
                scores = {str(c): float(sure[labels == c].mean()) for c in np.unique(labels) if c}
                data = {
                    "event": "result",
                    "image": query["id"],
                    "score": float(np.mean(list(scores.values()))),
                }
                data["class_scores"] = scores
                sent = {"labels": labels, "confidence": np.round(255 * sure).astype(np.uint8)}
                on_event(Reply(0, "event", data=data, arrays=sent))
                done = {"event": "progress", "done": place + 1, "total": len(queries)}
                on_event(Reply(0, "event", data=done))

            self._soon(STEP_MS * place, send)
        self._soon(STEP_MS * len(queries), lambda: on_done(Reply(0, "done")))
        return 1

    def _soon(self, delay_ms: int, call: Callable[[], None]) -> None:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(delay_ms)
        timer.timeout.connect(call)
        timer.start()
        self._timers.append(timer)


def carried(source: np.ndarray, labels: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and confidence of a query from the nearest canonical positions of the reference."""
    from scipy.ndimage import uniform_filter
    from scipy.spatial import cKDTree

    known = np.isfinite(source[0])
    coarse = np.zeros_like(known)
    coarse[::2, ::2] = known[::2, ::2]
    known = coarse  # a quarter of the pixels says the same, in a quarter of the time
    tree = cKDTree(source[:, known].T)
    inside = np.isfinite(query[0])
    distance, nearest = tree.query(query[:, inside].T, k=12)
    votes = labels[known][nearest]
    found = np.zeros(query.shape[1:], np.uint8)
    found[inside] = votes[:, 0]
    sure = np.full(found.shape, 0.97)
    agreement = (votes == votes[:, :1]).mean(1)
    sure[inside] = np.clip(0.1 + 0.88 * agreement - 12 * distance[:, 0], 0.05, 0.99)
    return found, uniform_filter(sure, 3).astype(np.float32)


class Studio:
    """The running window and a camera."""

    def __init__(self, out: Path, theme: str, folder: Path) -> None:
        from app.services.settings import Settings

        self.out, self.theme = out, theme
        self.app: QApplication = launch.make_application()
        Settings(folder).set("general.theme", theme)
        engine = None if trained_model() else Oracle()
        self.running = launch.Running(self.app, folder, engine)
        self.window = self.running.window
        self.window.resize(*SIZE)
        self.running.show(None)

    def wait(self, condition: Callable[[], object] | None = None, limit_sec: float = 0.6) -> None:
        """Run the event loop until a condition holds, or for a while."""
        until = time.monotonic() + (limit_sec if condition is None else PATIENCE_SEC)
        while time.monotonic() < until and not (condition is not None and condition()):
            self.app.processEvents()
            time.sleep(0.003)

    def shoot(self, name: str, widget: QWidget | None = None, *, settle_sec: float = 0.6) -> None:
        """Keep a picture, once animations and thumbnails had their time."""
        self.wait(limit_sec=settle_sec)
        picture = (widget or self.window).grab().toImage()
        picture.save(str(self.out / f"{name}-{self.theme}.png"))

    def shoot_both(self, name: str) -> None:
        """Keep a picture in each appearance."""
        settings, before = self.running.settings, self.theme
        for self.theme in ("light", "dark"):
            settings.set("general.theme", self.theme)
            self.shoot(name)
        self.theme = before
        settings.set("general.theme", before)

    def shoot_dialog(self, name: str, dialog: QDialog) -> None:
        """Keep a picture of a dialog."""
        dialog.show()
        self.shoot(name, dialog)
        dialog.close()
        dialog.deleteLater()


def trained_model() -> str:
    """Return the bundled model of the sample project."""
    from resources import bundled_model

    return str(bundled_model("sample"))


def take_all(studio: Studio) -> None:
    """Walk the main road with the camera."""
    from app.ui.dialogs.propagate import PropagateDialog
    from app.ui.dialogs.settings import SettingsDialog
    from app.ui.dialogs.shortcuts import ShortcutSheet

    window, jobs = studio.window, studio.running.jobs
    studio.shoot("welcome")
    window.open_sample()
    workspace = window.workspace
    assert workspace is not None
    studio.wait(lambda: workspace.canvas.has_image and workspace.browser.model.rowCount() == 24)
    workspace.options.pick_class(2)
    studio.shoot("canvas")
    dialog = PropagateDialog(workspace.project, studio.running.engine, selected=[], shown=[], parent=window)
    studio.wait(lambda: dialog.model is not None)
    model = dialog.model
    assert model is not None
    studio.shoot_dialog("propagate", dialog)
    references = tuple(workspace.project.references())
    queries = tuple(int(i) for i in workspace.project.ids("") if int(i) not in references)
    request = PropagationRequest(
        model.id, references, queries, category=model.category, model_name=model.name
    )
    job = window.flows.propagate(request)
    assert job is not None
    workspace.open_image(queries[3])
    studio.wait(lambda: jobs.view(job).progress.done >= 6 or jobs.view(job).is_over)
    studio.shoot("jobs", settle_sec=0.05)  # a small folder is soon done
    studio.wait(lambda: jobs.view(job).is_over)
    window.docks["jobs"].hide()
    jobs.remove(job)
    reviewed = workspace.project.find(REVIEWED)
    assert reviewed is not None
    workspace.open_image(reviewed)
    studio.wait(lambda: workspace.canvas.has_image)
    window.actions_by_id["review.toggle"].trigger()
    studio.wait(lambda: workspace.review._ready or not workspace.review.link)
    studio.wait()
    show_cursor(workspace.canvas)
    studio.shoot("review")
    settings = SettingsDialog(studio.running.settings, window)
    settings.show_section("canvas")
    studio.shoot_dialog("settings", settings)
    studio.shoot_dialog("shortcuts", ShortcutSheet(window.actions_by_id.keys, window))


def show_cursor(canvas: Any) -> None:
    """Put the mouse over a place of the query."""
    from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
    from PySide6.QtGui import QMouseEvent

    view = canvas.viewport
    at = QPointF(*view.to_widget(POINTED_AT[0] * view.width, POINTED_AT[1] * view.height))
    none = Qt.MouseButton.NoButton
    where = QPointF(canvas.mapToGlobal(QPoint(0, 0))) + at
    event = QMouseEvent(QEvent.Type.MouseMove, at, where, none, none, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


def main() -> int:
    """Make all pictures, light and dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--part", choices=("window", "training", "exploring", "all"), default="all")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.part in ("window", "all"):
        for theme in ("light", "dark"):
            photograph(arguments.out, theme, lambda studio, _folder: take_all(studio))
    if arguments.part in ("exploring", "all"):
        for theme in ("light", "dark"):
            photograph(arguments.out, theme, take_exploring)
    if arguments.part in ("training", "all"):
        photograph(arguments.out, "light", take_training)
    shrink(arguments.out)
    return 0


def photograph(out: Path, theme: str, take: Callable[[Studio, Path], None]) -> None:
    """Open a window with a profile of its own, and take pictures of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studio = Studio(out, theme, folder)
        try:
            take(studio, folder)
        finally:
            studio.running.close()
            studio.wait(limit_sec=0.1)


def shrink(folder: Path) -> None:
    """Write the pictures that hold no image with a palette, which keeps them small, and pack the others."""
    from PIL import Image

    for path in sorted(folder.glob("*-light.png")) + sorted(folder.glob("*-dark.png")):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        if path.stem.partition("-")[0] in PLAIN:
            picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        if path.stem.startswith("explore-"):  # full of photographs, which a PNG holds at five times the size
            picture.save(path.with_suffix(".jpg"), quality=90, subsampling=0, optimize=True)
            path.unlink()
            continue
        picture.save(path, optimize=True)


if __name__ == "__main__":
    raise SystemExit(main())

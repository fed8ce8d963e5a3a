"""Measure how the window feels: start, long lists, strokes, undo, switching, propagation.

    python benchmarks/app_benchmark.py            # a table with the machine
    python benchmarks/app_benchmark.py --json     # the same figures for a machine to read

Everything runs offscreen on folders made for the purpose; the propagation is answered by an engine inside the
process that sends results as fast as they are taken, so that the figure is the window's and not a model's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

LONG = 100_000
WIDE, HIGH = 6000, 4000
TARGETS = {
    "first_window_s": 1.0,
    "first_list_100k_s": 1.0,
    "rss_100k_mb": 600.0,
    "stroke_ms": 8.0,
    "undo_ms": 20.0,
    "switch_ms": 50.0,
    "blocked_ms_max": 50.0,
    "cancel_ms": 200.0,
}
WORDS = {
    "first_window_s": "first window after process start, s",
    "first_list_100k_s": "first usable list of 100,000 images, s",
    "rss_100k_mb": "memory with 100,000 images, MB",
    "stroke_ms": "brush event to paint, 24 megapixels, ms",
    "undo_ms": "undo to paint, 24 megapixels, ms",
    "switch_ms": "switch to a prefetched image, ms",
    "blocked_ms_max": "longest block of the event loop in a propagation, ms",
    "cancel_ms": "cancel acknowledged, ms",
}

_FIRST_WINDOW = """
import sys, time
from app import launch
from PySide6.QtCore import QTimer
app = launch.make_application()
running = launch.Running(app, __import__("pathlib").Path(sys.argv[1]))
running.show(None)
app.processEvents()
print(time.time())
running.close()
"""


def first_window(folder: Path) -> float:
    """Return the seconds from the start of a process to its first painted window, the best of five."""
    found = []
    for number in range(5):
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_WINDOW, str(folder / f"start{number}")],
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(float(done.stdout.split()[-1]) - began)
    return min(found)


class Bench:
    """One running application and the figures found with it."""

    def __init__(self, folder: Path) -> None:
        from app import launch

        self.folder = folder
        self.app: QApplication = launch.make_application()
        self.engine = make_engine()
        self.running = launch.Running(self.app, folder / "profile", self.engine)
        self.window = self.running.window
        self.window.resize(1440, 900)
        self.running.show(None)
        self.app.processEvents()

    def wait(self, condition: Callable[[], object], limit_sec: float = 120.0) -> None:
        """Run the event loop until a condition holds."""
        until = time.monotonic() + limit_sec
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("waited in vain")
            self.app.processEvents()
            time.sleep(0.0005)

    def close(self) -> None:
        """End the application."""
        self.running.close()
        self.app.processEvents()


def make_engine() -> Any:
    """Return an engine inside this process that sends a result every time the event loop is idle."""
    from app.services.engine import Answer, EngineClient
    from coordgan_core.engine.protocol import Reply

    class Busy(EngineClient):
        """Answers `propagate` with the reference's labels, one query a turn of the event loop."""

        def __init__(self) -> None:
            super().__init__(command=["none"])
            self._timer = QTimer(self)
            self._timer.setInterval(2)

        def start(self) -> None:
            """Start nothing."""

        def stop(self) -> None:
            """Stop sending."""
            self._timer.stop()

        def release(self, reply: Reply) -> None:
            """Own no memory."""

        def cancel(self, request_id: int) -> None:  # noqa: ARG002
            """Stop sending."""
            self._timer.stop()

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
            assert params is not None
            assert arrays is not None
            assert on_event is not None
            assert on_done is not None
            labels = arrays["labels0"]
            sure = np.full(labels.shape, 220, np.uint8)
            queries = list(params["queries"])
            place = iter(range(len(queries)))

            def send() -> None:
                number = next(place, None)
                if number is None:
                    self._timer.stop()
                    on_done(Reply(0, "done"))
                    return
                data = {
                    "event": "result",
                    "image": queries[number]["id"],
                    "score": 0.8,
                    "class_scores": {"1": 0.8},
                }
                on_event(Reply(0, "event", data=data, arrays={"labels": labels, "confidence": sure}))
                progress = {"event": "progress", "done": number + 1, "total": len(queries)}
                on_event(Reply(0, "event", data=progress))

            self._timer = QTimer(self)
            self._timer.setInterval(2)
            self._timer.timeout.connect(send)
            self._timer.start()
            return 1

    return Busy()


def resident_mb() -> float:
    """Return the memory of this process in MB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def long_list(folder: Path) -> dict[str, float]:
    """Return the time from opening a folder of 100,000 images to a usable list, and the memory at the end."""
    images = folder / "long"
    images.mkdir()
    picture = folder / "one.png"
    Image.new("RGB", (8, 8), (90, 120, 200)).save(picture)
    content = picture.read_bytes()
    for number in range(LONG):
        (images / f"image{number:06d}.png").write_bytes(content)
    bench = Bench(folder / "a")
    began = time.perf_counter()
    bench.window.open_project(images)
    browser = bench.window.workspace.browser  # type: ignore[union-attr]
    bench.wait(lambda: browser.model.rowCount() >= 100 and bench.window.workspace.image_id >= 0)  # type: ignore[union-attr]
    browser.view.grab()
    first = time.perf_counter() - began
    bench.wait(lambda: browser.model.rowCount() >= LONG)
    for place in range(0, LONG, LONG // 200):
        browser.view.scrollTo(browser.model.index(place))
        browser.view.grab()
        bench.app.processEvents()
    found = {"first_list_100k_s": first, "rss_100k_mb": resident_mb()}
    bench.close()
    return found


def mouse(widget: Any, kind: QEvent.Type, at: QPointF) -> None:
    """Send a mouse event with the left button."""
    where = QPointF(widget.mapToGlobal(QPoint(0, 0))) + at
    left = Qt.MouseButton.LeftButton
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else left
    event = QMouseEvent(kind, at, where, left, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(widget, event)


def large_images(folder: Path) -> dict[str, float]:
    """Return the milliseconds of a brush event, an undo and a switch on images of 24 megapixels."""
    images = folder / "large"
    images.mkdir()
    shade = (np.indices((HIGH, WIDE)).sum(0) % 256).astype(np.uint8)
    for number in range(3):
        picture = np.stack([np.roll(shade, 40 * number), shade, 255 - shade], -1)
        Image.fromarray(picture).save(images / f"large{number}.jpg", quality=80)
    bench = Bench(folder / "b")
    bench.window.open_project(images)
    workspace = bench.window.workspace
    assert workspace is not None
    canvas = workspace.canvas
    bench.wait(lambda: canvas.has_image and workspace.browser.model.rowCount() == 3)
    bench.wait(lambda: canvas.compositor.pyramid.is_complete)  # type: ignore[union-attr]
    workspace.project.set_classes(_one_class(workspace.project.classes))
    workspace._classes_changed()
    workspace.options.pick_class(1)
    workspace.options.set("brush_px", 160)
    bench.app.processEvents()
    strokes, undos = [], []
    for number in range(6):
        y = 120.0 + 60 * number
        mouse(canvas, QEvent.Type.MouseButtonPress, QPointF(200, y))
        bench.app.processEvents()
        for x in range(200, 700, 10):
            began = time.perf_counter()
            mouse(canvas, QEvent.Type.MouseMove, QPointF(x, y + (x % 7)))
            canvas.repaint(canvas._to_logical(canvas._pending.boundingRect()))
            strokes.append(1000 * (time.perf_counter() - began))
            bench.app.processEvents()
        mouse(canvas, QEvent.Type.MouseButtonRelease, QPointF(700, y))
        bench.app.processEvents()
    for _ in range(6):
        began = time.perf_counter()
        workspace.session.undo()
        canvas.repaint(canvas._to_logical(canvas._pending.boundingRect()))
        undos.append(1000 * (time.perf_counter() - began))
        bench.app.processEvents()
    switches = []
    for step in (1, 1, -1, -1):
        target = workspace.browser.neighbour(step)
        assert target is not None
        bench.wait(lambda target=target: workspace.loader.get(target) is not None)
        time.sleep(0.5)
        bench.app.processEvents()
        began = time.perf_counter()
        workspace.step(step)
        canvas.repaint()
        switches.append(1000 * (time.perf_counter() - began))
        bench.wait(lambda: canvas.compositor.pyramid.is_complete)  # type: ignore[union-attr]
    bench.close()
    return {
        "stroke_ms": statistics.median(strokes),
        "undo_ms": statistics.median(undos),
        "switch_ms": statistics.median(switches),
    }


def _one_class(classes: Any) -> Any:
    from app.domain.classes import AddClass

    return AddClass("part").apply(classes)


def propagation(folder: Path) -> dict[str, float]:
    """Return the longest time without the event loop in a propagation, and the time until a cancel shows."""
    from app.domain.classes import AddClass
    from app.domain.status import Status
    from app.services.propagation import PropagationRequest

    images = folder / "many"
    images.mkdir()
    generator = np.random.default_rng(1)
    for number in range(200):
        small = generator.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(small).resize((960, 640)).save(images / f"image{number:03d}.jpg", quality=70)
    bench = Bench(folder / "c")
    bench.window.open_project(images)
    workspace = bench.window.workspace
    assert workspace is not None
    bench.wait(lambda: workspace.browser.model.rowCount() == 200 and workspace.canvas.has_image)
    project = workspace.project
    project.set_classes(AddClass("part").apply(project.classes))
    assert workspace.document is not None
    labels = np.zeros(workspace.document.shape, np.uint8)
    labels[200:400, 300:700] = 1
    workspace.document.set_labels(labels, "part")
    workspace.session.flush()
    reference = workspace.image_id
    project.set_status([reference], Status.REFERENCE)
    ids = tuple(int(i) for i in project.ids("") if int(i) != reference)
    beats: list[float] = []
    heart = QTimer()
    heart.setInterval(1)
    heart.setTimerType(Qt.TimerType.PreciseTimer)
    heart.timeout.connect(lambda: beats.append(time.perf_counter()))
    time.sleep(0.5)
    bench.app.processEvents()
    heart.start()
    job = bench.window.flows.propagate(PropagationRequest("any", (reference,), ids))
    assert job is not None
    jobs = bench.running.jobs
    while not jobs.view(job).is_over:
        bench.app.processEvents()
        time.sleep(0.0005)
    heart.stop()
    blocked = max((b - a for a, b in zip(beats, beats[1:], strict=False)), default=0.0)
    job = bench.window.flows.propagate(PropagationRequest("any", (reference,), ids))
    assert job is not None
    bench.wait(lambda: jobs.view(job).progress.done > 10)
    began = time.perf_counter()
    jobs.cancel(job)
    bench.wait(lambda: jobs.view(job).is_over)
    cancelled = time.perf_counter() - began
    bench.close()
    return {"blocked_ms_max": 1000 * blocked, "cancel_ms": 1000 * cancelled}


def main() -> int:
    """Measure and print; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coordlabel-benchmark-") as name:
        folder = Path(name)
        found = {"first_window_s": first_window(folder)}
        for measure in (long_list, large_images, propagation):
            found.update(measure(folder))
    if arguments.json:
        sys.stdout.write(json.dumps({key: round(found[key], 3) for key in TARGETS}) + "\n")
    else:
        sys.stdout.write(table(found))
    return 0 if all(found[key] <= TARGETS[key] for key in TARGETS) else 1


def table(found: Mapping[str, float]) -> str:
    """Return the figures as a Markdown table with the machine."""
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, offscreen, 1440 x 900",
        "",
        "| figure | measured | target |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {WORDS[key]} | {found[key]:.3g} | < {TARGETS[key]:g} |" for key in TARGETS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())

"""Fixtures of all tests of the application: no screen, no state outside of the test, nothing left behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.setdefault("QT_QPA_FONTDIR", "")

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from app.domain.classes import ImportClasses
from app.domain.project import Project

# what Qt says about this machine, not about us
HARMLESS = (
    "propagateSizeHints",
    "does not support raise()",
    "does not support grabbing the keyboard",
    "Cannot find font directory",
    "QFontDatabase",
    "Populating font family aliases",
    "Could not initialize GLX",
)
LEAVE_SEC = 3.0


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    """The one application object."""
    application = QApplication.instance() or QApplication(["coordlabel-tests"])
    assert isinstance(application, QApplication)
    application.setQuitOnLastWindowClosed(False)
    return application


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every place in which state could be kept below the test's folder."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name.lower()))


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that makes Qt complain, or leaves a thread, a running timer or a window behind."""
    messages: list[str] = []

    def keep(kind: QtMsgType, _context: object, text: str | None) -> None:
        if kind in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
            messages.append(text or "")

    before = set(threading.enumerate())
    previous = qInstallMessageHandler(keep)
    yield
    if QCoreApplication.instance() is not None:
        settle()
    qInstallMessageHandler(previous)
    problems = [text for text in messages if not any(word in text for word in HARMLESS)]
    assert not problems, f"Qt complained: {problems}"
    assert not _left(before), f"threads left behind: {_left(before)}"
    application = QApplication.instance()
    if isinstance(application, QApplication):
        if application.topLevelWidgets():  # collecting takes a while: only where it can matter
            gc.collect()
            settle()
        windows = [w for w in application.topLevelWidgets() if w.isVisible() or w.parent() is None]
        names = [repr(w) for w in windows]
        for window in windows:
            window.close()
            window.deleteLater()
        settle()
        assert not names, f"windows left behind: {names}"


def settle() -> None:
    """Let deferred deletions and queued calls happen."""
    for _ in range(3):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QCoreApplication.processEvents()


def running_timers(parent: QObject) -> list[QTimer]:
    """Return the timers below ``parent`` that would fire again."""
    return [t for t in parent.findChildren(QTimer) if t.isActive()]


def _left(before: set[threading.Thread]) -> list[str]:
    until = time.monotonic() + LEAVE_SEC
    while True:
        left = [t.name for t in threading.enumerate() if t not in before and t.is_alive()]
        # adopted threads of Qt's own pool are no threads of ours
        left = [name for name in left if not name.startswith("Dummy-")]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.01)


WaitUntil = Callable[..., None]


@pytest.fixture
def wait_until(qapp: QApplication) -> WaitUntil:
    """Return a function that runs the event loop until a condition holds."""

    def wait(condition: Callable[[], object], timeout_sec: float = 60.0) -> None:
        until = time.monotonic() + timeout_sec
        while not condition():
            assert time.monotonic() < until, "waited in vain"
            qapp.processEvents()
            time.sleep(0.001)

    return wait


def write_images(folder: Path, count: int, *, width: int = 48, height: int = 32) -> list[Path]:
    """Write ``count`` small PNG images with different content."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        pixels = np.full((height, width, 3), 30, np.uint8)
        pixels[8:24, 8 + index % 8 : 24] = (40 + 20 * (index % 10), 120, 200)
        paths.append(folder / f"image{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of six images."""
    folder = tmp_path / "images"
    write_images(folder, 6)
    return folder


@pytest.fixture
def project(images: Path) -> Iterator[Project]:
    """A scanned project with the classes nose (1) and eye (2)."""
    with Project.create(images) as made:
        list(made.scan())
        list(made.change_classes(ImportClasses(("nose", "eye"))))
        yield made

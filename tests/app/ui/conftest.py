"""Fixtures of the window's tests: the application as `app.launch` makes it, with an engine of the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.launch import Running
from app.ui.canvas.canvas_view import CanvasView
from app.ui.main_window import MainWindow
from app.ui.workspace import Workspace
from tests.app.ui.explore_tab import Tab
from tests.app.ui.fake_explore import ExploreEngine
from tests.app.ui.fakes import FakeEngine

Wait = Callable[..., None]


@dataclass
class Desk:
    """The running application and what a test needs to drive it."""

    running: Running
    engine: FakeEngine
    wait: Wait

    @property
    def window(self) -> MainWindow:
        return self.running.window

    @property
    def workspace(self) -> Workspace:
        workspace = self.window.workspace
        assert workspace is not None
        return workspace

    def open(self, path: Path) -> Workspace:
        """Open a project and wait until its first image is on the canvas."""
        assert self.window.open_project(path)
        self.wait(lambda: self.workspace.canvas.has_image)
        return self.workspace

    def press(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key where the focus is, once the window has caught up."""
        if QApplication.activeModalWidget() is None and QApplication.activeWindow() is None:
            self.window.activateWindow()  # the offscreen platform does not do so when a dialog closes
        QApplication.processEvents()
        target = QApplication.focusWidget() or self.window
        QTest.keyClick(target, key, modifiers)
        QApplication.processEvents()

    def saved(self) -> None:
        """Wait until every stroke is on disk and told."""
        assert self.workspace.session.flush()
        QApplication.processEvents()


@contextlib.contextmanager
def launched(application: QApplication, profile: Path, engine: FakeEngine, size: QSize) -> Iterator[Running]:
    """Show the application with an empty profile and an engine of the tests; both go with it."""
    running = Running(application, profile, engine)
    running.window.resize(size)
    running.show(None)
    QTest.qWaitForWindowActive(running.window, 1000)
    yield running
    running.close()
    engine.deleteLater()
    application.setStyleSheet("")


@pytest.fixture
def desk(qapp: QApplication, tmp_path: Path, wait_until: Wait) -> Iterator[Desk]:
    """The application with an empty profile."""
    engine = FakeEngine()
    with launched(qapp, tmp_path / "profile", engine, QSize(1100, 760)) as running:
        yield Desk(running, engine, wait_until)


@pytest.fixture
def tab(qapp: QApplication, tmp_path: Path, wait_until: Wait) -> Iterator[Tab]:
    """The window with an empty profile and an engine that answers at once."""
    engine = ExploreEngine()
    with launched(qapp, tmp_path / "profile", engine, QSize(1200, 800)) as running:
        yield Tab(running, engine, wait_until)


@pytest.fixture
def opened(tab: Tab, images: Path) -> Tab:
    """Open a project of six images."""
    assert tab.running.window.open_project(images)
    workspace = tab.running.window.workspace
    assert workspace is not None
    tab.wait(lambda: workspace.browser.model.rowCount() == 6)
    return tab


def send_mouse(
    widget: QWidget,
    kind: QEvent.Type,
    at: QPointF,
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Send a mouse event at a place that need not be a whole pixel."""
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
    where = QPointF(widget.mapToGlobal(QPoint(0, 0))) + at
    QApplication.sendEvent(widget, QMouseEvent(kind, at, where, button, held, modifiers))


def drag(
    canvas: CanvasView,
    points: list[tuple[float, float]],
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Press at the first image point, move through the others, release."""
    places = [QPointF(*canvas.viewport.to_widget(*point)) for point in points]
    send_mouse(canvas, QEvent.Type.MouseMove, places[0], Qt.MouseButton.NoButton, modifiers)
    send_mouse(canvas, QEvent.Type.MouseButtonPress, places[0], button, modifiers)
    for place in places[1:]:
        send_mouse(canvas, QEvent.Type.MouseMove, place, button, modifiers)
    send_mouse(canvas, QEvent.Type.MouseButtonRelease, places[-1], button, modifiers)


def click(
    canvas: CanvasView,
    x: float,
    y: float,
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Click at an image point."""
    drag(canvas, [(x, y)], button, modifiers)

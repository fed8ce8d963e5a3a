"""The real window, offscreen: strokes with the mouse, undo, next image, acceptance."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from app import launch
from app.services.engine import EngineClient
from tests.faults.processes import Tell
from tests.faults.strokes import AHEAD, Chronicle, forever

_ENGINE = Path(__file__).parents[1] / "app/services/fake_engine.py"


def open_window(tell: Tell, folder: Path, seed: int) -> None:
    """Open the window on the project and play a person at it."""
    application = launch.make_application()
    engine = EngineClient(command=[sys.executable, str(_ENGINE), "good"])
    running = launch.Running(application, folder.parent / "profile", engine)
    running.settings.set("saving.flush_sec", 0.5)
    running.show(None)
    running.window.open_project(folder)
    workspace = running.window.workspace
    assert workspace is not None
    chronicle = Chronicle(workspace.session, tell)  # Qt alone does not keep it alive
    workspace.session.failed.connect(lambda text: tell("failed", text, ""))
    chance = random.Random(seed)
    classes = [c.id for c in workspace.project.classes.classes[1:]]
    told = False

    def act() -> None:
        nonlocal told
        if not workspace.canvas.has_image or workspace.document is None or workspace.session.unsaved > AHEAD:
            return
        if not told:
            told = True
            tell("ready")
        what = chance.random()
        if what < 0.05:
            workspace.step(chance.choice([-1, 1]))
        elif what < 0.12:
            workspace.session.undo()
        elif what < 0.16:
            workspace.session.redo()
        else:
            workspace.options.pick_class(chance.choice(classes))
            drag(workspace.canvas, [_place(workspace.canvas, chance) for _ in range(4)])

    forever(application, act)
    application.exec()
    del chronicle


def _place(canvas: QWidget, chance: random.Random) -> QPointF:
    return QPointF(chance.uniform(0.2, 0.8) * canvas.width(), chance.uniform(0.2, 0.8) * canvas.height())


def drag(canvas: QWidget, places: list[QPointF]) -> None:
    """Press the left button at the first place, move over the others, and let go at the last."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    events = [(QEvent.Type.MouseButtonPress, places[0], left, left)]
    events += [(QEvent.Type.MouseMove, place, none, left) for place in places[1:]]
    events += [(QEvent.Type.MouseButtonRelease, places[-1], left, none)]
    for kind, at, button, buttons in events:
        where = QPointF(canvas.mapToGlobal(QPoint(0, 0))) + at
        modifiers = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, where, button, buttons, modifiers))

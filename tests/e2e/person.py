"""Plays a person at the real window: ``person.py --profile DIR work OUT`` or ``... look FOLDER``.

Keys and mouse go through Qt's own events into what `app.cli.main` opens; at the end one line of JSON tells
what was seen.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog

from app import cli, launch
from app.ui.main_window import MainWindow

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
PLAIN = Qt.KeyboardModifier.NoModifier
PATIENCE_SEC = 120.0
HARMLESS = ("propagateSizeHints", "font", "raise()", "grabbing")

told: dict[str, Any] = {"problems": []}


def wait(condition: Callable[[], object], what: str) -> None:
    """Let the window work until a condition holds."""
    until = time.monotonic() + PATIENCE_SEC
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(what)
        QApplication.processEvents()
        time.sleep(0.002)


def press(window: MainWindow, key: Qt.Key, modifiers: Qt.KeyboardModifier = PLAIN) -> None:
    """Press a key where the focus is."""
    QApplication.processEvents()
    if QApplication.activeWindow() is None:
        window.activateWindow()
        QApplication.processEvents()
    QTest.keyClick(QApplication.focusWidget() or window, key, modifiers)
    QApplication.processEvents()


def move(window: MainWindow, places: list[tuple[float, float]], *, held: bool) -> None:
    """Move the mouse over image points, with the left button held or not."""
    assert window.workspace is not None
    canvas = window.workspace.canvas
    points = [QPointF(*canvas.viewport.to_widget(*place)) for place in places]
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    events = [(QEvent.Type.MouseMove, point, none, left if held else none) for point in points]
    if held:
        events.insert(0, (QEvent.Type.MouseButtonPress, points[0], left, left))
        events.append((QEvent.Type.MouseButtonRelease, points[-1], left, none))
    for kind, point, button, buttons in events:
        where = QPointF(canvas.mapToGlobal(QPoint(0, 0))) + point
        QApplication.sendEvent(canvas, QMouseEvent(kind, point, where, button, buttons, PLAIN))


def answer(window: MainWindow, fill: Callable[[Any], None] = lambda _dialog: None) -> None:
    """Fill the next dialog and press its main button as soon as that can be pressed."""
    filled: list[QDialog] = []

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QDialog) and not filled:
            fill(dialog)
            filled.append(dialog)
        if isinstance(dialog, QDialog) and dialog.primary.isEnabled():  # type: ignore[attr-defined]
            dialog.primary.click()  # type: ignore[attr-defined]
        else:
            QTimer.singleShot(10, window, look)

    QTimer.singleShot(10, window, look)


def work(window: MainWindow, out: Path) -> None:
    """Sample project, stroke, undo, redo, propagation, review of three, export."""
    window.welcome.sampleAsked.emit()
    workspace = window.workspace
    assert workspace is not None
    project, jobs = workspace.project, window.context.jobs
    wait(lambda: workspace.browser.model.rowCount() == 24 and workspace.canvas.has_image, "the sample")
    press(window, Qt.Key.Key_D)
    wait(lambda: workspace.canvas.has_image, "the next image")
    press(window, Qt.Key.Key_B)
    press(window, Qt.Key.Key_2)
    move(window, [(60, 40), (90, 40), (120, 45)], held=True)
    document = workspace.document
    assert document is not None
    pixels = int((document.labels == 2).sum())
    press(window, Qt.Key.Key_Z, CTRL)
    assert not document.labels.any(), "undo"
    press(window, Qt.Key.Key_Z, CTRL | SHIFT)
    assert int((document.labels == 2).sum()) == pixels, "redo"
    told.update(painted=workspace.image_id, pixels=pixels, folder=str(project.images_folder))

    def look_at_models(dialog: Any) -> None:
        wait(lambda: dialog.model is not None, "the list of models")
        told["model"] = dialog.model.name
        assert not dialog.model.id.startswith("builtin:"), "a trained model goes before the stop-gap"

    answer(window, look_at_models)
    press(window, Qt.Key.Key_B, CTRL)
    wait(lambda: jobs.views() and not jobs.is_busy, "the propagation")
    told["problems"] += [error.message for view in jobs.views() for error in view.errors]

    press(window, Qt.Key.Key_R, CTRL)
    review = workspace.review
    queue = list(review.controller.queue)
    wait(lambda: review._ready and workspace.canvas.has_image, "the linked cursor")
    middle = (document.width / 2, document.height / 2)
    move(window, [middle, (middle[0] + 4, middle[1])], held=False)
    told["linked"] = review.pane.view.marker is not None
    for following, key in zip(
        queue[1:], (Qt.Key.Key_Return, Qt.Key.Key_Return, Qt.Key.Key_Backspace), strict=False
    ):
        press(window, key)
        assert workspace.image_id == following, "the next image of the review"
        wait(lambda: workspace.canvas.has_image, "its pixels")
    told["accepted"] = queue[:2]
    assert workspace.session.flush()

    def choose_place(dialog: Any) -> None:
        dialog.format.setCurrentIndex(dialog.format.findData("pascal-voc"))
        dialog.out.setText(str(out))
        dialog.check()

    answer(window, choose_place)
    press(window, Qt.Key.Key_E, CTRL)
    wait(lambda: len(jobs.views()) == 2 and not jobs.is_busy, "the export")
    told["problems"] += [error.message for view in jobs.views() for error in view.errors]


def look(window: MainWindow) -> None:
    """See what is there after a restart."""
    workspace = window.workspace
    assert workspace is not None
    wait(lambda: workspace.browser.model.rowCount() == 24 and workspace.canvas.has_image, "the list")
    told["counts"] = {str(status): count for status, count in workspace.project.counts().items()}
    told["shown"] = workspace.browser.model.rowCount()


def main() -> int:
    """Open the window as the command does, with a person at it."""
    profile, task, place = sys.argv[2:5]
    failed: list[BaseException] = []

    def complain(kind: QtMsgType, _context: object, text: str | None) -> None:
        if kind is not QtMsgType.QtDebugMsg and not any(word in (text or "") for word in HARMLESS):
            told["problems"].append(text)

    def live() -> None:
        window = next(w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow))
        try:
            told["torch"] = "torch" in sys.modules
            work(window, Path(place)) if task == "work" else look(window)
            told["torch"] |= "torch" in sys.modules
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            for dialog in QApplication.topLevelWidgets():
                if isinstance(dialog, QDialog):
                    dialog.reject()
            window.close()
            QApplication.exit(0)

    qInstallMessageHandler(complain)
    launch.make_application()
    QTimer.singleShot(300, live)
    code = cli.main(["--profile", profile, *([place] if task == "look" else [])])
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if failed else code


if __name__ == "__main__":
    sys.exit(main())

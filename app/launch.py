"""The main function of the window: `coordlabel`, `coordlabel PATH`, `coordlabel --profile DIR`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from app.processes import forget_qt_paths
from app.services import diagnostics, translations
from app.services.engine import EngineClient
from app.services.hardware import use_private_torch
from app.services.jobs import JobRunner
from app.services.recent import RecentProjects
from app.services.settings import Settings
from app.ui.actions.gate import BareKeyGate
from app.ui.context import AppContext
from app.ui.main_window import MainWindow
from app.ui.theme import Theme
from resources import model_folders, resource_path

_log = logging.getLogger(__name__)


class Running:
    """The application with its window; `close` takes everything down in order."""

    def __init__(self, app: QApplication, profile: Path | None, engine: EngineClient | None = None) -> None:
        self.settings = Settings(profile)
        self.reporter = diagnostics.install_crash_reporter(self.settings.paths)
        translations.install(app, self.settings.get("general.language"))
        theme = Theme(app, self.settings.get("general.theme"))
        self._gate = BareKeyGate(app)
        self.jobs = JobRunner()
        use_private_torch(self.settings.paths)
        self.engine = engine or make_engine(self.settings)
        self.settings.changed.connect(self._setting_changed)
        context = AppContext(self.settings, theme, self.jobs, self.engine, RecentProjects(self.settings))
        self.window = MainWindow(context)

    def _setting_changed(self, key: str) -> None:
        """Use another device or precision from the next request on."""
        if key in ("engine.device", "engine.precision"):
            setattr(self.engine, key.partition(".")[2], self.settings.get(key))

    def show(self, path: str | None) -> None:
        """Bring the window up; open what was asked for once it is on the screen."""
        self.window.show()
        QTimer.singleShot(0, self.window, lambda: self._after_show(path))

    def _after_show(self, path: str | None) -> None:
        asked = path is not None
        if path is None and self.settings.get("general.reopen"):
            last = next((r for r in self.window.context.recent.items() if r.exists), None)
            path = None if last is None else str(last.path)
        if path is not None:
            self.window.open_project(Path(path))
        if not asked:
            self.window.host.restore()
        if self.settings.problem:
            self.window.say(self.settings.problem)
        self._offer_crash_report()

    def _offer_crash_report(self) -> None:
        from app.ui.dialogs.diagnostics import CrashDialog

        paths = self.settings.paths
        report = diagnostics.pending_report(paths)
        if report is None:
            return
        dialog = CrashDialog(report, self.window)
        dialog.finished.connect(lambda _result: diagnostics.dismiss(paths))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def close(self) -> None:
        """Close the project, end jobs and the engine, let go of the crash reporter."""
        self.window.host.keep()
        self.window.host.close_pages()
        self.window.close_project()
        self.jobs.close()
        self.window.flows.close_hardware()
        self.engine.stop()
        theme = self.window.context.theme
        self.window.close()
        self.window.deleteLater()
        self._gate.remove()
        theme.deleteLater()
        self.reporter.uninstall()


def make_engine(settings: Settings) -> EngineClient:
    """Return the client of the engine as the settings want it; its process starts with the first request."""
    folders = [settings.paths.models, *model_folders()]
    own = str(settings.get("engine.models_folder"))
    if own:
        folders.append(Path(own).expanduser())
    return EngineClient(
        model_folders=folders,
        device=settings.get("engine.device"),
        precision=settings.get("engine.precision"),
        hang_sec=settings.get("engine.hang_sec"),
    )


def make_application() -> QApplication:
    """Return the one `QApplication`, made on the first call."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(sys.argv[:1])
    QCoreApplication.libraryPaths()  # read from the environment here, if anywhere
    forget_qt_paths(os.environ)
    QCoreApplication.setApplicationName("CoordLabel")
    QCoreApplication.setOrganizationName("CoordLabel")
    app.setDesktopFileName("coordlabel")
    app.setWindowIcon(QIcon(str(resource_path("icons/coordlabel.svg"))))
    return app


def launch(path: str | None, profile: str | None) -> int:
    """Open the window and return its exit code when it is closed.

    Args:
        path: Folder of images or project to open; None for the welcome screen.
        profile: Folder that holds all state of the application instead of the user's folders.
    """
    app = make_application()
    running = Running(app, Path(profile) if profile is not None else None)
    running.show(path)
    try:
        return int(app.exec())
    finally:
        running.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the window from command-line arguments."""
    parser = argparse.ArgumentParser(prog="coordlabel", description="Open the window.")
    parser.add_argument("path", nargs="?", help="folder of images or project")
    parser.add_argument("--profile", metavar="DIR", help="keep all state of the application in this folder")
    arguments = parser.parse_args(argv)
    return launch(arguments.path, arguments.profile)

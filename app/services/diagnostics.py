"""Crash reports that stay on this computer, and what to say about it."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.metadata
import json
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from app.services.settings import Paths
from coordgan_core._version import __version__
from coordgan_core.files import write_bytes

_PACKAGES = (
    "PySide6-Essentials",
    "numpy",
    "pillow",
    "opencv-contrib-python-headless",
    "scikit-image",
    "torch",
)
_NATIVE = "native-crash.log"
_KEPT = 20


@dataclass(frozen=True)
class CrashReport:
    """A crash of the past: its file, when it was (seconds since 1970), and what it says."""

    path: Path
    when: float
    text: str


class CrashReporter:
    """Writes a report for each error that nobody caught; `uninstall` takes the hooks away again."""

    def __init__(self, paths: Paths, on_report: Callable[[CrashReport], None] | None = None) -> None:
        self._folder = paths.logs / "crashes"
        self._on_report = on_report
        self._hooks = sys.excepthook, threading.excepthook
        self._native: IO[str] | None = None

    def install(self) -> None:
        """Catch errors of the window, of threads, and crashes of libraries."""
        sys.excepthook = self._on_error
        threading.excepthook = self._on_thread_error
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._native = (self._folder / _NATIVE).open("a", encoding="utf-8")
            faulthandler.enable(self._native)

    def uninstall(self) -> None:
        """Put the hooks back that were there before."""
        sys.excepthook, threading.excepthook = self._hooks
        if self._native is not None:
            faulthandler.disable()
            self._native.close()
            self._native = None

    def write(self, error: BaseException) -> CrashReport | None:
        """Write a report; None where even that fails."""
        now = time.time()
        lines = [f"CoordLabel {__version__}, {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))}", ""]
        lines += traceback.format_exception(error)
        lines += ["", *(f"{name}: {value}" for name, value in version_info().items())]
        text = "\n".join(line.rstrip("\n") for line in lines) + "\n"
        path = self._folder / f"crash-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{os.getpid()}.txt"
        try:
            write_bytes(path, text.encode("utf-8", "backslashreplace"))
        except Exception:
            return None  # an error here would hide the one that matters
        for old in sorted(self._folder.glob("crash-*.txt"))[:-_KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        return CrashReport(path, now, text)

    def _on_error(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            report = self.write(error.with_traceback(trace))
            if report is not None and self._on_report is not None:
                self._on_report(report)
        self._hooks[0](kind, error, trace)

    def _on_thread_error(self, details: threading.ExceptHookArgs) -> None:
        if details.exc_value is not None and not isinstance(details.exc_value, SystemExit):
            self.write(details.exc_value)
        self._hooks[1](details)


def install_crash_reporter(
    paths: Paths, on_report: Callable[[CrashReport], None] | None = None
) -> CrashReporter:
    """Begin to write crash reports and return what can end it."""
    reporter = CrashReporter(paths, on_report)
    reporter.install()
    return reporter


def pending_report(paths: Paths) -> CrashReport | None:
    """Return the newest report that nobody has dismissed, None if there is none."""
    folder = paths.logs / "crashes"
    native = folder / _NATIVE
    with contextlib.suppress(OSError):
        if native.stat().st_size > 0:
            return CrashReport(
                native, native.stat().st_mtime, native.read_text(encoding="utf-8", errors="replace")
            )
    dismissed = _dismissed(folder)
    for path in sorted(folder.glob("crash-*.txt"), reverse=True):
        with contextlib.suppress(OSError):
            if path.name not in dismissed:
                text = path.read_text(encoding="utf-8", errors="replace")
                return CrashReport(path, path.stat().st_mtime, text)
    return None


def dismiss(paths: Paths) -> None:
    """Offer none of the present reports again; the files stay."""
    folder = paths.logs / "crashes"
    with contextlib.suppress(OSError):
        native = folder / _NATIVE
        if native.exists() and native.stat().st_size:
            kept = folder / f"native-{time.strftime('%Y%m%d-%H%M%S')}.txt"
            kept.write_bytes(native.read_bytes())
            # emptied, not removed: it may be open already
            os.truncate(native, 0)
    names = sorted(path.name for path in folder.glob("crash-*.txt"))
    if names:
        write_bytes(folder / "dismissed.json", json.dumps(names).encode())


def _dismissed(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / "dismissed.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def version_info() -> dict[str, str]:
    """Return what to know about this installation, without loading anything heavy."""
    from PySide6.QtCore import qVersion
    from PySide6.QtGui import QGuiApplication

    info = {
        "CoordLabel": __version__,
        "Python": platform.python_version(),
        "System": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Qt": qVersion(),
    }
    application = QGuiApplication.instance()
    if isinstance(application, QGuiApplication):
        info["Qt platform"] = application.platformName()
    for name in _PACKAGES:
        try:
            info[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            info[name] = "not installed"
    return info

"""Opens the window from the command line, or says why it cannot be opened."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence


def open_window(arguments: Sequence[str]) -> int:
    """Open the window, on a folder or project if one is named; return its exit code."""
    if importlib.util.find_spec("app.launch") is None:
        sys.stderr.write(
            "The window is not part of this build. Expected the module app.launch. "
            "Use the commands instead: `coordlabel --help` lists them.\n"
        )
        return 1
    if not has_display(os.environ, sys.platform):
        sys.stderr.write(
            "The window cannot open: there is no display. Expected a desktop session. "
            "Use the commands instead: `coordlabel --help` lists them.\n"
        )
        return 1
    launch = importlib.import_module("app.launch")
    return int(launch.main(list(arguments)))


def has_display(environment: Mapping[str, str], system: str) -> bool:
    """Return whether a window can be shown; Qt would end the whole process where it cannot."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return system != "linux" or any(environment.get(name) for name in names)

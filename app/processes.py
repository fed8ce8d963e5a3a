"""How this program starts itself again: the engine and trainings are processes of their own.

The one place that knows whether it runs from a checkout, an installed wheel or a frozen application.
Standard library only; imported by the window.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import coordgan_core
from coordgan_core.torch_folder import PROBE_FLAG, TORCH_VARIABLE

ENGINE_FLAG = "--engine"
"""With it the frozen application runs as the engine."""

CONSOLE_NAME = "coordlabel-console.exe"
"""On Windows the program with standard streams, beside the one without, which is for the desktop."""


_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH")
_QT_PATHS = ("QT_PLUGIN_PATH", "QML2_IMPORT_PATH")


def is_frozen() -> bool:
    """Return whether this is the installed application that brings its own Python."""
    return bool(getattr(sys, "frozen", False))


def engine_command() -> list[str]:
    """Return what starts the engine; it lives no longer than the window."""
    if is_frozen():
        return [_console_program(), ENGINE_FLAG]
    return [sys.executable, "-m", "coordgan_core.engine"]


def probe_command() -> list[str]:
    """Return what tells, as one JSON object, on what the engine would compute."""
    return [*engine_command(), PROBE_FLAG]


def command(*arguments: str) -> list[str]:
    """Return what runs ``coordlabel ARGUMENTS`` in a process that may outlive this one, such as a training.

    Example:
        >>> command("resume", "runs/faces")[1:]
        ['-m', 'app', 'resume', 'runs/faces']
    """
    if not is_frozen():
        return [sys.executable, "-m", "app", *arguments]
    return [_outer_program() or _console_program(), *arguments]


def child_environment(
    environment: Mapping[str, str] | None = None, *, torch_folder: Path | None = None
) -> dict[str, str]:
    """Return the environment for a process of this program.

    Args:
        environment: What to start from; that of this process if None.
        torch_folder: A private build of PyTorch to use; None leaves what the environment says.
    """
    child = dict(os.environ if environment is None else environment)
    child["PYTHONUNBUFFERED"] = "1"
    # idle threads must sleep: beside a busy window, spinning ones cost a factor of twenty
    child["OMP_WAIT_POLICY"] = "PASSIVE"
    if not is_frozen():
        # the child must be the one that belongs to this program, wherever both were started
        root = str(Path(coordgan_core.__file__).parents[1])
        others = [part for part in child.get("PYTHONPATH", "").split(os.pathsep) if part and part != root]
        child["PYTHONPATH"] = os.pathsep.join([root, *others])
    if torch_folder is not None:
        child[TORCH_VARIABLE] = str(torch_folder)
    return child


def restore_library_path(environment: MutableMapping[str, str]) -> None:
    """Give programs of the system that we start (a browser, a file manager) their own libraries, not ours.

    The loader has read the variable already; a copy of this program sets it again for itself.
    """
    for name in _LIBRARY_PATHS:
        original = environment.pop(f"{name}_ORIG", None)
        if original is not None:
            environment[name] = original
        elif name in environment and _is_ours(environment[name]):
            del environment[name]


def forget_qt_paths(environment: MutableMapping[str, str]) -> None:
    """Take away the variables by which the frozen application finds its Qt: other programs have their own.

    In the window only once the application object exists: it has read them then.
    """
    for name in _QT_PATHS:
        if name in environment and _is_ours(environment[name]):
            del environment[name]


def _is_ours(value: str) -> bool:
    unpacked = getattr(sys, "_MEIPASS", None)
    return unpacked is not None and all(
        Path(part).is_relative_to(unpacked) for part in value.split(os.pathsep) if part
    )


def _console_program() -> str:
    """Return this program, on Windows the one that has standard streams."""
    beside = Path(sys.executable).with_name(CONSOLE_NAME)
    return str(beside) if sys.platform == "win32" and beside.exists() else sys.executable


def _outer_program() -> str | None:
    """Return the AppImage this runs from: what it has mounted goes away with the window, a training stays."""
    image, mounted = os.environ.get("APPIMAGE"), os.environ.get("APPDIR")
    if image and mounted and Path(sys.executable).is_relative_to(mounted) and Path(image).is_file():
        return image
    return None

"""`doctor`: what is installed, what is there, what does not fit together, and how to cure it."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.output import EXIT_FINDINGS, print_json, print_line
from app.processes import forget_qt_paths

PACKAGES = (
    "coordlabel",
    "torch",
    "numpy",
    "opencv-contrib-python-headless",
    "pillow",
    "scikit-image",
    "safetensors",
    "typer",
    "rich",
    "PySide6-Essentials",
    "qtawesome",
    "pyqtgraph",
    "appdirs",
)
OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""Packages that all install the module `cv2`, over one another."""

OTHER_QT = ("PyQt5", "PyQt6", "PySide2", "PyQt5-Qt5", "PyQt6-Qt6")
"""Packages that bring another Qt, which the plugins of ours may be mixed up with."""

QT_PARTS = ("PySide6-Essentials", "PySide6-Addons", "PySide6", "shiboken6")
"""Packages of one Qt; all of them must have one version."""

LOW_MEMORY_GB = 4.0
LOW_DISK_GB = 1.0


@dataclass(frozen=True)
class Finding:
    """Something that does not fit, and what to do."""

    problem: str
    cure: str
    serious: bool = True


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")] = False,
) -> None:
    """Check the installation and the machine; exit code 1 if something needs a cure."""
    report, findings = examine()
    if as_json:
        print_json({**report, "findings": [asdict(finding) for finding in findings]})
    else:
        for section, values in report.items():
            print_line(f"{section}:")
            for name, value in values.items():
                print_line(f"  {name}: {value}")
        for finding in findings:
            kind = "problem" if finding.serious else "note"
            print_line(f"{kind}: {finding.problem}\n  cure: {finding.cure}")
    serious = any(finding.serious for finding in findings)
    if not serious and not as_json:
        print_line("No problems found.")
    raise typer.Exit(EXIT_FINDINGS if serious else 0)


def examine() -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    """Return what is there, by section, and what does not fit."""
    versions = {name: _version(name) or "missing" for name in PACKAGES}
    report = {
        "system": _system(),
        "versions": versions,
        "qt": _qt(),
        "opencv": _opencv(),
        "devices": _devices(),
        "places": _places(),
        "disk": _disk(),
    }
    findings = [
        *version_findings(versions),
        *opencv_findings([name for name in OPENCV if _version(name)], report["opencv"]),
        *qt_findings({name: _version(name) for name in (*QT_PARTS, *OTHER_QT)}, sys.version_info[:2]),
        *environment_findings(_environment(), sys.platform),
        *_machine_findings(report),
    ]
    return report, findings


def version_findings(versions: dict[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with {package: version or "missing"}."""
    cure = "install the program again: `pip install --upgrade coordlabel`"
    for name, version in versions.items():
        if version == "missing":
            yield Finding(f"the package {name} is missing", cure)
    if re.match(r"2\.13(\.|$)", versions.get("torch", "2.13")) is None and versions["torch"] != "missing":
        yield Finding(
            f"torch is {versions['torch']}; this version is tested with 2.13",
            '`pip install "torch>=2.13,<2.14"`',
        )


def opencv_findings(installed: list[str], build: dict[str, Any] | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the installed OpenCV packages, and with the build that is loaded."""
    build = build or {}
    cure = f"`pip uninstall -y {' '.join(installed)}` and then `pip install {OPENCV[-1]}`"
    if len(installed) > 1:
        yield Finding(f"{', '.join(installed)} all install cv2, over one another", cure)
    elif str(build.get("window system", "")).upper().startswith("QT"):
        yield Finding(
            f"cv2 brings a Qt of its own ({build['window system']}), whose plugins clash with the window's",
            cure,
        )
    if build.get("contributed modules") is False:
        yield Finding("cv2 has no contributed modules, which superpixels and smooth borders need", cure)


def qt_findings(versions: dict[str, str | None], python: tuple[int, int]) -> Iterator[Finding]:
    """Yield what is wrong with the installed Qt packages.

    Args:
        versions: Version of each of `QT_PARTS` and `OTHER_QT`, None where it is not installed.
        python: Version of Python.
    """
    others = [name for name in OTHER_QT if versions.get(name)]
    if others:
        yield Finding(
            f"{', '.join(others)} bring another Qt beside PySide6",
            f"`pip uninstall -y {' '.join(others)}`, or keep CoordLabel in an environment of its own",
        )
    ours = {name: version for name in QT_PARTS if (version := versions.get(name))}
    if len(set(ours.values())) > 1:
        found = ", ".join(f"{name} {version}" for name, version in ours.items())
        target = ours.get("PySide6-Essentials", next(iter(ours.values())))
        yield Finding(
            f"the parts of Qt have several versions ({found})",
            f"`pip install --force-reinstall {' '.join(f'{name}=={target}' for name in ours)}`",
        )
    version = ours.get("PySide6-Essentials", "")
    if version in ("6.11.0", "6.11.1"):
        yield Finding(
            f"PySide6 {version} breaks docks (QTBUG-147209)",
            '`pip install "PySide6-Essentials!=6.11.0,!=6.11.1"`',
        )
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= (6, 12) and python < (3, 12):
        yield Finding(
            f"PySide6 {version} crashes with Python {python[0]}.{python[1]}",
            '`pip install "PySide6-Essentials<6.12"`, or Python 3.12',
        )


def _environment() -> dict[str, str]:
    """Return the variables of this process without those that the frozen application sets for itself."""
    variables = dict(os.environ)
    forget_qt_paths(variables)
    return variables


def environment_findings(environment: Any, system: str) -> Iterator[Finding]:
    """Yield what is wrong with the environment variables of a process on ``system`` (as `sys.platform`)."""
    for name in ("QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH"):
        if environment.get(name):
            yield Finding(
                f"{name} is set to {environment[name]}: Qt may load plugins of another version from there",
                f"unset {name} before starting the window",
            )
    if environment.get("QT_API", "pyside6").lower() != "pyside6":
        yield Finding(f"QT_API is {environment['QT_API']}", "unset QT_API, or set it to pyside6")
    display = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if system == "linux" and not any(environment.get(name) for name in display):
        yield Finding(
            "there is no display, so the window cannot open; all commands work",
            "log in with a desktop session (or `ssh -X`) to use the window",
            serious=False,
        )
    if environment.get("OMP_WAIT_POLICY", "PASSIVE").upper() != "PASSIVE":
        yield Finding(
            f"OMP_WAIT_POLICY is {environment['OMP_WAIT_POLICY']}: idle threads keep the processor busy",
            "unset OMP_WAIT_POLICY",
        )


def _machine_findings(report: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    if report["qt"].get("missing library"):
        yield Finding(
            f"{report['qt']['missing library']} is missing: the window cannot open on X11",
            "install it: `apt install libxcb-cursor0`, `dnf install xcb-util-cursor`",
            serious=False,
        )
    for place, free in report["disk"].items():
        if free is not None and free < LOW_DISK_GB:
            yield Finding(f"the {place} has {free} GB left on its disk", "free some space, or work elsewhere")
    if report["devices"].get("cuda build", "no") != "no" and "cuda:0" not in report["devices"]:
        yield Finding(
            f"PyTorch is built for CUDA {report['devices']['cuda build']}, but there is no CUDA device",
            "install or update the driver of the graphics card; without one everything runs on the processor",
            serious=False,
        )
    memory = report["system"]["memory_gb"]
    if memory is not None and memory < LOW_MEMORY_GB:
        yield Finding(f"the machine has {memory} GB of memory", "train with a preset of low resolution")
    for section in ("qt", "opencv", "devices"):
        if "error" in report[section]:
            yield Finding(
                f"{section} cannot be loaded: {report[section]['error']}",
                "install the program again in a fresh virtual environment",
            )
    for place, state in report["places"].items():
        if "not writable" in str(state):
            yield Finding(f"the {place} {state}", "change its permissions, or work in another folder")


def _system() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "processors": os.cpu_count(),
        "memory_gb": memory_gb(),
        "memory_free_gb": memory_gb("SC_AVPHYS_PAGES"),
        "file_encoding": sys.getfilesystemencoding(),
    }


def memory_gb(pages: str = "SC_PHYS_PAGES") -> float | None:
    """Return the machine's memory in GB (10^9 bytes), None where it cannot be told."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf(pages) / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _qt() -> dict[str, Any]:
    try:
        from PySide6.QtCore import QLibraryInfo, qVersion

        plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms"
        found = sorted(re.sub(r"^(lib)?q|\.(so|dll|dylib)$", "", path.name) for path in plugins.glob("*q*"))
    except ImportError as error:
        return {"error": str(error)}
    chosen = os.environ.get("QT_QPA_PLATFORM", "the desktop's")
    found_qt = {"version": qVersion(), "platform": chosen, "platforms": ", ".join(found)}
    # PySide6 finds it on the system, and without it the plugin for X11 ends the process
    if sys.platform == "linux" and os.environ.get("DISPLAY") and not ctypes.util.find_library("xcb-cursor"):
        found_qt["missing library"] = "libxcb-cursor"
    return found_qt


def _opencv() -> dict[str, Any]:
    try:
        import cv2
    except ImportError as error:
        return {"error": str(error)}
    build = cv2.getBuildInformation()
    gui = re.search(r"^\s*GUI:\s*(\S+)", build, re.MULTILINE)
    return {
        "version": cv2.__version__,
        "window system": gui.group(1) if gui else "unknown",
        "contributed modules": "ximgproc" in dir(cv2),
        "threads": cv2.getNumThreads(),
    }


def _devices() -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return {"error": str(error)}
    devices: dict[str, Any] = {"cpu": f"{torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 1e9:.1f} GB"
    devices["cuda build"] = torch.version.cuda or "no"
    from coordgan_core.runtimes import processor_runtime

    devices["models on the cpu"] = f"run by {processor_runtime()}"
    return devices


def _folders() -> dict[str, Path]:
    from app.commands.catalogue import own_models_folder

    return {
        "working folder": Path.cwd(),
        "models folder": own_models_folder(),
        "temporary folder": Path(tempfile.gettempdir()),
    }


def _places() -> dict[str, Any]:
    return {
        name: f"{path} is {'writable' if is_writable(path) else 'not writable'}"
        for name, path in _folders().items()
    }


def _disk() -> dict[str, Any]:
    return {name: free_gb(path) for name, path in _folders().items()}


def free_gb(folder: Path) -> float | None:
    """Return the space that is left for ``folder`` in GB (10^9 bytes), None where it cannot be told."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return round(shutil.disk_usage(folder).free / 1e9, 1)
    except OSError:
        return None


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in ``folder``, or in the nearest folder above that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

"""`doctor`: what is installed, what is there, what does not fit together, and how to cure it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.output import EXIT_FINDINGS, print_json, print_line

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

LOW_MEMORY_GB = 4.0


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
    }
    findings = [
        *version_findings(versions),
        *opencv_findings([name for name in OPENCV if _version(name)]),
        *environment_findings(os.environ, sys.platform),
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


def opencv_findings(installed: list[str]) -> Iterator[Finding]:
    """Yield what is wrong with the installed OpenCV packages."""
    if len(installed) > 1:
        yield Finding(
            f"{', '.join(installed)} all install cv2, over one another",
            f"`pip uninstall -y {' '.join(installed)}` and then `pip install {OPENCV[-1]}`",
        )


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
    }


def memory_gb() -> float | None:
    """Return the machine's memory in GB (10^9 bytes), None where it cannot be told."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
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
    return {"version": qVersion(), "platform": chosen, "platforms": ", ".join(found)}


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
    return devices


def _places() -> dict[str, Any]:
    from app.commands.catalogue import own_models_folder

    places = {
        "working folder": Path.cwd(),
        "models folder": own_models_folder(),
        "temporary folder": Path(tempfile.gettempdir()),
    }
    return {
        name: f"{path} is {'writable' if is_writable(path) else 'not writable'}"
        for name, path in places.items()
    }


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

"""Which private build of PyTorch is used: light, because every command asks."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from coordgan_core.torch_folder import TORCH_VARIABLE

FOLDER = "pytorch"
"""Name of the folder of builds among the application's data."""

ABOUT = "build.json"
ACTIVE = "active.json"


@dataclass(frozen=True)
class Build:
    """An unpacked build.

    Args:
        folder: Holds the package ``torch``.
        version: Of PyTorch, such as ``2.13.0+cu130``.
        python: Of the Python it was made for, such as ``3.11``.
    """

    folder: Path
    version: str
    python: str

    @property
    def cuda(self) -> str:
        """What it computes with: ``CUDA 13.0``."""
        found = re.search(r"\+cu(\d+)(\d)$", self.version)
        return f"CUDA {found[1]}.{found[2]}" if found else self.version

    def fits(self, torch_version: str) -> bool:
        """Return whether it belongs to this program: the same version of PyTorch and of Python."""
        same = self.version.partition("+")[0] == torch_version.partition("+")[0]
        return same and self.python == this_python()


def this_python() -> str:
    """Return the version of this Python as builds name it."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def active_build(folder: Path) -> Build | None:
    """Return the build below ``folder`` that shall be used, None if there is none or it is incomplete."""
    try:
        named = json.loads((folder / ACTIVE).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return read_build(folder / str(named)) if re.fullmatch(r"[\w.+-]+", str(named)) else None


def read_build(folder: Path) -> Build | None:
    """Return the build in a folder, None if there is none or it is incomplete."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return Build(folder, str(about["version"]), str(about["python"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def adopt(
    data: Path, torch_version: str, environment: MutableMapping[str, str] | None = None
) -> Build | None:
    """Let processes that this one starts use the active build if it belongs to this program; return it.

    What the environment names already stays: a person's choice.
    """
    variables = os.environ if environment is None else environment
    if TORCH_VARIABLE in variables:
        return None
    build = active_build(data / FOLDER)
    if build is None or not build.fits(torch_version):
        return None
    variables[TORCH_VARIABLE] = str(build.folder)
    return build

"""Names, version and icon of the product: the one place from which every installer takes them."""

from __future__ import annotations

import runpy
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
ICON = ROOT / "resources" / "icons" / "coordlabel.svg"
"""The drawing from which icons of all sizes and formats are made."""

ICON_SIZES_PX = (16, 24, 32, 48, 64, 128, 256, 512)


@dataclass(frozen=True)
class Product:
    """What installers say about the program.

    Args:
        version: Of the application and of the library.
        summary: What it does, in a sentence without its full stop.
    """

    version: str
    summary: str
    name: str = "CoordLabel"
    command: str = "coordlabel"
    app_id: str = "io.github.coordlabel.CoordLabel"
    publisher: str = "CoordLabel developers"
    mime_type: str = "application/x-coordlabel-project"


def product() -> Product:
    """Return the product as ``coordgan_core/_version.py`` and ``pyproject.toml`` describe it."""
    version = runpy.run_path(str(ROOT / "coordgan_core" / "_version.py"))["__version__"]
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    return Product(version=version, summary=project["description"].rstrip("."))


def licence_file() -> Path | None:
    """Return the licence of the project itself, None as long as its owners have not chosen one."""
    return next((path for path in sorted(ROOT.glob("LICEN[CS]E*")) if path.is_file()), None)

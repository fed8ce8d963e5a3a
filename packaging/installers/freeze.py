"""Runs the freezer and finishes what it makes: stripped libraries, licences, the bill of materials."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from installers import icons, macos, windows
from installers.contents import STRIPPED, missing_libraries
from installers.inventory import Component, inventory, read_bundled
from installers.licences import write_licences
from installers.product import PACKAGING, ROOT, Product
from installers.sbom import bill

SPEC = PACKAGING / "coordlabel.spec"


class LicenceError(Exception):
    """Something is bundled whose terms are not known."""


class MissingLibraryError(Exception):
    """What is bundled is linked to something that is neither bundled nor part of every system."""


def freeze(product: Product, work: Path, out: Path) -> Path:
    """Make the bundle and return its folder (on macOS the ``.app``).

    Args:
        product: Names and version.
        work: Folder for what is made on the way; ``bundled.json`` in it says what is inside.
        out: Folder that the bundle comes into.

    Raises:
        MissingLibraryError: This machine lacks a library that the bundle needs (Linux).
    """
    work.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        icons.write_ico(work / "coordlabel.ico")
        (work / "version_info.txt").write_text(windows.version_info(product), encoding="utf-8")
    elif sys.platform == "darwin":
        icons.write_icns(work / "coordlabel.icns")
        (work / "info_plist.json").write_text(json.dumps(macos.info_plist(product)), encoding="utf-8")
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    command += ["--distpath", str(out), "--workpath", str(work / "pyinstaller"), str(SPEC)]
    environment = {
        **os.environ,
        "COORDLABEL_BUILD": str(work),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(command, check=True, env=environment, cwd=work)
    bundle = out / (f"{product.name}.app" if sys.platform == "darwin" else product.name)
    if sys.platform == "linux":
        check_libraries(bundle)
    return bundle


def check_libraries(bundle: Path) -> None:
    """Raise MissingLibraryError, with name and who needs it, if a library of a Linux bundle is missing."""
    missing = missing_libraries(bundle)
    if missing:
        told = "\n  ".join(f"{name}: {files[0]} needs it" for name, files in sorted(missing.items()))
        raise MissingLibraryError(f"Libraries are missing. Install them on this machine:\n  {told}")


def strip_symbols(bundle: Path) -> int:
    """Take debuggers' symbols out of the libraries that carry many; return the bytes saved."""
    if shutil.which("strip") is None:
        return 0
    saved = 0
    for path in sorted(bundle.rglob("*.so*")):
        if path.name.startswith(STRIPPED) and not path.is_symlink():
            before = path.stat().st_size
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)
            saved += before - path.stat().st_size
    return saved


def account(product: Product, bundled: Path, licences: Path, sbom: Path) -> list[Component]:
    """Write the licences and the bill of materials of a bundle; return what is inside.

    Args:
        product: Names and version.
        bundled: The ``bundled.json`` of the freezer.
        licences: Folder for licence texts, inside of the bundle.
        sbom: File of the bill of materials.

    Raises:
        LicenceError: The terms of something are not known.
    """
    components = inventory(read_bundled(bundled))
    missing = write_licences(components, licences)
    if missing:
        raise LicenceError("Not everything may be handed out:\n  " + "\n  ".join(missing))
    sbom.parent.mkdir(parents=True, exist_ok=True)
    sbom.write_text(json.dumps(bill(product, components), indent=1) + "\n", encoding="utf-8")
    return components

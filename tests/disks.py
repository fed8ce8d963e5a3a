"""Small disks that really fill up."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_CHUNK = 4096


def mounted(place: Path, *options: str) -> bool:
    """Mount something on a folder, if this user may."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *options, str(place)], capture_output=True).returncode == 0


@contextlib.contextmanager
def small_disk_at(place: Path, size: str) -> Iterator[Path]:
    """Make a folder that is a disk of ``size`` (as ``2m``); skip the test where this user may not."""
    place.mkdir()
    if not mounted(place, "-t", "tmpfs", "-o", f"size={size}", "none"):
        pytest.skip("this user may not mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill(disk: Path) -> Path:
    """Leave no byte free; deleting the file that is returned frees them again."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(_CHUNK))
    return filler

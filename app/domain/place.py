"""Where a project lies: its folder, its project file, and the images folder that it names."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from app.domain.storage.lock import ProjectLock
from coordgan_core.errors import DataError
from coordgan_core.files import plain_file

_NAME_MAX = 255  # bytes of a file name, on every common file system
_ENDING = ".png"
FOLDER = ".coordlabel"
"""Name of the project folder inside of an images folder."""
OPENER = "project.coordlabel"
"""A file beside ``project.json`` that desktops open with the application; `find_project` takes it."""


def find_project(path: str | Path) -> Path | None:
    """Return the project folder of an images folder, project folder or file in one; None if there is none."""
    path = Path(path).expanduser().absolute()
    places = [path, path / FOLDER, path.parent if path.is_file() else path]
    return next((p for p in places if (p / "project.json").exists()), None)


def images_of(place: Path) -> Path:
    """Return the images folder of a project folder.

    Raises:
        DataError: Its project file is damaged.
    """
    try:
        content: Any = json.loads(plain_file(place / "project.json").read_text(encoding="utf-8"))
        images = Path(os.path.normpath(place / str(content["images"])))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{place / 'project.json'} is damaged ({error})",
            expected="a project file that names its images folder",
            remedy='write {"format": 1, "images": "PATH"} into it',
        ) from error
    return images


def relative(images: Path, place: Path) -> str:
    """Return how a project file names its images folder: relative to itself where that is possible."""
    try:
        return Path(os.path.relpath(images, place)).as_posix()
    except ValueError:  # another drive
        return str(images)


def label_name(relative: str) -> str:
    """Return the path of a label map below its folder: that of the image with ``.png`` behind it.

    A name that would become longer than file systems take is cut, and told from others by its hash.
    """
    prefix, slash, name = relative.rpartition("/")
    if len(name.encode()) + len(_ENDING) > _NAME_MAX:
        name = f"{name.encode()[: _NAME_MAX - 32].decode(errors='ignore')}~{image_hash(name)}"
    return f"{prefix}{slash}{name}{_ENDING}"


def image_hash(relative: str) -> str:
    """Return sixteen digits that stand for a path."""
    return hashlib.sha256(relative.encode()).hexdigest()[:16]


def sweep(folder: Path) -> int:
    """Remove the temporary files that a crash has left below a project folder; return how many."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".part", ".part-journal")):
                with contextlib.suppress(OSError):
                    Path(place, name).unlink()
                    found += 1
    return found


def why_not_ours(lock: ProjectLock, folder: Path) -> str:
    """Return in words why a project can only be read."""
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} cannot be written to"
    return f"it is open in {lock.owner()}"

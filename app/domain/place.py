"""Where a project lies: its folder, its project file, and the images folder that it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from app.domain.storage.lock import ProjectLock
from coordgan_core.errors import DataError

FOLDER = ".coordlabel"
"""Name of the project folder inside of an images folder."""


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
        content: Any = json.loads((place / "project.json").read_text(encoding="utf-8"))
        images = Path(os.path.normpath(place / str(content["images"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
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


def why_not_ours(lock: ProjectLock, folder: Path) -> str:
    """Return in words why a project can only be read."""
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} cannot be written to"
    return f"it is open in {lock.owner()}"

"""A few images of a folder to look at, and which of them a person has labelled; both for a worker."""

from __future__ import annotations

import os
from pathlib import Path

from app.domain.project import Project

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_LOOKED_AT = 20_000
"""Entries after which the search for a few images ends."""


def first_images(folder: Path, *, recursive: bool, most: int = 24) -> list[Path]:
    """Return up to `most` images of a folder, spread over what comes first in it."""
    found: list[Path] = []
    looked_at = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if recursive and not each.startswith("."))
        for name in sorted(names):
            looked_at += 1
            if Path(name).suffix.lower() in _ENDINGS:
                found.append(Path(place) / name)
        if looked_at > _LOOKED_AT:
            break
    step = max(1, len(found) // most)
    return found[::step][:most]


def labelled_images(project: Project, folder: Path) -> dict[str, Path]:
    """Return {path relative to `folder`: label map} of the images below it that a person labelled."""
    if not project.read_only:
        project.flush()  # strokes of the last seconds are in the journal only
    found: dict[str, Path] = {}
    for row in project.rows([int(i) for i in project.ids("is:human")]):
        image, labels = project.image_path(row.id), project.label_path(row.id)
        if row.has_labels and image.is_relative_to(folder) and labels.is_file():
            found[image.relative_to(folder).as_posix()] = labels
    return found

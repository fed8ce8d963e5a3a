"""The sample project: copied once to a place where it can be worked on."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.domain.place import FOLDER
from app.domain.project import Project
from app.domain.status import Status


def prepare_sample(target: Path) -> Path:
    """Copy the sample project below `target`, unless it is there already, and return its images folder.

    The reference has its label map and its status; the other images wait for propagation.
    """
    from resources import sample_project

    images = target / "figures"
    place = images / FOLDER
    if (place / "project.json").exists():
        return images
    source = sample_project()
    (place / "labels").mkdir(parents=True, exist_ok=True)
    for image in sorted((source / "images").iterdir()):  # contents alone: installed folders are read-only
        shutil.copyfile(image, images / image.name)
    shutil.copyfile(source / "classes.json", place / "classes.json")
    references = (source / "references.txt").read_text(encoding="utf-8").split()
    labelled = []
    for image in sorted(images.iterdir()):
        label_map = source / "labels" / f"{image.stem}.png"
        if image.is_file() and label_map.exists():
            shutil.copyfile(label_map, place / "labels" / f"{image.name}.png")
            if image.stem in references:
                labelled.append(image.name)
    with Project.create(images) as project:
        for _ in project.scan():
            pass
        found = [project.find(name) for name in labelled]
        project.set_status([i for i in found if i is not None], Status.REFERENCE)
    return images

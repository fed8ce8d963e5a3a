"""Work on many images at once, told image by image: propagation, import, export, merges, new projects.

Before each batch ``plan`` tells what every image will hold, ``did`` that an image is done, ``over`` the end.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image

from app.domain.classes import AddClass, MergeClasses
from app.domain.edits import LabelMap
from app.domain.formats import FORMATS, ExportOptions, export, import_labels, import_report
from app.domain.project import Project, Result
from tests.faults.processes import Tell
from tests.faults.strokes import digest

SHAPE = (32, 48)


def made_up(chance: random.Random, values: list[int]) -> LabelMap:
    """Return a label map of three rectangles."""
    labels = np.zeros(SHAPE, np.uint8)
    for _ in range(3):
        x, y = chance.randrange(36), chance.randrange(20)
        labels[y : y + 12, x : x + 12] = chance.choice(values)
    return labels


def propagate(tell: Tell, folder: Path, seed: int) -> None:
    """Write a machine's results in batches, take some batches back and do them again."""
    project, chance = Project.open(folder), random.Random(seed)
    ids = [int(i) for i in project.ids()]
    _tell_start(tell, project, ids)
    while True:
        before = {i: digest(project.labels(i)) for i in ids}
        new = {i: made_up(chance, [1, 2, 3]) for i in ids}
        tell("plan", {str(i): digest(labels) for i, labels in new.items()})
        batch = project.batches.begin("propagation", "Propagate")
        for start in range(0, len(ids), 3):
            part = ids[start : start + 3]
            confidence = np.full(SHAPE, 0.5, np.float32)
            taken = project.batches.write_results(batch, [(i, Result(new[i], confidence)) for i in part])
            tell("did", [i for i, each in zip(part, taken, strict=True) if each is True])
        project.batches.finish(batch)
        tell("over")
        for goal in (before, {i: digest(labels) for i, labels in new.items()})[: chance.randrange(3)]:
            tell("plan", {str(i): value for i, value in goal.items()})
            for step in project.exchange(batch):
                tell("did", list(step.exchanged))
            tell("over")


def merge(tell: Tell, folder: Path, seed: int) -> None:
    """Add a class, paint with it, merge it away, take that back, do it again."""
    project, chance = Project.open(folder), random.Random(seed)
    ids = [int(i) for i in project.ids()]
    _tell_start(tell, project, ids)
    while True:
        list(project.change_classes(AddClass(f"part {chance.randrange(10**9)}")))
        new_class = project.classes.ids[-1]
        new = {i: made_up(chance, [1, new_class]) for i in ids}
        tell("plan", {str(i): digest(labels) for i, labels in new.items()})
        batch = project.batches.begin("import", "Labels")
        for i in ids:
            project.batches.write_labels(batch, i, new[i], overwrite=True)
            tell("did", [i])
        project.batches.finish(batch)
        tell("over")
        merged = {i: np.where(labels == new_class, 2, labels).astype(np.uint8) for i, labels in new.items()}
        tell("plan", {str(i): digest(labels) for i, labels in merged.items()})
        for step in project.change_classes(MergeClasses(new_class, 2)):
            tell("did", list(step.exchanged))
        tell("over")
        run = project.runs()[0].id
        for goal in (new, merged):
            tell("plan", {str(i): digest(labels) for i, labels in goal.items()})
            for step in project.exchange(run):
                tell("did", list(step.exchanged))
            tell("over")


def bring_in(tell: Tell, folder: Path, seed: int) -> None:
    """Export what is there, change it, import what was exported, and take that back."""
    project, chance = Project.open(folder), random.Random(seed)
    ids = [int(i) for i in project.ids()]
    out = folder.parent / f"exported{seed}"
    name = chance.choice(list(FORMATS))
    list(export(project, ids, name, out))
    mapping = import_report(project, name, out).mapping
    table = project.classes
    exported = {i: digest(FORMATS[name].held(project.labels(i), table)) for i in ids}
    _tell_start(tell, project, ids)
    while True:
        new = {i: made_up(chance, [1, 2, 3]) for i in ids}
        tell("plan", {str(i): digest(labels) for i, labels in new.items()})
        batch = project.batches.begin("propagation", "Propagate")
        for i in ids:
            project.batches.write_labels(batch, i, new[i], overwrite=True)
            tell("did", [i])
        project.batches.finish(batch)
        tell("over")
        tell("plan", {str(i): value for i, value in exported.items()})
        run = 0
        for event in import_labels(project, name, out, mapping, overwrite=True):
            run = event.batch
            tell("did", [event.image_id] if event.taken else [])
        tell("over")
        tell("plan", {str(i): digest(labels) for i, labels in new.items()})
        for step in project.exchange(run):
            tell("did", list(step.exchanged))
        tell("over")


def send_out(tell: Tell, folder: Path, seed: int) -> None:
    """Export in every format, one after the other, telling each file."""
    project, chance = Project.open(folder), random.Random(seed)
    ids = [int(i) for i in project.ids()]
    tell("ready")
    names = list(FORMATS)
    while True:
        name = chance.choice(names)
        options = ExportOptions(copy_images=chance.random() < 0.5)
        common = set(FORMATS[name].common_files(options))
        out = folder.parent / "out" / f"{name}{seed}"
        for event in export(project, ids, name, out, options):
            if event.error:
                tell("failed", event.error, "")
            tell("wrote", [str(out / file) for file in event.files if file not in common])
        tell("wrote", [str(out / file) for file in common if (out / file).exists()])


def make(tell: Tell, folder: Path, seed: int) -> None:
    """Make projects out of folders of images, one after the other, and scan them."""
    chance = random.Random(seed)
    tell("ready")
    for number in range(1000):
        images = folder.parent / f"new{seed}-{number}"
        images.mkdir()
        for index in range(4):
            Image.new("RGB", (48, 32), (chance.randrange(256), 0, 0)).save(images / f"{index}.png")
        tell("making", str(images))
        with Project.create(images) as project:
            list(project.scan())
            list(project.change_classes(AddClass("part")))
            tell("made project", str(images))


def migrate(tell: Tell, folder: Path, seed: int) -> None:
    """Open a project of an older version, which brings it up to date."""
    tell("ready")
    with Project.open(folder) as project:
        tell("migrated")
        list(project.scan())
        for image in project.ids():
            project.labels(int(image))


def _tell_start(tell: Tell, project: Project, ids: list[int]) -> None:
    state = {str(i): digest(project.labels(i)) for i in ids}
    tell("plan", state)
    tell("over")
    tell("ready")

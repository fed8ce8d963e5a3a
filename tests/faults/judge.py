"""What must be true of a project after any crash, and of what a killed process had told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.domain.label_map import histogram
from app.domain.project import DATABASE, Project
from coordgan_core.labels import read_label_map
from tests.faults.processes import Message
from tests.faults.strokes import digest


@dataclass
class Verdict:
    """What a kill has done: acknowledged operations, those of them that are gone, what is broken."""

    committed: int = 0
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def __iadd__(self, other: Verdict) -> Verdict:
        self.committed += other.committed
        self.lost += other.lost
        self.damaged += other.damaged
        return self


def judge_project(folder: Path, messages: Sequence[Message]) -> Verdict:
    """Open a project after a kill and compare it with what was told."""
    verdict = Verdict()
    try:
        with Project.open(folder) as project:
            if project.read_only:
                verdict.damaged.append(f"opens for reading only: {project.read_only_reason}")
            check_whole(project, verdict)
            _check_strokes(project, messages, verdict)
            _check_statuses(project, messages, verdict)
            _check_plans(project, messages, verdict)
    except Exception as error:  # an error of any kind is a project that does not open
        verdict.damaged.append(f"does not open: {type(error).__name__}: {error}")
    return verdict


def check_whole(project: Project, verdict: Verdict) -> None:
    """Check everything that must hold of any project that was opened again."""
    say = verdict.damaged.append
    with_integrity = project.database.read("PRAGMA integrity_check")
    if with_integrity != [("ok",)]:
        say(f"SQLite: {with_integrity[:3]}")
    if any(run.finished is None for run in project.runs()):
        say("a batch that was cut off is not closed")
    known = set(project.classes.ids)
    for row in project.rows(project.ids()):
        labels = project.labels(row.id)
        path = project.label_path(row.id)
        if row.has_labels != path.exists():
            say(f"{row.path}: has_labels {row.has_labels}, its file {path.exists()}")
        elif row.has_labels and not np.array_equal(read_label_map(path), labels):
            say(f"{row.path}: the file is not what the journal says")
        counts = {i: int(n) for i, n in enumerate(histogram(labels)) if i and n}
        if counts != project.class_counts(row.id):
            say(f"{row.path}: counts {project.class_counts(row.id)} of {counts}")
        if not set(counts) <= known:
            say(f"{row.path}: pixels of classes that are not there: {set(counts) - known}")
    half = [p.name for p in project.folder.rglob("*") if p.name.endswith((".part", ".part-journal"))]
    if half:
        say(f"half files: {half[:3]}")
    if (project.folder / "classes.json").exists():
        json.loads((project.folder / "classes.json").read_text())


def _check_strokes(project: Project, messages: Sequence[Message], verdict: Verdict) -> None:
    """Every stroke told as committed is in the journal; each label map is what its newest stroke had made."""
    after: dict[int, dict[int, str]] = {}
    opened: dict[int, str] = {}
    for message in messages:
        if message[0] == "opened":
            opened.setdefault(message[1], message[2])
        elif message[0] == "made":
            after.setdefault(message[1], {})[message[2]] = message[3]
    for image, first in opened.items():
        steps = [row[0] for row in project.store.history(image)]
        told = {m[2] for m in messages if m[0] == "committed" and m[1] == image}
        verdict.committed += len(told)
        verdict.lost += [f"stroke {s} of image {image}" for s in sorted(told - set(steps))]
        made = after.get(image, {})
        labels = project.labels(image)
        mine = [s for s in steps if s >= min(made, default=1 << 62)]
        # the newest steps may have reached the disk before they were told: take them back one by one
        while mine and mine[-1] not in made:
            labels = np.array(labels)
            project.edit(mine.pop()).inverse().apply(labels)
        if steps and not made:
            continue  # what was made was never told: nothing to compare with
        expected = made[mine[-1]] if mine else first
        if digest(labels) != expected:
            verdict.lost.append(f"image {image} is not what its newest stroke had made")


def _check_statuses(project: Project, messages: Sequence[Message], verdict: Verdict) -> None:
    asked: dict[int, list[str]] = {}
    sure: dict[int, int] = {}
    for message in messages:
        if message[0] == "marking":
            asked.setdefault(message[1], []).append(message[2])
        elif message[0] == "marked":
            verdict.committed += 1
            sure[message[1]] = sure.get(message[1], -1) + 1
    for image, number in sure.items():
        if project.row(image).status.value not in asked[image][number:]:
            verdict.lost.append(f"status of image {image}")


def _check_plans(project: Project, messages: Sequence[Message], verdict: Verdict) -> None:
    """Images told as done hold the new label map, all others the old or the new one."""
    allowed: dict[int, set[str]] = {}
    plan: dict[int, str] = {}
    for message in messages:
        if message[0] == "plan":
            plan = {int(i): value for i, value in message[1].items()}
            for i, value in plan.items():
                allowed.setdefault(i, set()).add(value)
        elif message[0] == "did":
            verdict.committed += len(message[1])
            for i in message[1]:
                allowed[i] = {plan[i]}
        elif message[0] == "over":
            allowed = {i: {value} for i, value in plan.items()}
    for i, values in allowed.items():
        if digest(project.labels(i)) not in values:
            verdict.lost.append(f"the label map of image {i}")


def judge_export(folder: Path, messages: Sequence[Message]) -> Verdict:
    """Check that files told as written are there, and that every file under its final name is whole."""
    verdict = judge_project(folder, ())
    told = {file for message in messages if message[0] == "wrote" for file in message[1]}
    verdict.committed += len(told)
    verdict.lost += [file for file in sorted(told) if not Path(file).exists()]
    for file in (folder.parent / "out").rglob("*"):
        if file.is_file() and not file.name.startswith("."):
            problem = why_broken(file)
            if problem:
                verdict.damaged.append(f"{file.name}: {problem}")
    return verdict


def why_broken(file: Path) -> str:
    """Return why a file is not whole, nothing if it is."""
    try:
        if file.suffix.lower() in (".png", ".jpg", ".jpeg"):
            with Image.open(file) as image:
                image.load()
        elif file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".xml":
            from xml.etree import ElementTree

            ElementTree.parse(file)
        elif file.suffix == ".zip":
            import zipfile

            with zipfile.ZipFile(file) as archive:
                return archive.testzip() or ""
        elif file.suffix in (".txt", ".yaml", ".yml"):
            file.read_text(encoding="utf-8")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def judge_made(folder: Path, messages: Sequence[Message]) -> Verdict:
    """Check that every project that was begun opens, and that those told as made hold what was told."""
    verdict = Verdict()
    made = {m[1] for m in messages if m[0] == "made project"}
    for message in messages:
        if message[0] != "making":
            continue
        images = Path(message[1])
        try:
            with Project.open_or_create(images) as project:
                if message[1] in made:
                    verdict.committed += 1
                    if project.classes.by_name("part") is None or project.count() != 4:
                        verdict.lost.append(f"the project of {images.name}")
                list(project.scan())
                check_whole(project, verdict)
                if project.count() != 4:
                    verdict.damaged.append(f"{images.name} lists {project.count()} images")
        except Exception as error:
            verdict.damaged.append(f"{images.name}: {type(error).__name__}: {error}")
    return verdict


def judge_migrated(folder: Path, messages: Sequence[Message], before: dict[str, Any]) -> Verdict:
    """Check that an older project has become a newer one without loss, and that its backup is whole."""
    verdict = judge_project(folder, ())
    if verdict.damaged:
        return verdict
    with Project.open(folder) as project:
        for image, value in before["labels"].items():
            verdict.committed += 1
            if digest(project.labels(int(image))) != value:
                verdict.lost.append(f"the label map of image {image}")
        for image, steps in before["history"].items():
            verdict.committed += len(steps)
            if [row[0] for row in project.store.history(int(image))] != steps:
                verdict.lost.append(f"the history of image {image}")
    for backup in folder.glob(f"{DATABASE}.version-*.bak"):
        connection = sqlite3.connect(backup)
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            verdict.damaged.append("the backup of the older version")
        if connection.execute("PRAGMA user_version").fetchone() != (before["version"],):
            verdict.damaged.append("the backup holds another version")
        connection.close()
    return verdict

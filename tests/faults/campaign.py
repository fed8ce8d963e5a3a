"""Kill after kill: which process, on which project, after how long; and the sum of what was found."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.classes import ImportClasses
from app.domain.label_map import paint, rectangle_region
from app.domain.project import DATABASE, Commit, Project, Result
from app.domain.status import Status
from tests.app.conftest import write_images
from tests.faults import engines, trainings
from tests.faults.judge import Verdict, judge_export, judge_made, judge_migrated, judge_project
from tests.faults.processes import LOADED, Message, NotReadyError, Victim
from tests.faults.strokes import digest

IMAGES = 8
NAMES = ("nose", "eye", "ear", "mouth")
FRESH_AFTER = 25
"""Kills after which a scene begins with a new project."""


@dataclass
class Report:
    """What all kills together have shown."""

    kills: int = 0
    committed: int = 0
    lost: int = 0
    damaged: int = 0
    seconds: float = 0.0
    by_scene: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, scene: str, kills: int, verdict: Verdict) -> None:
        """Count one verdict."""
        self.kills += kills
        self.by_scene[scene] += kills
        self.committed += verdict.committed
        self.lost += len(verdict.lost)
        self.damaged += bool(verdict.damaged)
        self.problems += [f"{scene}: {text}" for text in (*verdict.lost, *verdict.damaged)]


class Scene:
    """A project and a kind of process that is killed on it.

    Args:
        name: For the report.
        actor: See `Victim`.
        longest_sec: The process is killed at a random instant until then.
        judge: What is checked afterwards.
    """

    def __init__(
        self,
        name: str,
        actor: str,
        longest_sec: float,
        judge: Callable[[Path, list[Message]], Verdict] = judge_project,
    ) -> None:
        self.name = name
        self.actor = actor
        self.longest_sec = longest_sec
        self.judge = judge
        self.place: Path | None = None
        self.used = 0

    def kill(self, root: Path, chance: random.Random) -> tuple[int, Verdict]:
        """Start the process, kill it, and return how many kills there were and what they have done."""
        if self.place is None or self.used >= FRESH_AFTER:
            self.place = self.prepare(Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=root)))
            self.used = 0
        self.used += 1
        victim = Victim(self.actor, self.place, chance.randrange(1 << 30))
        try:
            victim.wait_for("ready")
            messages = victim.kill_after(chance.uniform(0.0, self.longest_sec))
        except NotReadyError:
            victim.kill()
            messages = [*victim.messages, ["failed", "was never ready"]]
        verdict = self.judge(self.place, messages)
        verdict.damaged += [f"failed by itself: {m[1:]}" for m in messages if m[0] == "failed"]
        if verdict.lost or verdict.damaged:
            self.place = None  # kept as it is; the next kill gets a new one
        return 1, verdict

    def prepare(self, place: Path) -> Path:
        """Make what the process works on, and return it."""
        return make_project(place)


class Migration(Scene):
    """Projects of the version before, each opened once."""

    def __init__(self) -> None:
        super().__init__("migration", "tests.faults.batches:migrate", 0.03)
        self._before: dict[str, Any] = {}
        self.judge = lambda folder, messages: judge_migrated(folder, messages, self._before)

    def kill(self, root: Path, chance: random.Random) -> tuple[int, Verdict]:
        """Make an old project, and kill what opens it."""
        self.place = None
        return super().kill(root, chance)

    def prepare(self, place: Path) -> Path:
        """Make a project of the version before this one, with strokes that no label file holds."""
        folder = make_project(place)
        self._before = age(folder)
        return folder


class Training(Scene):
    """One run, killed and resumed; at the end it must equal a run that was never touched."""

    def __init__(self) -> None:
        super().__init__("training", "tests.faults.trainings:train", 0.8, trainings.judge)
        LOADED.extend(["coordgan_core.training.loop", "tests.core.training.toys"])  # PyTorch takes its time

    def prepare(self, place: Path) -> Path:
        """Write some images."""
        from tests.core.training.toys import write_images as write_pictures

        write_pictures(place / "images", 12)
        return place

    def kill(self, root: Path, chance: random.Random) -> tuple[int, Verdict]:
        """Kill once more; compare when the run is about to be left."""
        kills, verdict = super().kill(root, chance)
        if self.used >= FRESH_AFTER and self.place is not None:
            verdict += self.compare(self.place)
        return kills, verdict

    def compare(self, place: Path) -> Verdict:
        """Return whether the run, finished, equals one that was never killed."""
        victim = Victim("tests.faults.trainings:compare", place, 0)
        with contextlib.suppress(NotReadyError):
            victim.wait_for("same", 900.0)
        victim.kill()
        if any(m[0] == "same" for m in victim.messages):
            return Verdict(committed=1)
        return Verdict(damaged=[f"the resumed training is another one: {victim.messages[-1:]}"])

    def finish(self) -> Verdict:
        """Compare the run that is still there."""
        return Verdict() if self.place is None or not self.used else self.compare(self.place)


class Engine(Scene):
    """The real engine, killed under the window; then the window itself."""

    def __init__(self) -> None:
        super().__init__("propagation by the engine", "tests.faults.engines:propagate", 0.3)

    def prepare(self, place: Path) -> Path:
        """Make a project with a reference."""
        folder = make_project(place)
        with Project.open(folder) as project:
            first = int(project.ids()[0])
            project.set_status([first], Status.REFERENCE)
        return folder

    def kill(self, root: Path, chance: random.Random) -> tuple[int, Verdict]:
        """Kill the engine while the window lives, wait for the next one, kill the window."""
        if self.place is None:
            self.place = self.prepare(Path(tempfile.mkdtemp(prefix="engine-", dir=root)))
        victim = Victim(self.actor, self.place, chance.randrange(1 << 30))
        verdict = Verdict()
        try:
            victim.wait_for("stored")
            first = [m[1] for m in victim.messages if m[0] == "engine"][-1]
            time.sleep(chance.uniform(0.0, self.longest_sec))
            engines.kill(first)
            victim.wait_for("engine died")
            victim.wait_for("engine")  # the next one, which the next propagation has started
            victim.wait_for("stored")
            messages = victim.kill_after(chance.uniform(0.0, self.longest_sec))
        except NotReadyError as error:
            victim.kill()
            return 1, Verdict(damaged=[str(error)])
        last = [m[1] for m in messages if m[0] == "engine"][-1]
        if last == first or not engines.is_gone(last):
            verdict.damaged.append("an engine has outlived its window")
        stored = {i for m in messages if m[0] == "stored" for i in m[1]}
        verdict += judge_project(self.place, messages)
        with Project.open(self.place) as project:
            for row in project.rows(sorted(stored)):
                verdict.committed += 1
                if row.status is not Status.PROPAGATED or not project.labels(row.id).any():
                    verdict.lost.append(f"the result for {row.path}")
        return 2, verdict


SCENES: Mapping[str, tuple[int, Callable[[], Scene]]] = {
    "strokes": (28, lambda: Scene("strokes", "tests.faults.strokes:paint", 0.5)),
    "window": (12, lambda: Scene("window", "tests.faults.window:open_window", 0.8)),
    "propagation": (12, lambda: Scene("propagation", "tests.faults.batches:propagate", 0.4)),
    "merge": (12, lambda: Scene("merge", "tests.faults.batches:merge", 0.4)),
    "import": (10, lambda: Scene("import", "tests.faults.batches:bring_in", 0.4)),
    "export": (8, lambda: Scene("export", "tests.faults.batches:send_out", 0.4, judge_export)),
    "creation": (5, lambda: Scene("creation", "tests.faults.batches:make", 0.4, judge_made)),
    "migration": (5, Migration),
    "training": (5, Training),
    "engine": (3, Engine),
}
"""Scene -> its share of the kills, and what makes it."""


def run(
    root: Path,
    *,
    kills: int,
    seconds: float = 1e9,
    seed: int = 0,
    scenes: Mapping[str, tuple[int, Callable[[], Scene]]] = SCENES,
    progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Kill until there were ``kills`` or the time is over; every scene gets its share."""
    chance, report, began = random.Random(seed), Report(), time.monotonic()
    made = {name: make() for name, (_, make) in scenes.items()}
    order = [name for name, (share, _) in scenes.items() for _ in range(share)]
    chance.shuffle(order)
    turn = 0
    while report.kills < kills and time.monotonic() - began < seconds:
        scene = made[order[turn % len(order)]]
        turn += 1
        try:
            number, verdict = scene.kill(root, chance)
        except KeyboardInterrupt:  # what was found so far is told all the same
            break
        report.add(scene.name, number, verdict)
        progress(report)
    for scene in made.values():
        if isinstance(scene, Training):
            report.add(scene.name, 0, scene.finish())
    report.seconds = time.monotonic() - began
    return report


def make_project(place: Path) -> Path:
    """Make a project of small images with four classes, and return its folder."""
    write_images(place / "images", IMAGES)
    with Project.create(place / "images", place / "project") as project:
        list(project.scan())
        list(project.change_classes(ImportClasses(NAMES)))
        ids = [int(i) for i in project.ids()]
        batch = project.batches.begin("import", "Import labels")
        for index, image in enumerate(ids):
            labels = np.zeros((32, 48), np.uint8)
            labels[4 : 12 + index, 6:20] = 1 + index % 4
            project.batches.write_labels(batch, image, labels)
        project.batches.finish(batch)
        project.set_status(ids, Status.UNLABELLED)
        return project.folder


def age(folder: Path) -> dict[str, Any]:
    """Make a project one version older, as a crash left it, and return what must be there afterwards."""
    with Project.open(folder) as project:
        ids = [int(i) for i in project.ids()]
        batch = project.batches.begin("propagation", "Propagate")
        noise = np.random.default_rng(0).integers(0, 5, (32, 48), dtype=np.uint8)
        project.batches.write_results(batch, [(i, Result(noise)) for i in ids[4:]])
        for number in range(12):
            labels = project.labels(ids[0])
            edit = paint(labels, rectangle_region(number, 3, number + 9, 20, labels.shape), number % 4 + 1)
            if edit is not None:
                project.commit([Commit(project.store.next_sequence(), ids[0], "do", "Box", edit)])
        before = {
            "version": 1,
            "labels": {i: digest(project.labels(i)) for i in ids},
            "history": {i: [row[0] for row in project.store.history(i)] for i in ids},
        }
        project.database.close()  # without writing the strokes into the label file
        project._lock.release()
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute("DROP INDEX batch_items_by_batch")
    connection.execute("ALTER TABLE batches DROP COLUMN exchanging")
    connection.execute("ALTER TABLE batch_items DROP COLUMN undone")
    connection.execute("CREATE TABLE ballast AS SELECT randomblob(100000) AS x FROM images")
    connection.execute("DROP TABLE ballast")
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    return before


def discard(root: Path, report: Report) -> None:
    """Remove everything, unless something was found that a person must look at."""
    if not report.problems:
        shutil.rmtree(root, ignore_errors=True)

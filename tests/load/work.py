"""The loads, each a function that returns its figures; small in tests, large by ``python -m tests.load``."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from app.domain.classes import ImportClasses
from app.domain.edits import Edit
from app.domain.formats import export
from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result, Sort
from app.domain.status import Status
from app.domain.undo import UndoStack
from coordgan_core.labels import read_label_map
from tests.load.memory import memory_mb, peak_mb

Figures = dict[str, float]
_BATCH = 64
_WORDS = ("", "image99", "status:propagated", "score:<0.3", "label:nose -label:eye", "name:*7.png")


def write_tiny(folder: Path, count: int) -> None:
    """Write ``count`` PNG images of 24 x 16 pixels, each of colours of its own."""
    folder.mkdir(parents=True)
    header = b"IHDR" + (24).to_bytes(4, "big") + (16).to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    for number in range(count):
        colours = number.to_bytes(3, "big") + bytes([90, 120, 30]) * 23
        chunks = (header, b"IDAT" + zlib.compress((b"\0" + colours) * 16, 1), b"IEND")
        packed = (
            (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
            for chunk in chunks
        )
        (folder / f"image{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def many_images(folder: Path, count: int) -> Figures:
    """Open, filter, propagate (by a stub of a model) and export ``count`` images, in processor time."""
    images = folder / "images"
    write_tiny(images, count)
    before, clock = memory_mb(), time.process_time
    with Project.create(images, folder / "project") as project:
        began = clock()
        steps = project.scan()
        next(steps)
        found: Figures = {"first_list_cpu_s": clock() - began}
        list(steps)
        found["scan_cpu_s"] = clock() - began
        list(project.change_classes(ImportClasses(("nose", "eye"))))
        ids = [int(i) for i in project.ids()]
        assert len(ids) == count
        began = clock()
        batch = project.batches.begin("propagation", "Propagate")
        for start in range(0, count, _BATCH):
            part = ids[start : start + _BATCH]
            taken = project.batches.write_results(batch, [(i, stub_of_a_model(i)) for i in part])
            assert all(each is True for each in taken)
        project.batches.finish(batch)
        found["propagate_cpu_s"] = clock() - began
        found["slowest_filter_cpu_s"] = _slowest_filter(project)
        assert len(project.ids("status:propagated")) == count
        began = clock()
        written = sum(not event.error for event in export(project, ids, "index-png", folder / "out"))
        assert written == count
        found["export_cpu_s"] = clock() - began
        for image in random.Random(0).sample(ids, 20):
            assert np.array_equal(project.labels(image), stub_of_a_model(image).labels)
    found["memory_mb"], found["peak_mb"] = memory_mb() - before, peak_mb() - before
    return found | _opened_again(folder / "project", count)


def _slowest_filter(project: Project) -> float:
    slowest = 0.0
    for text in _WORDS:
        for sort in Sort:
            began = time.process_time()
            project.ids(text, sort)
            slowest = max(slowest, time.process_time() - began)
    return slowest


def _opened_again(folder: Path, count: int) -> Figures:
    """Open the project as a window does: lock, check of the database, list, counts, first rows; then scan."""
    clock = time.process_time
    began = clock()
    with Project.open(folder) as project:
        ids = project.ids()
        assert len(ids) == count
        assert sum(project.counts().values()) == count
        assert len(project.rows(ids[:200])) == min(200, count)
        opened = clock()
        *_, last = project.scan()
        assert (last.found, last.added, last.changed, last.vanished) == (count, 0, 0, 0)
        return {"open_cpu_s": opened - began, "scan_again_cpu_s": clock() - opened}


def in_the_window(load: str, project: Path, seconds: float = 0.0) -> Figures:
    """Run a load of `tests.load.window` in a process of its own, with a project that is there."""
    command = [sys.executable, "-m", "tests.load.window", load, str(project), "--seconds", str(seconds)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr[-4000:])
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def soak_project(folder: Path, count: int = 24) -> Path:
    """Make a project of drawn images with four classes and one reference, and return its folder."""
    images = folder / "images"
    images.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(count):
        small = chance.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((320, 240)).save(images / f"image{number}.png")
    with Project.create(images, folder / "project") as project:
        list(project.scan())
        list(project.change_classes(ImportClasses(("nose", "eye", "mouth", "ear"))))
        first = int(project.ids()[0])
        labels = np.repeat(np.arange(240, dtype=np.uint8)[:, None] // 60, 320, 1) + np.uint8(1)
        project.batches.write_labels(project.batches.begin("import", "Import labels"), first, labels)
        project.set_status([first], Status.REFERENCE)
        return project.folder


def stub_of_a_model(image: int) -> Result:
    """Return a label map that follows from the image's number."""
    labels = np.full((16, 24), image % 2, np.uint8)
    labels[4:8, 4 : 5 + image % 16] = 2
    return Result(labels, None, (image % 100) / 100)


def many_classes(folder: Path, count: int = 200) -> Figures:
    """Use ``count`` classes: paint, save, open again, export, import."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 200)).save(folder / "one.png")
    with Project.create(folder) as project:
        list(project.scan())
        began = time.perf_counter()
        list(project.change_classes(ImportClasses(tuple(f"part {i}" for i in range(count)))))
        image = int(project.ids()[0])
        labels = (np.indices((200, 200)).sum(0) % (count + 1)).astype(np.uint8)
        project.batches.write_labels(project.batches.begin("import", "x"), image, labels)
        assert len(project.class_counts(image)) == count
    with Project.open(folder) as project:
        assert len(project.classes.classes) == count + 1
        assert np.array_equal(project.labels(image), labels)
        return {"classes_s": time.perf_counter() - began}


def a_huge_image(folder: Path, width: int = 12_000, height: int = 8_400) -> Figures:
    """Label an image of a hundred megapixels: a stroke, its undoing, saving, opening again."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (40, 60, 80)).save(folder / "huge.png", compress_level=1)
    before = memory_mb()
    with Project.create(folder) as project:
        list(project.scan())
        image = int(project.ids()[0])
        labels = project.labels(image)
        assert labels.shape == (height, width)
        began = time.perf_counter()
        edit = paint(labels, rectangle_region(width // 3, 100, width // 2, height - 100, labels.shape), 1)
        assert edit is not None
        project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
        stroke = time.perf_counter() - began
        began = time.perf_counter()
        edit.inverse().apply(labels)
        undone = time.perf_counter() - began
        assert not labels.any()
        began = time.perf_counter()
        project.flush()
        saved = time.perf_counter() - began
        assert read_label_map(project.label_path(image)).any()
    return {"stroke_s": stroke, "undo_s": undone, "save_s": saved, "memory_mb": memory_mb() - before}


def many_steps(folder: Path, count: int = 10_000, budget: int = 8 << 20) -> Figures:
    """Make ``count`` strokes, take all back beyond the budget of memory, and do them again."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (128, 96)).save(folder / "one.png")
    chance = random.Random(1)
    with Project.create(folder) as project:
        list(project.scan())
        image = int(project.ids()[0])
        labels = project.labels(image)
        stack = UndoStack(project.edit, budget_bytes=budget)
        began, made, commits = time.perf_counter(), 0, []
        while made < count:
            x, y = chance.randrange(110), chance.randrange(80)
            region = rectangle_region(x, y, x + 15, y + 15, labels.shape)
            edit = paint(labels, region, chance.randrange(1, 200))
            if edit is None:
                continue
            sequence = project.store.next_sequence()
            commits.append(Commit(sequence, image, "do", "Box", edit))
            stack.push(sequence, "Box", edit)
            made += 1
            if len(commits) == 100:
                project.commit(commits)
                stack.durable = sequence
                commits = []
        project.commit(commits)
        stack.durable = project.store.next_sequence()
        after, painted = labels.copy(), time.perf_counter()
        for _ in range(count):
            step = stack.undo()
            assert step is not None
            step.edit.apply(labels)
        assert stack.undo() is None
        assert not labels.any()
        for _ in range(count):
            step = stack.redo()
            assert step is not None
            step.edit.apply(labels)
        assert np.array_equal(labels, after)
        return {"paint_s": painted - began, "undo_redo_s": time.perf_counter() - painted}


def soak(folder: Path, seconds: float, warm_share: float = 0.3) -> Figures:
    """Do at random what people do, and return by how much memory grows after warming up, as a share."""
    from tests.faults.campaign import make_project

    place = make_project(folder)
    chance = random.Random(2)
    began, actions, warm = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - began) < seconds:
        with Project.open(place) as project:
            list(project.scan())
            ids = [int(i) for i in project.ids()]
            for _ in range(150):
                _act(project, ids, chance)
                actions += 1
        if passed > warm_share * seconds and not warm:
            gc.collect()
            warm = memory_mb()
    gc.collect()
    return {"actions": actions, "growth": memory_mb() / warm - 1 if warm else 0.0, "memory_mb": memory_mb()}


def _act(project: Project, ids: list[int], chance: random.Random) -> None:
    image, what = chance.choice(ids), chance.random()
    if what < 0.6:
        labels = project.labels(image)
        new = labels.copy()
        x, y = chance.randrange(40), chance.randrange(24)
        new[y : y + 8, x : x + 8] = chance.randrange(5)
        edit = Edit.between(labels, new)
        if edit is not None:
            project.commit([Commit(project.store.next_sequence(), image, "do", "Box", edit)])
    elif what < 0.7:
        project.set_status([image], chance.choice([Status.ACCEPTED, Status.REJECTED, Status.UNLABELLED]))
    elif what < 0.8:
        batch = project.batches.begin("propagation", "Propagate")
        labels = np.full((32, 48), chance.randrange(1, 4), np.uint8)
        project.batches.write_results(batch, [(i, Result(labels, None, 0.5)) for i in ids])
        project.batches.finish(batch)
    elif what < 0.85:
        list(project.exchange(chance.choice(project.runs()).id))
    elif what < 0.9:
        project.ids(chance.choice(["", "status:accepted", "label:nose", "score:<0.5"]))
    else:
        project.flush(image)
        project.provenance(image)

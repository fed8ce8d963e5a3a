"""Damaged project databases: each opens or is told, and what can be rebuilt is rebuilt."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result
from coordgan_core.errors import CoordError

TRIALS = 40


def damaged(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    kind = chance.choice(["flip", "zero", "cut"])
    start = chance.randrange(len(data))
    if kind == "cut":
        return bytes(data[:start])
    if kind == "zero":
        length = min(chance.randrange(1, 8000), len(data) - start)
        data[start : start + length] = bytes(length)
        return bytes(data)
    for _ in range(chance.choice([1, 5, 50, 500])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def use(project: Project, batch: int) -> None:
    """Do everything that reads the database; errors must be those that a person can understand."""
    ids: list[int] = []
    for work in (
        lambda: list(project.scan()),
        lambda: ids.extend(int(i) for i in project.ids()),
        lambda: project.rows(ids),
        lambda: project.counts(),
        lambda: project.runs(),
        lambda: [project.labels(i) for i in ids],
        lambda: [project.provenance(i) for i in ids],
        lambda: [project.edit(row[0]) for i in ids for row in project.store.history(i)],
        lambda: list(project.exchange(batch)),
    ):
        with contextlib.suppress(CoordError):
            work()  # type: ignore[no-untyped-call]


def opened_or_none(folder: Path) -> Project | None:
    try:
        return Project.open(folder)
    except CoordError:
        return None


def test_every_damage_is_survived_or_told(project: Project, tmp_path: Path) -> None:
    ids = [int(i) for i in project.ids()]
    batch = project.batches.begin("propagation", "Propagate")
    result = Result(np.ones((32, 48), np.uint8), np.ones((32, 48), np.float32), 0.5, {1: 0.3})
    project.batches.write_results(batch, [(i, result) for i in ids[1:]])
    labels = project.labels(ids[0])
    edit = paint(labels, rectangle_region(1, 1, 9, 9, labels.shape), 2)
    assert edit is not None
    project.commit([Commit(project.store.next_sequence(), ids[0], "do", "Box", edit)])
    folder = project.images_folder
    project.close()
    good = (folder / ".coordlabel/project.sqlite").read_bytes()
    chance = random.Random(3)
    opened = 0
    for trial in range(TRIALS):
        copy = tmp_path / f"copy{trial}"
        shutil.copytree(folder, copy)
        file = copy / ".coordlabel/project.sqlite"
        file.write_bytes(damaged(good, chance))
        again = opened_or_none(copy)
        if again is None:
            with pytest.raises(CoordError) as told:
                Project.open(copy)
            assert told.value.remedy
            file.unlink()
            with Project.open(copy) as rebuilt:
                list(rebuilt.scan())
                assert np.array_equal(rebuilt.labels(rebuilt.find("image0.png") or 0), labels)
        else:
            opened += 1
            use(again, batch)
            again.close()
    assert 0 < opened < TRIALS

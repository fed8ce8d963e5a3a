"""Random work on a project against a plain model: strokes, undo, propagation, merges, reopening, kills."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.classes import ImportClasses, MergeClasses
from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result
from app.domain.status import HUMAN, Status, after_edit
from app.domain.undo import UndoStack
from coordgan_core.labels import read_label_map
from tests.app.conftest import write_images

IMAGES = 3
SHAPE = (32, 48)
WHICH = st.integers(0, IMAGES - 1)


@dataclass(frozen=True)
class Model:
    """What one image must look like; ``depth`` counts strokes of a person, also those beyond undoing."""

    labels: bytes = bytes(SHAPE[0] * SHAPE[1])
    status: Status = Status.UNLABELLED
    done: tuple[Model, ...] = ()
    undone: tuple[Model, ...] = ()
    depth: int = 0

    @property
    def array(self) -> np.ndarray:
        return np.frombuffer(self.labels, np.uint8).reshape(SHAPE)

    @property
    def core(self) -> tuple[bytes, Status, int]:
        return self.labels, self.status, self.depth


class Work(RuleBasedStateMachine):
    """Each rule does the same to the project and to the model."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="coordlabel-test-"))
        write_images(self.folder, IMAGES)
        self.project = Project.create(self.folder)
        list(self.project.scan())
        list(self.project.change_classes(ImportClasses(("a", "b", "c"))))
        self.ids = [int(i) for i in self.project.ids()]
        self.models = [Model() for _ in self.ids]
        self.last: tuple[int, list[Model], list[Model]] | None = None

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
            shutil.rmtree(self.folder)

    def stack(self, which: int) -> UndoStack:
        stack = UndoStack(self.project.edit)
        stack.restore(self.project.store.history(self.ids[which]))
        return stack

    @rule(which=WHICH, x=st.integers(0, 40), y=st.integers(0, 28), value=st.integers(0, 3))
    def stroke(self, which: int, x: int, y: int, value: int) -> None:
        labels = self.project.labels(self.ids[which])
        edit = paint(labels, rectangle_region(x, y, x + 9, y + 6, SHAPE), value)
        if edit is None:
            return
        self.project.commit([Commit(self.project.store.next_sequence(), self.ids[which], "do", "Box", edit)])
        old = self.models[which]
        done = (*old.done, replace(old, undone=()))
        self.models[which] = Model(labels.tobytes(), after_edit(old.status), done, (), old.depth + 1)

    @rule(which=WHICH, back=st.booleans())
    def undo_or_redo(self, which: int, back: bool) -> None:
        old = self.models[which]
        stack = self.stack(which)
        assert stack.depth == (len(old.done), len(old.undone))
        step = stack.undo() if back else stack.redo()
        if step is None:
            return
        action = "undo" if back else "redo"
        sequence = self.project.store.next_sequence()
        commit = Commit(sequence, self.ids[which], action, step.text, step.edit, step.sequence)
        self.project.commit([commit])
        if back:
            before = old.done[-1]
            here = replace(old, done=(), undone=())
            undone = (*old.undone, here)
            self.models[which] = Model(before.labels, before.status, old.done[:-1], undone, old.depth - 1)
        else:
            after = old.undone[-1]
            here = replace(old, undone=())
            status = after_edit(old.status)
            done = (*old.done, here)
            self.models[which] = Model(after.labels, status, done, old.undone[:-1], old.depth + 1)

    @rule(values=st.lists(st.integers(1, 3), min_size=IMAGES, max_size=IMAGES))
    def propagate(self, values: list[int]) -> None:
        before = list(self.models)
        batch = self.project.batches.begin("propagation", "Propagate")
        results = [
            (i, Result(np.full(SHAPE, value, np.uint8), score=0.5))
            for i, value in zip(self.ids, values, strict=True)
        ]
        taken = self.project.batches.write_results(batch, results)
        for which, value in enumerate(values):
            old = self.models[which]
            free = old.status not in HUMAN and old.depth == 0
            assert taken[which] is free
            if free:
                labels = np.full(SHAPE, value, np.uint8).tobytes()
                self.models[which] = Model(labels, Status.PROPAGATED)
        self.project.batches.finish(batch)
        self.last = (batch, before, list(self.models))

    @rule(which=WHICH, status=st.sampled_from([Status.ACCEPTED, Status.REJECTED, Status.REFERENCE]))
    def mark(self, which: int, status: Status) -> None:
        self.project.set_status([self.ids[which]], status)
        self.models[which] = replace(self.models[which], status=status)

    @rule()
    def merge(self) -> None:
        if self.project.classes.get(3) is None:
            return
        before = list(self.models)
        list(self.project.change_classes(MergeClasses(3, 2)))
        for which, old in enumerate(self.models):
            new = np.where(old.array == 3, 2, old.array).astype(np.uint8)
            if new.tobytes() != old.labels:
                # the strokes count on as human work, but cannot be undone beyond the merge
                self.models[which] = Model(new.tobytes(), old.status, (), (), old.depth)
        self.last = (self.project.runs()[0].id, before, list(self.models))

    @precondition(lambda self: self.last is not None)
    @rule()
    def exchange(self) -> None:
        assert self.last is not None
        batch, other, expected = self.last
        list(self.project.exchange(batch))
        changed = [i for i, (a, b) in enumerate(zip(other, expected, strict=True)) if a is not b]
        new = list(self.models)
        for which in changed:
            if self.models[which].core == expected[which].core:
                new[which] = other[which]
        self.last = None
        self.models = new

    @rule(kill=st.booleans())
    def reopen(self, kill: bool) -> None:
        if kill:
            self.project.database.close()
            self.project._lock.release()
        else:
            self.project.close()
        self.project = Project.open(self.folder)
        assert not self.project.read_only

    @invariant()
    def same(self) -> None:
        for image, model in zip(self.ids, self.models, strict=True):
            assert np.array_equal(self.project.labels(image), model.array)
            assert self.project.row(image).status is model.status
            counts = {
                int(i): int(n) for i, n in zip(*np.unique(model.array, return_counts=True), strict=True) if i
            }
            assert self.project.class_counts(image) == counts
            path = self.project.label_path(image)
            self.project.flush(image)
            if path.exists():
                assert np.array_equal(read_label_map(path), model.array)


TestRandomWork = Work.TestCase
TestRandomWork.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)

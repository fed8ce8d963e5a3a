"""One timeline of a project: the strokes of the open image, and between them the batches of many images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from app.services.document import Document


@dataclass(frozen=True)
class Batch:
    """A change of many images that is taken back as one step.

    Attributes:
        id: Number of the batch in the project.
        marker: Journal sequence of the stroke that would have come next: its place among the strokes.
        text: What the step is called.
        small: Whether it is exchanged at once, in the writer, and not in a job.
    """

    id: int
    marker: int
    text: str
    small: bool


class History:
    """Which step comes next in either direction. It knows the batches; strokes are kept by their document."""

    def __init__(self) -> None:
        self._done: list[Batch] = []
        self._undone: list[Batch] = []
        self._batch_first = False  # of what was taken back, a batch was the last

    def add(self, batch: Batch) -> None:
        """Make a batch the newest step; what was taken back is forgotten."""
        self._done.append(batch)
        self._undone.clear()

    def painted(self) -> None:
        """Forget the batches that were taken back: there is a new stroke."""
        self._undone.clear()

    def forget(self, batch_id: int) -> None:
        """Forget a batch that is exchanged out of its turn."""
        self._done = [b for b in self._done if b.id != batch_id]
        self._undone = [b for b in self._undone if b.id != batch_id]

    def next_undo(self, document: Document | None) -> Batch | Document | None:
        """Return whose step comes first when taking back: a batch, the open document, or None."""
        batch = self._done[-1] if self._done else None
        strokes = document if document is not None and document.can_undo else None
        if strokes is not None and (batch is None or strokes.last_sequence > batch.marker):
            return strokes
        return batch

    def next_redo(self, document: Document | None) -> Batch | Document | None:
        """Return whose step comes first when doing again."""
        strokes = document if document is not None and document.can_redo else None
        if self._undone and (self._batch_first or strokes is None):
            return self._undone[-1]
        return strokes

    def undo(self, step: Batch | Document) -> None:
        """Take note that `next_undo` is being taken back; a document takes back its own stroke."""
        self._batch_first = isinstance(step, Batch)
        if isinstance(step, Document):
            step.undo()
        else:
            self._undone.append(self._done.pop())

    def redo(self, step: Batch | Document, *, now: Callable[[], int]) -> None:
        """Take note that `next_redo` is being done again; ``now`` gives a batch its new place in time."""
        if isinstance(step, Document):
            step.redo()
            self._batch_first = bool(self._undone) and not step.can_redo
        else:
            self._done.append(dataclasses.replace(self._undone.pop(), marker=now()))

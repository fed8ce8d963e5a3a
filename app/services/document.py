"""The label map of the open image: strokes, rules, undo, autosave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.domain.edits import Box, Edit, LabelMap, Recorder
from app.domain.label_map import PaintRules, Region, class_region, paint_values, stroke_region
from app.domain.project import Commit, Project
from app.domain.storage.label_store import Action
from app.domain.undo import UndoStack
from app.services.writer import ProjectWriter
from coordgan_core.errors import CoordError

Point = tuple[float, float]


class Document(QObject):
    """One open image; the session makes it.

    Args:
        project: The project.
        writer: Writes its strokes.
        image_id: The image.
        labels: Its label map, which now belongs to the document.
        revision: The revision at which ``labels`` was read.
        undo_bytes: Memory for undo.
        parent: Qt parent.
    """

    changed = Signal(int, object)
    """Image id and the `Box` to draw again."""
    reloaded = Signal(int)
    """The label map was replaced."""
    historyChanged = Signal(int)  # noqa: N815
    """`can_undo` and its like may have changed."""
    painted = Signal(int)
    """A new stroke was made (not an undo or redo)."""
    committed = Signal(int, int)
    """Image id and journal sequence of a stroke that is on disk now."""
    saveFailed = Signal(int, str)  # noqa: N815
    """A stroke is not on disk yet, and why; it will be tried again."""

    def __init__(
        self,
        project: Project,
        writer: ProjectWriter,
        image_id: int,
        labels: LabelMap,
        revision: int,
        *,
        undo_bytes: int = 256 << 20,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._writer = writer
        self._image_id = image_id
        self._labels = labels
        self._revision = revision
        self._undo = UndoStack(project.edit, budget_bytes=undo_bytes)
        self._undo.restore(project.store.history(image_id))
        self._undo.durable = max([row[0] for row in project.store.history(image_id)], default=0)
        self._recorder: Recorder | None = None
        self._stroke: tuple[int, str, list[Point]] = (0, "", [])
        self._waiting: set[int] = set()
        self._claimed = False
        self._closing = False
        self.rules = PaintRules()
        """What painting may not touch."""
        writer.committed.connect(self._on_committed)
        writer.failed.connect(self._on_failed)

    @property
    def image_id(self) -> int:
        """The image."""
        return self._image_id

    @property
    def labels(self) -> LabelMap:
        """The label map, ``uint8 [H, W]``; a read-only view that follows every stroke."""
        view = self._labels.view()
        view.setflags(write=False)
        return view

    @property
    def shape(self) -> tuple[int, int]:
        """``(H, W)`` in pixels."""
        return self._labels.shape[0], self._labels.shape[1]

    @property
    def width(self) -> int:
        """Columns."""
        return int(self._labels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self._labels.shape[0])

    @property
    def revision(self) -> int:
        """How often the label map has changed, strokes that are on their way to disk included."""
        return self._revision

    @property
    def is_editable(self) -> bool:
        """Whether strokes are taken."""
        return not self._project.read_only

    @property
    def unsaved(self) -> int:
        """Strokes that are not on disk yet."""
        return len(self._waiting)

    @property
    def is_stroking(self) -> bool:
        """Whether a stroke is going on."""
        return self._recorder is not None

    # --- strokes

    def begin_stroke(self, value: int, text: str) -> bool:
        """Begin a stroke that paints class ``value``; False if the image cannot be edited."""
        if self._recorder is not None or not self._claim():
            return False
        self._recorder = Recorder(self._labels)
        self._stroke = (value, text, [])
        return True

    def extend_stroke(self, points: Sequence[Point], radius: float) -> Box | None:
        """Paint on from the last point through ``points`` (pixels) and return the box that changed."""
        if self._recorder is None or not points:
            return None
        value, _, last = self._stroke
        region = stroke_region([*last, *points], radius, self._labels.shape)
        self._stroke[2][:] = [points[-1]]
        return self._paint(region, value)

    def end_stroke(self) -> bool:
        """Finish the stroke: one step of the history. False if it changed nothing."""
        if self._recorder is None:
            return False
        edit, self._recorder = self._recorder.finish(), None
        return self._done(edit, self._stroke[1])

    def cancel_stroke(self) -> None:
        """Take the present stroke back as if it had never been."""
        if self._recorder is None:
            return
        box, self._recorder = self._recorder.rollback(), None
        self._release_if_idle()
        if not box.is_empty:
            self.changed.emit(self._image_id, box)

    def paint_region(self, region: Region | None, value: int, text: str) -> bool:
        """Paint a region (polygon, fill, wand) by the rules as one step; False if that changes nothing."""
        if region is None or not self.begin_stroke(value, text):
            return False
        self._paint(region, value)
        return self.end_stroke()

    def replace_class(self, old: int, new: int, text: str) -> bool:
        """Turn all pixels of one class into another as one step."""
        return self.paint_region(class_region(self._labels, old), new, text)

    def set_labels(self, labels: LabelMap, text: str) -> bool:
        """Put another label map of the same size in place as one step, whatever the rules say."""
        if labels.shape != self._labels.shape or not self._claim():
            return False
        edit = Edit.between(self._labels, np.asarray(labels, np.uint8))
        if edit is not None:
            box = edit.apply(self._labels)
            self.changed.emit(self._image_id, box)
        return self._done(edit, text)

    def _paint(self, region: Region | None, value: int) -> Box | None:
        if region is None or self._recorder is None:
            return None
        self._recorder.touch(region.box)
        free = self.rules == PaintRules()
        before = None if free else self._recorder.before(region.box)
        box = paint_values(self._labels, region, value, self.rules, before=before)
        self.changed.emit(self._image_id, box)
        return box

    def _done(self, edit: Edit | None, text: str) -> bool:
        if edit is None:
            self._release_if_idle()
            return False
        sequence = self._submit(edit, "do", text)
        self._undo.push(sequence, text, edit)
        self.painted.emit(self._image_id)
        self.historyChanged.emit(self._image_id)
        return True

    def _submit(self, edit: Edit, action: Action, text: str, refers: int = 0) -> int:
        sequence = self._project.store.next_sequence()
        self._waiting.add(sequence)
        self._revision += 1
        self._writer.submit(Commit(sequence, self._image_id, action, text, edit, refers))
        return sequence

    # --- history

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self.is_editable and self._undo.depth[0] > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self.is_editable and self._undo.depth[1] > 0

    @property
    def undo_text(self) -> str:
        """Name of the step that `undo` takes back."""
        return self._undo.undo_text

    @property
    def redo_text(self) -> str:
        """Name of the step that `redo` does again."""
        return self._undo.redo_text

    @property
    def last_sequence(self) -> int:
        """Journal sequence of the step that `undo` takes back, 0 without one."""
        return self._undo.last_sequence

    def undo(self) -> bool:
        """Take the last step back."""
        return self._move(back=True)

    def redo(self) -> bool:
        """Do the next step again."""
        return self._move(back=False)

    def _move(self, *, back: bool) -> bool:
        self.cancel_stroke()
        if not (self.can_undo if back else self.can_redo) or not self._claim():
            return False
        try:
            step = self._undo.undo() if back else self._undo.redo()
        except CoordError as error:
            self.saveFailed.emit(self._image_id, str(error))
            return False
        if step is None:
            return False
        box = step.edit.apply(self._labels)
        self._submit(step.edit, "undo" if back else "redo", step.text, step.sequence)
        self.changed.emit(self._image_id, box)
        self.historyChanged.emit(self._image_id)
        return True

    # --- saving

    def flush(self) -> bool:
        """Wait until every stroke is on disk; return whether that is so."""
        return self._writer.flush()

    def reload(self, labels: LabelMap | None = None) -> None:
        """Read the label map again, after something other than a stroke has changed it."""
        self._recorder = None
        self._revision = self._project.store.revision(self._image_id)
        self._labels = self._project.labels(self._image_id) if labels is None else labels
        self._undo.restore(self._project.store.history(self._image_id))
        self.reloaded.emit(self._image_id)
        self.historyChanged.emit(self._image_id)

    def is_behind(self) -> bool:
        """Whether the project holds a newer label map than this document."""
        return not self._waiting and self._project.store.revision(self._image_id) != self._revision

    def close(self) -> None:
        """End a stroke that is going on, and let go; strokes on their way to disk still arrive."""
        self.end_stroke()
        self._writer.hurry(self._image_id)
        self._closing = True
        if not self._waiting:
            self._detach()

    def hand_over(self) -> LabelMap:
        """Return the label map of a closed document, for others to change.

        A copy only while strokes are on their way, since the document may then be opened again and needs its
        own: a copy of 24 million pixels at every change of the image would be felt.
        """
        return np.array(self._labels) if self._waiting else self._labels

    def reopen(self) -> bool:
        """Take a closed document up again while its strokes are on their way; False if it has let go."""
        if not self._closing or not self._waiting:
            return False
        self._closing = False
        return True

    def _claim(self) -> bool:
        if not self.is_editable:
            return False
        if self._claimed:
            return True
        if not self._project.batches.claim(self._image_id, self._revision):
            try:
                self.reload()
            except CoordError as error:
                self.saveFailed.emit(self._image_id, str(error))
                return False
            if not self._project.batches.claim(self._image_id, self._revision):
                return False
        self._claimed = True
        return True

    def _release_if_idle(self) -> None:
        if self._claimed and not self._waiting and self._recorder is None:
            self._claimed = False
            self._project.batches.release(self._image_id)

    def _on_committed(self, image_id: int, sequence: int) -> None:
        if image_id != self._image_id or sequence not in self._waiting:
            return
        self._waiting.discard(sequence)
        self._undo.durable = max(self._undo.durable, sequence)
        self._release_if_idle()
        self.committed.emit(image_id, sequence)
        if self._closing and not self._waiting:
            self._detach()

    def _on_failed(self, message: str) -> None:
        if self._waiting:
            self.saveFailed.emit(self._image_id, message)

    def _detach(self) -> None:
        self._release_if_idle()
        self._writer.committed.disconnect(self._on_committed)
        self._writer.failed.disconnect(self._on_failed)
        self.deleteLater()

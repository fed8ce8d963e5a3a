"""One open project and everything that changes it: the open image, scans, statuses, classes, the history."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from PySide6.QtCore import QObject, QTimer, Signal

from app.domain.classes import ClassChange
from app.domain.project import Project
from app.domain.status import Status
from app.domain.storage.batch_rows import Exchange
from app.services.changes import NOTHING, Changes
from app.services.document import Document
from app.services.history import Batch, History
from app.services.job_values import JobProgress
from app.services.jobs import JobControl, JobRunner, ThreadJob
from app.services.label_cache import LabelCache
from app.services.scanning import Scanning
from app.services.settings import Settings
from app.services.writer import ProjectWriter
from coordgan_core.errors import CoordError, ImageError

_EMIT_MS = 50


class Session(QObject):
    """An open project for the window.

    Args:
        project: It belongs to the session from now on.
        jobs: Where long work is listed; one of its own by default.
        settings: Memory limits and pauses; defaults without.
        parent: Qt parent.
    """

    changed = Signal(object)
    historyChanged = Signal()  # noqa: N815
    scanProgress = Signal(int, bool)  # noqa: N815
    notice = Signal(str)
    failed = Signal(str)
    busyChanged = Signal(bool)  # noqa: N815
    closing = Signal()
    """The session is about to end: whatever works on its project must stop now."""
    documentChanged = Signal(object)  # noqa: N815
    """The `Document` that is open now, or None."""

    def __init__(
        self,
        project: Project,
        *,
        jobs: JobRunner | None = None,
        settings: Settings | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.project = project
        self.jobs = jobs or JobRunner(self)
        self._settings = settings
        self.document: Document | None = None
        self._writer = ProjectWriter(project, flush_sec=self._setting("saving.flush_sec", 5.0), parent=self)
        self._writer.committed.connect(self._on_committed)
        self._writer.failed.connect(self.failed)
        self._writer.unsavedChanged.connect(lambda count: self.busyChanged.emit(count > 0))
        self._labels = LabelCache(project, parent=self)
        self._leaving: dict[int, Document] = {}
        self._scanning = Scanning(project, parent=self)
        self._scanning.progress.connect(self.scanProgress)
        self._scanning.listed.connect(lambda: self.tell(Changes(listing=True)))
        self._scanning.passedOver.connect(self.notice)
        self._scanning.failed.connect(self.failed)
        self._pending = Changes()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_EMIT_MS)
        self._timer.timeout.connect(self._emit_pending)
        self._history = History()
        self._closed = False

    def _setting(self, key: str, default: Any) -> Any:
        return default if self._settings is None else self._settings.get(key)

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed; ``project.read_only_reason`` says why."""
        return self.project.read_only

    # --- the list

    def start_scan(self) -> None:
        """List the images folder in the background; a scan that is going on is left alone."""
        self._scanning.start()

    def tell(self, changes: Changes) -> None:
        """Have views refresh, soon: changes of a few milliseconds are told together."""
        if self._closed:
            return
        self._pending = changes if self._pending == Changes() else self._pending | changes
        if not self._timer.isActive():
            self._timer.start()

    def _emit_pending(self) -> None:
        changes, self._pending = self._pending, Changes()
        document = self.document
        if document is not None and document.image_id in changes.labels and document.is_behind():
            try:
                document.reload()
            except CoordError as error:
                self.failed.emit(str(error))
        self.changed.emit(changes)
        self.historyChanged.emit()

    # --- the open image

    def open_image(self, image_id: int) -> Document:
        """Open the label map of an image; the one before is saved.

        Raises:
            ImageError: The image cannot be shown.
            LabelError: Its label map is damaged or has another size.
        """
        if self.document is not None and self.document.image_id == image_id:
            return self.document
        row = self.project.measure(image_id)
        if row.problem:
            raise ImageError(f"{row.path}: {row.problem}", remedy="restore or remove the file")
        document = self._reopened(image_id) or self._opened(image_id)
        self.document = document
        self.documentChanged.emit(document)
        self.historyChanged.emit()
        return document

    def _reopened(self, image_id: int) -> Document | None:
        """Return the document of an image whose strokes are on their way: it knows more than the disk."""
        document = self._leaving.pop(image_id, None)
        if document is None or not document.reopen():
            return None
        self.close_image()
        return document

    def _opened(self, image_id: int) -> Document:
        labels, revision = self._labels.take(image_id)
        self.close_image()
        document = Document(
            self.project,
            self._writer,
            image_id,
            labels,
            revision,
            undo_bytes=int(self._setting("saving.undo_mb", 256)) << 20,
            parent=self,
        )
        document.painted.connect(lambda _: self._history.painted())
        document.historyChanged.connect(lambda _: self.historyChanged.emit())
        return document

    def close_image(self) -> None:
        """Close the open image, if any; its strokes are on their way to disk."""
        if self.document is None:
            return
        document, self.document = self.document, None
        document.close()
        if document.unsaved:
            self._leaving[document.image_id] = document
        self._labels.put(document.image_id, document.hand_over(), document.revision)
        self.documentChanged.emit(None)

    def prefetch_labels(self, ids: Iterable[int]) -> None:
        """Read label maps that will be opened next, in the background."""
        self._labels.prefetch(list(ids))

    def _on_committed(self, image_id: int, _sequence: int) -> None:
        if image_id in self._leaving and not self._leaving[image_id].unsaved:
            del self._leaving[image_id]
        ids = frozenset({image_id})
        self.tell(Changes(ids, ids, initiator=self.document))

    # --- statuses and classes

    def accept(self, image_id: int) -> None:
        """Confirm the labels of an image."""
        self.set_status([image_id], Status.ACCEPTED)

    def reject(self, image_id: int) -> None:
        """Refuse the labels of an image."""
        self.set_status([image_id], Status.REJECTED)

    def set_reference(self, image_id: int, is_reference: bool) -> None:  # noqa: FBT001
        """Make an image a reference, or an accepted image again."""
        self.set_status([image_id], Status.REFERENCE if is_reference else Status.ACCEPTED)

    def set_status(self, ids: Iterable[int], status: Status) -> None:
        """Give images a status, as one undoable step, behind the strokes that are on their way."""
        wanted = list(ids)
        if self._refused() or not wanted:
            return
        self._writer.call(
            lambda: self.project.set_status(wanted, status),
            lambda result: self._status_set(result, status),
            self.failed.emit,
        )

    def _status_set(self, result: object, status: Status) -> None:
        batch, changed = cast(tuple[int, list[int]], result)
        if changed:
            self._push(Batch(batch, self.project.store.next_sequence(), f"Mark as {status.value}", True))
            self.tell(Changes(frozenset(changed)))

    def change_classes(self, change: ClassChange) -> None:
        """Change the classes as one undoable step; label maps that change are rewritten in a job.

        Raises:
            LabelError: The change is impossible.
        """
        if self._refused():
            return
        images = self.project.preview(change).images
        self._run_batch(change.text, lambda: self.project.change_classes(change), images, is_new=True)

    def _run_batch(
        self,
        text: str,
        work: Callable[[], Iterator[Exchange]],
        images: int,
        *,
        is_new: bool = False,
    ) -> None:
        """Run a change of many images: at once in the writer where none is concerned, else as a job."""
        steps: list[Exchange] = []

        def over() -> None:
            self._labels.clear()
            if is_new and steps:
                marker = self.project.store.next_sequence()
                self._push(Batch(steps[-1].batch, marker, text, images == 0))
            ids = frozenset(i for step in steps for i in step.exchanged) if images == 0 else NOTHING
            self.tell(Changes(ids, ids, classes=True))

        if images == 0:  # or so it seemed: strokes on their way may concern it
            self._writer.call(lambda: steps.extend(work()), lambda _: over(), self.failed.emit)
            return

        def run(_: JobControl) -> Iterator[object]:
            self._writer.flush()
            for step in work():
                steps[:] = [step]
                yield Changes(frozenset(step.exchanged), frozenset(step.exchanged))
                yield JobProgress(step.done, step.total, text)
                if step.kept and step.done == step.total:
                    yield f"{step.kept} images were left as they are: they have been worked on since"

        job = ThreadJob(text, run, kind="batch", parent=self.jobs)
        job.can_cancel = job.can_pause = False  # half a merge would be neither
        self.closing.connect(job.close)
        job.told.connect(self._on_batch_event)
        job.finished.connect(over)
        job.finished.connect(lambda: self.failed.emit(job.message) if job.message else None)
        self.jobs.add(job)

    def _on_batch_event(self, event: object) -> None:
        if isinstance(event, Changes):
            self.tell(event)
        elif isinstance(event, str):
            self.notice.emit(event)

    # --- history

    def add_batch(self, batch: int, text: str) -> None:
        """Make a finished batch (a propagation, an import) the newest step of the history."""
        self._push(Batch(batch, self.project.store.next_sequence(), text, False))

    def _push(self, batch: Batch) -> None:
        self._history.add(batch)
        self.historyChanged.emit()

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return not self.read_only and self._history.next_undo(self.document) is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return not self.read_only and self._history.next_redo(self.document) is not None

    @property
    def undo_text(self) -> str:
        """Name of the step that `undo` takes back."""
        step = self._history.next_undo(self.document)
        return step.undo_text if isinstance(step, Document) else step.text if step else ""

    @property
    def redo_text(self) -> str:
        """Name of the step that `redo` does again."""
        step = self._history.next_redo(self.document)
        return step.redo_text if isinstance(step, Document) else step.text if step else ""

    def undo(self) -> None:
        """Take back the newest step: a stroke of the open image, or a batch."""
        step = self._history.next_undo(self.document)
        if self._refused() or step is None:
            return
        self._history.undo(step)
        if isinstance(step, Batch):
            self._exchange(step, f"Undo {step.text}")

    def redo(self) -> None:
        """Do again what was taken back last."""
        step = self._history.next_redo(self.document)
        if self._refused() or step is None:
            return
        self._history.redo(step, now=self.project.store.next_sequence)
        if isinstance(step, Batch):
            self._exchange(step, f"Redo {step.text}")

    def undo_run(self, batch: int) -> None:
        """Undo (or redo) any batch of the past, from the list of runs."""
        if self._refused():
            return
        self._history.forget(batch)
        self._exchange(Batch(batch, 0, "", False), "Undo a run")

    def _exchange(self, batch: Batch, text: str) -> None:
        if batch.small:
            self._writer.call(
                lambda: _exchanged_ids(self.project.exchange(batch.id)), self._exchanged, self.failed.emit
            )
        else:
            self._run_batch(text, lambda: self.project.exchange(batch.id), 1)
        self.historyChanged.emit()

    def _exchanged(self, ids: object) -> None:
        if isinstance(ids, frozenset):
            self._labels.clear()
            self.tell(Changes(ids, ids, classes=True))

    # --- the end

    def flush(self) -> bool:
        """Wait until every stroke is on disk; return whether that is so."""
        return self._writer.flush()

    @property
    def unsaved(self) -> int:
        """Strokes that are not on disk yet."""
        return self._writer.unsaved

    def call_in_writer(
        self,
        function: Callable[[], object],
        on_done: Callable[[object], None] | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        """Call ``function`` in the writing thread, behind all strokes; answer in the window's thread."""
        self._writer.call(function, on_done, on_error)

    def close(self) -> bool:
        """End jobs, write everything and close the project; return whether every stroke is on disk."""
        if self._closed:
            return True
        self._closed = True
        self.closing.emit()
        self._timer.stop()
        self._scanning.close()
        self.close_image()
        if self.jobs.parent() is self:
            self.jobs.close()
        self._labels.close()
        saved = self._writer.close()
        with contextlib.suppress(CoordError):
            self.project.flush()
        self.project.close()
        return saved

    def _refused(self) -> bool:
        if self.read_only:
            self.notice.emit(f"Nothing can be changed: {self.project.read_only_reason}.")
        return self.read_only


def _exchanged_ids(work: Iterator[Exchange]) -> frozenset[int]:
    """Do the work and return the images it changed."""
    return frozenset(i for step in work for i in step.exchanged)

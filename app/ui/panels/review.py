"""The review: which image comes next, what was decided, how long it will take."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.domain.review import (
    ReviewCounts,
    Suggestion,
    review_counts,
    review_queue,
    seconds_left,
    suggest_next,
)
from app.domain.status import Status
from app.services.session import Session
from app.services.tasks import Worker
from app.ui.texts import tr

_PACES_KEPT = 20
_LONGEST_PACE_SEC = 300.0


class ReviewController(QObject):
    """Walks through the queue, least certain first; decisions are the session's undoable steps."""

    opened = Signal(int)
    """Image to look at now."""
    changed = Signal()
    """Queue, counts or pace changed."""
    finished = Signal()
    """Nothing is left to review."""

    suggested = Signal(object)
    """The `Suggestion` of the image to label next, or None."""

    def __init__(self, session: Session, worker: Worker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._worker = worker
        self.suggestion: Suggestion | None = None
        self.is_active = False
        self.class_id: int | None = None
        self.current: int | None = None
        self._queue: list[int] = []
        self._skipped: set[int] = set()
        self._deciding: set[int] = set()
        self._paces: deque[float] = deque(maxlen=_PACES_KEPT)
        self._since = time.monotonic()

    # -- queue -------------------------------------------------------------------------------------

    @property
    def queue(self) -> list[int]:
        """Images still to look at, least certain first."""
        return self._queue

    def start(self, first: int | None = None) -> None:
        """Begin with `first` if it awaits review, else with the least certain image."""
        self.is_active = True
        self._skipped.clear()
        self.reload()
        if first is not None and first in self._queue:
            self._open(first)
        else:
            self.advance()

    def stop(self) -> None:
        """Leave the review."""
        self.is_active = False
        self.current = None
        self.changed.emit()

    def set_class(self, class_id: int | None) -> None:
        """Order by the confidence of one class, or of the whole image."""
        self.class_id = class_id
        self.reload()
        if self.is_active:
            self.advance()

    def reload(self) -> None:
        """Ask for the queue again; the image in view stays."""
        self._take(review_queue(self._session.project, class_id=self.class_id))

    def reload_soon(self) -> None:
        """Ask for the queue in a worker, as a long one takes its time; go on when there was nothing to do."""
        project, class_id = self._session.project, self.class_id

        def take(found: np.ndarray) -> None:
            if self.is_active and class_id == self.class_id:
                self._take(found)
                if self.current is None and self._queue:
                    self.advance()

        self._worker.run(lambda: review_queue(project, class_id=class_id), take, lambda _error: None)

    def _take(self, found: np.ndarray) -> None:
        self._queue = [int(i) for i in found if int(i) not in self._deciding]
        self.changed.emit()
        self._look_for_suggestion()

    def _look_for_suggestion(self) -> None:
        project = self._session.project

        def told(found: Suggestion | None) -> None:
            self.suggestion = found
            self.suggested.emit(found)

        self._worker.run(lambda: suggest_next(project), told, lambda _error: None)

    def _open(self, image_id: int) -> None:
        self.current = image_id
        self._since = time.monotonic()
        self.opened.emit(image_id)
        self.changed.emit()

    def look_at(self, image_id: int) -> None:
        """Decide about this image next, whoever opened it."""
        if image_id != self.current:
            self.current = image_id
            self._since = time.monotonic()
            self.changed.emit()

    def advance(self) -> None:
        """Open the least certain image that was not skipped; skipped ones come again at the end."""
        waiting = [i for i in self._queue if i != self.current]
        fresh = [i for i in waiting if i not in self._skipped]
        if not fresh and waiting:
            self._skipped.clear()
            fresh = waiting
        if fresh:
            self._open(fresh[0])
        elif not self._queue:
            self.current = None
            self.changed.emit()
            self.finished.emit()

    def upcoming(self, count: int) -> list[int]:
        """Return the images that come next, to load them ahead."""
        return [i for i in self._queue if i != self.current and i not in self._skipped][:count]

    # -- decisions ---------------------------------------------------------------------------------

    def accept(self) -> None:
        """Accept the image in view and go on."""
        self._decide(Status.ACCEPTED)

    def reject(self) -> None:
        """Reject the image in view and go on."""
        self._decide(Status.REJECTED)

    def _decide(self, status: Status) -> None:
        image_id = self.current
        if image_id is None:
            return
        if status is Status.ACCEPTED:
            self._session.accept(image_id)
        else:
            self._session.reject(image_id)
        self._paces.append(min(time.monotonic() - self._since, _LONGEST_PACE_SEC))
        self._queue = [i for i in self._queue if i != image_id]
        self.advance()
        self._deciding.add(image_id)
        self._session.call_in_writer(lambda: None, lambda _done: self._decided(image_id))

    def _decided(self, image_id: int) -> None:
        """Trust the index about an image again, now that the decision is in it."""
        self._deciding.discard(image_id)
        self._look_for_suggestion()

    def skip(self) -> None:
        """Leave the image in the queue and look at the next one."""
        if self.current is not None:
            self._skipped.add(self.current)
            self.advance()

    # -- figures -----------------------------------------------------------------------------------

    def counts(self) -> ReviewCounts:
        """Return how many are left and done."""
        return review_counts(self._session.project)

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the present pace, None while that is unknown."""
        return seconds_left(self.counts().left, self._paces)

    def name(self, image_id: int) -> str:
        """Return what an image is called."""
        return self._session.project.row(image_id).path

    def position_text(self) -> str:
        """Return where the review stands, in words."""
        counts = self.counts()
        return tr("{left} left  ·  {done} done", left=f"{counts.left:,}", done=f"{counts.done:,}")

"""What there is to tell of long work: where it stands, how far it is, how fast, what went wrong. No Qt."""

from __future__ import annotations

import collections
import dataclasses
from dataclasses import dataclass
from enum import StrEnum

_WINDOW_SEC = 10.0


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDED = frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED})


@dataclass(frozen=True)
class JobProgress:
    """How far a job is: items done and in all, what it does, items a second, seconds left (None: unknown)."""

    done: int = 0
    total: int = 0
    text: str = ""
    per_sec: float = 0.0
    left_sec: float | None = None

    @property
    def fraction(self) -> float:
        """Part that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


@dataclass(frozen=True)
class JobError:
    """What went wrong with one item; the job goes on."""

    name: str
    message: str
    image_id: int | None = None


@dataclass(frozen=True)
class JobView:
    """Everything there is to show of a job."""

    id: int
    title: str
    kind: str
    state: JobState
    progress: JobProgress
    errors: tuple[JobError, ...]
    message: str
    can_pause: bool
    can_cancel: bool
    batch: int | None

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in ENDED


class RateMeter:
    """Items a second over the last ten seconds in which the job was running."""

    def __init__(self) -> None:
        self._points: collections.deque[tuple[float, int]] = collections.deque()

    def reset(self) -> None:
        """Forget the past (after a pause)."""
        self._points.clear()

    def add(self, now_sec: float, progress: JobProgress) -> JobProgress:
        """Return ``progress`` with its rate and the seconds left."""
        self._points.append((now_sec, progress.done))
        while len(self._points) > 2 and now_sec - self._points[0][0] > _WINDOW_SEC:
            self._points.popleft()
        first_sec, first = self._points[0]
        elapsed, done = now_sec - first_sec, progress.done - first
        if elapsed <= 0 or done <= 0:
            return progress
        rate = done / elapsed
        left = (progress.total - progress.done) / rate if progress.total > 0 else None
        return dataclasses.replace(progress, per_sec=rate, left_sec=left)

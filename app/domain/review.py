"""Reviewing: what to look at first, what to label next, how much is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.project import Project
from app.domain.status import Status

REVIEWED = (Status.PROPAGATED,)
_MIN_PACES = 3


@dataclass(frozen=True)
class Suggestion:
    """The image whose labelling would help most, and why."""

    image_id: int
    reason: str


@dataclass(frozen=True)
class ReviewCounts:
    """How far the review is, in images.

    Args:
        left: Propagated, nobody has looked yet.
        accepted: Accepted by a person.
        corrected: Edited by a person, or made a reference.
        rejected: Rejected.
        failed: Without a result.
        unlabelled: Not propagated yet.
    """

    left: int
    accepted: int
    corrected: int
    rejected: int
    failed: int
    unlabelled: int

    @property
    def done(self) -> int:
        """Images on which a person has decided."""
        return self.accepted + self.corrected + self.rejected

    @property
    def total(self) -> int:
        """Images that the review is about."""
        return self.left + self.done


def review_queue(
    project: Project, *, class_id: int | None = None, statuses: Collection[Status] = REVIEWED
) -> npt.NDArray[np.int64]:
    """Return the images to look at, least certain first; equal ones by name.

    Args:
        project: The project.
        class_id: Sort by the confidence of this class; images without it come first, since it may be
            missing there.
        statuses: Which images are meant.
    """
    marks = ",".join("?" * len(statuses))
    values: list[object] = [s.value for s in statuses]
    if class_id is None:
        sql = (
            f"SELECT id FROM images WHERE status IN ({marks}) AND missing = 0 "
            "ORDER BY confidence IS NOT NULL, confidence, sort_key, id"
        )
    else:
        sql = (
            f"SELECT i.id FROM images i LEFT JOIN image_classes c ON c.image_id = i.id AND c.class_id = ? "
            f"WHERE i.status IN ({marks}) AND i.missing = 0 "
            "ORDER BY coalesce(c.pixels, 0) > 0, c.confidence IS NOT NULL, c.confidence, "
            "i.confidence, i.sort_key, i.id"
        )
        values.insert(0, class_id)
    rows = project.database.read(sql, values)
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def review_counts(project: Project) -> ReviewCounts:
    """Count the images of a project for the review."""
    counts = project.counts()
    return ReviewCounts(
        left=counts[Status.PROPAGATED],
        accepted=counts[Status.ACCEPTED],
        corrected=counts[Status.EDITED] + counts[Status.REFERENCE],
        rejected=counts[Status.REJECTED],
        failed=counts[Status.FAILED],
        unlabelled=counts[Status.UNLABELLED],
    )


def seconds_left(left: int, decisions_sec: Sequence[float]) -> float | None:
    """Estimate the time a review still takes from the pace so far; None until there are three decisions.

    Args:
        left: Images that nobody has looked at.
        decisions_sec: Seconds that each decision took; the median of the last fifty counts, so that a break
            does not.
    """
    recent = list(decisions_sec)[-50:]
    if len(recent) < _MIN_PACES:
        return None
    return float(np.median(recent)) * left


def suggest_next(project: Project) -> Suggestion | None:
    """Return the image that a person should label next, None where there is nothing to gain.

    Before the first reference: the first image. Then rejected and failed images, in which propagation has
    been seen to fail; then what the model of the last propagation suggests, which knows what images are
    alike; then the propagated image that is less certain than all others: what it shows, the references
    do not.
    """
    if not project.references():
        first = project.ids("-is:missing -is:failed")
        return Suggestion(int(first[0]), "there is no reference yet") if first.size else None
    for status, reason in (
        (Status.REJECTED, "you rejected its labels: a reference like it would help others like it"),
        (Status.FAILED, "propagation failed on it"),
    ):
        found = review_queue(project, statuses=(status,))
        if found.size:
            return Suggestion(int(found[0]), reason)
    queue = review_queue(project)
    if not queue.size:
        return None
    suggested = _of_last_propagation(project)
    if suggested is not None and suggested.image_id in queue:
        return suggested
    row = project.row(int(queue[0]))
    if row.confidence is None:
        return Suggestion(row.id, "its labels have no confidence")
    return Suggestion(row.id, f"its labels are the least certain ones ({row.confidence:.0%})")


def _of_last_propagation(project: Project) -> Suggestion | None:
    """Return what the engine has suggested at the end of the newest propagation."""
    newest = next((run for run in project.runs() if run.kind == "propagation" and not run.undone), None)
    found = None if newest is None else newest.details.get("suggestion")
    if not isinstance(found, dict) or not isinstance(found.get("image"), int):
        return None
    return Suggestion(found["image"], str(found.get("reason") or "the model suggests it"))

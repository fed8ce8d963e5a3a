"""The status of an image."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where an image stands between untouched and finished."""

    UNLABELLED = "unlabelled"
    PROPAGATED = "propagated"
    EDITED = "edited"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REFERENCE = "reference"
    FAILED = "failed"


HUMAN = frozenset({Status.EDITED, Status.ACCEPTED, Status.REFERENCE})
"""What a person made or confirmed: no machine may replace it."""


class Origin(StrEnum):
    """Who made the label map of an image."""

    NONE = "none"
    HUMAN = "human"
    MACHINE = "machine"
    IMPORT = "import"


def after_edit(status: Status) -> Status:
    """Return the status of an image once a person has painted in it: a reference stays one."""
    return Status.REFERENCE if status is Status.REFERENCE else Status.EDITED

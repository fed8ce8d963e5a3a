"""What a change of the project names, so that views refresh only that."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Changes:
    """What changed: views refresh only what it names, and ignore it where they are the initiator.

    Args:
        images: Images of which the row changed (status, confidence, note).
        labels: Images of which the label map changed.
        classes: Whether the classes changed.
        listing: Whether images were added or have gone.
        initiator: Who did it; None for the session itself.
    """

    images: frozenset[int] = NOTHING
    labels: frozenset[int] = NOTHING
    classes: bool = False
    listing: bool = False
    initiator: object = None

    def __or__(self, other: Changes) -> Changes:
        """Return both; the initiator stays only where it is the same."""
        return Changes(
            self.images | other.images,
            self.labels | other.labels,
            self.classes or other.classes,
            self.listing or other.listing,
            self.initiator if self.initiator is other.initiator else None,
        )

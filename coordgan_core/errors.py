"""Errors that a user can cause: each says what was found, what was expected and what to do."""

from __future__ import annotations


class CoordError(Exception):
    """Base of all errors of the library that bad input or circumstances can cause.

    Args:
        found: What is there, with the offending name or value; never changed, as it may begin with a name.
        expected: What should have been there.
        remedy: What the user can do about it, an imperative sentence.
    """

    def __init__(self, found: str, *, expected: str = "", remedy: str = "") -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        parts = [found.rstrip(".")]
        if expected:
            parts.append(f"Expected {expected.rstrip('.')}")
        if remedy:
            parts.append(remedy[0].upper() + remedy[1:].rstrip("."))
        super().__init__(". ".join(parts) + ".")


class ImageError(CoordError):
    """An image cannot be read, or is beyond what can be handled."""


class LabelError(CoordError):
    """A label map does not fit its image or its classes."""


class DataError(CoordError):
    """A folder or data set does not hold what is needed."""


class ModelError(CoordError):
    """A model file is damaged, unknown or unfit for what is asked."""


class CheckpointError(CoordError):
    """A checkpoint or run folder is damaged or does not belong to this configuration."""


class ConfigError(CoordError):
    """A configuration value is out of its range or unknown."""


class ShapeError(CoordError, ValueError):
    """A tensor or array has another shape than the function takes."""


class OutOfMemoryError(CoordError):
    """A step does not fit the memory of the device even at the smallest batch."""


class TrainingDivergedError(CoordError):
    """Losses became not-a-number and no earlier checkpoint could save the run."""


class DiskFullError(CoordError):
    """Something could not be written because the disk is full or not writable."""

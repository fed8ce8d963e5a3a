"""What can go wrong on the way to a build for the graphics card."""

from __future__ import annotations

from coordgan_core.errors import CoordError


class GpuError(CoordError):
    """A build for the graphics card cannot be had, or not be used."""


class BrokenOffError(GpuError):
    """The connection broke; what was fetched stays and the next try goes on from there."""

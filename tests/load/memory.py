"""What memory a process holds."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def memory_mb() -> float:
    """Return the megabytes that this process holds now (where the system does not tell: at most held)."""
    return _status("VmRSS") if _STATUS.exists() else peak_mb()


def peak_mb() -> float:
    """Return the most megabytes that this process has held so far."""
    if _STATUS.exists():
        return _status("VmHWM")
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024

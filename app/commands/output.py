"""What commands write: text for people and progress to stderr, JSON to stdout."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

EXIT_DONE = 0
EXIT_FINDINGS = 1
EXIT_CANCELLED = 130


def console() -> Console:
    """Return the console for people's eyes, on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def print_json(value: Any) -> None:
    """Write one JSON object as one line to stdout, at once, so that a reader sees it when it happens."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_line(text: str = "") -> None:
    """Write one line of a result to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def counted(number: int, word: str) -> str:
    """Return a number with what it counts: ``1 image``, ``3 images``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def leads() -> bool:
    """Return whether this process speaks: of those that `torchrun` starts only the first does."""
    return os.environ.get("RANK", "0") == "0"


def duration(seconds: float) -> str:
    """Return a time span in words short enough for a progress bar: ``45 s``, ``3 min``, ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"

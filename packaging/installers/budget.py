"""Sizes and checksums of what was built, and the budgets that the build enforces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000
UNPACKED_MB = 1200
COMPRESSED_MB = 450
AIM_MB = 250
"""What a download should weigh; passing it is told, not refused."""


class BudgetError(Exception):
    """Something became too big."""


@dataclass(frozen=True)
class Artefact:
    """One file to hand out."""

    path: Path
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Artefact:
        """Measure a file."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, path.stat().st_size, digest)


def tree_size(folder: Path) -> int:
    """Return how many bytes the files below ``folder`` hold; links count nothing."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def largest(folder: Path, count: int = 10) -> list[tuple[int, str]]:
    """Return the largest files below ``folder`` as (bytes, path)."""
    files = ((p.stat().st_size, p.relative_to(folder).as_posix()) for p in folder.rglob("*") if _counts(p))
    return sorted(files, reverse=True)[:count]


def check_unpacked(folder: Path, limit_mb: int = UNPACKED_MB) -> int:
    """Return the size of the bundle in bytes.

    Raises:
        BudgetError: It is larger than the budget; the message names its largest files.
    """
    size = tree_size(folder)
    if size > limit_mb * MB:
        files = ", ".join(f"{name} {bytes_ / MB:.0f} MB" for bytes_, name in largest(folder, 5))
        raise BudgetError(
            f"The bundle takes {size / MB:.0f} MB, its budget is {limit_mb} MB. Largest: {files}"
        )
    return size


def check_compressed(artefacts: Iterable[Artefact], limit_mb: int = COMPRESSED_MB) -> list[str]:
    """Return remarks on artefacts above the aim.

    Raises:
        BudgetError: One is larger than the budget.
    """
    remarks = []
    for artefact in artefacts:
        size = artefact.size / MB
        if size > limit_mb:
            raise BudgetError(f"{artefact.path.name} takes {size:.0f} MB, its budget is {limit_mb} MB")
        if size > AIM_MB:
            remarks.append(f"{artefact.path.name} takes {size:.0f} MB, the aim is {AIM_MB} MB")
    return remarks


def _counts(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()

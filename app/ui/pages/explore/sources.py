"""The images that a view works on: a list that is filled, cut and listened to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Signal

from app.domain.project import Project
from app.services.explore import Source

MOST = 48
"""Images at once: more are no longer looked at."""


class SourceSet(QObject):
    """Sources in order, each once.

    Args:
        most: How many there may be.
        parent: Qt parent.
    """

    changed = Signal()

    def __init__(self, most: int = MOST, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.most = most
        self._items: list[Source] = []

    @property
    def items(self) -> list[Source]:
        """The sources."""
        return list(self._items)

    @property
    def files(self) -> list[Source]:
        """Those that are image files."""
        return [source for source in self._items if source.path is not None]

    def __len__(self) -> int:
        return len(self._items)

    def set(self, sources: Iterable[Source]) -> None:
        """Take other sources; what is too much is left out."""
        items = list(dict.fromkeys(sources))[: self.most]
        if items != self._items:
            self._items = items
            self.changed.emit()

    def add(self, sources: Iterable[Source]) -> int:
        """Append sources that are not there yet; return how many found no place."""
        fresh = [source for source in dict.fromkeys(sources) if source not in self._items]
        room = max(0, self.most - len(self._items))
        self.set([*self._items, *fresh[:room]])
        return len(fresh) - len(fresh[:room])

    def remove(self, source: Source) -> None:
        """Take one out."""
        self.set([item for item in self._items if item != source])


def evenly(ids: Sequence[int], count: int, offset: int = 0) -> list[int]:
    """Return ``count`` of the ids, spread over the whole list, beginning ``offset`` further on."""
    count = min(count, len(ids))
    if count == 0:
        return []
    step = len(ids) / count
    return [ids[int(i * step + offset) % len(ids)] for i in range(count)]


def of_project(project: Project, ids: Iterable[int]) -> list[Source]:
    """Return the images of a project as sources; those that cannot be shown are left out."""
    rows = project.rows(ids)
    return [Source(Path(project.image_path(row.id))) for row in rows if not row.problem and not row.missing]


def spread(project: Project, ids: Sequence[int], count: int) -> list[Source]:
    """Return ``count`` images of a project, spread over all of them."""
    return of_project(project, evenly(ids, count))


def pictures_folder() -> Path:
    """Return where this user keeps pictures: what is saved does not land among the images of a project."""
    found = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(found) if found else Path.home()

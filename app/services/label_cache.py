"""Label maps read ahead, so that the next image opens at once."""

from __future__ import annotations

import collections
import threading
from concurrent.futures import ThreadPoolExecutor

from PySide6.QtCore import QObject

from app.domain.edits import LabelMap
from app.domain.project import Project
from coordgan_core.errors import CoordError

_BYTES = 256 << 20


class LabelCache(QObject):
    """Keeps label maps with the revision at which they were read; a stale one is never handed out."""

    def __init__(self, project: Project, *, limit_bytes: int = _BYTES, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._maps: collections.OrderedDict[int, tuple[LabelMap, int]] = collections.OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="labels")

    def take(self, image_id: int) -> tuple[LabelMap, int]:
        """Return the label map of an image, the caller's to change, and its revision; from memory if fresh.

        Raises:
            LabelError: The label map is damaged or has another size than its image.
        """
        revision = self._project.store.revision(image_id)
        with self._lock:
            kept = self._maps.pop(image_id, None)
        if kept is not None and kept[1] == revision:
            return kept
        return self._project.labels(image_id), revision

    def put(self, image_id: int, labels: LabelMap, revision: int) -> None:
        """Keep a label map that was just open; from now on it belongs to the cache."""
        with self._lock:
            self._maps[image_id] = (labels, revision)
            self._maps.move_to_end(image_id)
            while len(self._maps) > 1 and sum(m.nbytes for m, _ in self._maps.values()) > self._limit:
                self._maps.popitem(last=False)

    def prefetch(self, ids: list[int]) -> None:
        """Read label maps in the background."""
        for image_id in ids:
            self._pool.submit(self._read, image_id)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._maps.clear()

    def close(self) -> None:
        """End the reading thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.clear()

    def _read(self, image_id: int) -> None:
        revision = self._project.store.revision(image_id)
        with self._lock:
            kept = self._maps.get(image_id)
        if kept is not None and kept[1] == revision:
            return
        try:
            labels = self._project.labels(image_id)
        except CoordError:
            return  # opening the image will say so
        self.put(image_id, labels, revision)

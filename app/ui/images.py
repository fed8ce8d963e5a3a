"""Images ready to draw: decoded by the loader, shrunk in a worker, the neighbours ahead of time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from app.domain.project import Project
from app.services.image_loader import ImageLoader
from app.services.tasks import Worker
from app.ui.canvas.pyramid import Pyramid, shrink

_KEPT = 6
_LOOK_MS = 60
_LOOKS = 200


class ImageStore(QObject):
    """Hands out pyramids by image id; `ready` brings one, and brings it again when its levels are there."""

    ready = Signal(int, object)
    failed = Signal(int, str)

    def __init__(
        self, project: Project, loader: ImageLoader, worker: Worker, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._loader = loader
        self._worker = worker
        self._pyramids: OrderedDict[int, Pyramid] = OrderedDict()
        self._shrinking: set[int] = set()
        self._awaited: list[int] = []
        self._looks = 0
        self._look_again = QTimer(self, interval=_LOOK_MS)
        self._look_again.timeout.connect(self._take_prefetched)
        loader.loaded.connect(self._loaded)
        loader.failed.connect(self.failed)

    def get(self, image_id: int) -> Pyramid | None:
        """Return an image without waiting, None when it has to be loaded; asks for it then."""
        if image_id in self._pyramids:
            self._pyramids.move_to_end(image_id)
            return self._pyramids[image_id]
        array = self._loader.get(image_id)
        if array is None:
            self._loader.request(image_id, self._project.image_path(image_id))
            return None
        return self._keep(image_id, Pyramid(array))

    def prefetch(self, image_ids: Iterable[int]) -> None:
        """Load and shrink these images before anybody asks."""
        self._awaited = [i for i in image_ids if i not in self._pyramids]
        self._loader.prefetch([(i, self._project.image_path(i)) for i in self._awaited])
        self._looks = 0
        if self._awaited:
            self._look_again.start()

    def _take_prefetched(self) -> None:
        """Shrink what the loader has decoded ahead; it tells nobody when it has."""
        still = []
        for image_id in self._awaited:
            array = self._loader.get(image_id)
            if array is None:
                still.append(image_id)
            elif image_id not in self._pyramids:
                self._keep(image_id, Pyramid(array))
        self._awaited = still
        self._looks += 1
        if not still or self._looks >= _LOOKS:
            self._look_again.stop()

    def _loaded(self, image_id: int, array: NDArray[np.uint8]) -> None:
        known = self._pyramids.get(image_id)
        if known is None or known.image is not array:
            known = self._keep(image_id, Pyramid(array))
        self.ready.emit(image_id, known)

    def _keep(self, image_id: int, pyramid: Pyramid) -> Pyramid:
        self._pyramids[image_id] = pyramid
        self._pyramids.move_to_end(image_id)
        while len(self._pyramids) > _KEPT:
            self._pyramids.popitem(last=False)
        if not pyramid.is_complete and image_id not in self._shrinking:
            self._shrinking.add(image_id)
            image = pyramid.image
            self._worker.run(
                lambda: shrink(image),
                lambda levels: self._shrunk(image_id, image, levels),
                lambda _error: self._shrinking.discard(image_id),
            )
        return pyramid

    def _shrunk(self, image_id: int, image: NDArray[np.uint8], levels: object) -> None:
        self._shrinking.discard(image_id)
        known = self._pyramids.get(image_id)
        if known is not None and known.image is image and isinstance(levels, tuple):
            self._pyramids[image_id] = Pyramid(image, levels)
            self.ready.emit(image_id, self._pyramids[image_id])

    def clear(self) -> None:
        """Forget everything."""
        self._look_again.stop()
        self._pyramids.clear()
        self._loader.clear()

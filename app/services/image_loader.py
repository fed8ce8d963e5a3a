"""Images decoded in workers, the neighbours ahead of time, in a memory of limited size."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app.domain.edits import LabelMap
from app.domain.label_map import boundaries
from app.services.dispatch import Mailbox
from coordgan_core.data.images import read_image
from coordgan_core.errors import CoordError

Pixels = npt.NDArray[np.uint8]
_BYTES = 1 << 30


class ImageLoader(QObject):
    """Decodes images; what was asked for last comes first.

    Args:
        limit_bytes: Memory that decoded images may take; the one asked for last is kept however large it is.
        threads: Images decoded at a time.
        parent: Qt parent.
    """

    loaded = Signal(int, object)
    """Image id and its pixels, ``uint8 [H, W, 3]``, read-only."""
    failed = Signal(int, str)
    """Image id and why it cannot be shown."""

    def __init__(self, *, limit_bytes: int = _BYTES, threads: int = 2, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._limit = limit_bytes
        self._mailbox = Mailbox(self)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="image")
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[int, Pixels] = collections.OrderedDict()
        self._waiting: dict[int, Future[None]] = {}
        self._wanted: set[int] = set()
        self._generation = 0

    def get(self, image_id: int) -> Pixels | None:
        """Return an image if it is in memory; never blocks."""
        with self._lock:
            pixels = self._kept.get(image_id)
            if pixels is not None:
                self._kept.move_to_end(image_id)
            return pixels

    def request(self, image_id: int, path: Path) -> None:
        """Have an image decoded; `loaded` or `failed` follows, at once if it is in memory."""
        pixels = self.get(image_id)
        if pixels is not None:
            self._mailbox.post(lambda: self.loaded.emit(image_id, pixels))
            return
        self._drop_waiting()
        self._submit(image_id, path, wanted=True)

    def prefetch(self, images: Iterable[tuple[int, Path]]) -> None:
        """Decode images that will be asked for next; nobody is told, `get` finds them."""
        for image_id, path in images:
            if self.get(image_id) is None:
                self._submit(image_id, path, wanted=False)

    def clear(self) -> None:
        """Forget all images and requests."""
        self._drop_waiting()
        with self._lock:
            self._generation += 1
            self._kept.clear()
            self._wanted.clear()

    def close(self) -> None:
        """End the workers; nobody is told any more."""
        self._mailbox.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._kept.clear()

    def _drop_waiting(self) -> None:
        """Drop prefetches that have not begun: they stand in the way."""
        with self._lock:
            for image_id, future in list(self._waiting.items()):
                if image_id not in self._wanted and future.cancel():
                    del self._waiting[image_id]

    def _submit(self, image_id: int, path: Path, *, wanted: bool) -> None:
        with self._lock:
            if wanted:
                self._wanted.add(image_id)
            if image_id not in self._waiting:
                generation = self._generation
                self._waiting[image_id] = self._pool.submit(self._load, image_id, path, generation)

    def _load(self, image_id: int, path: Path, generation: int) -> None:
        message = ""
        pixels: Pixels | None = None
        try:
            pixels = read_image(path)
            pixels.setflags(write=False)
        except CoordError as error:
            message = str(error)
        except (OSError, MemoryError, ValueError) as error:
            message = f"{path.name} cannot be read: {error}"
        with self._lock:
            self._waiting.pop(image_id, None)
            if generation != self._generation:
                return
            wanted = image_id in self._wanted
            self._wanted.discard(image_id)
            if pixels is not None:
                self._keep(image_id, pixels)
        if wanted and pixels is not None:
            self._mailbox.post(lambda: self.loaded.emit(image_id, pixels))
        elif wanted:
            self._mailbox.post(lambda: self.failed.emit(image_id, message))

    def _keep(self, image_id: int, pixels: Pixels) -> None:
        self._kept[image_id] = pixels
        self._kept.move_to_end(image_id)
        while len(self._kept) > 1 and sum(p.nbytes for p in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)


def to_qimage(pixels: Pixels) -> QImage:
    """Return ``uint8 [H, W, 3]`` as a QImage that shares its memory; keep the array as long as the image."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    image._pixels = pixels  # type: ignore[attr-defined]  # the array lives as long as the image
    return image


def overlay_qimage(
    labels: LabelMap,
    palette: Pixels,
    *,
    opacity: float = 0.5,
    contour: bool = False,
    hidden: frozenset[int] = frozenset(),
) -> QImage:
    """Return a label map as a transparent picture to draw over its image.

    Args:
        labels: ``uint8 [H, W]``.
        palette: ``uint8 [256, 3]``.
        opacity: 0 to 1.
        contour: Only the borders of the parts.
        hidden: Classes that are not drawn.
    """
    table = np.zeros((256, 4), np.uint8)
    alpha = round(255 * opacity)
    table[:, :3] = palette[:, ::-1].astype(np.uint16) * alpha // 255  # premultiplied, blue first
    table[:, 3] = alpha
    table[[0, *hidden]] = 0
    argb = table[labels]
    if contour:
        argb[~boundaries(labels)] = 0
    height, width = labels.shape
    return QImage(argb.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied).copy()

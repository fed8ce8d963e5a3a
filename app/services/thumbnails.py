"""Thumbnails for a list of any length: made when somebody looks, dropped when nobody does."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage, QPainter

from app.domain.project import ImageRow, Project
from app.services.dispatch import Mailbox
from app.services.image_loader import overlay_qimage, to_qimage
from coordgan_core.data.images import read_reduced
from coordgan_core.errors import CoordError

_MEMORY_BYTES = 96 << 20
_DISK_BYTES = 512 << 20
_MAX_WAITING = 2000
_TIDY_EVERY = 500
_OPACITY = 0.55


class _Key(NamedTuple):
    image_id: int
    side_px: int


class ThumbnailLoader(QObject):
    """Hands out thumbnails that it has, makes those it has not; what was asked for last is made first.

    Args:
        project: The project.
        cache: Folder for thumbnails without labels; None keeps none on disk.
        disk_bytes: How large that folder may grow.
        threads: Thumbnails made at a time.
        parent: Qt parent.
    """

    ready = Signal(int)
    """Image id: ask again."""

    def __init__(
        self,
        project: Project,
        *,
        cache: Path | None = None,
        disk_bytes: int = _DISK_BYTES,
        threads: int = 2,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._mailbox = Mailbox(self)
        self._cache = ThumbnailCache(cache, disk_bytes) if cache is not None else None
        self._overlay = True
        self._condition = threading.Condition()
        self._kept: collections.OrderedDict[_Key, QImage] = collections.OrderedDict()
        self._stale: dict[_Key, QImage] = {}
        self._kept_bytes = 0
        self._waiting: collections.OrderedDict[_Key, None] = collections.OrderedDict()
        self._making: set[_Key] = set()
        self._again: set[int] = set()
        self._stopping = False
        self._palette: npt.NDArray[np.uint8] | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"thumbnails {i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def get(self, image_id: int, size_px: int, ratio: float = 1.0) -> QImage | None:
        """Return the thumbnail whose longer side has ``size_px`` (device-independent), or None and make it.

        A null image means that the file cannot be shown. While a new one is made, the old one is returned.
        """
        key = _Key(image_id, max(1, round(size_px * ratio)))
        with self._condition:
            image = self._kept.get(key)
            if image is not None:
                self._kept.move_to_end(key)
                return self._scaled(image, ratio)
            if key not in self._making:
                self._waiting[key] = None
                self._waiting.move_to_end(key)
                while len(self._waiting) > _MAX_WAITING:
                    self._waiting.popitem(last=False)
                self._condition.notify()
            old = self._stale.get(key)
            return None if old is None else self._scaled(old, ratio)

    def set_visible(self, ids: Iterable[int]) -> None:
        """Drop requests for images that are no longer on screen."""
        visible = frozenset(int(i) for i in ids)
        with self._condition:
            for key in [k for k in self._waiting if k.image_id not in visible]:
                del self._waiting[key]

    def set_overlay(self, visible: bool) -> None:  # noqa: FBT001
        """Draw label maps over the thumbnails, or not."""
        if visible != self._overlay:
            self._overlay = visible
            self.invalidate(None)

    def invalidate(self, ids: Iterable[int] | None) -> None:
        """Make thumbnails anew after their label maps (or, with None, everything) have changed."""
        wanted = None if ids is None else {int(i) for i in ids}
        with self._condition:
            self._palette = None
            self._again |= {k.image_id for k in self._making if wanted is None or k.image_id in wanted}
            for key in [k for k in self._kept if wanted is None or k.image_id in wanted]:
                self._stale[key] = self._kept.pop(key)
                self._kept_bytes -= self._stale[key].sizeInBytes()
            while len(self._stale) > _MAX_WAITING:
                self._stale.pop(next(iter(self._stale)))

    def close(self) -> None:
        """End the workers."""
        with self._condition:
            self._stopping = True
            self._waiting.clear()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()
        self._mailbox.close()

    @staticmethod
    def _scaled(image: QImage, ratio: float) -> QImage:
        if image.devicePixelRatio() != ratio and not image.isNull():
            image.setDevicePixelRatio(ratio)
        return image

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._stopping:
                    self._condition.wait()
                if self._stopping:
                    return
                key, _ = self._waiting.popitem(last=True)
                self._making.add(key)
            try:
                image = self._make(key)
            except Exception:  # a thumbnail is never worth a crash
                image = QImage()
            self._take(key, image)

    def _take(self, key: _Key, image: QImage) -> None:
        with self._condition:
            self._making.discard(key)
            if key.image_id in self._again:  # it changed while it was made
                self._again.discard(key.image_id)
                self._stale[key] = image
            else:
                self._stale.pop(key, None)
                self._kept[key] = image
                self._kept_bytes += image.sizeInBytes()
            while self._kept_bytes > _MEMORY_BYTES and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._kept_bytes -= old.sizeInBytes()
        self._mailbox.post(lambda: self.ready.emit(key.image_id))

    def _make(self, key: _Key) -> QImage:
        row = self._project.row(key.image_id)
        if row.missing:
            return QImage()
        pixels = self._pixels(row, key.side_px)
        if pixels is None:
            return QImage()
        picture = to_qimage(pixels).convertToFormat(QImage.Format.Format_RGB32)
        if self._overlay and row.has_labels:
            with contextlib.suppress(CoordError):  # a damaged label map: the image alone
                self._draw_labels(picture, row)
        return picture

    def _draw_labels(self, picture: QImage, row: ImageRow) -> None:
        labels = self._project.labels(row.id)
        height, width = picture.height(), picture.width()
        # nearest pixels: labels cannot be averaged
        rows = (np.arange(height) * labels.shape[0] + labels.shape[0] // 2) // height
        columns = (np.arange(width) * labels.shape[1] + labels.shape[1] // 2) // width
        small = labels[np.minimum(rows, labels.shape[0] - 1)][:, np.minimum(columns, labels.shape[1] - 1)]
        palette = self._palette
        if palette is None:
            palette = self._palette = self._project.classes.palette()
        painter = QPainter(picture)
        painter.drawImage(0, 0, overlay_qimage(np.ascontiguousarray(small), palette, opacity=_OPACITY))
        painter.end()

    def _pixels(self, row: ImageRow, side_px: int) -> npt.NDArray[np.uint8] | None:
        path = self._project.images_folder / row.path
        name = f"{path}\0{row.modified}\0{side_px}"
        if self._cache is not None and (kept := self._cache.read(name)) is not None:
            return kept
        try:
            pixels = read_reduced(path, width=side_px, height=side_px)
        except (CoordError, OSError, ValueError, MemoryError):
            return None
        pixels = shrink(pixels, side_px)
        if self._cache is not None:
            self._cache.write(name, pixels)
        return pixels


def shrink(pixels: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    """Return an image whose longer side has at most ``side_px`` pixels."""
    picture = to_qimage(pixels)
    if max(picture.width(), picture.height()) > side_px:
        picture = picture.scaled(
            side_px, side_px, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    picture = picture.convertToFormat(QImage.Format.Format_RGB888)
    lines = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine())
    return lines[:, : 3 * picture.width()].reshape(picture.height(), picture.width(), 3).copy()


class ThumbnailCache:
    """JPEG files by hash of their key, the least recently used removed beyond a limit; safe in any thread."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._writes = _TIDY_EVERY - 20  # look soon after the start

    def read(self, key: str) -> npt.NDArray[np.uint8] | None:
        """Return ``uint8 [H, W, 3]``, None if there is none."""
        file = self._file(key)
        try:
            with Image.open(file, formats=("JPEG",)) as image:
                pixels = np.asarray(image.convert("RGB"))
            os.utime(file)
        except (OSError, ValueError, SyntaxError):
            return None
        return pixels

    def write(self, key: str, pixels: npt.NDArray[np.uint8]) -> None:
        """Keep a thumbnail; a full disk is no error."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
        file = self._file(key)
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            # no sync: a thumbnail lost in a power cut is made again; the name makes halves impossible
            part = file.with_suffix(f".{threading.get_ident()}.part")
            part.write_bytes(buffer.getvalue())
            part.replace(file)
        with self._lock:
            self._writes += 1
            due = self._writes >= _TIDY_EVERY
            if due:
                self._writes = 0
        if due:
            self.tidy()

    def tidy(self) -> int:
        """Remove the least recently used files beyond the limit and return the bytes that are left."""
        files = []
        for file in self._folder.glob("*/*"):
            with contextlib.suppress(OSError):
                status = file.stat()
                files.append((status.st_mtime, status.st_size, file))
        total = sum(size for _, size, _ in files)
        for _, size, file in sorted(files):
            if total <= self._limit:
                break
            with contextlib.suppress(OSError):
                file.unlink()
                total -= size
        return total

    def _file(self, key: str) -> Path:
        digest = hashlib.sha1(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        return self._folder / digest[:2] / f"{digest[2:]}.jpg"

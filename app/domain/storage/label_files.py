"""Label maps and confidences as files: palette PNGs that follow the journal, written atomically."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.domain.edits import LabelMap
from app.domain.place import image_hash, label_name
from app.domain.storage.database import Database
from coordgan_core.errors import CoordError, DiskFullError, LabelError
from coordgan_core.labels import read_confidence, write_label_map

_LOCKS = 64
_SYNCS = 8


@dataclass(frozen=True)
class _Written:
    """A label file that holds everything up to a journal sequence."""

    image_id: int
    sequence: int
    folder: Path


class LabelFiles:
    """Writes the files of label maps and confidences; methods may be called from any thread.

    Args:
        database: The project's database.
        folder: The project folder.
        palette: Returns the colours of all 256 ids for the PNGs.
        read: Returns the present label map of an image, the journal sequence it stands at, and whether there
            is any label map.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        palette: Callable[[], npt.NDArray[np.uint8]],
        read: Callable[[int], tuple[LabelMap, int, bool]],
    ) -> None:
        self._db, self._folder, self._palette, self._read = database, folder, palette, read
        self._file_locks = [threading.RLock() for _ in range(_LOCKS)]

    def path(self, relative: str) -> Path:
        """Return where a label map lies: under the whole name of its image, so that stems may occur twice."""
        return self._folder / "labels" / label_name(relative)

    def confidence_path(self, relative: str, run_id: int) -> Path:
        """Return where the confidence that a propagation gave an image lies."""
        return self._folder / "confidence" / str(run_id) / label_name(relative)

    def flush(self, image_id: int) -> bool:
        """Bring the PNG of an image up to the journal; return whether anything had to be written.

        Raises:
            DiskFullError: The PNG cannot be written; the journal still holds everything.
            LabelError: The present PNG is damaged: it is never overwritten.
        """
        written = self._write_file(image_id)
        if written is not None:
            self._mark_saved([written])
        return written is not None

    def flush_many(self, ids: Sequence[int]) -> list[CoordError]:
        """Flush several images; their syncs wait together. Return what went wrong; the rest is written."""
        if not ids:
            return []
        with ThreadPoolExecutor(min(_SYNCS, len(ids)), thread_name_prefix="label files") as pool:
            found = list(pool.map(self._try_write_file, ids))
        self._mark_saved([each for each in found if isinstance(each, _Written)])
        return [each for each in found if isinstance(each, CoordError)]

    def _try_write_file(self, image_id: int) -> _Written | CoordError | None:
        try:
            return self._write_file(image_id)
        except CoordError as error:
            return error

    def _write_file(self, image_id: int) -> _Written | None:
        # whoever gets the lock later reads a newer state: the file never goes back in time
        with self._file_locks[image_id % _LOCKS]:
            row = self._db.one("SELECT path, label_seq FROM images WHERE id = ?", (image_id,))
            if row is None:
                return None
            labels, sequence, has_labels = self._read(image_id)
            if sequence <= row[1]:
                return None
            file = self.path(row[0])
            self._check_there(file)
            if has_labels:
                write_label_map(file, labels, self._palette())
            else:
                file.unlink(missing_ok=True)
        return _Written(image_id, sequence, file.parent)

    def _check_there(self, file: Path) -> None:
        # a drive that was taken out leaves an empty folder behind: nothing may be written, and counted, there
        if not self._db.path.exists():
            raise DiskFullError(
                f"{file} could not be written: the project folder has gone",
                expected=f"{self._folder} where it was opened",
                remedy="bring the folder or its drive back; what is not in it yet is kept until then",
            )

    def _mark_saved(self, written: Sequence[_Written]) -> None:
        for folder in {each.folder for each in written}:
            _sync_folder(folder)
        with self._db.write() as connection:
            for each in written:
                values = (each.image_id, each.sequence)
                connection.execute(
                    "UPDATE images SET label_seq = ?2 WHERE id = ?1 AND label_seq < ?2", values
                )
                connection.execute(
                    "DELETE FROM journal "
                    "WHERE image_id = ?1 AND seq <= ?2 AND action IN ('replace','remove')",
                    values,
                )

    def confidence(self, image_id: int) -> npt.NDArray[np.float32] | None:
        """Return the confidence of the machine's label map, ``float32 [H, W]`` in [0, 1], or None."""
        row = self._db.one("SELECT path, run_id FROM images WHERE id = ?", (image_id,))
        if row is None or row[1] is None:
            return None
        try:
            return read_confidence(self.confidence_path(row[0], row[1]))
        except LabelError:
            return None  # there is none, or a power cut has spoilt it

    def save_confidence(self, path: str, run_id: int, confidence: npt.NDArray[np.float32]) -> None:
        """Write the confidence that a propagation gave an image; not synced, since no person made it."""
        file = self.confidence_path(path, run_id)
        values = np.rint(255.0 * np.clip(np.nan_to_num(confidence), 0.0, 1.0)).astype(np.uint8)
        part = file.with_name(f".{image_hash(path)}.{threading.get_ident()}.part")
        self._check_there(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(part, "PNG", compress_level=1)
            part.replace(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise DiskFullError(
                f"{file} could not be written ({error.strerror})",
                expected="a writable folder with free space",
                remedy="free some space and propagate again",
            ) from error


def _sync_folder(folder: Path) -> None:
    if os.name != "posix" or not folder.exists():
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

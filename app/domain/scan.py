"""Finding the images of a folder: in batches, so that a list of 100,000 shows its first screen at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.place import label_name
from app.domain.storage.index import FoundFile, ImageIndex
from coordgan_core.data.images import image_size, is_image
from coordgan_core.errors import CoordError, DataError

_FIRST_BATCH = 200
_BATCH = 2000
_SIZE_BATCH = 200
_NO_TEXT = "the name is not valid text"


@dataclass(frozen=True)
class ScanProgress:
    """How far a scan is.

    Args:
        found: Images seen so far.
        added: New ones among them.
        changed: Files that were exchanged since the last scan.
        vanished: Images whose file has gone; known at the end of the listing.
        measured: Images whose size has been read.
        skipped: Names that cannot be handled, with the reason; the first hundred.
        finished: Whether this is the last word.
    """

    found: int = 0
    added: int = 0
    changed: int = 0
    vanished: int = 0
    measured: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    finished: bool = False


def scan(
    index: ImageIndex,
    images: Path,
    project: Path,
    count_classes: Callable[[], Iterator[int]] = lambda: iter(()),
) -> Iterator[ScanProgress]:
    """List ``images`` into the index, then read the sizes of new files from their headers.

    Args:
        index: Where the images are entered.
        images: The images folder; hidden folders are passed over.
        project: The project folder, which is passed over too; images that already have a label map in it are
            entered as edited.
        count_classes: Looks into the label maps that were found, one by one.

    Yields:
        Progress after every batch.

    Raises:
        DataError: The folder cannot be read.
    """
    labelled = _label_files(project / "labels")
    seen: set[str] = set()
    skipped: list[tuple[str, str]] = []
    batch: list[FoundFile] = []
    added = changed = 0
    size = _FIRST_BATCH
    for path, entry in walk(images, skip=project):
        status = _looked_up(path, entry)
        if isinstance(status, str):
            skipped.append((ascii(path) if status == _NO_TEXT else path, status))
            continue
        seen.add(path)
        labelled_here = label_name(path) in labelled
        batch.append(FoundFile(path, status.st_size, status.st_mtime, labelled_here))
        if len(batch) >= size:
            more, other = index.add_files(batch)
            added, changed, batch, size = added + more, changed + other, [], _BATCH
            yield ScanProgress(len(seen), added, changed, skipped=tuple(skipped[:100]))
    more, other = index.add_files(batch) if batch else (0, 0)
    vanished = index.mark_missing(seen)
    progress = ScanProgress(len(seen), added + more, changed + other, vanished, skipped=tuple(skipped[:100]))
    yield progress
    measured = 0
    for measured in measure(index, images):
        yield replace(progress, measured=measured)
    for _ in count_classes():
        yield replace(progress, measured=measured)
    yield replace(progress, measured=measured, finished=True)


def _looked_up(path: str, entry: os.DirEntry[str]) -> os.stat_result | str:
    """Return what the file system knows of a file, or why it cannot be an image."""
    try:
        path.encode()
        status = entry.stat()
    except UnicodeEncodeError:
        return _NO_TEXT
    except OSError as error:
        return str(error.strerror)
    # reading a pipe would wait for ever
    return status if stat.S_ISREG(status.st_mode) else "it is no plain file"


def measure(index: ImageIndex, images: Path) -> Iterator[int]:
    """Read the sizes of images that have none yet, without decoding them; yield how many are done."""
    done = 0
    while batch := index.unmeasured(_SIZE_BATCH):
        index.set_sizes([measured(images, image_id, path) for image_id, path in batch])
        done += len(batch)
        yield done


def measured(images: Path, image_id: int, path: str) -> tuple[int, int, int, str]:
    """Return ``(id, width, height, problem)`` of one image file."""
    try:
        width, height = image_size(images / path)
    except CoordError as error:
        return image_id, 0, 0, error.found
    except OSError as error:
        return image_id, 0, 0, str(error.strerror or error)
    return image_id, width, height, ""


def walk(folder: Path, *, skip: Path | None = None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the images below ``folder`` with their relative path (slashes), folder by folder.

    Hidden files and folders are passed over, links are followed, and a folder that is reached twice is read
    once.

    Raises:
        DataError: The folder itself cannot be read; folders below it that cannot are passed over.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [("", folder)]
    while waiting:
        prefix, place = waiting.pop()
        try:
            status = place.stat()
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda e: e.name)
        except OSError as error:
            if prefix:
                continue
            raise DataError(
                f"the folder {folder} cannot be read ({error.strerror})",
                expected="a folder of images",
                remedy="check that it is there and that you may read it",
            ) from error
        if (status.st_dev, status.st_ino) in visited and status.st_ino:
            continue
        visited.add((status.st_dev, status.st_ino))
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_folder = _is_folder(entry)
            if is_image(Path(entry.name)) and not is_folder:
                yield prefix + entry.name, entry
            elif is_folder and Path(entry.path) != skip:
                folders.append((f"{prefix}{entry.name}/", Path(entry.path)))
        waiting += reversed(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _label_files(labels: Path) -> set[str]:
    """Return the label maps on disk, as `label_name` names them."""
    if not labels.is_dir():
        return set()
    return {path for path, _ in walk(labels) if path.endswith(".png")}

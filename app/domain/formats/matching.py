"""Which image a label map belongs to, and which class a name means."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from app.domain.edits import LabelMap
from app.domain.formats.base import Format, ImportItem, KnownImages
from app.domain.formats.names import file_path, stems
from app.domain.project import ImageRow, Project
from coordgan_core.errors import CoordError, LabelError
from coordgan_core.files import plain_file, write_json

_log = logging.getLogger(__name__)
_EXTRAS = "extras"
MOST_LEVELS = 100


class _Named(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def path(self) -> str: ...


_Row = TypeVar("_Row", bound=_Named)


def format_of(name: str) -> Format:
    """Return a format.

    Raises:
        LabelError: There is none of that name.
    """
    from app.domain.formats import FORMATS

    if name not in FORMATS:
        raise LabelError(f"there is no format {name}", expected="one of " + ", ".join(FORMATS))
    return FORMATS[name]


def match(
    items: Iterable[ImportItem], rows: Sequence[_Row]
) -> tuple[dict[int, ImportItem], list[str], list[str]]:
    """Find the image of each label map: by its path, the name it is exported under, or a unique stem.

    Returns:
        Image id -> label map, keys that fit no image, keys that fit several.
    """
    by_key: dict[str, list[int]] = {}
    exact: dict[str, int] = {}
    exported = stems([row.path for row in rows])
    for row, stem in zip(rows, exported, strict=True):
        path = PurePosixPath(row.path)
        for key in {k.casefold() for k in (row.path, str(path.with_suffix("")), stem, path.name, path.stem)}:
            by_key.setdefault(key, []).append(row.id)
    exact |= {stem.casefold(): row.id for row, stem in zip(rows, exported, strict=True)}
    exact |= {row.path.casefold(): row.id for row in rows}
    matched: dict[int, ImportItem] = {}
    extra, twice = [], []
    for item in items:
        keys = [key.casefold() for key in (item.image, item.key) if key]
        whole = next((exact[key] for key in keys if key in exact), None)
        parts = (p for key in keys for p in (key, PurePosixPath(key).name) if p in by_key)
        found = by_key.get(next(parts, ""), []) if whole is None else [whole]
        if not found:
            extra.append(item.key)
        elif len(found) > 1 or found[0] in matched:
            twice.append(item.key)
        else:
            matched[found[0]] = item
    return matched, extra, twice


def known_images(project: Project, rows: Sequence[ImageRow]) -> KnownImages:
    """Return names and sizes of the images of a project, by every name under which they may be looked for."""
    exported = stems([row.path for row in rows])
    names: dict[str, int | None] = {}
    for row in rows:
        path = PurePosixPath(row.path)
        for name in {path.name, path.stem}:
            names[name] = None if name in names else row.id  # None: several images have it
    for row, stem in zip(rows, exported, strict=True):
        names |= dict.fromkeys((row.path, stem), row.id)

    def size(name: str) -> tuple[int, int] | None:
        found = names.get(name)
        if found is None:
            return None
        row = project.measure(found)
        return (row.width, row.height) if row.width else None

    return KnownImages({PurePosixPath(row.path).stem for row in rows} | set(exported), size)


def name_key(name: str) -> str:
    """Return what two spellings of a class name have in common: letters and digits, whatever their case."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum()) or folded


def same_classes(names: Mapping[int, str], others: Mapping[int, str]) -> dict[int, int]:
    """Return id in ``names`` -> id in ``others`` of the class of that name, or spelt alike."""
    left = dict(others)
    found: dict[int, int] = {}
    for key in (str.casefold, name_key):
        for class_id, name in names.items():
            same = next((i for i, other in left.items() if key(other) == key(name)), None)
            if class_id not in found and same is not None:
                found[class_id] = same
                del left[same]
    return found


def counts(labels: LabelMap) -> npt.NDArray[np.int64]:
    """Return the pixels of each class id, ``int64 [256]``."""
    return np.bincount(labels.ravel(), minlength=256)


def agreement(labels: LabelMap, others: LabelMap) -> float:
    """Return the mean intersection over union of the classes in two label maps, background left out.

    1.0 where neither holds a class, 0.0 where their sizes differ.
    """
    if labels.shape != others.shape:
        return 0.0
    both = counts(labels[labels == others])
    union = counts(labels) + counts(others) - both
    found = np.flatnonzero(union[1:]) + 1
    return float((both[found] / union[found]).mean()) if len(found) else 1.0


def keep_extras(project: Project, chosen: Format, path: str, extras: Mapping[str, Any]) -> None:
    """Keep what a format did not understand of an image, beside its label map.

    Raises:
        DiskFullError: It cannot be written.
    """
    file = _extras_file(project, chosen, path)
    if extras:
        write_json(file, extras)
    else:
        file.unlink(missing_ok=True)


def check_extras(item: ImportItem) -> Mapping[str, Any]:
    """Return what a format did not understand of an image.

    Raises:
        LabelError: It nests too deeply to be written again.
    """
    extras = item.extras()
    if _nests(extras, MOST_LEVELS):
        raise LabelError(
            f"the labels {item.key} hold values that nest more than {MOST_LEVELS} levels deep",
            expected="what annotation programs write",
            remedy="take the unknown keys out of the file",
        )
    return extras


def _nests(value: Any, levels: int) -> bool:
    if levels == 0:
        return True
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(_nests(each, levels - 1) for each in inner)


def kept_extras(project: Project, chosen: Format, path: str) -> dict[str, Any]:
    """Return what was kept of an image for formats of this family; nothing where it is damaged."""
    file = _extras_file(project, chosen, path)
    try:
        value = json.loads(plain_file(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("unknown keys kept in %s cannot be read: %s", file, error)
        return {}
    return value if isinstance(value, dict) else {}


def _extras_file(project: Project, chosen: Format, path: str) -> Path:
    return project.folder / _EXTRAS / chosen.extras_of / f"{file_path(path)}.json"


def loaded(item: ImportItem, size: tuple[int, int] | None) -> LabelMap:
    """Decode a label map and check that it fits its image of ``(width, height)``.

    Raises:
        LabelError: It is damaged, or of another size.
    """
    try:
        labels = item.load()
    except CoordError:
        raise
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise LabelError(
            f"the labels {item.key} cannot be read ({error})", remedy="export them again"
        ) from error
    height, width = labels.shape
    if size is not None and (width, height) != size:
        turned = (height, width) == size
        raise LabelError(
            f"the labels {item.key} have {width} x {height} pixels, the image {size[0]} x {size[1]}",
            expected="labels of the size of the image" + (" as it is upright" if turned else ""),
            remedy="export them again at that size",
        )
    return labels

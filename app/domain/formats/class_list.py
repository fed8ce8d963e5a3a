"""Classes beside label maps: ``classes.json``, and ids for labels that a source only names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from app.domain.classes import MAX_CLASSES, ClassTable
from app.domain.formats.base import CLASSES_FILE
from app.domain.palette import hex_color
from coordgan_core.files import write_json
from coordgan_core.labels import LabelClasses


def class_names(folder: Path) -> dict[int, str]:
    """Return the names in the ``classes.json`` of a folder or the one above, empty without one."""
    for place in (folder, folder.parent):
        file = place / CLASSES_FILE
        if file.exists():
            return {c.id: c.name for c in LabelClasses.load(file).classes}
    return {}


def write_classes(out: Path, table: ClassTable) -> None:
    """Write ``classes.json``."""
    items = [{"id": c.id, "name": c.name, "color": hex_color(c.color)} for c in table.classes]
    write_json(out / CLASSES_FILE, items)


def number_labels(
    labels: Iterable[str], known: Mapping[int, str], title: str
) -> tuple[dict[int, str], list[str]]:
    """Give each label that has no class id yet the next free one, in their order.

    Args:
        labels: Labels of the source; some may come twice.
        known: Class id -> label, of those that have one.
        title: What a warning calls the source.

    Returns:
        Class id -> label of all, and a warning for each label beyond the last id.
    """
    names = dict(known)
    free = iter([i for i in range(1, MAX_CLASSES) if i not in names])
    warnings = []
    for label in dict.fromkeys(labels):
        if label in known.values():
            continue
        class_id = next(free, None)
        if class_id is None:
            warnings.append(f"{label} is left out: {title} names more than {MAX_CLASSES - 1} labels")
        else:
            names[class_id] = label
    return names, warnings

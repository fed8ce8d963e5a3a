"""Label classes of a project and the changes one can make to them; each change is a value with an inverse.

Class ids never change: the display order is the order of the table, so that reordering changes no pixel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.domain.palette import Color, default_color
from coordgan_core.errors import LabelError
from coordgan_core.files import plain_file
from coordgan_core.palette import default_palette

MAX_CLASSES = 256
_SKIPPED_NAMES = {"__ignore__", "_background_", "background", ""}


@dataclass(frozen=True)
class LabelClass:
    """A named part with one colour; its pixels can be ``locked`` against painting and hidden."""

    id: int
    name: str
    color: Color
    locked: bool = False
    visible: bool = True


BACKGROUND = LabelClass(0, "background", (0, 0, 0))


@dataclass(frozen=True)
class ClassTable:
    """The label classes in display order; background (id 0) is always the first."""

    classes: tuple[LabelClass, ...] = (BACKGROUND,)

    def __post_init__(self) -> None:
        ids = [c.id for c in self.classes]
        names = [c.name.casefold() for c in self.classes]
        if not ids or ids[0] != 0:
            raise _refused("a list of classes without background", "add the class with id 0 first")
        if len(set(ids)) != len(ids) or not all(0 <= i < MAX_CLASSES for i in ids):
            raise _refused("class ids that are not unique numbers from 0 to 255", "correct the ids")
        if len(set(names)) != len(names) or not all(n.strip() for n in names):
            raise _refused("two classes of one name, or one without a name", "choose another name")

    @property
    def ids(self) -> tuple[int, ...]:
        """The class ids in display order."""
        return tuple(c.id for c in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in display order."""
        return tuple(c.name for c in self.classes)

    @property
    def locked_ids(self) -> frozenset[int]:
        """The classes that may not be painted over."""
        return frozenset(c.id for c in self.classes if c.locked)

    @property
    def hidden_ids(self) -> frozenset[int]:
        """The classes that are not drawn."""
        return frozenset(c.id for c in self.classes if not c.visible)

    def get(self, class_id: int) -> LabelClass | None:
        """Return a class, None if there is none of that id."""
        return next((c for c in self.classes if c.id == class_id), None)

    def by_id(self, class_id: int) -> LabelClass:
        """Return a class.

        Raises:
            LabelError: There is none of that id.
        """
        found = self.get(class_id)
        if found is None:
            raise _refused(f"no class with the id {class_id}", "choose one of the list")
        return found

    def by_name(self, name: str) -> LabelClass | None:
        """Return the class of that name, whatever its capitals; None if there is none."""
        return next((c for c in self.classes if c.name.casefold() == name.casefold()), None)

    def at_key(self, digit: int) -> LabelClass | None:
        """Return the class of a number key: 0 is background, 1 to 9 the others in display order."""
        return self.classes[digit] if 0 <= digit < min(10, len(self.classes)) else None

    def next_id(self) -> int:
        """Return the smallest free id above all that are in use, or any free one once 255 is taken.

        Raises:
            LabelError: All 256 ids are taken.
        """
        used = set(self.ids)
        above = max(used) + 1
        if above < MAX_CLASSES:
            return above
        free = next((i for i in range(1, MAX_CLASSES) if i not in used), None)
        if free is None:
            raise _refused("256 classes", "merge or delete one first")
        return free

    def palette(self) -> npt.NDArray[np.uint8]:
        """Return the colours of all 256 ids, ``uint8 [256, 3]``: the default where there is no class."""
        palette = default_palette(MAX_CLASSES).copy()
        for c in self.classes:
            palette[c.id] = c.color
        return palette

    def replaced(self, changed: LabelClass) -> ClassTable:
        """Return the table with one class exchanged for ``changed`` (same id)."""
        self.by_id(changed.id)
        return ClassTable(tuple(changed if c.id == changed.id else c for c in self.classes))


def bridge(table: ClassTable, other: ClassTable) -> ClassTable:
    """Return a table with the classes of another one that it lacks; a name that is taken gets its id."""
    for each in other.classes:
        if table.get(each.id) is None:
            name = each.name if table.by_name(each.name) is None else f"{each.name} ({each.id})"
            table = ClassTable((*table.classes, dataclasses.replace(each, name=name)))
    return table


@dataclass(frozen=True)
class AddClass:
    """Add a class; without ``id`` and ``color`` the next free id and its default colour."""

    name: str
    color: Color | None = None
    id: int | None = None

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        class_id = table.next_id() if self.id is None else self.id
        color = default_color(class_id) if self.color is None else self.color
        return ClassTable((*table.classes, LabelClass(class_id, self.name.strip(), color)))

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return f"Add {self.name}"


@dataclass(frozen=True)
class ImportClasses:
    """Add classes from a list of names; those that exist stay."""

    names: tuple[str, ...]

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        for name in self.names:
            if table.by_name(name.strip()) is None and name.strip().casefold() not in _SKIPPED_NAMES:
                table = AddClass(name).apply(table)
        return table

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return f"Import {len(self.names)} classes"


@dataclass(frozen=True)
class RenameClass:
    """Give a class another name."""

    id: int
    name: str

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        return table.replaced(dataclasses.replace(table.by_id(self.id), name=self.name.strip()))

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return f"Rename to {self.name}"


@dataclass(frozen=True)
class RecolorClass:
    """Give a class another colour."""

    id: int
    color: Color

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        return table.replaced(dataclasses.replace(table.by_id(self.id), color=self.color))

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return "Change a colour"


@dataclass(frozen=True)
class SetClassFlags:
    """Lock, unlock, show or hide a class; None leaves a flag as it is."""

    id: int
    locked: bool | None = None
    visible: bool | None = None

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        old = table.by_id(self.id)
        locked = old.locked if self.locked is None else self.locked
        visible = old.visible if self.visible is None else self.visible
        return table.replaced(dataclasses.replace(old, locked=locked, visible=visible))

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return "Lock or show a class"


@dataclass(frozen=True)
class ReorderClasses:
    """Show the classes in another order; ``ids`` lists all of them, background first."""

    ids: tuple[int, ...]

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        if sorted(self.ids) != sorted(table.ids):
            raise _refused("an order that does not list every class once", "list all classes")
        return ClassTable(tuple(table.by_id(i) for i in self.ids))

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return "Reorder classes"


@dataclass(frozen=True)
class MergeClasses:
    """Turn all pixels of ``source`` into ``target`` and drop the class ``source``."""

    source: int
    target: int

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        if self.source in (0, self.target):
            raise _refused("a merge of background or of a class with itself", "choose two parts")
        table.by_id(self.target)
        table.by_id(self.source)
        return ClassTable(tuple(c for c in table.classes if c.id != self.source))

    @property
    def mapping(self) -> dict[int, int]:
        """Old class id -> new class id of the pixels that change."""
        return {self.source: self.target}

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return "Merge two classes"


@dataclass(frozen=True)
class DeleteClass:
    """Drop a class; its pixels become background."""

    id: int

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        return MergeClasses(self.id, 0).apply(table)

    @property
    def mapping(self) -> dict[int, int]:
        """Old class id -> new class id of the pixels that change."""
        return {self.id: 0}

    @property
    def text(self) -> str:
        """Name of the step in the history."""
        return "Delete a class"


@dataclass(frozen=True)
class RestoreClasses:
    """Put a whole table back: the inverse of every change of the table itself."""

    table: ClassTable
    text: str = "Restore classes"

    def apply(self, table: ClassTable) -> ClassTable:
        """Return the table after the change."""
        del table
        return self.table


ClassChange = (
    AddClass
    | ImportClasses
    | RenameClass
    | RecolorClass
    | SetClassFlags
    | ReorderClasses
    | MergeClasses
    | DeleteClass
    | RestoreClasses
)


def changed_classes(change: ClassChange) -> tuple[int, ...]:
    """Return the existing classes whose images look different after the change."""
    if isinstance(change, MergeClasses):
        return (change.source,)
    if isinstance(change, RenameClass | RecolorClass | DeleteClass):
        return (change.id,)
    return ()


def pixel_mapping(change: ClassChange) -> dict[int, int]:
    """Return old class id -> new class id of the pixels that the change rewrites."""
    return change.mapping if isinstance(change, MergeClasses | DeleteClass) else {}


def read_label_list(path: str | Path) -> tuple[str, ...]:
    """Read a list of class names, one a line (UTF-8); background and ``__ignore__`` lines are left out.

    Raises:
        LabelError: The file cannot be read, or holds no name.
    """
    try:
        text = plain_file(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(f"the label list {path} cannot be read ({error})", "save it as UTF-8 text") from error
    names = tuple(dict.fromkeys(_clean(line) for line in text.splitlines()))
    kept = tuple(name for name in names if name.casefold() not in _SKIPPED_NAMES)
    if not kept:
        raise _refused(f"the label list {path} holds no name", "write one class name a line")
    return kept


def _clean(line: str) -> str:
    return "".join(c for c in line.strip() if c.isprintable())[:200]


def table_from_names(names: Iterable[str]) -> ClassTable:
    """Build a table: background, then the names with ids from 1."""
    return ImportClasses(tuple(names)).apply(ClassTable())


def _refused(found: str, remedy: str) -> LabelError:
    return LabelError(found, expected="unique names and ids, background with id 0 first", remedy=remedy)

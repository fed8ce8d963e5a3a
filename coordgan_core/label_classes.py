"""Label classes: ids, names and colours, and the file ``classes.json``. Needs no PyTorch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coordgan_core.errors import LabelError
from coordgan_core.files import plain_file, write_json
from coordgan_core.palette import default_palette

Palette = npt.NDArray[np.uint8]
MAX_CLASSES = 256


@dataclass(frozen=True)
class LabelClass:
    """A named part: class id (0 to 255), name, colour (red, green, blue; 0 to 255 each)."""

    id: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class LabelClasses:
    """The label classes of a project or data set, ordered by id; id 0 is background."""

    classes: tuple[LabelClass, ...]

    @classmethod
    def from_names(cls, names: Iterable[str]) -> LabelClasses:
        """Build classes from names; the position is the id, colours are the default palette's."""
        return cls.from_json(list(names))

    @classmethod
    def anonymous(cls, ids: Iterable[int]) -> LabelClasses:
        """Build classes called ``class 3`` and so on for bare ids; background is always there."""
        names = {i: f"class {i}" for i in ids} | {0: "background"}
        return cls.from_json([{"id": i, "name": name} for i, name in names.items()])

    @classmethod
    def from_json(cls, value: Any) -> LabelClasses:
        """Build classes from a list of names or of ``{"id", "name", "color"}``, or ``{"classes": list}``.

        Raises:
            LabelError: The value has another form, an id twice or out of 0 to 255, or a malformed colour.
        """
        items = value.get("classes") if isinstance(value, Mapping) else value
        if not isinstance(items, Sequence) or isinstance(items, str) or not items:
            raise _bad_classes("no list of classes")
        classes = sorted((_parse_class(i, item) for i, item in enumerate(items)), key=lambda c: c.id)
        ids = [c.id for c in classes]
        if len(set(ids)) != len(ids):
            raise _bad_classes("the same id twice")
        if ids[0] != 0:
            classes.insert(0, LabelClass(0, "background", (0, 0, 0)))
        return cls(tuple(classes))

    @classmethod
    def load(cls, path: str | Path) -> LabelClasses:
        """Read ``classes.json``.

        Raises:
            LabelError: The file is missing or malformed.
        """
        try:
            return cls.from_json(json.loads(plain_file(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise _bad_classes(f"{path} cannot be read ({error})") from error

    def to_json(self) -> list[dict[str, Any]]:
        """Return the classes as a list of ``{"id", "name", "color": "#rrggbb"}``."""
        return [
            {"id": c.id, "name": c.name, "color": "#{:02x}{:02x}{:02x}".format(*c.color)}
            for c in self.classes
        ]

    def save(self, path: str | Path) -> None:
        """Write ``classes.json`` atomically."""
        write_json(path, self.to_json())

    @property
    def ids(self) -> tuple[int, ...]:
        """The class ids in ascending order."""
        return tuple(c.id for c in self.classes)

    @property
    def count(self) -> int:
        """One more than the largest id: the K of soft labels."""
        return self.classes[-1].id + 1

    def name(self, class_id: int) -> str:
        """Return the name of a class, ``class 9`` if it has none."""
        return next((c.name for c in self.classes if c.id == class_id), f"class {class_id}")

    def palette(self) -> Palette:
        """Return the colours of all 256 ids, ``uint8 [256, 3]``; others keep their default."""
        colours = default_palette(MAX_CLASSES).copy()
        for c in self.classes:
            colours[c.id] = c.color
        return colours


def _parse_class(index: int, item: Any) -> LabelClass:
    if isinstance(item, str):
        item = {"id": index, "name": item}
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        raise _bad_classes(f"entry {index} without a name")
    # JSON may hold halves of characters, which no file and no database takes
    item = {**item, "name": item["name"].encode("utf-8", "replace").decode()}
    class_id = item.get("id", index)
    if not isinstance(class_id, int) or isinstance(class_id, bool) or not 0 <= class_id < MAX_CLASSES:
        raise _bad_classes(f"the id {class_id!r} of {item['name']!r}")
    color = item.get("color")
    if color is None:
        return LabelClass(class_id, item["name"], _rgb(default_palette(MAX_CLASSES)[class_id]))
    return LabelClass(class_id, item["name"], _parse_color(color))


def _parse_color(color: Any) -> tuple[int, int, int]:
    try:
        if isinstance(color, str):
            digits = color.removeprefix("#")
            if len(digits) != 6:
                raise ValueError(color)
            return _rgb(bytes.fromhex(digits))
        values = [int(v) for v in color]
        if len(values) != 3 or not all(0 <= v <= 255 for v in values):
            raise ValueError(color)
        return _rgb(values)
    except (TypeError, ValueError, OverflowError):
        raise _bad_classes(f"the colour {color!r:.60}") from None


def _rgb(values: Iterable[Any]) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in values)
    return red, green, blue


def _bad_classes(found: str) -> LabelError:
    return LabelError(
        f"the list of classes holds {found}",
        expected='a JSON list of names, or of {"id": 1, "name": "nose", "color": "#e69f00"} ids 0 to 255',
        remedy="correct classes.json",
    )

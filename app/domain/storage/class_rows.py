"""Label classes in the database: the rows of their table, and the JSON in which batches keep them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.domain.classes import ClassTable, LabelClass
from app.domain.palette import hex_color, parse_color
from app.domain.storage.batch_rows import damaged, is_text, is_whole, loaded
from coordgan_core.errors import LabelError


def table_to_json(table: ClassTable) -> list[dict[str, Any]]:
    """Return classes as plain JSON types."""
    return [
        {"id": c.id, "name": c.name, "color": hex_color(c.color), "locked": c.locked, "visible": c.visible}
        for c in table.classes
    ]


def table_from_json(text: str) -> ClassTable:
    """Return the classes that a batch has kept.

    Raises:
        DataError: The text is not what `table_to_json` makes.
    """
    items = loaded(text)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise damaged("the classes of a batch are no list of classes")
    keys = ("id", "name", "color", "locked", "visible")
    return table_from_rows([item.get(key) for key in keys] for item in items)


def table_from_rows(rows: Iterable[Sequence[Any]]) -> ClassTable:
    """Return classes out of ``(id, name, colour, locked, visible)``, in display order.

    Raises:
        DataError: The values are not those of classes.
    """
    try:
        return ClassTable(tuple(_class(*row) for row in rows))
    except (ValueError, LabelError) as error:
        found = error.found if isinstance(error, LabelError) else error
        raise damaged(f"its label classes: {found}") from error


def _class(class_id: Any, name: Any, color: Any, locked: Any, visible: Any) -> LabelClass:
    if not (is_whole(class_id) and is_text(name) and is_text(color) and is_flag(locked) and is_flag(visible)):
        raise ValueError(f"{(class_id, name, color, locked, visible)!r:.120} is no class")
    return LabelClass(class_id, name, parse_color(color), bool(locked), bool(visible))


def is_flag(value: Any) -> bool:
    """Return whether a value is yes or no, as JSON or SQLite writes it."""
    return isinstance(value, int) and value in (0, 1)

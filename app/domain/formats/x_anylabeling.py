"""X-AnyLabeling: the JSON of labelme with scores, a check mark and more; regions are polygons."""

from __future__ import annotations

from typing import Any

from app.domain.classes import ClassTable
from app.domain.edits import LabelMap
from app.domain.formats.base import Choice, ExportItem, ExportOptions, Extras
from app.domain.formats.labelme import Labelme
from app.domain.formats.labelme_shapes import polygon_shapes

_MARKS = ('"chat_history"', '"vqaData"', '"kie_linking"', '"difficult"', '"checked"')


class XAnyLabeling(Labelme):
    """The JSON of X-AnyLabeling."""

    name = "x-anylabeling"
    title = "X-AnyLabeling"
    choices: tuple[Choice, ...] = ()
    version = "3.0.0"

    def likeness(self, text: str) -> float:
        """Return how much the beginning and end of a file look like this format, 0 to 1."""
        return 0.95 if super().likeness(text) and any(mark in text for mark in _MARKS) else 0.0

    def content(
        self, item: ExportItem, labels: LabelMap, table: ClassTable, options: ExportOptions, before: Extras
    ) -> dict[str, Any]:
        """Return the file of an image; a person's work is checked, a model's is not."""
        content: dict[str, Any] = {"version": self.version, "flags": {}, "checked": False}
        content |= super().content(item, labels, table, options, before)
        content["checked"] = item.score is None
        for key, empty in (("description", ""), ("tags", []), ("chat_history", []), ("vqaData", {})):
            content.setdefault(key, empty)
        return content

    def adapted(self, shape: Any) -> Any:
        """Return a shape of the family as this tool takes it, None where it cannot: it knows no masks."""
        if not isinstance(shape, dict) or shape.get("shape_type") == "mask":
            return None
        points = shape.get("points")
        if shape.get("shape_type") == "rectangle" and isinstance(points, list) and len(points) == 2:
            if not all(isinstance(p, list) and len(p) == 2 for p in points):
                return None
            (x0, y0), (x1, y1) = points
            return shape | {"points": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]}
        return shape

    def shapes(
        self, item: ExportItem, labels: LabelMap, class_id: int, name: str, options: ExportOptions
    ) -> list[dict[str, Any]]:
        """Return the shapes that hold one class."""
        del options
        more = {"difficult": False, "attributes": {}, "kie_linking": []}
        score = None if item.score is None else round(item.score, 6)
        return [
            {**{k: v for k, v in shape.items() if k != "mask"}, "score": score, **more}
            for shape in polygon_shapes(labels, class_id, name)
        ]

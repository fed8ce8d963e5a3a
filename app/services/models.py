"""What the window knows about a model that can be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources import model_folders


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be chosen: its card is plain JSON values; a stop-gap has no file."""

    id: str
    name: str
    category: str
    path: str
    card: dict[str, Any]
    builtin: bool

    @property
    def research_use(self) -> bool:
        """Whether its training data allow research only."""
        return bool(self.card.get("research_use"))

    @property
    def data_source(self) -> str:
        """What it was trained on; empty where nobody said."""
        return str(self.card.get("data_source") or "")


def described(item: Any) -> ModelInfo | None:
    """Return a model as the engine describes it, None for nonsense."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    card = item.get("card")
    path = str(item.get("path") or "")
    return ModelInfo(
        item["id"],
        str(item.get("name") or item["id"]),
        str(item.get("category") or ""),
        path,
        card if isinstance(card, dict) else {},
        bool(item.get("builtin")) or Path(path).parent in model_folders(),
    )

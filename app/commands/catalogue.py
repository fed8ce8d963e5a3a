"""Which models there are: those that ship with the program, and the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coordgan_core.errors import ModelError
from coordgan_core.snapshot import ModelCard, inspect, newest_model
from resources import bundled_models


@dataclass(frozen=True)
class Entry:
    """A model file and where it comes from."""

    path: Path
    origin: Literal["bundled", "own"]

    @property
    def name(self) -> str:
        """What commands take for it."""
        return self.path.stem


def own_models_folder() -> Path:
    """Return the folder of the user's models, the same as the window's."""
    import appdirs

    return Path(appdirs.user_data_dir("coordlabel", "coordlabel")) / "models"


def list_models(folder: Path | None = None) -> list[Entry]:
    """Return all models: bundled ones, then those in ``folder`` (the user's own folder if None), by name."""
    own = sorted((folder or own_models_folder()).glob("*.safetensors"))
    return [Entry(path, "bundled") for path in bundled_models()] + [Entry(path, "own") for path in own]


def find_model(text: str | Path, folder: Path | None = None) -> Path:
    """Return the model file that ``text`` means: a file, a run folder (its newest model) or a name.

    The category of a single model means that model.

    Raises:
        ModelError: There is no such model.
    """
    path = Path(text)
    if path.is_dir():
        published = path / "model.safetensors"
        return published if published.is_file() else newest_model(path)
    if path.is_file():
        return path
    listed = list_models(folder)
    for entry in reversed(listed):  # the user's own model of a name goes before a bundled one
        if entry.name == str(text):
            return entry.path
    same = [entry.path for entry in listed if _category(entry.path) == str(text).casefold() != ""]
    if len(same) == 1:
        return same[0]
    names = ", ".join(entry.name for entry in listed) or "none"
    raise ModelError(
        f"there is no model {str(text)!r}",
        expected=f"a .safetensors file, a run folder, or the name of a model ({names})"
        + (f"; {len(same)} models are of that category" if same else ""),
        remedy="`coordlabel models` lists the models; `coordlabel train` makes one",
    )


def _category(path: Path) -> str:
    """Return the category of a model in lower case, empty for a file that cannot be read."""
    try:
        return inspect(path).card.category.casefold()
    except ModelError:
        return ""


def terms(card: ModelCard) -> str:
    """Return what a person must know before using a model whose data allow research only, else nothing."""
    if not card.research_use:
        return ""
    data = f" (trained on: {card.data_source})" if card.data_source else ""
    return f"the model {card.name or 'without a name'} is for research use{data}"

"""Which models there are: those that ship with the program, and the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coordgan_core.errors import ModelError
from coordgan_core.snapshot import newest_model
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
    names = ", ".join(entry.name for entry in listed) or "none"
    raise ModelError(
        f"there is no model {str(text)!r}",
        expected=f"a .safetensors file, a run folder, or the name of a model ({names})",
        remedy="`coordlabel models` lists the models; `coordlabel train` makes one",
    )

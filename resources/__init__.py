"""Files that ship with the application: sample project, bundled models, icons, themes.

One loader finds them in a checkout, in an installed wheel and in a frozen application. Standard library only.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["bundled_model", "bundled_models", "model_folders", "resource_path", "sample_project"]


def resource_path(name: str) -> Path:
    """Return the path of a resource, a file or a folder, such as ``"sample_project/classes.json"``.

    Raises:
        FileNotFoundError: There is no such resource: the name is wrong or the installation incomplete.
    """
    for root in _roots():
        path = root.joinpath(*name.split("/"))
        if path.exists():
            return path
    raise FileNotFoundError(
        f"The resource {name} is missing. Expected it in {_roots()[0]}. Install the program again."
    )


def sample_project() -> Path:
    """Return the folder of the sample project.

    It holds ``images/``, ``labels/`` (the label map of one reference), ``truth/`` (exact label maps of all
    images, for benchmarks and tests), ``classes.json`` and ``references.txt``.
    """
    return resource_path("sample_project")


def bundled_models() -> list[Path]:
    """Return the model files that ship with the program, by name; there may be none."""
    return sorted(
        (path for folder in model_folders() for path in folder.glob("*.safetensors")), key=lambda p: p.name
    )


def bundled_model(name: str = "sample") -> Path:
    """Return one of the model files that ship with the program.

    Raises:
        FileNotFoundError: There is no such model: the name is wrong or the installation incomplete.
    """
    return resource_path(f"models/{name}.safetensors")


def model_folders() -> list[Path]:
    """Return the folders of the models that ship with the program; they need not exist."""
    return [root / "models" for root in _roots()]


def _roots() -> list[Path]:
    here = Path(__file__).resolve().parent
    unpacked = getattr(sys, "_MEIPASS", None)  # where a frozen application keeps its files
    if unpacked is None or Path(unpacked, "resources").resolve() == here:
        return [here]
    return [here, Path(unpacked, "resources")]

"""The user's model files: rename, describe, copy in and out, delete. No PyTorch."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from coordgan_core.errors import DataError, ModelError
from coordgan_core.files import atomic_path
from coordgan_core.model_card import write_with_card
from coordgan_core.snapshot import inspect

SUFFIX = ".safetensors"
DESCRIBABLE = ("category", "description", "licence", "data_source")
"""What a person may write into a card."""


def file_name(name: str) -> str:
    """Return the name of the file, without its ending, for a model called ``name``.

    Raises:
        ModelError: Nothing of the name can be used.
    """
    kept = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .-")
    if not kept:
        raise ModelError(
            f"a model cannot be called {name!r}", expected="letters or digits", remedy="choose another name"
        )
    return kept[:80]


def free_path(folder: Path, name: str) -> Path:
    """Return a path in ``folder`` for a model called ``name`` at which nothing lies yet."""
    stem, number = file_name(name), 1
    path = folder / f"{stem}{SUFFIX}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{SUFFIX}"
    return path


def rename(path: Path, name: str) -> Path:
    """Give a model another name, of card and file; return its new path.

    Raises:
        ModelError: The name cannot be used, another model has it, or the file is damaged.
    """
    info = inspect(path)
    target = path.with_name(file_name(name) + SUFFIX)
    if target != path and target.exists() and not target.samefile(path):
        raise ModelError(
            f"there is a model {target.stem} already", expected="a new name", remedy="choose another name"
        )
    write_with_card(path, target, dataclasses.replace(info.card, name=name.strip()))
    if target != path and not (path.exists() and target.samefile(path)):
        path.unlink()
    return target


def describe(path: Path, **values: str) -> None:
    """Change texts of a model's card; see `DESCRIBABLE`.

    Raises:
        ModelError: The file is damaged, or a name is not of these.
    """
    unknown = sorted(set(values) - set(DESCRIBABLE))
    if unknown:
        raise ModelError(
            f"a card has no text {', '.join(unknown)}", expected=f"some of {', '.join(DESCRIBABLE)}"
        )
    info = inspect(path)
    write_with_card(path, path, dataclasses.replace(info.card, **values))  # type: ignore[arg-type]


def take_in(path: Path, folder: Path) -> Path:
    """Copy a model file, already checked, into the user's models; return its place there."""
    info = inspect(path)
    target = free_path(folder, info.card.name or path.stem)
    _copy(path, target)
    return target


def export(path: Path, target: Path, *, strip: bool = True) -> None:
    """Write a copy of a model, without its strip of training images unless ``strip``.

    Raises:
        ModelError: The file is damaged.
        DataError: ``target`` is the model itself.
        DiskFullError: It cannot be written.
    """
    if target.exists() and target.samefile(path):
        raise DataError(f"{target} is the model itself", remedy="choose another place")
    info = inspect(path)
    if strip or not info.card.sample_strip:
        _copy(path, target)
    else:
        write_with_card(path, target, dataclasses.replace(info.card, sample_strip=""))


def delete(path: Path, folder: Path) -> None:
    """Delete a model of the user's.

    Raises:
        ModelError: It is not one of the user's.
    """
    if path.suffix != SUFFIX or path.absolute().parent != folder.absolute():
        raise ModelError(
            f"{path} is not one of your models",
            expected=f"a model in {folder}",
            remedy="bundled models and files elsewhere are not deleted from here",
        )
    path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)

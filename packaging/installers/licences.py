"""Puts the licences of everything that is bundled beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from installers.inventory import Component

NOTICE = "THIRD-PARTY-NOTICES.txt"


def write_licences(components: Sequence[Component], folder: Path) -> list[str]:
    """Write one folder of texts for each component, and a notice that lists all; return what is missing.

    Args:
        components: What is bundled.
        folder: Becomes ``licences/`` in the bundle; what it held is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = ["CoordLabel contains the following, each under its own terms.", ""]
    for component in components:
        copied = _copy(component, folder / f"{component.name}-{component.version}".replace(":", "_"))
        if component.origin != "project":
            terms = component.licence or "see its licence files"
            lines.append(f"{component.name} {component.version}: {terms} ({copied} files)")
    (folder / NOTICE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return problems(components)


def problems(components: Sequence[Component]) -> list[str]:
    """Return what is not known about licences and has to be, in words."""
    found = []
    for component in components:
        if component.origin == "project":
            continue
        if component.origin == "unknown":
            found.append(f"{component.name}: nobody knows where it comes from")
        elif not component.licence and not component.texts:
            found.append(f"{component.name} {component.version}: it names no licence and holds no text")
        elif not component.texts:
            found.append(f"{component.name} {component.version}: the text of {component.licence} is missing")
    return found


def _copy(component: Component, folder: Path) -> int:
    names = {_name_of(path): path for path in component.texts}
    for name, path in names.items():
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
    return len(names)


def _name_of(path: Path) -> str:
    """Return a name that differs for equal names in different folders of one wheel."""
    parts = path.parts
    start = next((i + 1 for i, part in enumerate(parts) if part in ("licenses", "sboms")), len(parts) - 1)
    return "__".join(parts[start:])

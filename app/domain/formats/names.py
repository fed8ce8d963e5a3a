"""Names that an export gives to images, files and classes: plain, unique, the same every time."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from app.domain.classes import ClassTable

_NAME_BYTES = 110
"""Two names, of an image and of its part, make one file name, which may have 255."""


def plain_name(text: str) -> str:
    """Return ``text`` as a file name that every system takes: no slashes, controls, reserved signs."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', "_", text).strip(" .")
    while len(text.encode()) > _NAME_BYTES:
        text = text[:-1]
    return text or "_"


def stems(paths: Sequence[str]) -> list[str]:
    """Return one plain, unique name for each relative path.

    The name without folder and ending where that is unique; else with its folders, then with its ending too
    (``a.jpg`` and ``a.png`` become ``a_jpg`` and ``a_png``).
    """
    levels: tuple[Callable[[str], str], ...] = (
        lambda p: PurePosixPath(p).stem,
        lambda p: "__".join([*PurePosixPath(p).parent.parts, PurePosixPath(p).stem]),
        lambda p: (
            "__".join([*PurePosixPath(p).parent.parts, PurePosixPath(p).stem])
            + PurePosixPath(p).suffix.replace(".", "_")
        ),
    )
    chosen = [""] * len(paths)
    left = list(range(len(paths)))
    taken: set[str] = set()
    for level in levels:
        names = {i: plain_name(level(paths[i])) for i in left}
        counts: dict[str, int] = {}
        for name in names.values():
            counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
        for i, name in names.items():
            if counts[name.casefold()] == 1 and name.casefold() not in taken:
                chosen[i] = name
        taken |= {chosen[i].casefold() for i in left if chosen[i]}
        left = [i for i in left if not chosen[i]]
    for i in left:
        base, number = plain_name(levels[2](paths[i])), 2
        while f"{base}_{number}".casefold() in taken:
            number += 1
        chosen[i] = f"{base}_{number}"
        taken.add(chosen[i].casefold())
    return chosen


def split_of(stem: str, validation_share: float) -> str:
    """Return ``train`` or ``val`` by the name alone: an image stays in its list when others come."""
    number = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:4], "big") / 2**32
    return "val" if number < validation_share else "train"


def label_names(table: ClassTable) -> dict[int, str]:
    """Return a name for each class id, all different; 0 is ``background``, whatever the project calls it."""
    names = unique_names(["background", *(c.name for c in table.classes[1:])])
    return dict(zip([c.id for c in table.classes], names, strict=True))


def file_names(table: ClassTable) -> dict[int, str]:
    """Return one plain, unique file name part for each class but background."""
    classes = sorted(table.classes[1:], key=lambda c: c.id)
    return dict(
        zip([c.id for c in classes], unique_names([plain_name(c.name) for c in classes]), strict=True)
    )


def renamed(table: ClassTable, names: Mapping[int, str], what: str) -> list[str]:
    """Say which classes but background are written under another name; ``what`` a message calls one."""
    return [
        f"the {what} {c.name!r} is written as {names[c.id]!r}"
        for c in table.classes[1:]
        if names[c.id] != c.name
    ]


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where one has come before, whatever its capitals."""
    taken: set[str] = set()
    result = []
    for name in names:
        unique, number = name, 2
        while unique.casefold() in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique.casefold())
        result.append(unique)
    return result


def file_path(path: str) -> str:
    """Return a relative path as one that stays below a folder on every system, with slashes."""
    parts = [plain_name(part) for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "_"

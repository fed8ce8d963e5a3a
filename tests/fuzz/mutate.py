"""Ways to spoil bytes, JSON and text; everything follows from the random generator that is given."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

PLACES = [
    "../../../../evil",
    "/evil",
    "C:\\evil",
    "..\\..\\evil",
    "a/../../../evil",
    "file:///evil",
    "\\\\host\\x",
]
TEXTS = [
    "",
    " ",
    "\0",
    "\n",
    "a" * 5000,
    "\u202eabc",
    "\U0001f600" * 80,
    "'; DROP TABLE images; --",
    "%s%n",
    "NaN",
]
NUMBERS: list[Any] = [
    0,
    -1,
    1,
    255,
    256,
    65536,
    2**31,
    2**63,
    10**30,
    -(2**63),
    0.5,
    -0.0,
    1e308,
    float("nan"),
]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [None], {"": None}, float("inf"), [[0, 0]] * 3]


def spoiled_bytes(content: bytes, chance: random.Random) -> bytes:
    """Return content cut off, flipped, zeroed, doubled or exchanged in places."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        kind = chance.choice(["cut", "flip", "flip", "bytes", "zero", "insert", "length", "repeat"])
        at = chance.randrange(len(data) + 1)
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and data:
            for _ in range(chance.choice([1, 2, 8, 60])):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == "bytes":
            size = min(chance.choice([1, 2, 4, 16]), len(data) - at)
            data[at : at + size] = chance.randbytes(size)
        elif kind == "zero":
            size = min(chance.randrange(1, 400), len(data) - at)
            data[at : at + size] = bytes(size)
        elif kind == "insert":
            data[at:at] = chance.randbytes(chance.choice([1, 7, 300]))
        elif kind == "length":
            value = chance.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 60_000])
            data[at : at + 4] = value.to_bytes(4, chance.choice(["big", "little"]))  # type: ignore[arg-type]
        elif kind == "repeat":
            size = min(chance.randrange(1, 200), len(data) - at)
            data[at:at] = data[at : at + size] * chance.choice([1, 5])
    return bytes(data)


def nasty(chance: random.Random) -> Any:
    """Return a value that nobody expects."""
    return chance.choice(chance.choice([PLACES, TEXTS, NUMBERS, OTHERS]))


def spoiled_value(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with something in it exchanged, missing, doubled or nested."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value, key=str))
        copy = dict(value)
        how = chance.random()
        if how < 0.12:
            del copy[key]
        elif how < 0.2:
            copy[str(nasty(chance))] = copy.pop(key)
        else:
            copy[key] = spoiled_value(value[key], chance)
        return copy
    if isinstance(value, list) and value and chance.random() < 0.85:
        at, copied = chance.randrange(len(value)), list(value)
        how = chance.random()
        if how < 0.12:
            del copied[at]
        elif how < 0.2:
            copied += copied[at : at + 1] * chance.choice([1, 50])
        else:
            copied[at] = spoiled_value(value[at], chance)
        return copied
    if chance.random() < 0.05:
        for _ in range(chance.choice([50, 3000])):
            value = [value]
        return value
    return nasty(chance)


def dumped(value: Any) -> str:
    """Return JSON of a value that may be nested deeper than this end could read it again."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return json.dumps(value)
    finally:
        sys.setrecursionlimit(limit)


def spoiled_json(content: bytes, chance: random.Random) -> bytes:
    """Return a JSON file whose structure is spoilt; of other bytes, spoilt bytes."""
    try:
        value = json.loads(content)
        for _ in range(chance.choice([1, 1, 2, 5])):
            value = spoiled_value(value, chance)
        return dumped(value).encode()
    except (ValueError, RecursionError):
        return spoiled_bytes(content, chance)


def spoiled_text(content: bytes, chance: random.Random) -> bytes:
    """Return a text file (XML, YAML, lists) with a number, a word or a line exchanged."""
    text = content.decode("utf-8", "replace")
    found = list(
        re.finditer(chance.choice([r"-?\d+(\.\d+)?", r'"[^"\n]*"', r"[^\n]+\n", r"\w+", r"<[^>]*>"]), text)
    )
    for match in sorted(
        chance.sample(found, min(len(found), chance.choice([1, 1, 3]))), key=lambda m: -m.start()
    ):
        new = chance.choice([str(nasty(chance)), '"' + str(nasty(chance)) + '"', "", match.group() * 3])
        text = text[: match.start()] + new + text[match.end() :]
    if text.lstrip().startswith("<") and chance.random() < 0.2:
        text = chance.choice(ENTITIES) + re.sub(r"<\?xml[^>]*\?>", "", text).replace("<name>", "<name>&a;", 1)
    return text.encode("utf-8", "surrogateescape")


ENTITIES = [
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE x [<!ENTITY z "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{("&" + a + ";") * 10}">'
        for a, b in zip("zbcdefghij", "bcdefghijka"[:10], strict=False)
    )
    + '<!ENTITY a "&k;&k;">]>',
]
"""An outside file, and a word that becomes ten billion."""


def spoil_file(path: Path, chance: random.Random) -> None:
    """Spoil one file in the way that fits what it is."""
    content = path.read_bytes()
    suffix = path.suffix.lower()
    if chance.random() < 0.25:
        new = spoiled_bytes(content, chance)
    elif suffix in (".json", ".jsonl"):
        new = spoiled_json(content, chance)
    elif suffix in (".xml", ".txt", ".yaml", ".yml", ".csv"):
        new = spoiled_text(content, chance)
    else:
        new = spoiled_bytes(content, chance)
    path.write_bytes(new)


def spoil_tree(folder: Path, chance: random.Random) -> None:
    """Spoil some files of a folder: their content, their names, links and folders in their place."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for path in chance.sample(files, min(len(files), chance.choice([1, 1, 2, 4]))):
        how = chance.random()
        if how < 0.8:
            spoil_file(path, chance)
        elif how < 0.85:
            path.unlink()
        elif how < 0.9:
            path.unlink()
            path.mkdir()
        elif how < 0.95:
            path.unlink()
            path.symlink_to(chance.choice([path, folder, Path("/etc/hostname"), Path("/dev/zero")]))
        else:
            name = chance.choice(
                ["a" * 255, "new\nline" + path.suffix, "\U0001f600" + path.suffix, ".hidden"]
            )
            path.rename(path.with_name(name))

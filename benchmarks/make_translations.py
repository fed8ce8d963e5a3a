"""Write the window's texts for a translator: ``python benchmarks/make_translations.py de [--out FOLDER]``.

Makes or renews ``coordlabel_de.ts``: texts that are translated already stay so, those that are gone go.
Open it in Qt Linguist; ``pyside6-lrelease coordlabel_de.ts`` then makes the file that the window loads. Qt's
own collector knows neither the tables of actions and settings nor texts with a number, hence this one.
"""

from __future__ import annotations

import argparse
import ast
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "resources" / "translations"
FUNCTIONS = {"tr": (0,), "mark": (0,), "plural": (1, 2)}
"""Functions through which texts pass, and which of their arguments are texts."""


def literals(source: str) -> Iterator[str]:
    """Yield the texts that a module hands to the functions of translation."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for place in FUNCTIONS.get(node.func.id, ()):
                value = node.args[place] if place < len(node.args) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def table_texts() -> Iterator[str]:
    """Yield the texts of the tables: actions, menus, settings, statuses."""
    from app.domain.status import Status
    from app.services.settings import SETTINGS
    from app.ui.actions import ACTIONS
    from app.ui.actions.layout import MENUS

    for action in ACTIONS:
        yield from (action.text, action.tip)
    yield from (title for title, _ in MENUS)
    for setting in SETTINGS:
        yield from (setting.title, setting.text, *(setting.choices or {}).values())
    yield from (str(status) for status in Status)


def texts() -> list[str]:
    """Return all texts of the window, each once, sorted."""
    files = sorted((ROOT / "app").rglob("*.py"))
    found = {text for file in files for text in literals(file.read_text(encoding="utf-8"))}
    return sorted((found | set(table_texts())) - {""})


def write(path: Path, language: str) -> int:
    """Write the file of a language, keeping its translations; return how many texts wait for one."""
    from app.ui.texts import CONTEXT

    known: dict[str, str] = {}
    if path.exists():
        for message in ET.parse(path).getroot().iter("message"):  # noqa: S314  a file of this project
            known[message.findtext("source", "")] = message.findtext("translation", "")
    root = ET.Element("TS", version="2.1", language=language, sourcelanguage="en")
    context = ET.SubElement(root, "context")
    ET.SubElement(context, "name").text = CONTEXT
    waiting = 0
    for text in texts():
        message = ET.SubElement(context, "message")
        ET.SubElement(message, "source").text = text
        translation = ET.SubElement(message, "translation")
        translation.text = known.get(text) or None
        if not known.get(text):
            translation.set("type", "unfinished")
            waiting += 1
    ET.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return waiting


def main() -> int:
    """Write the file of one language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", help="such as de or pt_BR")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    path = arguments.out / f"coordlabel_{arguments.language}.ts"
    waiting = write(path, arguments.language)
    print(f"{path}: {len(texts())} texts, {waiting} wait for a translation")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

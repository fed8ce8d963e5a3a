"""What the documents name must be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))
CODE = re.compile(r"`([\w/]+\.py):(\w+(?:\.\w+)?)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def named(document: Path) -> list[tuple[str, str]]:
    return CODE.findall(document.read_text())


def definitions(path: Path) -> set[str]:
    """Names of functions and classes, and of the methods of classes as ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)
            }
    return found


@pytest.mark.parametrize(("file", "name"), sorted(set(named(ROOT / "docs/method.md"))))
def test_code_that_the_method_names_exists(file: str, name: str) -> None:
    assert name in definitions(ROOT / "coordgan_core" / file)


def test_the_method_names_enough_to_be_a_map() -> None:
    assert len(named(ROOT / "docs/method.md")) > 40


def test_paths_of_the_architecture_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    library, rest = text.split("## The application", 1)
    for path in re.findall(r"`([\w/.]+(?:\.py|/))`", library.split("## The library", 1)[1]):
        assert (ROOT / "coordgan_core" / path).exists() or (ROOT / path).exists(), path
    for path in re.findall(r"`((?:app|tests|docs|resources|benchmarks)/[\w/.]*)`", rest):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_library_module_has_its_place_in_the_architecture() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for path in (ROOT / "coordgan_core").glob("*.py"):
        if not path.name.startswith("_"):
            assert f"`{path.name}`" in text, path.name


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs/adr").glob("*.md")]
    assert len(set(numbers)) == len(numbers)
    for path in (ROOT / "docs/adr").glob("*.md"):
        assert re.match(rf"# (ADR[- ])?0*{int(path.name[:4])}\b", path.read_text()), path.name

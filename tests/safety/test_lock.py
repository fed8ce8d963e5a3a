"""What the installers are built from is pinned: versions and hashes, from no place of its own."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "packaging"))  # behind everything else, so that it hides nothing
import locked  # noqa: E402

LOCK = ROOT / "packaging/requirements.lock"


def pinned() -> dict[str, list[str]]:
    """Return name -> versions; several where they differ between systems or versions of Python."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ \\;]+)", LOCK.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dist"])
    ]


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_every_dependency_is_pinned_to_a_version_that_fits(requirement: Requirement) -> None:
    versions = pinned().get(canonicalize_name(requirement.name), [])
    assert versions, "run the command at the head of packaging/requirements.lock again"
    assert any(requirement.specifier.contains(version) for version in versions), versions


def test_every_pin_has_hashes() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK.read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 30
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_no_pin_comes_from_a_place_of_its_own() -> None:
    text = LOCK.read_text()
    for word in ("://", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", " @ ", "file:"):
        assert word not in text, word


def test_nothing_is_pinned_that_nothing_asks_for() -> None:
    """Each entry says what it is there for, up to the project itself: the lock is of this pyproject.toml."""
    asked: dict[str, set[str]] = {}
    for entry in locked.entries(LOCK.read_text()):
        name = canonicalize_name(entry.partition("==")[0])
        reasons = re.findall(r"^    #(?: via)? +([A-Za-z0-9._-]+)", entry, re.MULTILINE)
        asked[name] = {canonicalize_name(reason) for reason in reasons if reason != "via"}
        assert asked[name], f"{name} has no reason"
    direct = {name for name, reasons in asked.items() if "coordlabel" in reasons}
    assert direct == {canonicalize_name(requirement.name) for requirement in wanted()}
    for name, reasons in asked.items():
        assert reasons <= {"coordlabel", *asked}, f"{name} is there for {reasons - set(asked)}"


def test_installers_take_the_lock_and_processors_take_nothing_for_graphics_cards() -> None:
    workflow = (ROOT / ".github/workflows/installers.yml").read_text()
    assert "python packaging/locked.py" in workflow
    assert '".[dist]"' not in workflow
    text = LOCK.read_text()
    lock, torch = locked.for_processors(text)
    assert torch == pinned()["torch"][0]
    left = {entry.partition("==")[0] for entry in locked.entries(lock)}
    gone = {entry.partition("==")[0] for entry in locked.entries(text)} - left
    assert {"torch", "triton", "nvidia-cublas", "cuda-toolkit"} <= gone
    assert not [name for name in gone if not name.startswith(("torch", "triton", "nvidia-", "cuda-"))]
    assert {"numpy", "pillow", "pyinstaller", "setuptools"} <= left
    assert lock.count("--hash=") > 300


def test_the_lock_is_audited_where_a_network_allows() -> None:
    workflow = (ROOT / ".github/workflows/audit.yml").read_text()
    assert "pip-audit --disable-pip --require-hashes -r packaging/requirements.lock" in workflow

"""The tools that judge our formats are installed where the checks run, and each is really asked."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MODULES = {"label-studio-sdk": "label_studio_sdk"}
BROUGHT_ALONG = {"numpy", "PIL", "cv2", "oracle_tools"}


def listed() -> set[str]:
    lines = (ROOT / "tests/oracles.txt").read_text(encoding="utf-8").splitlines()
    names = [re.split(r"[<>=!~ ]", line)[0] for line in lines if line and not line.startswith("#")]
    return {MODULES.get(name, name) for name in names}


def imported(script: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names) - BROUGHT_ALONG


def test_all_tools_that_are_listed_are_asked_and_no_others() -> None:
    assert imported(HERE / "oracle_tools.py") | imported(HERE / "oracle_datasets.py") == listed()


def test_the_checks_install_the_tools_and_name_their_python() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "pip install --quiet --no-compile -r tests/oracles.txt" in script
    assert "export COORDLABEL_ORACLES=" in script
    assert script.index("COORDLABEL_ORACLES=") < script.index("pytest")

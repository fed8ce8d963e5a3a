"""The example of the README is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def python_examples(text: str) -> list[str]:
    """Return the contents of the fenced Python blocks of a Markdown text."""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_examples_are_found() -> None:
    text = "# A\n```python\nx = 1\ny = 2\n```\n\n```\nno\n```\n"
    assert python_examples(text) == ["x = 1\ny = 2\n"]


def test_the_first_example_runs_and_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = python_examples(README.read_text(encoding="utf-8"))
    if not examples:
        pytest.skip("the README has no example yet")
    lines = [line for line in examples[0].splitlines() if line.strip()]
    assert len(lines) <= 12
    monkeypatch.chdir(tmp_path)
    exec(compile(examples[0], "README.md", "exec"), {"__name__": "__main__"})

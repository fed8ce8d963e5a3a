"""The examples of the library guide and of the notebook are run as they stand there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = DOCS / "library-guide.md"
NOTEBOOKS = sorted((DOCS / "examples").glob("*.ipynb"))


def blocks(text: str) -> list[str]:
    """Return the contents of the fenced Python blocks of a Markdown text."""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def code_cells(notebook: Path) -> list[str]:
    """Return the sources of the code cells of a notebook, which is a JSON file."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(source: str, names: dict[str, Any]) -> Any:
    """Run a piece of code as a notebook does; return the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "example", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "example", "exec"), names)
    return eval(compile(ast.Expression(last.value), "example", "eval"), names)


def test_ten_lines_are_ten_lines() -> None:
    first = blocks(GUIDE.read_text(encoding="utf-8"))[0]
    assert len([line for line in first.splitlines() if line.strip()]) <= 10


def test_the_guide_names_all_that_is_public() -> None:
    import coordgan_core

    text = GUIDE.read_text(encoding="utf-8")
    assert [name for name in coordgan_core.__all__ if f"`{name}`" not in text and name != "__version__"] == []


def test_the_guide_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for source in blocks(GUIDE.read_text(encoding="utf-8")):
        run(source, names)
    assert names["confusion"].mean_iou() > 0.5
    for made in ("map.png", "swap.png", "figure-01.png", "labelled/contact_sheet.png", "runs/figures"):
        assert (tmp_path / made).exists(), made
    assert "nowhere.safetensors" in capsys.readouterr().out


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_each_picture_is_one(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run(source, names) for source in code_cells(notebook)]
    pictures = [value for value in shown if value is not None]
    assert len(pictures) >= 5
    for picture in pictures:
        assert isinstance(picture, Image.Image)
        assert len(picture.convert("RGB").getcolors(1 << 20) or [0] * 99) > 3
        picture.close()
    assert names["miou"] > 0.5
    assert names["event"].labelled == 24


def test_notebooks_are_small_and_hold_no_results() -> None:
    assert NOTEBOOKS
    for notebook in NOTEBOOKS:
        assert notebook.stat().st_size < 100_000
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert all(not cell.get("outputs") for cell in cells)

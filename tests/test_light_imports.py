"""Importing must cost nothing that is not needed: a window in a second, a `--help` at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

HEAVY = ("torch", "cv2", "PySide6", "skimage", "scipy", "pyqtgraph")


def loaded_after(statement: str) -> set[str]:
    """Return which heavy modules a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("module", "may_load"),
    [
        ("app", set()),
        ("app.cli", set()),
        ("app.domain", set()),
        ("app.services", set()),
        ("coordgan_core", set()),
        ("coordgan_core.config", set()),
        ("coordgan_core.errors", set()),
        ("coordgan_core.labels", set()),
        ("coordgan_core.presets", set()),
        ("coordgan_core.reports", set()),
        ("coordgan_core.snapshot", set()),
        ("coordgan_core.training.events", set()),
        ("coordgan_core.training.run", set()),
        ("coordgan_core.data.images", {"cv2"}),
        ("resources", set()),
    ],
)
def test_importing_is_light(module: str, may_load: set[str]) -> None:
    assert loaded_after(f"import {module}") <= may_load


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["models"], ["runs"]])
def test_commands_that_only_tell_load_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_after(f"from app.cli import main; assert main({arguments!r}) == 0") == set()


def test_verbs_of_a_project_load_neither_torch_nor_qt(tmp_path: Path) -> None:
    place = tmp_path / "images"
    place.mkdir()
    Image.new("RGB", (8, 8)).save(place / "a.png")
    verbs = ["init", "label-info", "review-list", "validate"]
    statement = "from app.cli import main\n" + "\n".join(
        f"assert main([{verb!r}, {str(place)!r}]) == 0" for verb in verbs
    )
    statement += f"\nmain(['export', {str(place)!r}, {str(tmp_path / 'out')!r}, '--format', 'coco'])"
    assert loaded_after(statement) <= {"cv2"}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_is_there_at_once(argument: str) -> None:
    def seconds() -> float:
        """Processor time, which other programs on the machine do not change."""
        before = os.times()
        subprocess.run([sys.executable, "-m", "app", argument], capture_output=True, check=True)
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    assert min(seconds() for _ in range(3)) < 0.5


def test_public_names_are_found_without_loading_what_they_need() -> None:
    assert loaded_after("import coordgan_core; dir(coordgan_core); coordgan_core.__version__") == set()


def test_threads_are_told_to_sleep_before_torch_is_there() -> None:
    code = "import os\nfrom app.cli import main\nmain(['--version'])\nprint(os.environ['OMP_WAIT_POLICY'])"
    environment = {"PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "PASSIVE"

"""The same inputs give the same labels: again, in another process, shared by two, and after being cut off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from coordgan_core.predictor import Predictor
from coordgan_core.propagation import Labelled, PropagationOptions, Reference, propagate_folder
from tests.core.propagation_stubs import ShiftModel, picture

SHIFTS = [(0.0, 0.0), (0.15, 0.0), (-0.1, 0.1), (0.05, -0.15), (0.12, 0.07), (-0.06, 0.02)]
OPTIONS = PropagationOptions(work_px=64)
OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.safety.test_determinism import propagate
for _ in propagate(Path(sys.argv[1]), Path(sys.argv[2]), workers=4):
    pass
"""


def propagate(images: Path, out: Path, **options: int):
    reference = Reference(*picture(96, 96))
    predictor = Predictor(ShiftModel(), device="cpu", batch=2)
    return propagate_folder(predictor, [reference], images, out, options=OPTIONS, **options)


def results(out: Path) -> dict[str, bytes]:
    """Return everything that tells of labels, byte by byte."""
    kinds = ("labels", "confidence")
    found = {p.relative_to(out).as_posix(): p.read_bytes() for k in kinds for p in (out / k).rglob("*.png")}
    assert len(found) == 2 * len(SHIFTS)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for number, shift in enumerate(SHIFTS):
        width, height = ((96, 96), (120, 80), (80, 130))[number % 3]
        Image.fromarray(picture(width, height, shift)[0]).save(images / f"{number}.png")
    return images


@pytest.fixture
def first(folder: Path, tmp_path: Path) -> dict[str, bytes]:
    list(propagate(folder, tmp_path / "first"))
    return results(tmp_path / "first")


def test_again_gives_the_same_bytes(folder: Path, first: dict[str, bytes], tmp_path: Path) -> None:
    list(propagate(folder, tmp_path / "again"))
    assert results(tmp_path / "again") == first


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_processes_give_the_bytes_of_one(
    folder: Path, first: dict[str, bytes], tmp_path: Path, order: tuple[int, int]
) -> None:
    for rank in order:
        list(propagate(folder, tmp_path / "two", rank=rank, world=2))
    assert results(tmp_path / "two") == first


def test_going_on_gives_the_bytes_of_never_stopping(
    folder: Path, first: dict[str, bytes], tmp_path: Path
) -> None:
    for stop_after in (1, 2):
        cut = propagate(folder, tmp_path / "cut")
        done = 0
        while done < stop_after:
            done += isinstance(next(cut), Labelled)
        cut.close()
    list(propagate(folder, tmp_path / "cut"))
    assert results(tmp_path / "cut") == first


def test_another_process_with_other_threads_and_hashes_gives_the_same_bytes(
    folder: Path, first: dict[str, bytes], tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder), str(tmp_path / "other")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "other") == first

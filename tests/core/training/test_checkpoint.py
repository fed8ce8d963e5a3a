from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from coordgan_core.errors import CheckpointError, DiskFullError
from coordgan_core.training import checkpoint
from coordgan_core.training.stats import RunningMeans
from tests.core.training.toys import assert_same


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    state = {"weights": {"a": torch.randn(3, 2)}, "nimg": 7, "nested": [None, 0.1, (True, "x")]}
    path = checkpoint.write(tmp_path, "one", state)
    assert_same(checkpoint.read(path), state)


def test_the_last_two_stay(tmp_path: Path) -> None:
    for name in ("1", "2", "3", "4"):
        checkpoint.write(tmp_path, name, {"name": name})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.json", "3.pt", "4.json", "4.pt"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def unseal(path: Path) -> None:
    path.with_suffix(".json").unlink()


def break_seal(path: Path) -> None:
    path.with_suffix(".json").write_text("{}")


@pytest.mark.parametrize("damage", [cut, flip, unseal, break_seal])
def test_damage_is_found(tmp_path: Path, damage: object) -> None:
    first = checkpoint.write(tmp_path, "1", {"a": torch.zeros(100)})
    second = checkpoint.write(tmp_path, "2", {"a": torch.ones(100)})
    assert checkpoint.newest(tmp_path) == (second, [])
    damage(second)  # type: ignore[operator]
    assert checkpoint.newest(tmp_path) == (first, [second])


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "nowhere") == (None, [])


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_reading_runs_no_code(tmp_path: Path) -> None:
    torch.save({"weights": Evil(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="UnpicklingError"):
        checkpoint.read(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path) -> None:
    """A file size limit of the operating system stands for the full disk: the error is a real one."""
    resource = pytest.importorskip("resource")
    before = checkpoint.write(tmp_path, "1", {"a": torch.zeros(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskFullError, match="2"):
            checkpoint.write(tmp_path, "2", {"a": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.newest(tmp_path) == (before, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "1.pt"]


def test_running_means_average_what_was_added_since_the_last_read() -> None:
    means = RunningMeans()
    means.add({"loss": torch.tensor(1.0), "r1": torch.tensor([4.0])})
    means.add({"loss": torch.tensor(3.0)})
    assert means.read() == {"loss": 2.0, "r1": 4.0}
    assert means.read() == {}
    means.add({"loss": torch.tensor(5.0)})
    assert means.read(lambda vector: vector * 2) == {"loss": 10.0}

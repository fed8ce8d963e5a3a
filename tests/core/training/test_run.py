from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from coordgan_core.config import Config
from coordgan_core.errors import CheckpointError, ConfigError
from coordgan_core.training import locking
from coordgan_core.training import run as run_module
from coordgan_core.training.events import Notice
from coordgan_core.training.pace import Budget
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus, find_runs
from coordgan_core.training.stats import JsonLines, read_lines


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", RunSettings(Config(), "photos", "labels", "cpu"))


def test_settings_come_back(folder: RunFolder) -> None:
    opened = RunFolder.open(folder.path)
    assert opened.settings.config == Config()
    assert opened.settings.images == str(Path("photos").absolute())
    assert opened.settings.labels == str(Path("labels").absolute())
    assert opened.settings.device == "cpu"


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json"])
def test_a_damaged_configuration_is_an_error(folder: RunFolder, content: str) -> None:
    (folder.path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        RunFolder.open(folder.path)


def test_an_unknown_field_is_an_error(folder: RunFolder) -> None:
    path = folder.path / "config.json"
    document = json.loads(path.read_text())
    document["config"]["train"]["magic"] = 1
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="magic"):
        RunFolder.open(folder.path)


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no training"):
        RunFolder.open(tmp_path)


def test_runs_are_found(tmp_path: Path) -> None:
    for name in ("b", "a"):
        RunFolder.create(tmp_path / name, RunSettings(Config(), "photos"))
    (tmp_path / "other").mkdir()
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]
    assert find_runs(tmp_path / "nowhere") == []


def test_a_request_is_taken_once(folder: RunFolder) -> None:
    assert folder.take_request() is None
    folder.request("pause")
    assert RunFolder.open(folder.path).take_request() == "pause"
    assert folder.take_request() is None
    (folder.path / "request").write_text('"explode"')
    assert folder.take_request() is None


def test_a_dead_trainer_is_told_from_a_living_one(folder: RunFolder) -> None:
    assert folder.status().state == "new"
    folder.write_status(RunStatus("running", "gan", 5, 10))
    assert folder.status() == RunStatus("interrupted", "gan", 5, 10)
    with folder.locked():
        assert folder.status() == RunStatus("running", "gan", 5, 10)


def test_the_lock_is_exclusive_and_let_go(folder: RunFolder) -> None:
    lock = folder.path / "lock"
    assert not locking.is_held(lock)
    with folder.locked():
        assert locking.is_held(lock)
        assert lock.read_text() == str(os.getpid())
        with pytest.raises(CheckpointError), RunFolder.open(folder.path).locked():
            pass
    assert not locking.is_held(lock)


def test_the_newest_snapshot_is_the_model_and_old_ones_go(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "KEEP_SNAPSHOTS", 2)
    for nimg in range(4):
        path = folder.snapshot_path(0, "gan", nimg)
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(nimg))
        os.utime(path, (nimg, nimg))
        folder.publish(path)
    assert folder.model_path.read_text() == "3"
    assert sorted(path.read_text() for path in path.parent.iterdir()) == ["2", "3"]


def test_discarding_spares_what_is_not_the_trainings(folder: RunFolder) -> None:
    (folder.path / "mine.txt").write_text("mine")
    (folder.path / "checkpoints").mkdir()
    folder.discard()
    assert [path.name for path in folder.path.iterdir()] == ["mine.txt"]


def test_a_line_cut_by_a_kill_costs_only_itself(folder: RunFolder) -> None:
    folder.log(Notice("one"))
    path = folder.path / "stats.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"event": "notice", "mess')
    RunFolder.open(folder.path).log(Notice("two"))
    assert list(folder.events()) == [Notice("one"), Notice("two")]
    assert [line["event"] for line in read_lines(path)] == ["notice", "notice"]


def test_the_plan_comes_back(folder: RunFolder) -> None:
    assert folder.plan() == {}
    assert folder.budget() is None
    folder.write_budget(Budget.of(2.0, active_sec=10.0))
    folder.write_plan({"gan": 128})
    assert folder.plan() == {"gan": 128}
    assert folder.budget() == Budget(130.0, 142.0)
    folder.write_budget(Budget(1.0, 2.0))
    assert (folder.plan(), folder.budget()) == ({"gan": 128}, Budget(1.0, 2.0))


def test_a_new_log_begins_empty(tmp_path: Path) -> None:
    JsonLines(tmp_path / "deep/log").write("{}")
    assert (tmp_path / "deep/log").read_bytes() == b"{}\n"

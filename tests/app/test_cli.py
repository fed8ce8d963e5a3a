from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from app import cli
from app.cli import main
from app.commands import window
from coordgan_core._version import __version__


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"coordlabel {__version__}\n"


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("demo", "train", "resume", "runs", "maps", "swap", "track", "models", "doctor"):
        assert f" {name} " in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["train"],
        ["train", "--images", "x", "--run", "y", "--preset", "nope"],
        ["train", "--images", "x", "--run", "y", "--preset", "paper-128", "--set", "train.batch"],
        ["train", "--images", "x", "--run", "y", "--preset", "paper-128", "--set", "train.batch=1"],
        ["train", "--images", "x", "--run", "y", "--preset", "paper-128", "--set", "train.nothing=1"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.err
    assert "Traceback" not in streams.err


def test_an_error_says_what_was_found_expected_and_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", str(tmp_path)]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith(f"Error: {tmp_path} holds no training. Expected a run folder")
    assert streams.err.count("\n") == 1


def test_with_json_an_error_is_an_object_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(tmp_path), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)
    assert error["event"] == "error"
    assert error["kind"] == "CheckpointError"
    assert error["found"] == f"{tmp_path} holds no training"


def test_only_no_command_or_a_path_opens_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "train").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.opens_window([])
    assert cli.opens_window(["photos"])
    assert cli.opens_window([str(tmp_path)])
    assert cli.opens_window(["--profile", "anywhere"])
    assert not cli.opens_window(["train"])  # a command goes before a folder of that name
    assert not cli.opens_window(["nowhere"])
    assert not cli.opens_window(["--help"])


def test_the_window_gets_the_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Launch:
        @staticmethod
        def main(arguments: list[str]) -> int:
            seen.append(arguments)
            return 7

    monkeypatch.setattr(window.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(window, "has_display", lambda environment, system: True)
    monkeypatch.setattr(window.importlib, "import_module", lambda name: Launch)
    assert window.open_window([str(tmp_path)]) == 7
    assert seen == [[str(tmp_path)]]


def test_without_a_display_the_window_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert window.has_display({"DISPLAY": ":0"}, "linux")
    assert window.has_display({}, "win32")
    assert not window.has_display({"DISPLAY": ""}, "linux")
    monkeypatch.setattr(window, "has_display", lambda environment, system: False)
    assert main([]) == 1
    assert "there is no display" in capsys.readouterr().err


def test_an_interrupt_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from app.commands import doctor

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupted)
    assert main(["doctor"]) == 130
    assert "Cancelled" in capsys.readouterr().err


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_what_the_system_refuses_is_told_without_a_traceback(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(tmp_path / "x"))

    monkeypatch.setattr("app.domain.project.Project.open", refuse)
    (tmp_path / "images" / ".coordlabel").mkdir(parents=True)
    (tmp_path / "images" / ".coordlabel" / "project.json").write_text("{}")
    assert main(["label-info", str(tmp_path / "images"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["found"] == f"{tmp_path / 'x'}: {os.strerror(code)}"
    assert os.strerror(code) in err
    assert "Traceback" not in err

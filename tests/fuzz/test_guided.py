"""Fuzzing led by coverage: what its bytes mean, that it finds something, and what it says without atheris."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as program
from tests.fuzz import guided


def test_bytes_are_choices_and_then_chance() -> None:
    data = random.Random(1).randbytes(64)
    first, again = guided.Choices(data), guided.Choices(data)
    values = [first.randrange(1000) for _ in range(200)]
    assert values == [again.randrange(1000) for _ in range(200)]
    assert guided.Choices(b"\0" * 8).getrandbits(64) == 0
    assert guided.Choices(b"\xff" * 7).random() == pytest.approx(1.0)
    assert guided.Choices(b"\0" * 4).choice("ab") == "a"
    assert len(guided.Choices(b"\0" * 400).sample(range(1000), 30)) == 30, (
        "ends, though all bytes are the same"
    )
    assert guided.Choices(b"\x80" + b"\0" * 3).getrandbits(1) == 1


def test_without_atheris_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guided, "is_installed", lambda: False)
    monkeypatch.setattr(sys, "argv", ["fuzz", "--engine", "atheris", "--target", "import"])
    assert program.main() == 2
    assert 'pip install -e ".[fuzz]"' in capsys.readouterr().err


def test_an_unknown_target_is_told_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--target", "imports"])
    with pytest.raises(SystemExit):
        program.main()
    assert "label map" in capsys.readouterr().err


def test_what_fails_is_kept_once_a_place_with_how_to_feed_it_again(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        try:
            raise ValueError(data.decode())
        except ValueError as error:
            guided._keep(tmp_path, "import", data, error)
    (told,) = tmp_path.glob("*.txt")
    assert told.with_suffix("").read_bytes() == b"one"
    assert f"--target import --input {told.with_suffix('')}" in told.read_text()


def test_the_log_of_a_process_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[list[str]] = []

    def play(command: list[str], *, stdout: object, **_: object) -> None:
        artifacts = Path(next(a for a in command if a.startswith("-artifact_prefix=")).partition("=")[2])
        names = ["crash-a", "timeout-b", ""]
        if names[len(runs)]:
            (artifacts / names[len(runs)]).write_bytes(b"x")
        runs.append(command)
        stdout.write(b"#8 NEW cov: 9\n#120 pulse\n" if len(runs) < 3 else b"Done 300 runs in 2 second(s)\n")  # type: ignore[attr-defined]
        if len(runs) == 3:
            monkeypatch.setattr("time.monotonic", lambda: 1e12)

    monkeypatch.setattr(subprocess, "run", play)
    report = guided.run(tmp_path, "import", seconds=60.0)
    assert (report.inputs, report.crashes, report.hangs) == (540, 1, 1)
    assert len(report.problems) == 2
    assert len(list((tmp_path / "corpus").iterdir())) == guided.SEEDS


@pytest.mark.parametrize("target", ["import", "text"])
def test_a_kept_input_can_be_fed_again(tmp_path: Path, target: str) -> None:
    feed = guided.feeder(target, tmp_path)
    for seed in range(3):
        feed(random.Random(seed).randbytes(2000))
    assert (tmp_path / "input").is_dir()

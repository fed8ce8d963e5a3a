"""Processes whose lines are told in the window's thread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.services.child import Child
from tests.app.conftest import WaitUntil

Make = Callable[[str], Child]


@pytest.fixture
def make(qapp: object) -> Iterator[Make]:
    made: list[Child] = []

    def build(code: str) -> Child:
        made.append(Child([sys.executable, "-c", code]))
        return made[-1]

    yield build
    for child in made:
        child.close()


def test_lines_come_whole_and_the_end_comes_after_them(make: Make, wait_until: WaitUntil) -> None:
    child = make("import sys; sys.stdout.write('one\\n\\ntwo\\nrest'); sys.stderr.write('why'); sys.exit(3)")
    told: list[object] = []
    child.lineRead.connect(told.append)
    child.ended.connect(lambda code, crashed: told.append((code, crashed)))
    child.start()
    wait_until(lambda: told and isinstance(told[-1], tuple))
    assert told == [b"one", b"two", (3, False)]
    assert child.unfinished_bytes == len("rest")
    assert child.errors() == "why"


def test_who_closes_it_at_a_line_hears_no_more(make: Make, wait_until: WaitUntil) -> None:
    child = make("print('one\\ntwo', flush=True); input()")
    told: list[object] = []

    def take(line: object) -> None:
        told.append(line)
        child.close()

    child.lineRead.connect(take)
    child.ended.connect(lambda code, _crashed: told.append(code))
    child.start()
    wait_until(lambda: told)
    assert told == [b"one"]
    assert child.process_id == 0


def test_a_farewell_lets_it_end_by_itself(
    make: Make, wait_until: WaitUntil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.child._END_MS", 60_000)
    heard = tmp_path / "heard"
    child = make(
        "import pathlib, sys; print('here', flush=True); "
        f"pathlib.Path({str(heard)!r}).write_text(sys.stdin.readline())"
    )
    lines: list[object] = []
    child.lineRead.connect(lines.append)
    child.start()
    wait_until(lambda: lines)
    child.close(farewell=b"go\n")
    assert heard.read_text() == "go\n"


def test_what_cannot_be_started_is_told(qapp: object, wait_until: WaitUntil) -> None:
    child = Child(["/nowhere/to/be/found"])
    told: list[str] = []
    child.notStarted.connect(told.append)
    child.start()
    wait_until(lambda: told)
    assert told[0]
    child.close()

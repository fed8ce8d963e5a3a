"""The smoke test itself: a stand-in for the program, good and bad in one way at a time."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import smoke_test
from installers import place
from installers.contents import has_openvino
from installers.product import product

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

SCRIPT = """#!/bin/sh
here=${{0%/*}}
case "$1" in
--version) echo 'coordlabel {version}' ;;
doctor) echo '{{"findings": {findings}, "system": {{"executable": "'"{executable}"'", "python": "3"}},' \
    '"versions": {{"torch": "{torch}"}}}}' ;;
selftest)
    {misdeed}
    echo 'noise'
    echo '{{"event": "step", "name": "window", "seconds": 0.1, "seen": {{"libraries": {libraries}}}}}'
    case "$*" in *--start-only*) exit 0 ;; esac
    echo '{{"event": "step", "name": "engine", "seen": {{"model": "sample", "runtime": "{runtime}"}}}}'
    echo '{{"event": "step", "name": "propagated", "seen": {{"images": 23}}}}'
    echo '{{"event": "step", "name": "exported", "seen": {{"files": 24}}}}'
    for model in {models}; do
        echo '{{"event": "step", "name": "model", "seen": {{"model": "'$model'", "runtime": "{other}"}}}}'
    done
    {exploring}
    {training}
    echo '{{"event": "{end}"}}' ;;
demo) echo '{{"labelled": {labelled}, "failed": 0, "miou": {miou}, "runtime": "{demo}"}}' ;;
*) exit 2 ;;
esac
[ -z "$PYTHONPATH$LD_LIBRARY_PATH$QT_QPA_PLATFORM$DISPLAY" ] || exit 9
"""
RUNTIME = "OpenVINO 2026.4.1" if has_openvino() else "PyTorch 2.13.0"
OTHER = "PyTorch 2.13.0" if has_openvino() else "OpenVINO 2026.4.1"
GOOD: dict[str, Any] = {
    "version": product().version,
    "findings": "[]",
    "executable": "$here/coordlabel",
    "torch": "2.13",
    "libraries": "[]",
    "misdeed": ":",
    "runtime": RUNTIME,
    "other": RUNTIME,
    "demo": RUNTIME,
    "models": " ".join(sorted(smoke_test.bundled_models() - {"sample"})),
    "exploring": """echo '{"event": "step", "name": "explored", "seen": {"pictures": 4}}'""",
    "training": """echo '{"event": "step", "name": "trained", "seen": {"model_bytes": 20000000}}'""",
    "end": "passed",
    "labelled": 23,
    "miou": 0.9,
}


def make(folder: Path, **differences: Any) -> Path:
    """Write a bundle whose program behaves well, but for the differences."""
    folder.mkdir(parents=True)
    program = folder / "coordlabel"
    program.write_text(SCRIPT.format(**{**GOOD, **differences}))
    program.chmod(0o755)
    return folder


@pytest.fixture
def spot(tmp_path: Path) -> Path:
    """An empty folder to which other users can come."""
    for folder in (tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "spot").mkdir()
    return tmp_path / "spot"


def tried(spot: Path, **differences: Any) -> list[str]:
    """Install a stand-in and return the names of the checks that failed."""
    artefact = make(spot.parent / "CoordLabel", **differences)
    installed = place.install(artefact, spot)
    try:
        return smoke_test.test_installed(installed)
    finally:
        place.make_writable(spot)


def test_a_good_artefact_passes(
    spot: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/tester")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/tester")
    assert tried(spot) == []
    told = capsys.readouterr().out
    assert f"23 images labelled with sample, cars, cats, faces, faces-wide, xrays run by {RUNTIME}" in told
    assert "24 exported, 4 drawn in Explore, a model of 20 MB trained" in told


@pytest.mark.parametrize(
    ("differences", "failed"),
    [
        ({"version": "0.0.1"}, ["version"]),
        (
            {"findings": '[{"problem": "the package torch is missing", "cure": "", "serious": true}]'},
            ["doctor"],
        ),
        ({"executable": "/usr/bin/python3"}, ["doctor"]),
        ({"torch": "missing"}, ["doctor"]),
        ({"libraries": '["torch"]'}, ["start"]),
        ({"end": "error"}, ["work"]),
        ({"training": ":"}, ["work"]),
        ({"exploring": ":"}, ["work"]),
        ({"models": "cars cats faces xrays"}, ["work"]),
        ({"runtime": OTHER}, ["work"]),
        ({"other": OTHER}, ["work"]),
        ({"demo": OTHER}, ["command"]),
        ({"misdeed": "exit 1"}, ["start", "work"]),
        ({"labelled": 22}, ["command"]),
        ({"miou": 0.2}, ["command"]),
    ],
)
def test_one_fault_is_found(spot: Path, differences: dict[str, Any], failed: list[str]) -> None:
    assert tried(spot, **differences) == failed


def test_a_slow_start_is_found(spot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = place.install(make(spot.parent / "CoordLabel", misdeed="/bin/sleep 0.2"), spot)
    monkeypatch.setattr(smoke_test, "STARTS", 1)
    monkeypatch.setattr(smoke_test, "is_busy", lambda: False)
    with pytest.raises(smoke_test.SmokeError, match="at most"):
        smoke_test.check_start(installed, 0.1)
    monkeypatch.setattr(smoke_test, "is_busy", lambda: True)
    assert "judged by the processor" in smoke_test.check_start(installed, 0.1)
    place.make_writable(spot)


def test_a_change_of_the_installed_folder_is_found(spot: Path) -> None:
    installed = place.install(make(spot.parent / "CoordLabel"), spot)
    before = place.fingerprint(installed.folder)
    place.make_writable(spot)
    (installed.folder / "cache").write_text("x")
    assert dict(before.items() ^ place.fingerprint(installed.folder).items()).keys() == {"cache"}


def test_it_is_installed_unkindly(spot: Path) -> None:
    installed = place.install(make(spot.parent / "CoordLabel"), spot)
    name = installed.folder.name
    assert " " in name
    assert not name.isascii()
    assert all(not path.stat().st_mode & 0o222 for path in [installed.folder, *installed.folder.rglob("*")])
    environment = installed.environment()
    assert set(environment) == {"HOME", "TMPDIR", "PATH", "LANG"}
    assert not Path(environment["PATH"]).exists()
    if os.geteuid() == 0:
        assert installed.as_user()["user"] == place.NOBODY
    place.make_writable(spot)


def test_in_another_root_paths_are_those_of_that_root(tmp_path: Path) -> None:
    folder, space = tmp_path / "tmp" / "odd", tmp_path / "tmp" / "space"
    installed = place.Installed(folder, Path("/tmp/odd/coordlabel"), space, tmp_path, 65534)
    chroot, *others = installed.command("doctor")
    assert Path(chroot).is_absolute(), "its environment names no path"
    assert others[:2] == ["--userspec=65534:65534", str(tmp_path)]
    assert others[2:] == ["/usr/bin/env", "-C", "/tmp/space", "/tmp/odd/coordlabel", "doctor"]
    assert installed.environment()["HOME"] == "/tmp/space/home"
    assert installed.as_user() == {}


def test_libraries_from_elsewhere_are_seen() -> None:
    maps = """7f00-7f01 r-xp 00000000 08:01 1 /odd place/_internal/libpython3.11.so.1.0
7f01-7f02 r-xp 00000000 08:01 2 /usr/lib/x86_64-linux-gnu/libc.so.6
7f02-7f03 r-xp 00000000 08:01 3 /usr/lib/x86_64-linux-gnu/libQt6Core.so.6
7f03-7f04 r-xp 00000000 00:00 0 [heap]
7f04-7f05 r-xp 00000000 00:00 0
7f05-7f06 r-xp 00000000 08:01 4 /usr/lib/libpython3.12.so.1.0
"""
    assert place.foreign(maps, "/odd place") == [
        "/usr/lib/libpython3.12.so.1.0",
        "/usr/lib/x86_64-linux-gnu/libQt6Core.so.6",
    ]


def test_what_is_no_artefact_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert smoke_test.main([str(tmp_path / "notes.txt")]) == 2
    (tmp_path / "empty").mkdir()
    assert smoke_test.main([str(tmp_path / "empty")]) == 2
    assert "Expected" in capsys.readouterr().err


def test_the_main_function_tells_and_cleans_up(spot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artefact = make(spot.parent / "CoordLabel", miou=0.1)
    before = {path.name for path in Path(os.environ.get("TMPDIR", "/tmp")).glob("smoke-*")}
    assert smoke_test.main([str(artefact)]) == 1
    assert "failed: command" in capsys.readouterr().out
    assert {path.name for path in Path(os.environ.get("TMPDIR", "/tmp")).glob("smoke-*")} <= before
    assert json.dumps(sorted(p.name for p in artefact.iterdir())) == '["coordlabel"]'

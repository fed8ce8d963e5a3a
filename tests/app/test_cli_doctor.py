from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.commands import doctor


def test_it_tells_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["versions"]["torch"].startswith("2.13")
    assert report["devices"]["cpu"].endswith("threads")
    assert report["opencv"]["contributed modules"]
    assert "offscreen" in report["qt"]["platforms"]
    assert code == int(any(finding["serious"] for finding in report["findings"]))


def test_people_get_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    text = capsys.readouterr().out
    assert "versions:" in text
    assert "  torch: 2.13" in text


def test_two_packages_of_opencv_are_a_finding() -> None:
    assert list(doctor.opencv_findings(["opencv-contrib-python-headless"])) == []
    (finding,) = doctor.opencv_findings(["opencv-python", "opencv-contrib-python-headless"])
    assert "pip uninstall -y opencv-python opencv-contrib-python-headless" in finding.cure


def test_missing_and_foreign_versions_are_findings() -> None:
    good = {"torch": "2.13.0+cpu", "numpy": "2.1"}
    assert list(doctor.version_findings(good)) == []
    problems = [f.problem for f in doctor.version_findings({"torch": "2.4.1", "numpy": "missing"})]
    assert problems == ["the package numpy is missing", "torch is 2.4.1; this version is tested with 2.13"]


@pytest.mark.parametrize(
    ("environment", "system", "words"),
    [
        ({"DISPLAY": ":0"}, "linux", ""),
        ({}, "darwin", ""),
        ({}, "linux", "no display"),
        ({"QT_PLUGIN_PATH": "/x"}, "win32", "QT_PLUGIN_PATH is set to /x"),
        ({"QT_API": "pyqt5"}, "win32", "QT_API is pyqt5"),
        ({"OMP_WAIT_POLICY": "active"}, "win32", "OMP_WAIT_POLICY is active"),
    ],
)
def test_the_environment_is_checked(environment: dict[str, str], system: str, words: str) -> None:
    problems = [finding.problem for finding in doctor.environment_findings(environment, system)]
    assert len(problems) == bool(words)
    assert all(words in problem for problem in problems)


def test_a_folder_that_is_not_there_yet_counts_as_its_parent(tmp_path: Path) -> None:
    assert doctor.is_writable(tmp_path / "new/er")
    assert not doctor.is_writable(Path("/proc/nothing"))

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
    assert report["devices"]["models on the cpu"].startswith(("run by OpenVINO", "run by PyTorch"))
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


def test_a_build_of_opencv_that_brings_qt_or_lacks_modules_is_a_finding() -> None:
    whole = {"window system": "NONE", "contributed modules": True}
    assert list(doctor.opencv_findings(["opencv-contrib-python-headless"], whole)) == []
    (finding,) = doctor.opencv_findings(["opencv-contrib-python"], {**whole, "window system": "QT5"})
    assert "Qt of its own" in finding.problem
    (finding,) = doctor.opencv_findings(["opencv-python-headless"], {**whole, "contributed modules": False})
    assert "pip install opencv-contrib-python-headless" in finding.cure


@pytest.mark.parametrize(
    ("versions", "python", "words"),
    [
        ({"PySide6-Essentials": "6.10.1", "shiboken6": "6.10.1"}, (3, 11), []),
        ({"PySide6-Essentials": "6.12.0", "shiboken6": "6.12.0"}, (3, 12), []),
        ({}, (3, 11), []),
        ({"PySide6-Essentials": "6.12.0"}, (3, 11), ["crashes with Python 3.11"]),
        ({"PySide6-Essentials": "6.11.1"}, (3, 13), ["QTBUG-147209"]),
        ({"PySide6-Essentials": "6.10.1", "shiboken6": "6.9.0"}, (3, 11), ["several versions"]),
        ({"PySide6-Essentials": "6.10.1", "PyQt5": "5.15"}, (3, 11), ["another Qt"]),
    ],
)
def test_what_does_not_fit_of_qt_is_a_finding(
    versions: dict[str, str | None], python: tuple[int, int], words: list[str]
) -> None:
    findings = list(doctor.qt_findings(versions, python))
    assert [word in finding.problem for word, finding in zip(words, findings, strict=True)] == [True] * len(
        words
    )
    assert all("pip" in finding.cure for finding in findings)


def test_little_space_a_missing_library_and_a_driver_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_disk", lambda: {"working folder": 0.2, "models folder": None})
    monkeypatch.setattr(doctor, "_qt", lambda: {"version": "6", "missing library": "libxcb-cursor"})
    monkeypatch.setattr(doctor, "_devices", lambda: {"cpu": "1 threads", "cuda build": "13.0"})
    problems = " ".join(finding.problem for finding in doctor.examine()[1])
    for words in ("0.2 GB left", "libxcb-cursor is missing", "there is no CUDA device"):
        assert words in problems


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

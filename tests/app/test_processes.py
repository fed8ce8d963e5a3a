"""How the program starts itself again, from a checkout and frozen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import frozen, processes
from coordgan_core.torch_folder import TORCH_VARIABLE, use_torch_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def frozen_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend to be the installed application; return its folder."""
    (tmp_path / "coordlabel").touch()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path / "_internal"), raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "coordlabel"))
    for name in ("APPIMAGE", "APPDIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_from_a_checkout_children_are_this_python_and_this_project(tmp_path: Path) -> None:
    assert processes.engine_command() == [sys.executable, "-m", "coordgan_core.engine"]
    environment = processes.child_environment({"PYTHONPATH": f"/other{os.pathsep}{ROOT}"})
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/other"]
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    done = subprocess.run(
        processes.command("--version"),
        env=processes.child_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("coordlabel ")


def test_frozen_children_are_the_application_itself(frozen_at: Path) -> None:
    program = str(frozen_at / "coordlabel")
    assert processes.engine_command() == [program, processes.ENGINE_FLAG]
    assert processes.probe_command() == [program, processes.ENGINE_FLAG, "--probe"]
    assert processes.command("resume", "run") == [program, "resume", "run"]
    assert "PYTHONPATH" not in processes.child_environment({})


def test_on_windows_children_have_streams(frozen_at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert processes.engine_command()[0] == str(frozen_at / "coordlabel"), "if it is not there"
    (frozen_at / processes.CONSOLE_NAME).touch()
    assert processes.engine_command()[0] == str(frozen_at / processes.CONSOLE_NAME)


def test_a_training_outlives_the_image_that_the_window_has_mounted(
    frozen_at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = frozen_at / "CoordLabel.AppImage"
    image.touch()
    monkeypatch.setenv("APPIMAGE", str(image))
    monkeypatch.setenv("APPDIR", "/of/another/image")
    assert processes.command("resume")[0] == str(frozen_at / "coordlabel")
    monkeypatch.setenv("APPDIR", str(frozen_at))
    assert processes.command("resume") == [str(image), "resume"]
    assert processes.engine_command()[0] == str(frozen_at / "coordlabel"), "it ends with the window anyway"


def test_other_programs_get_their_own_libraries(frozen_at: Path) -> None:
    ours = str(frozen_at / "_internal")
    environment = {
        "LD_LIBRARY_PATH": ours,
        "LD_LIBRARY_PATH_ORIG": "/of/the/user",
        "DYLD_LIBRARY_PATH": ours,
        "QT_PLUGIN_PATH": f"{ours}/PySide6/Qt/plugins",
        "QML2_IMPORT_PATH": "/of/the/user",
    }
    processes.restore_library_path(environment)
    processes.forget_qt_paths(environment)
    assert environment == {"LD_LIBRARY_PATH": "/of/the/user", "QML2_IMPORT_PATH": "/of/the/user"}


def test_without_a_console_there_are_streams_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    frozen.give_streams()
    opened = sys.stdout
    opened.write("nobody reads this")
    opened.close()


@pytest.mark.parametrize("flag", [True, False])
def test_the_flag_makes_it_the_engine(flag: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(sys, "argv", ["coordlabel", *([processes.ENGINE_FLAG] if flag else ["--version"])])
    monkeypatch.setattr("coordgan_core.engine.__main__.main", lambda: called.append("engine") or 0)
    monkeypatch.setattr("app.cli.main", lambda: called.append("command") or 0)
    assert frozen.main() == 0
    assert called == ["engine" if flag else "command"]


def test_a_private_torch_goes_first_and_a_missing_one_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["/first"])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    environment = {TORCH_VARIABLE: str(tmp_path)}
    assert use_torch_folder(environment) is None
    assert environment == {}
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    environment = {TORCH_VARIABLE: str(tmp_path)}
    assert use_torch_folder(environment) == tmp_path
    assert sys.path == [str(tmp_path), "/first"]
    assert use_torch_folder({}) is None

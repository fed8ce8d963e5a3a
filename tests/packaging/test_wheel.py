"""What `pip install` of the wheel gives, in an environment of its own, without a network."""

from __future__ import annotations

import importlib.metadata
import os
import sysconfig
from pathlib import Path

import check_wheel
import pytest

# by its metadata: packaging/build.py of this project goes by the same name
HAS_BUILD = any(found.name == "build" for found in importlib.metadata.distributions())
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_BUILD, reason="build is not installed")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, made from the sdist as installers of others make it, and the sdist."""
    return check_wheel.build(tmp_path_factory.mktemp("dist"), isolated=False)


def test_the_wheel_holds_the_program_its_resources_and_nothing_else(built: tuple[Path, Path]) -> None:
    assert check_wheel.wheel_problems(built[0]) == []


def test_the_sdist_holds_what_the_wheel_is_made_of(built: tuple[Path, Path]) -> None:
    assert check_wheel.sdist_problems(built[1]) == []


def test_in_a_clean_environment_the_commands_are_there(built: tuple[Path, Path], tmp_path: Path) -> None:
    needs = os.pathsep.join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    found = check_wheel.use(built[0], tmp_path.resolve() / "clean", with_needs=False, python_path=needs)
    assert found == []


def test_stray_names_are_found() -> None:
    names = [
        *check_wheel.NEEDED,
        "tests/test_x.py",
        "packaging/build.py",
        "app/__pycache__/x.pyc",
        "x.dist-info/A",
    ]
    told = check_wheel.names_problems(names)
    assert told == [
        "packaging is no name of ours",
        "tests is no name of ours",
        "app/__pycache__/x.pyc does not belong into a wheel",
    ]
    assert check_wheel.names_problems(["app/cli.py"])[0] == "app/frozen.py is missing"

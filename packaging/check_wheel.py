"""Checks what installing wheel and sdist gives: ``python packaging/check_wheel.py [--install]``.

The commands, the resources, and no top-level name but those of docs/adr/0001. With ``--install`` the wheel is
installed with all it needs into a clean environment, and used there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from installers.product import ROOT, product

TOP_LEVEL = frozenset({"app", "coordgan_core", "resources"})
"""Names that a wheel may put beside those of others (docs/adr/0001)."""

NEEDED = (
    "app/cli.py",
    "app/frozen.py",
    "coordgan_core/_version.py",
    "coordgan_core/engine/__main__.py",
    "resources/__init__.py",
    "resources/icons/coordlabel.svg",
    "resources/sample_project/classes.json",
    "resources/sample_project/images/figure-01.jpg",
)
SOURCES = ("app", "coordgan_core", "resources", "pyproject.toml", "README.md")


def build(out: Path, *, isolated: bool = True) -> tuple[Path, Path]:
    """Build wheel and sdist of a copy of the checkout; return their files.

    Args:
        out: Folder for them.
        isolated: Whether the build's own needs are installed apart; otherwise this environment has them.
    """
    with tempfile.TemporaryDirectory(prefix="coordlabel-wheel-") as made:
        copy = Path(made) / "source"
        copy.mkdir()
        for name in (*SOURCES, *(path.name for path in ROOT.glob("LICEN[CS]E*"))):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copyfile(source, copy / name)
        options = [] if isolated else ["--no-isolation", "--skip-dependency-check"]
        subprocess.run(
            [sys.executable, "-m", "build", *options, "--outdir", str(out), str(copy)],
            check=True,
            cwd=made,
            stdout=subprocess.DEVNULL,
        )
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def wheel_problems(wheel: Path) -> list[str]:
    """Return what is wrong with the content of a wheel, in words."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next((n for n in names if n.endswith(".dist-info/entry_points.txt")), "")
        commands = archive.read(entry_points).decode() if entry_points else ""
    found = names_problems(names)
    if "coordlabel = app.cli:main" not in commands:
        found.append("the command coordlabel is missing")
    if f"coordlabel-{product().version}" not in wheel.name:
        found.append(f"{wheel.name} is not of version {product().version}")
    found += [f"{name} is missing" for name in _model_names() if name not in names]
    return found


def names_problems(names: Iterable[str]) -> list[str]:
    """Return what is missing or too much among the files of a wheel."""
    listed = set(names)
    tops = {name.partition("/")[0] for name in listed}
    stray = sorted(top for top in tops if top not in TOP_LEVEL and not top.endswith((".dist-info", ".data")))
    junk = sorted(name for name in listed if "__pycache__" in name or name.endswith((".pyc", ".part")))
    return [
        *(f"{top} is no name of ours" for top in stray),
        *(f"{name} does not belong into a wheel" for name in junk),
        *(f"{name} is missing" for name in NEEDED if name not in listed),
    ]


def sdist_problems(sdist: Path) -> list[str]:
    """Return what is missing in a sdist: everything from which the wheel is built."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = (*NEEDED, *_model_names(), "pyproject.toml")
    return [f"{name} is missing in the sdist" for name in needed if name not in names]


def use(wheel: Path, folder: Path, *, with_needs: bool = True, python_path: str = "") -> list[str]:
    """Install a wheel into a clean environment below ``folder``, use it there, and return what is wrong.

    Args:
        wheel: The wheel.
        folder: Becomes the environment.
        with_needs: Whether what it needs is installed too.
        python_path: Where else what it needs is found.
    """
    venv.create(folder, with_pip=True, clear=True)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(scripts / "python")
    options = ["--quiet", "--disable-pip-version-check", *([] if with_needs else ["--no-deps"])]
    subprocess.run([python, "-m", "pip", "install", *options, str(wheel)], check=True)
    environment = {"PYTHONPATH": python_path} if python_path else {}
    found = []
    for command, expected in (
        ([str(scripts / "coordlabel"), "--version"], f"coordlabel {product().version}"),
        ([python, "-m", "app", "--version"], f"coordlabel {product().version}"),
        ([python, "-c", "import app; print(app.__file__)"], str(folder)),
        (
            [python, "-c", "import resources; print(len(resources.bundled_models()))"],
            str(len(_model_names())),
        ),
        ([python, "-c", "import resources; print(resources.sample_project())"], str(folder)),
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, check=False, env=_clean(environment)
        )
        if done.returncode != 0 or expected not in done.stdout:
            found.append(f"{' '.join(command)} says {done.stdout}{done.stderr}".strip())
    return found


def _model_names() -> list[str]:
    """Return the bundled models as wheel and sdist name them."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "resources").rglob("*.safetensors"))


def _clean(more: dict[str, str]) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, **more}


def main(argv: Sequence[str] | None = None) -> int:
    """Build and check; return 0, or 1 with what is wrong on stderr."""
    parser = argparse.ArgumentParser(description="Check wheel and sdist.")
    parser.add_argument(
        "--install", action="store_true", help="install the wheel with all it needs and use it"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for wheel and sdist")
    options = parser.parse_args(argv)
    wheel, sdist = build(options.out)
    problems = [*wheel_problems(wheel), *sdist_problems(sdist)]
    if options.install and not problems:
        with tempfile.TemporaryDirectory(prefix="coordlabel-clean-") as made:
            problems = use(wheel, Path(made).resolve() / "environment")
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write(f"{wheel.name}, {sdist.name}: {'good' if not problems else 'not good'}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""What is inside a bundle and under which licences: traced from each bundled file to where it came from."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from installers.product import PACKAGING, ROOT, licence_file, product

Origin = Literal["project", "pypi", "deb", "python", "unknown"]
_LICENCE_NAME = re.compile(r"^(licen[cs]e|copying|copyright|notice|authors)", re.IGNORECASE)
_TEXTS = PACKAGING / "licences"
"""Texts of licences that wheels name and do not hold."""


@dataclass
class Component:
    """One thing that is bundled.

    Args:
        licence: An SPDX expression or, failing that, what its metadata says; empty if it says nothing.
        texts: Files with licences and notices.
        files: How many of its files and modules are in the bundle.
    """

    name: str
    version: str
    origin: Origin
    licence: str = ""
    texts: list[Path] = field(default_factory=list)
    homepage: str = ""
    files: int = 0

    @property
    def purl(self) -> str:
        """The package URL, a name that is unique over all sources."""
        name = self.name.lower().replace("_", "-")
        kinds = {"pypi": "pypi", "deb": "deb/debian"}
        return f"pkg:{kinds.get(self.origin, 'generic')}/{name}@{self.version.replace('+', '%2B')}"


def read_bundled(path: Path) -> list[Path]:
    """Return the sources of all files and modules that the freezer wrote down in ``bundled.json``."""
    content = json.loads(path.read_text(encoding="utf-8"))
    entries = [*content["files"], *content["modules"]]
    return [Path(source) for _, source, kind in entries if kind != "SYMLINK" and source and source != "-"]


def inventory(sources: Iterable[Path]) -> list[Component]:
    """Return the components to which the files belong, by origin and name."""
    by_file = _files_of_distributions()
    found: dict[tuple[str, str], Component] = {}
    system: list[Path] = []
    for source in sources:
        path = Path(os.path.normpath(source))
        if path.is_relative_to(ROOT) or by_file.get(path) == product().command:
            _count(found, ("project", product().command))
        elif path.name == "base_library.zip":  # made by the freezer of Python's first modules
            _count(found, ("python", "python"))
        elif path in by_file:
            _count(found, ("pypi", by_file[path]))
        elif path.resolve().is_relative_to(Path(sys.base_prefix).resolve()) and not _is_debian(path):
            _count(found, ("python", "python"))
        else:
            system.append(path)
    for package, count in _debian_packages(system).items():
        found[("deb", package)] = Component(package, "", "deb", files=count)
    return [_described(found[key]) for key in sorted(found)]


def _count(found: dict[tuple[str, str], Component], key: tuple[str, str]) -> None:
    component = found.setdefault(key, Component(key[1], "", key[0]))  # type: ignore[arg-type]
    component.files += 1


def _files_of_distributions() -> dict[Path, str]:
    files: dict[Path, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        for path in distribution.files or ():
            files[Path(os.path.normpath(str(distribution.locate_file(path))))] = name
    return files


def _is_debian(path: Path) -> bool:
    return sys.base_prefix == "/usr" and path.suffix.startswith(".so") and "python" not in path.as_posix()


def _debian_packages(paths: list[Path]) -> dict[str, int]:
    """Return {package: number of files}; what no package owns is called after its file."""
    counts: dict[str, int] = defaultdict(int)
    for path in paths:
        counts[_owner(path) or path.name] += 1
    return dict(counts)


def _owner(path: Path) -> str:
    """Return the Debian package of a file; merged /usr gives files two names."""
    for name in {str(path), str(path.resolve()), str(path.resolve()).removeprefix("/usr")}:
        try:
            done = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return ""
        if done.returncode == 0:
            return done.stdout.split(":")[0].strip()
    return ""


def _described(component: Component) -> Component:
    describe = {"project": _project, "pypi": _distribution, "deb": _debian, "python": _python}
    describe[component.origin](component)
    return component


def _project(component: Component) -> None:
    component.version = product().version
    own = licence_file()
    component.texts = [own] if own else []
    component.licence = "" if own else "not chosen yet by the owners"


def _distribution(component: Component) -> None:
    distribution = importlib.metadata.distribution(component.name)
    metadata = distribution.metadata
    component.version = distribution.version
    component.licence = _licence_of(metadata)
    component.homepage = next(iter(metadata.get_all("Home-page") or ()), "")
    info = [path for path in distribution.files or () if ".dist-info" in path.parts[0]]
    component.texts = [
        Path(str(distribution.locate_file(path)))
        for path in info
        if _LICENCE_NAME.match(path.name) or {"licenses", "sboms"} & set(path.parts)
    ]
    component.texts = [path for path in component.texts if path.is_file()]
    if not component.texts:
        component.texts = list(_named_texts(component.licence))


def _licence_of(metadata: importlib.metadata.PackageMetadata) -> str:
    """Return the licence as newer, older or oldest metadata name it."""
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    short = metadata["License"].strip() if "License" in metadata else ""
    if short and "\n" not in short and len(short) < 100:
        return short
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    return " OR ".join(c.rpartition(" :: ")[2] for c in classifiers)


def _named_texts(licence: str) -> Iterator[Path]:
    """Yield the texts that are kept here for licences of wheels that hold none."""
    names = set(re.findall(r"[A-Za-z0-9.+-]+", licence))
    for path in sorted(_TEXTS.glob("*.txt")):
        if path.stem in names or any(name.startswith(path.stem) for name in names):
            yield path


def _debian(component: Component) -> None:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}\n${Homepage}", component.name],
        capture_output=True,
        text=True,
        check=False,
    )
    version, _, homepage = done.stdout.partition("\n")
    copyright_file = Path("/usr/share/doc") / component.name / "copyright"
    if done.returncode != 0 or not version:
        component.origin, component.version = "unknown", "unknown"
        return
    component.version, component.homepage = version, homepage.strip()
    component.texts = [copyright_file] if copyright_file.is_file() else []
    component.licence = _debian_licence(copyright_file)


def _debian_licence(path: Path) -> str:
    """Return the names of the licences in a machine-readable copyright file."""
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)
    return "; ".join(dict.fromkeys(name.strip() for name in names)) or "see its copyright file"


def _python(component: Component) -> None:
    component.name, component.version = "Python", sys.version.split()[0]
    component.licence = "PSF-2.0"
    component.homepage = "https://www.python.org/"
    places = [Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix)]
    component.texts = [path for place in places for path in [place / "LICENSE.txt"] if path.is_file()]

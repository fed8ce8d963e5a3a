"""From a click to a build that computes: choose, fetch, unpack, try, and only then use it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from app.services.gpu import fetch
from app.services.gpu.active import Build
from app.services.gpu.choice import CudaBuild
from app.services.gpu.errors import GpuError
from app.services.gpu.index import Index, Wheel, needed
from app.services.gpu.probe import Probe
from app.services.gpu.store import Store

Try = Callable[[Path], Probe]
"""Loads the PyTorch in a folder, in a process of its own, and tells what it found."""


@dataclass(frozen=True)
class Progress:
    """How far it is: bytes done and in all (0: not known yet), and what is being done."""

    text: str
    done: int = 0
    total: int = 0


def fetch_build(
    store: Store, lines: Sequence[CudaBuild], base: str, torch_version: str, attempt: Try
) -> Iterator[Progress]:
    """Fetch the first line of builds that has this version of PyTorch, and use it if it computes.

    Closing the generator keeps what was fetched for the next time.

    Args:
        store: Where builds are kept.
        lines: Lines of builds that fit the card, best first.
        base: Address of the index.
        torch_version: That of the program.
        attempt: Tries a build.

    Raises:
        GpuError: There is no such build, or it does not work here.
    """
    public = torch_version.partition("+")[0]
    yield Progress("looking for the build")
    for line in lines:
        index = Index(base, line.tag, fetch.read, lambda wheel: _metadata_of(wheel, store))
        torch = index.torch(public)
        if torch is None:
            continue
        wheels = index.with_needs(torch)
        yield from _fetch_all(store, wheels)
        files = [store.downloads / wheel.filename for wheel in wheels]
        yield from _install(store, files, _labelled(torch.version, line.tag), attempt)
        store.forget_downloads()
        return
    titles = ", ".join(line.title for line in lines) or "no build"
    raise GpuError(
        f"PyTorch {public} is not offered for {titles}",
        expected=f"a wheel for this Python at {base}",
        remedy="look at the address in the settings, or install from files",
    )


def install_files(store: Store, wheel: Path, torch_version: str, attempt: Try) -> Iterator[Progress]:
    """Use a wheel of PyTorch that somebody brought, with what it needs beside it in the same folder.

    Raises:
        GpuError: It is of another version, lacks something, is damaged, or does not work here.
    """
    version = _check_wheel(wheel, torch_version)
    yield Progress("reading the files")
    yield from _install(store, _with_needs(wheel), _labelled(version, ""), attempt)


def _labelled(version: Version, tag: str) -> str:
    return str(version) if version.local else f"{version}+{tag}"


def _fetch_all(store: Store, wheels: Sequence[Wheel]) -> Iterator[Progress]:
    sizes = [fetch.size(wheel.url) for wheel in wheels]
    total = sum(sizes) if all(sizes) else 0
    free = shutil.disk_usage(_existing(store.folder)).free
    if total * 3 > free:  # the wheels, and twice as much unpacked
        raise GpuError(
            f"{free / 1e9:.1f} GB are left on the disk",
            expected=f"{total * 3 / 1e9:.1f} GB",
            remedy="make room and try again",
        )
    before = 0
    for wheel in wheels:
        name = f"fetching {wheel.name} {wheel.version.public}"
        came = 0
        for came in fetch.download(wheel, store.downloads):
            yield Progress(name, before + came, total)
        before += came


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _install(store: Store, files: Sequence[Path], version: str, attempt: Try) -> Iterator[Progress]:
    for done, total in store.unpack(files, version):
        yield Progress("unpacking", done, total)
    yield Progress("trying it")
    build = next(each for each in store.builds() if each.version == version)
    found = attempt(build.folder)
    if found.problem or not found.devices:
        store.remove(build)
        raise GpuError(
            found.problem or f"PyTorch {found.torch} finds no graphics card that it can use",
            expected="a build that computes on the graphics card",
            remedy="update the driver of the graphics card and try again",
        )
    _use_only(store, build)


def _use_only(store: Store, build: Build) -> None:
    store.activate(build)
    for other in store.builds():
        if other.version != build.version:
            store.remove(other)


def _metadata_of(wheel: Wheel, store: Store) -> str:
    """Fetch a wheel to read its metadata: for pages that do not offer it apart."""
    for _ in fetch.download(wheel, store.downloads):
        pass
    return _read_metadata(store.downloads / wheel.filename)


def _read_metadata(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            return archive.read(name).decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise GpuError(
            f"{path.name} is no wheel ({error})", expected="a .whl file", remedy="choose another file"
        ) from error


def _check_wheel(wheel: Path, torch_version: str) -> Version:
    """Return the version of a wheel of PyTorch.

    Raises:
        GpuError: It is not one that fits this program.
    """
    public = torch_version.partition("+")[0]
    expected = f"a wheel of torch {public} for this Python and system"
    remedy = f"fetch torch-{public}+cu… from the index of PyTorch, and choose that file"
    try:
        name, version, _, tags = parse_wheel_filename(wheel.name)
    except (InvalidWheelFilename, ValueError) as error:
        raise GpuError(f"{wheel.name} is no wheel", expected=expected, remedy=remedy) from error
    if name != "torch" or version.public != public or not tags & set(sys_tags()):
        raise GpuError(f"{wheel.name} does not fit this program", expected=expected, remedy=remedy)
    return version


def _with_needs(wheel: Path) -> list[Path]:
    """Return a wheel and all that it needs from its folder."""
    beside = {}
    for path in sorted(wheel.parent.glob("*.whl")):
        try:
            beside[parse_wheel_filename(path.name)[0]] = path
        except (InvalidWheelFilename, ValueError):
            continue
    chosen = {"torch": wheel}
    queue: list[tuple[Path, set[str]]] = [(wheel, set())]
    missing: list[Requirement] = []
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        path, extras = queue.pop(0)
        for requirement in needed(_read_metadata(path), extras):
            name = canonicalize_name(requirement.name)
            if name not in beside:
                missing.append(requirement)
            elif (name, frozenset(requirement.extras)) not in seen:
                seen.add((name, frozenset(requirement.extras)))
                chosen[name] = beside[name]
                queue.append((beside[name], set(requirement.extras)))
    if missing:
        names = ", ".join(sorted({str(each).partition(";")[0].strip() for each in missing}))
        raise GpuError(
            f"{wheel.parent} lacks {names}",
            expected="these wheels beside that of PyTorch",
            remedy="fetch them into the same folder",
        )
    return list(chosen.values())

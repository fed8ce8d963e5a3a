"""The private builds of PyTorch on this computer: checked, one folder a version, one of them used."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from app.services.gpu.active import ABOUT, ACTIVE, FOLDER, Build, active_build, read_build, this_python
from app.services.gpu.errors import GpuError
from coordgan_core.files import write_json

_UNNEEDED = re.compile(
    r"^torch/((include|share|test)/|bin/(?!torch_shm_manager))|\.(a|lib|pdb)$|^triton/|^nvidia/.*/include/"
)
_CHUNK = 1 << 20


class Store:
    """The builds below ``data/pytorch``."""

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER
        self.downloads = self.folder / "downloads"

    def builds(self) -> list[Build]:
        """Return the builds that are complete, by version."""
        found = [read_build(path.parent) for path in self.folder.glob(f"*/{ABOUT}")]
        return sorted((build for build in found if build is not None), key=lambda build: build.version)

    def active(self) -> Build | None:
        """Return the build that shall be used, None if there is none."""
        return active_build(self.folder)

    def activate(self, build: Build | None) -> None:
        """Use a build from the next process on; None goes back to what the program brings."""
        if build is None:
            (self.folder / ACTIVE).unlink(missing_ok=True)
        else:
            write_json(self.folder / ACTIVE, {"version": build.version})

    def remove(self, build: Build) -> None:
        """Delete a build and forget that it was used."""
        active = self.active()
        if active is not None and active.version == build.version:
            self.activate(None)
        (build.folder / ABOUT).unlink(missing_ok=True)  # what remains if deleting breaks off is no build
        shutil.rmtree(build.folder, ignore_errors=True)

    def forget_downloads(self) -> None:
        """Delete what was fetched and not, or no longer, needed."""
        shutil.rmtree(self.downloads, ignore_errors=True)

    def unpack(self, wheels: Sequence[Path], version: str) -> Iterator[tuple[int, int]]:
        """Unpack wheels into one build, check every file, yield (bytes done, all bytes).

        The build appears when it is complete. Closing the generator leaves nothing.

        Raises:
            GpuError: A wheel is damaged, dangerous, or the disk too small.
        """
        target = self.folder / version
        temporary = self.folder / f"{version}.part"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield from _unpack_all(wheels, temporary)
            if not (temporary / "torch" / "__init__.py").is_file():
                raise GpuError(
                    "the files hold no PyTorch", expected="a wheel of torch", remedy="choose another file"
                )
            write_json(temporary / ABOUT, {"version": version, "python": this_python()})
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _unpack_all(wheels: Sequence[Path], folder: Path) -> Iterator[tuple[int, int]]:
    try:
        archives = [zipfile.ZipFile(path) for path in wheels]
    except (OSError, zipfile.BadZipFile) as error:
        raise GpuError(
            f"a wheel cannot be read ({error})", expected="a .whl file", remedy="fetch it again"
        ) from error
    try:
        total = sum(info.file_size for archive in archives for info in archive.infolist())
        free = shutil.disk_usage(folder).free
        if total > free:
            raise GpuError(
                f"{folder.anchor} has {free / 1e9:.1f} GB left",
                expected=f"{total / 1e9:.1f} GB",
                remedy="make room and try again",
            )
        done = 0
        for archive in archives:
            for count in _unpack_one(archive, folder):
                done += count
                yield done, total
    finally:
        for archive in archives:
            archive.close()


def _unpack_one(archive: zipfile.ZipFile, folder: Path) -> Iterator[int]:
    """Extract a wheel and yield the bytes of each file; every file has to be what the wheel's record says."""
    record = _record(archive)
    for info in archive.infolist():
        yield info.file_size
        if info.filename.endswith(("/", "/RECORD")) or _UNNEEDED.search(info.filename):
            continue
        parts = PurePosixPath(info.filename).parts
        if (
            not parts
            or info.filename.startswith("/")
            or ".." in parts
            or "\\" in info.filename
            or ":" in info.filename
        ):
            raise _damaged(archive, f"{info.filename} leads out of the folder")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with archive.open(info) as source, path.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
        except (zipfile.BadZipFile, EOFError) as error:
            raise _damaged(archive, str(error)) from error
        if record.get(info.filename) != digest.digest():
            raise _damaged(archive, f"{info.filename} is not what its record says")


def _record(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return {file: SHA-256} of a wheel's record."""
    name = next((n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", n)), None)
    if name is None:
        raise _damaged(archive, "it has no record")
    rows = csv.reader(archive.read(name).decode("utf-8").splitlines())
    sums = {row[0]: row[1] for row in rows if len(row) >= 2}
    return {
        file: base64.urlsafe_b64decode(f"{value.removeprefix('sha256=')}==")
        for file, value in sums.items()
        if value.startswith("sha256=")
    }


def _damaged(archive: zipfile.ZipFile, reason: str) -> GpuError:
    name = Path(str(archive.filename)).name
    return GpuError(f"{name} is damaged: {reason}", expected="an unchanged wheel", remedy="fetch it again")

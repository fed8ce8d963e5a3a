"""Puts a built artefact where a user would have it, unkindly: odd path, read-only, another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ODD = "Smoke tést 試験 folder"
"""A name with a space and letters outside of ASCII, in which everything has to work."""

NOBODY = 65534


class PlacingError(Exception):
    """The artefact is of no kind that can be placed."""


@dataclass(frozen=True)
class Installed:
    """An installed program.

    Args:
        folder: Where it lies, as the tester sees it; nothing in it may change.
        program: What is started, as the program sees it: below ``root``, if there is one.
        root: The root that it is confined to; None for that of this system.
        user: Id of the user who runs it; None for the tester.
        space: Folder for what it writes, as the tester sees it.
    """

    folder: Path
    program: Path
    space: Path
    root: Path | None = None
    user: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    def seen(self, path: Path) -> Path:
        """Return a path of the tester as the program sees it."""
        return path if self.root is None else Path("/") / path.relative_to(self.root)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs the program."""
        if self.root is None:
            return [str(self.program), *arguments]
        user = self.user or 0
        chroot = shutil.which("chroot") or "/usr/sbin/chroot"  # the variables below name no path to it
        confined = [chroot, f"--userspec={user}:{user}", str(self.root)]
        # it begins in the root, where nobody may write
        return [*confined, "/usr/bin/env", "-C", str(self.seen(self.space)), str(self.program), *arguments]

    def environment(self) -> dict[str, str]:
        """Return the variables that a fresh login would have, and nothing of the tester's."""
        home = self.space / "home"
        if sys.platform == "win32":
            kept = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "NUMBER_OF_PROCESSORS")
            places = {name: str(home) for name in ("USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP")}
            system = {name: os.environ[name] for name in kept if name in os.environ}
            return {**system, **places, "PATH": rf"{os.environ['SYSTEMROOT']}\System32", **self.extra}
        seen = str(self.seen(home))
        return {"HOME": seen, "TMPDIR": seen, "PATH": "/nowhere", "LANG": "C.UTF-8", **self.extra}

    def as_user(self) -> dict[str, Any]:
        """Return what `subprocess` needs to run it as its user."""
        if self.user is None or self.root is not None:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}


def install(artefact: Path, place: Path, *, root: Path | None = None) -> Installed:
    """Install an artefact below ``place`` and make it read-only; other users may come there.

    Args:
        artefact: A bundle's folder, AppImage, AppDir, ``.deb``, ``.app``, disk image or installer.
        place: An empty folder.
        root: A root with another system, on Linux; ``place`` lies in it.

    Raises:
        PlacingError: Unknown kind of artefact.
    """
    folder, space = place / ODD, place / f"{ODD} 2"
    (space / "home").mkdir(parents=True)
    program = _unpack(artefact, folder)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    user = NOBODY if is_root else None
    if user is not None:
        for path in (space, space / "home"):
            os.chown(path, user, user)
        place.chmod(0o755)
    make_read_only(folder)
    seen = program if root is None else Path("/") / program.relative_to(root)
    return Installed(folder, seen, space, root, user)


def _unpack(artefact: Path, folder: Path) -> Path:
    """Bring the artefact into ``folder`` and return its program."""
    name = artefact.name
    if artefact.is_dir():
        shutil.copytree(artefact, folder, symlinks=True)
        return _program_in(folder)
    folder.mkdir(parents=True)
    if name.endswith(".deb"):
        subprocess.run(["dpkg-deb", "-x", str(artefact), str(folder)], check=True)
    elif name.endswith(".AppImage"):
        subprocess.run([str(artefact.resolve()), "--appimage-extract"], check=True, cwd=folder, stdout=-3)
    elif name.endswith(".squashfs"):
        command = ["unsquashfs", "-no-progress", "-quiet", "-d", str(folder / "squashfs-root")]
        subprocess.run([*command, str(artefact)], check=True, stdout=-3)
    elif name.endswith("-setup.exe"):
        options = ["/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART", "/CURRENTUSER", f"/DIR={folder}"]
        subprocess.run([str(artefact), *options], check=True)
    elif name.endswith(".dmg"):
        _copy_from_image(artefact, folder)
    else:
        raise PlacingError(f"{name} is no artefact. Expected a folder, .deb, .AppImage, .dmg or -setup.exe.")
    return _program_in(folder)


def _program_in(folder: Path) -> Path:
    """Return the program in an unpacked artefact.

    Raises:
        PlacingError: There is none.
    """
    for pattern in (
        "coordlabel-console.exe",
        "*.app/Contents/MacOS/coordlabel",
        "Contents/MacOS/coordlabel",
        "squashfs-root/AppRun",
        "AppRun",
        "usr/bin/coordlabel",
        "coordlabel",
    ):
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                return path
    raise PlacingError(f"{folder} holds no program. Expected coordlabel, AppRun or CoordLabel.app in it.")


def _copy_from_image(image: Path, folder: Path) -> None:
    mount = folder.parent / "mounted"
    subprocess.run(["hdiutil", "attach", str(image), "-nobrowse", "-mountpoint", str(mount)], check=True)
    try:
        for app in mount.glob("*.app"):
            shutil.copytree(app, folder / app.name, symlinks=True)
    finally:
        subprocess.run(["hdiutil", "detach", str(mount)], check=True)


def make_read_only(folder: Path) -> None:
    """Take the right to write from everybody; folders first lose it last."""
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            path.chmod((path.stat().st_mode | 0o444) & ~0o222)


def make_writable(folder: Path) -> None:
    """Give the owner back what `make_read_only` took, so that it can be removed."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def fingerprint(folder: Path) -> dict[str, tuple[int, int]]:
    """Return {path: (size, time of change)} of all files below ``folder``."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def foreign(maps: str, inside: str, words: Sequence[str] = ("python", "Qt", "torch", "PySide")) -> list[str]:
    """Return the libraries that a process has loaded from outside of its folder and should not have.

    Args:
        maps: Content of ``/proc/PID/maps``.
        inside: The installed folder as the reader sees it.
        words: Parts of file names of libraries that the program brings itself.
    """
    loaded = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}
    return sorted(
        path
        for path in loaded
        if path.startswith("/")
        and ".so" in Path(path).name
        and not path.startswith(inside)
        and any(word in Path(path).name for word in words)
    )

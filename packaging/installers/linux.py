"""Linux: one tree of files, from which the AppImage and the Debian package are made."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from installers import icons
from installers.budget import tree_size
from installers.product import PACKAGING, Product, licence_file
from installers.templates import render, values

TEMPLATES = PACKAGING / "linux"
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}

DEPENDS = (
    "libgl1",
    "libegl1",
    "libfontconfig1",
    "libfreetype6",
    "libglib2.0-0 | libglib2.0-0t64",
    "libx11-6",
    "libx11-xcb1",
    "libxcb1",
    "libdbus-1-3",
)
"""Packages with the libraries that must be the system's (`contents.HOST_LIBRARIES`)."""

RECOMMENDS = (
    "libwayland-client0",
    "libwayland-cursor0",
    "libwayland-egl1",
    "fonts-dejavu-core | fonts-freefont-ttf",
)

LEVEL = 15
"""Of zstd, 1 to 22: higher ones take minutes more and save a few megabytes."""


def fields(product: Product) -> dict[str, str]:
    """Return the values of the templates."""
    licence = "LicenseRef-see-LICENSE" if licence_file() else "LicenseRef-not-chosen-yet"
    return values(product, date=date.today().isoformat(), project_licence=licence)


def stage(bundle: Path, root: Path, product: Product) -> None:
    """Lay out ``root/usr``: the program, its command, and what desktops want to know.

    Args:
        bundle: The folder that the freezer made.
        root: Becomes the root of the tree; what it held is removed.
        product: Names and version.
    """
    shutil.rmtree(root, ignore_errors=True)
    usr = root / "usr"
    program = usr / "lib" / product.command
    shutil.copytree(bundle, program, symlinks=True, copy_function=_link)
    (usr / "bin").mkdir()
    (usr / "bin" / product.command).symlink_to(f"../lib/{product.command}/{product.command}")
    share, known = usr / "share", fields(product)
    icons.write_hicolor(share, product.command)
    for template, target in {
        "coordlabel.desktop.in": f"applications/{product.app_id}.desktop",
        "mime.xml.in": f"mime/packages/{product.command}.xml",
        "coordlabel.metainfo.xml.in": f"metainfo/{product.app_id}.metainfo.xml",
    }.items():
        path = share / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(TEMPLATES / template, known), encoding="utf-8")
    for path in [usr, *usr.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _link(source: str, target: str) -> str:
    """Link instead of copying a gigabyte; copy where the file systems differ."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def check_desktop_files(root: Path, product: Product) -> list[str]:
    """Let the desktop's own tools check the files of ``root``; return the names of tools that are missing.

    Raises:
        subprocess.CalledProcessError: A tool refuses a file.
    """
    share = root / "usr" / "share"
    missing = []
    for command in (
        ["desktop-file-validate", str(share / "applications" / f"{product.app_id}.desktop")],
        ["appstreamcli", "validate", "--no-net", str(share / "metainfo" / f"{product.app_id}.metainfo.xml")],
        ["xmllint", "--noout", str(share / "mime" / "packages" / f"{product.command}.xml")],
    ):
        if shutil.which(command[0]) is None:
            missing.append(command[0])
            continue
        subprocess.run(command, check=True)
    return missing


def control(product: Product, installed_bytes: int, *, machine: str = "") -> str:
    """Return the control file of the Debian package."""
    libc = platform.libc_ver()[1] or "2.35"
    lines = {
        "Package": product.command,
        "Version": product.version,
        "Section": "graphics",
        "Priority": "optional",
        "Architecture": ARCHITECTURES[machine or platform.machine()],
        "Installed-Size": str(-(-installed_bytes // 1024)),
        "Maintainer": f"{product.publisher} <packages@coordlabel.invalid>",
        "Depends": ", ".join((f"libc6 (>= {libc})", *DEPENDS)),
        "Recommends": ", ".join(RECOMMENDS),
        "Description": "label one image, get the folder",
    }
    about = (
        " CoordLabel segments a folder of images of one kind of thing into named\n"
        " parts: parts are painted on one image, and a model carries the labels\n"
        " to all others. It brings its own Python, Qt and PyTorch.\n"
    )
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + about


def build_deb(root: Path, out: Path, product: Product, *, level: int = LEVEL) -> Path:
    """Make the Debian package of the tree ``root`` and return its file."""
    debian = root / "DEBIAN"
    debian.mkdir(exist_ok=True)
    (debian / "control").write_text(control(product, tree_size(root / "usr")), encoding="utf-8")
    for script in ("postinst", "postrm"):
        shutil.copyfile(TEMPLATES / script, debian / script)
        (debian / script).chmod(0o755)
    documents = root / "usr" / "share" / "doc" / product.command
    documents.mkdir(parents=True, exist_ok=True)
    (documents / "copyright").write_text(_copyright(product), encoding="utf-8")
    path = out / f"{product.command}_{product.version}_{ARCHITECTURES[platform.machine()]}.deb"
    options = ["--root-owner-group", "-Zzstd", f"-z{level}"]
    subprocess.run(["dpkg-deb", *options, "--build", str(root), str(path)], check=True)
    shutil.rmtree(debian)
    return path


def _copyright(product: Product) -> str:
    own = licence_file()
    terms = own.read_text(encoding="utf-8") if own else "Its owners have not chosen a licence yet."
    return (
        f"{product.name} {product.version}\n\n{terms}\n\nWhat it contains and under which terms:\n"
        f"/usr/lib/{product.command}/licences/THIRD-PARTY-NOTICES.txt\n"
    )


def make_appdir(root: Path, appdir: Path, product: Product) -> None:
    """Make the tree of an AppImage from the tree ``root``; what ``appdir`` held is removed."""
    shutil.rmtree(appdir, ignore_errors=True)
    shutil.copytree(root / "usr", appdir / "usr", symlinks=True, copy_function=_link)
    shutil.copy2(TEMPLATES / "AppRun", appdir / "AppRun")
    (appdir / "AppRun").chmod(0o755)
    share = appdir / "usr" / "share"
    shutil.copy2(share / "applications" / f"{product.app_id}.desktop", appdir / f"{product.app_id}.desktop")
    shutil.copy2(
        share / "icons/hicolor/256x256/apps" / f"{product.command}.png", appdir / f"{product.command}.png"
    )
    (appdir / ".DirIcon").symlink_to(f"{product.command}.png")


def make_squashfs(appdir: Path, path: Path, *, level: int = LEVEL) -> Path:
    """Compress the tree of an AppImage into a file system of files owned by root."""
    path.unlink(missing_ok=True)
    options = ["-root-owned", "-noappend", "-no-xattrs", "-no-progress", "-quiet", "-b", "1M"]
    options += ["-comp", "zstd", "-Xcompression-level", str(level)]
    subprocess.run(["mksquashfs", str(appdir), str(path), *options], check=True)
    return path


def make_appimage(squashfs: Path, runtime: Path, path: Path) -> Path:
    """Join a type-2 runtime and the file system to one program.

    Raises:
        ValueError: ``runtime`` is no type-2 runtime: an ELF program with ``AI`` and 2 at byte 8.
    """
    head = runtime.read_bytes()
    if head[:4] != b"\x7fELF" or head[8:11] != b"AI\x02":
        raise ValueError(
            f"{runtime} is no type-2 AppImage runtime. Expected an ELF file with the bytes 'AI' 02 at "
            "offset 8. Take runtime-x86_64 of the AppImage project."
        )
    with path.open("wb") as file, squashfs.open("rb") as content:
        file.write(head)
        shutil.copyfileobj(content, file, 1 << 20)
    path.chmod(0o755)
    return path

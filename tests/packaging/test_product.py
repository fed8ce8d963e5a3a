"""Names, version and icons come from one place; what desktops and installers read is valid."""

from __future__ import annotations

import configparser
import json
import plistlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from installers import linux, macos, windows
from installers.product import ICON_SIZES_PX, PACKAGING, ROOT, Product, licence_file, product
from installers.templates import render, values

from app.domain.place import OPENER
from coordgan_core._version import __version__

WHAT = product()


def test_the_version_comes_from_one_place() -> None:
    assert WHAT.version == __version__
    for path in sorted(PACKAGING.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".in", ".iss", ".spec", ".plist", ".yml"):
            text = path.read_text(encoding="utf-8")
            assert __version__ not in re.findall(r"\b\d+\.\d+\.\d+\b", text), f"{path} names the version"


def test_installers_show_the_version_of_the_product() -> None:
    other = Product(version="9.8.7", summary="x")
    assert "Version: 9.8.7\n" in linux.control(other, 1, machine="x86_64")
    assert "filevers=(9, 8, 7, 0)" in windows.version_info(other)
    assert macos.info_plist(other)["CFBundleVersion"] == "9.8.7"
    command = windows.compiler_command("iscc", other, Path("b"), Path("i"), Path("o"))
    assert "/DVersion=9.8.7" in command


def test_a_field_without_a_value_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.in").write_text("@NAME@ @NO_SUCH@")
    with pytest.raises(KeyError, match="NO_SUCH"):
        render(tmp_path / "a.in", values(WHAT))


def test_values_are_escaped_in_xml(tmp_path: Path) -> None:
    (tmp_path / "a.xml.in").write_text("<a>@NAME@</a>")
    assert render(tmp_path / "a.xml.in", {"NAME": "A & <B>"}) == "<a>A &amp; &lt;B&gt;</a>"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staged tree with a stand-in for the bundle."""
    base = tmp_path_factory.mktemp("staged")
    bundle = base / "bundle"
    (bundle / "_internal").mkdir(parents=True)
    (bundle / "coordlabel").write_text("#!/bin/sh\necho started from $0\n")
    (bundle / "coordlabel").chmod(0o700)
    (bundle / "_internal" / "data").write_text("x" * 5000)
    (bundle / "_internal" / "data").chmod(0o600)
    linux.stage(bundle, base / "root", WHAT)
    return base / "root"


def test_the_command_is_there_and_everybody_may_read(tree: Path) -> None:
    done = subprocess.run([tree / "usr/bin/coordlabel"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("started from")
    assert (tree / "usr/lib/coordlabel/_internal/data").stat().st_mode & 0o777 == 0o644
    assert (tree / "usr/lib/coordlabel/coordlabel").stat().st_mode & 0o777 == 0o755
    assert (tree / "usr/lib/coordlabel").stat().st_mode & 0o777 == 0o755


def test_there_are_icons_of_all_sizes(tree: Path) -> None:
    from PIL import Image

    for size in ICON_SIZES_PX:
        path = tree / f"usr/share/icons/hicolor/{size}x{size}/apps/coordlabel.png"
        with Image.open(path) as icon:
            assert icon.size == (size, size)
            assert icon.getchannel("A").getextrema() == (0, 255), "drawn, on nothing"
    assert (tree / "usr/share/icons/hicolor/scalable/apps/coordlabel.svg").exists()


def test_the_menu_entry_opens_projects_and_folders(tree: Path) -> None:
    (path,) = (tree / "usr/share/applications").iterdir()
    assert path.name == f"{WHAT.app_id}.desktop"
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, encoding="utf-8")
    entry = parser["Desktop Entry"]
    assert entry["Exec"] == "coordlabel %f"
    assert entry["Icon"] == "coordlabel"
    assert set(entry["MimeType"].strip(";").split(";")) == {WHAT.mime_type, "inode/directory"}


def test_the_kind_of_file_is_the_one_that_projects_write(tree: Path) -> None:
    root = ET.parse(tree / "usr/share/mime/packages/coordlabel.xml").getroot()
    space = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
    kind = root.find("m:mime-type", space)
    assert kind is not None
    assert kind.get("type") == WHAT.mime_type
    pattern = kind.find("m:glob", space)
    assert pattern is not None
    assert Path(OPENER).match(str(pattern.get("pattern")))
    suffix = Path(OPENER).suffix.lstrip(".")
    declared = macos.info_plist(WHAT)["UTExportedTypeDeclarations"][0]["UTTypeTagSpecification"]
    assert declared["public.filename-extension"] == [suffix]
    script = (PACKAGING / "windows" / "coordlabel.iss").read_text(encoding="utf-8")
    assert rf"Software\Classes\.{suffix}" in script


def test_the_software_centre_finds_menu_entry_and_command(tree: Path) -> None:
    root = ET.parse(tree / f"usr/share/metainfo/{WHAT.app_id}.metainfo.xml").getroot()
    assert root.findtext("id") == WHAT.app_id
    assert root.findtext("launchable") == f"{WHAT.app_id}.desktop"
    assert root.findtext("provides/binary") == "coordlabel"
    release = root.find("releases/release")
    assert release is not None
    assert release.get("version") == __version__


@pytest.mark.skipif(shutil.which("desktop-file-validate") is None, reason="no desktop-file-validate here")
def test_the_desktops_own_tools_accept_all(tree: Path) -> None:
    linux.check_desktop_files(tree, WHAT)


def test_nobody_invents_a_licence() -> None:
    fields = linux.fields(WHAT)
    assert (licence_file() is None) == (fields["PROJECT_LICENCE"] == "LicenseRef-not-chosen-yet")


def test_the_control_file_has_what_dpkg_needs() -> None:
    text = linux.control(WHAT, 1025, machine="x86_64")
    head, *description = text.splitlines()
    assert head == "Package: coordlabel"
    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(" "))
    assert {"Version", "Architecture", "Maintainer", "Depends", "Description", "Installed-Size"} <= set(
        fields
    )
    assert (fields["Architecture"], fields["Installed-Size"]) == ("amd64", "2")
    assert "python" not in fields["Depends"], "it brings its own"
    assert "qt6" not in fields["Depends"].lower()
    assert text.endswith("\n")
    assert all(line.startswith(" ") for line in description[description.index(fields_line(text)) + 1 :])


def fields_line(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("Description:"))


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")
def test_a_debian_package_is_made_and_unpacks_to_a_program_that_starts(tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tree, root, symlinks=True)
    deb = linux.build_deb(root, tmp_path, WHAT, level=1)
    subprocess.run(["dpkg-deb", "-x", deb, tmp_path / "x"], check=True)
    done = subprocess.run([tmp_path / "x/usr/bin/coordlabel"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("started")
    listed = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=True).stdout
    assert all("root/root" in line for line in listed.splitlines())
    assert "./DEBIAN" not in listed
    assert not (root / "DEBIAN").exists(), "the AppImage is made of the same tree"


def test_an_appdir_starts_from_anywhere(tree: Path, tmp_path: Path) -> None:
    appdir = tmp_path / "an App Dir"
    linux.make_appdir(tree, appdir, WHAT)
    assert (appdir / f"{WHAT.app_id}.desktop").exists()
    assert (appdir / ".DirIcon").resolve() == (appdir / "coordlabel.png")
    run = subprocess.run(
        [appdir / "AppRun"], capture_output=True, text=True, check=True, cwd="/", env={"PATH": "/nowhere"}
    )
    assert run.stdout.strip().endswith(f"{appdir}/usr/lib/coordlabel/coordlabel")


def test_an_appimage_is_a_runtime_and_its_content(tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(b"hsqs and so on")
    (tmp_path / "runtime").write_bytes(b"\x7fELF\x02\x01\x01\x00AI\x02" + b"\0" * 53)
    made = linux.make_appimage(tmp_path / "content", tmp_path / "runtime", tmp_path / "made")
    assert made.read_bytes() == (tmp_path / "runtime").read_bytes() + b"hsqs and so on"
    assert made.stat().st_mode & 0o111
    (tmp_path / "runtime").write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 57)
    with pytest.raises(ValueError, match="type-2"):
        linux.make_appimage(tmp_path / "content", tmp_path / "runtime", tmp_path / "made")


def test_the_version_resource_of_windows_is_an_expression() -> None:
    names = ("VSVersionInfo", "FixedFileInfo", "StringFileInfo", "StringTable", "StringStruct", "VarFileInfo")
    seen: list[tuple[object, ...]] = []

    def keep(*values: object, **named: object) -> tuple[object, ...]:
        seen.append((*values, *named.values()))
        return values

    eval(windows.version_info(WHAT), dict.fromkeys((*names, "VarStruct"), keep))
    assert ("ProductVersion", __version__) in seen


def test_the_windows_installer_takes_everything_that_varies_from_outside() -> None:
    script = (PACKAGING / "windows" / "coordlabel.iss").read_text(encoding="utf-8")
    used = set(re.findall(r"\{#(\w+)\}", script))
    given = windows.compiler_command("iscc", WHAT, Path("b"), Path("i"), Path("o"))
    defined = {word[2:].partition("=")[0] for word in given if word.startswith("/D")}
    assert used - {"License"} <= defined
    assert "PrivilegesRequired=lowest" in script


def test_the_entitlements_of_macos_are_a_property_list() -> None:
    granted = plistlib.loads(macos.ENTITLEMENTS.read_bytes())
    assert granted["com.apple.security.cs.allow-jit"] is True
    assert not any("get-task-allow" in name for name in granted), "refused by the notary"
    json.dumps(macos.info_plist(WHAT))


def test_all_programs_of_macos_are_signed_whatever_they_are_called(tmp_path: Path) -> None:
    app = tmp_path / "CoordLabel.app"
    programs = {
        "Contents/MacOS/coordlabel": "cffaedfe",
        "Contents/Frameworks/Python.framework/Versions/3.11/Python": "cffaedfe",
        "Contents/Frameworks/torch/bin/torch_shm_manager": "cffaedfe",
        "Contents/Frameworks/torch/lib/libtorch_cpu.dylib": "cafebabe",
        "Contents/Resources/notes.so": "23212f62",
    }
    for name, magic in programs.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_bytes(bytes.fromhex(magic) + b"and so on")
    (app / "Contents/Frameworks/libtorch_cpu.dylib").symlink_to("torch/lib/libtorch_cpu.dylib")
    found = [path.relative_to(app / "Contents").as_posix() for path in macos.programs(app)]
    assert found == [
        "Frameworks/Python.framework/Versions/3.11/Python",
        "Frameworks/torch/bin/torch_shm_manager",
        "Frameworks/torch/lib/libtorch_cpu.dylib",
    ]


def test_the_notary_is_asked_with_the_keychain_that_holds_the_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(macos.subprocess, "run", lambda command, check: asked.append(command))
    monkeypatch.delenv("NOTARY_PROFILE", raising=False)
    assert not macos.notarise(Path("a.dmg"))
    assert asked == []
    monkeypatch.setenv("NOTARY_PROFILE", "coordlabel")
    monkeypatch.setenv("NOTARY_KEYCHAIN", "/k/build.keychain")
    assert macos.notarise(Path("a.dmg"))
    assert asked[0][asked[0].index("--keychain") + 1] == "/k/build.keychain"
    assert "NOTARY_KEYCHAIN" in (PACKAGING / "macos" / "keychain.sh").read_text(encoding="utf-8")


def test_the_repository_root_is_found() -> None:
    assert (ROOT / "pyproject.toml").exists()

"""Builds the installers of this system: ``python packaging/build.py [--target linux|windows|macos]``.

Freezes the application, accounts for everything inside (licences, bill of materials), makes the installers
and refuses what is over its size budget. Run it in an environment with ``pip install '.[dist]'``.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from installers import linux, macos, windows
from installers.budget import MB, Artefact, BudgetError, check_compressed, check_unpacked
from installers.freeze import LicenceError, MissingLibraryError, account, freeze, strip_symbols
from installers.product import ROOT, Product, licence_file, product

HERE = {"linux": "linux", "win32": "windows", "darwin": "macos"}


@dataclass(frozen=True)
class Options:
    """What to build where.

    Args:
        target: The system; it has to be the one this runs on.
        out: Folder for the artefacts.
        work: Folder for what is made on the way.
        runtime: A type-2 AppImage runtime; None leaves the AppImage out.
        identity: Who signs on macOS.
        level: Of the compression on Linux.
        reuse: Keep the bundle of the last run: only make the installers again.
    """

    target: str
    out: Path
    work: Path
    runtime: Path | None
    identity: str
    level: int
    reuse: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Build; return 0, or 1 with the reason on stderr."""
    options = parse(argv)
    if options.target != HERE.get(sys.platform):
        sys.stderr.write(
            f"Installers for {options.target} cannot be made on {sys.platform}: the freezer takes the "
            "libraries of the system it runs on. Run the same command there; .github/workflows does.\n"
        )
        return 1
    try:
        build(options)
    except (
        BudgetError,
        LicenceError,
        MissingLibraryError,
        FileNotFoundError,
        ValueError,
        CalledProcessError,
    ) as error:
        sys.stderr.write(f"Not built. {error}\n")
        return 1
    return 0


def parse(argv: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Build the installers of this system.")
    parser.add_argument("--target", choices=sorted(HERE.values()), default=HERE.get(sys.platform, "linux"))
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the artefacts")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "packaging", help="folder for the rest")
    parser.add_argument("--appimage-runtime", type=Path, help="file runtime-x86_64 of the AppImage project")
    parser.add_argument("--identity", default="-", help="who signs on macOS; - is nobody")
    parser.add_argument("--level", type=int, default=linux.LEVEL, help="zstd level of AppImage and .deb")
    parser.add_argument("--reuse-bundle", action="store_true", help="make only the installers again")
    found = parser.parse_args(argv)
    return Options(
        found.target,
        found.out.resolve(),
        found.work.resolve(),
        found.appimage_runtime,
        found.identity,
        found.level,
        found.reuse_bundle,
    )


def build(options: Options) -> None:
    """Make bundle, accounts and installers."""
    what = product()
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    if licence_file() is None:
        say("note: the project has no licence file; the artefacts say that its terms are not chosen yet")
    bundle = _bundle(what, options)
    size = check_unpacked(bundle)
    say(f"bundle      {size / MB:7.0f} MB  {bundle}")
    makers = {"linux": build_linux, "windows": build_windows, "macos": build_macos}
    artefacts = [Artefact.of(path) for path in makers[options.target](what, bundle, options)]
    for artefact in artefacts:
        say(f"{artefact.path.suffix[1:]:<11} {artefact.size / MB:7.0f} MB  {artefact.path}")
    record(what, options, size, artefacts)
    for remark in check_compressed(artefacts):
        say(f"note: {remark}")
    say(f"done in {time.monotonic() - begin:.0f} s")


def _bundle(what: Product, options: Options) -> Path:
    bundle = options.out / (f"{what.name}.app" if options.target == "macos" else what.name)
    if options.reuse and bundle.exists():
        return bundle
    bundle = freeze(what, options.work, options.out)
    say(f"stripped    {strip_symbols(bundle) / MB:7.0f} MB of debuggers' symbols")
    inside = bundle / "Contents" / "Resources" if options.target == "macos" else bundle
    sbom = options.out / f"{what.name}-{what.version}-{options.target}-{platform.machine()}.cdx.json"
    components = account(what, options.work / "bundled.json", inside / "licences", sbom)
    shutil.copyfile(sbom, inside / "licences" / "sbom.cdx.json")
    say(f"accounted   {len(components):7} components, their licences in {inside / 'licences'}")
    return bundle


def build_linux(what: Product, bundle: Path, options: Options) -> list[Path]:
    """Make the Debian package and the AppImage."""
    root = options.work / "tree"
    linux.stage(bundle, root, what)
    for tool in linux.check_desktop_files(root, what):
        say(f"note: {tool} is not installed; what it checks was not checked")
    made = [linux.build_deb(root, options.out, what, level=options.level)]
    appdir = options.out / f"{what.name}.AppDir"
    linux.make_appdir(root, appdir, what)
    shutil.rmtree(root)
    name = f"{what.name}-{what.version}-{platform.machine()}.AppImage"
    squashfs = linux.make_squashfs(appdir, options.work / f"{name}.squashfs", level=options.level)
    if options.runtime is None:
        say(
            f"note: no AppImage without --appimage-runtime; its tree is {appdir}, its content of "
            f"{squashfs.stat().st_size / MB:.0f} MB {squashfs}"
        )
    else:
        made.append(linux.make_appimage(squashfs, options.runtime, options.out / name))
    return made


def build_windows(what: Product, bundle: Path, options: Options) -> list[Path]:
    """Make the installer."""
    return [windows.build_installer(what, bundle, options.work / "coordlabel.ico", options.out)]


def build_macos(what: Product, bundle: Path, options: Options) -> list[Path]:
    """Sign, make the disk image, have it notarised where there are credentials."""
    macos.sign(bundle, options.identity)
    dmg = macos.build_dmg(bundle, options.out, what)
    if options.identity == "-" or not macos.notarise(dmg):
        say("note: not notarised (needs --identity and NOTARY_PROFILE); the system will warn who opens it")
    return [dmg]


def record(what: Product, options: Options, bundle_bytes: int, artefacts: Sequence[Artefact]) -> None:
    """Write sizes and checksums, for people and for programs."""
    told = {
        "name": what.name,
        "version": what.version,
        "target": options.target,
        "machine": platform.machine(),
        "bundle_bytes": bundle_bytes,
        "artefacts": [{"file": a.path.name, "bytes": a.size, "sha256": a.sha256} for a in artefacts],
    }
    (options.out / "artefacts.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sums = "".join(f"{a.sha256}  {a.path.name}\n" for a in artefacts)
    (options.out / "SHA256SUMS").write_text(sums, encoding="utf-8")


def say(text: str) -> None:
    """Tell the person who builds."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

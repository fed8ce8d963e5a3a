"""macOS, one architecture each: the property list, signing, notarising, the disk image."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from installers.product import PACKAGING, Product

ENTITLEMENTS = PACKAGING / "macos" / "entitlements.plist"
OLDEST_SYSTEM = "13.0"


def info_plist(product: Product) -> dict[str, Any]:
    """Return what the system shall know about the application and its kind of file."""
    kind = f"{product.app_id}.project"
    return {
        "CFBundleName": product.name,
        "CFBundleDisplayName": product.name,
        "CFBundleShortVersionString": product.version,
        "CFBundleVersion": product.version,
        "LSMinimumSystemVersion": OLDEST_SYSTEM,
        "LSApplicationCategoryType": "public.app-category.graphics-design",
        "NSHighResolutionCapable": True,
        "NSRequiresAquaSystemAppearance": False,
        "CFBundleDocumentTypes": [
            {
                "CFBundleTypeName": f"{product.name} project",
                "CFBundleTypeRole": "Editor",
                "LSHandlerRank": "Owner",
                "LSItemContentTypes": [kind],
            }
        ],
        "UTExportedTypeDeclarations": [
            {
                "UTTypeIdentifier": kind,
                "UTTypeDescription": f"{product.name} project",
                "UTTypeConformsTo": ["public.json"],
                "UTTypeTagSpecification": {
                    "public.filename-extension": ["coordlabel"],
                    "public.mime-type": [product.mime_type],
                },
            }
        ],
    }


_MACH_O = frozenset(
    bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe", "cafebabf")
)


def programs(app: Path) -> list[Path]:
    """Return all programs and libraries inside, by their first bytes: many have no suffix; deepest first.

    The main program is not among them: it is signed with the application.
    """
    found = []
    for path in app.rglob("*"):
        if path.is_symlink() or not path.is_file() or path.parent == app / "Contents" / "MacOS":
            continue
        with path.open("rb") as file:
            if file.read(4) in _MACH_O:
                found.append(path)
    return sorted(found, key=lambda path: (-len(path.parts), path))


def sign(app: Path, identity: str) -> None:
    """Sign the application, its insides first; ``-`` is nobody's signature, good for this machine alone."""
    hardened = ["--options", "runtime", "--timestamp"] if identity != "-" else []
    base = ["codesign", "--force", "--sign", identity, *hardened]
    for path in programs(app):
        subprocess.run([*base, str(path)], check=True)
    subprocess.run([*base, "--entitlements", str(ENTITLEMENTS), str(app)], check=True)
    subprocess.run(["codesign", "--verify", "--strict", "--deep", str(app)], check=True)


def build_dmg(app: Path, out: Path, product: Product) -> Path:
    """Make the disk image with the application beside a link to the applications folder."""
    path = out / f"{product.name}-{product.version}-{platform.machine()}.dmg"
    stage = out / "dmg"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    shutil.copytree(app, stage / app.name, symlinks=True)
    (stage / "Applications").symlink_to("/Applications")
    path.unlink(missing_ok=True)
    command = ["hdiutil", "create", "-volname", product.name, "-srcfolder", str(stage), "-format", "ULFO"]
    subprocess.run([*command, "-fs", "HFS+", str(path)], check=True)
    shutil.rmtree(stage)
    return path


def notarise(dmg: Path) -> bool:
    """Have Apple look at a signed disk image and staple its answer; False without credentials.

    The environment names a profile of ``notarytool store-credentials``, ``NOTARY_PROFILE``, and the keychain
    that holds it unless it is the user's own, ``NOTARY_KEYCHAIN``.
    """
    profile, keychain = os.environ.get("NOTARY_PROFILE"), os.environ.get("NOTARY_KEYCHAIN")
    if not profile:
        return False
    who = ["--keychain-profile", profile, *(["--keychain", keychain] if keychain else [])]
    subprocess.run(["xcrun", "notarytool", "submit", str(dmg), *who, "--wait"], check=True)
    subprocess.run(["xcrun", "stapler", "staple", str(dmg)], check=True)
    return True

"""Windows: the version resource of the programs, and the installer made by Inno Setup."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from installers.product import PACKAGING, Product, licence_file

SCRIPT = PACKAGING / "windows" / "coordlabel.iss"


def version_info(product: Product) -> str:
    """Return the version resource as the freezer reads it: a Python expression."""
    numbers = tuple([*(int(part) for part in product.version.split(".")[:3]), 0, 0, 0, 0][:4])
    strings = {
        "CompanyName": product.publisher,
        "FileDescription": product.name,
        "FileVersion": product.version,
        "InternalName": product.command,
        "OriginalFilename": f"{product.name}.exe",
        "ProductName": product.name,
        "ProductVersion": product.version,
    }
    table = ", ".join(f"StringStruct({name!r}, {value!r})" for name, value in strings.items())
    return (
        f"VSVersionInfo(ffi=FixedFileInfo(filevers={numbers}, prodvers={numbers}), kids=[\n"
        f"  StringFileInfo([StringTable('040904B0', [{table}])]),\n"
        "  VarFileInfo([VarStruct('Translation', [1033, 1200])])])\n"
    )


def compiler_command(compiler: str, product: Product, bundle: Path, icon: Path, out: Path) -> list[str]:
    """Return the command line of Inno Setup's compiler: all that varies is defined from outside."""
    own = licence_file()
    defined = {
        "Name": product.name,
        "Version": product.version,
        "Publisher": product.publisher,
        "AppId": product.app_id,
        "MimeType": product.mime_type,
        "Bundle": bundle,
        "Icon": icon,
        "OutputDir": out,
        **({"License": own} if own else {}),
    }
    return [compiler, "/Qp", *(f"/D{name}={value}" for name, value in defined.items()), str(SCRIPT)]


def build_installer(product: Product, bundle: Path, icon: Path, out: Path) -> Path:
    """Make the installer and return its file.

    Raises:
        FileNotFoundError: Inno Setup 6 is not installed.
    """
    places = (r"C:\Program Files (x86)\Inno Setup 6\ISCC.exe", r"C:\Program Files\Inno Setup 6\ISCC.exe")
    compiler = shutil.which("iscc") or next((place for place in places if Path(place).exists()), None)
    if compiler is None:
        raise FileNotFoundError("Inno Setup is missing. Expected ISCC.exe of Inno Setup 6. Install it.")
    subprocess.run(compiler_command(compiler, product, bundle, icon, out), check=True)
    return out / f"{product.name}-{product.version}-setup.exe"

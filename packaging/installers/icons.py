"""Icons of all sizes and formats, made from the one drawing."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from installers.product import ICON, ICON_SIZES_PX


def draw(size_px: int) -> Image.Image:
    """Return the icon as a square picture of ``size_px`` pixels with transparency."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QGuiApplication, QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    if QGuiApplication.instance() is None:
        draw.__dict__["application"] = QGuiApplication([])
    picture = QImage(size_px, size_px, QImage.Format.Format_RGBA8888)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    QSvgRenderer(str(ICON)).render(painter)
    painter.end()
    return Image.frombytes("RGBA", (size_px, size_px), bytes(picture.constBits()))


def write_hicolor(share: Path, name: str) -> list[Path]:
    """Write the icons of a Linux desktop below ``share/icons/hicolor``; return the files."""
    root = share / "icons" / "hicolor"
    written = []
    for size in ICON_SIZES_PX:
        path = root / f"{size}x{size}" / "apps" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(size).save(path, optimize=True)
        written.append(path)
    scalable = root / "scalable" / "apps" / f"{name}.svg"
    scalable.parent.mkdir(parents=True, exist_ok=True)
    scalable.write_bytes(ICON.read_bytes())
    return [*written, scalable]


def write_ico(path: Path) -> None:
    """Write the icon of Windows, all sizes up to 256 pixels in one file."""
    sizes = [size for size in ICON_SIZES_PX if size <= 256]
    pictures = [draw(size) for size in sizes]
    pictures[-1].save(path, sizes=[(size, size) for size in sizes], append_images=pictures[:-1])


def write_icns(path: Path) -> None:
    """Write the icon of macOS, all sizes in one file."""
    pictures = [draw(size) for size in (16, 32, 64, 128, 256, 512, 1024)]
    pictures[-1].save(path, append_images=pictures[:-1])

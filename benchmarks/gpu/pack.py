"""Pack a folder of photographs and labels into one file for a machine that is reached by files alone.

    python benchmarks/gpu/pack.py ../shared/data/faces-tight .data/faces-tight.zip
    python benchmarks/gpu/pack.py ../shared/data/cars .data/cars.zip --views front34

DIR holds images/, labels/, classes.json and references.txt, and unlabelled/ to train on (images/ where there
is none). Unlabelled images become small squares (WebP); where they are too many for the size, evenly spread
ones are taken. Labelled images keep their size; references are always taken.

--views VIEW takes only the unlabelled images that DIR/unlabelled.csv guesses to show that view (column
view_guess), and mirrors those that it says are to be (flip_to_face_left), so that all face the way of the
labelled ones: a category seen from all sides has no shared space, and left and right must not be mixed.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tree  # noqa: F401
from numpy.typing import NDArray
from PIL import Image

from coordgan_core.data.datasets import load_plain
from coordgan_core.data.images import read_image
from coordgan_core.data.store import read_square
from coordgan_core.errors import CoordError, DataError, ImageError

MIB = 2**20
MAX_MIB = 32.0
"""With the parts of a slice (`slices.CARRIED_MIB`) it fits one upload of 64 MiB."""
VIEWS = "unlabelled.csv"
_THREADS = 4


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("out", type=Path, metavar="OUT.zip")
    parser.add_argument("--px", type=int, default=128, help="side of unlabelled images")
    parser.add_argument("--quality", type=int, default=90, help="WebP quality of unlabelled images")
    parser.add_argument("--views", default="", help=f"take only this view, as {VIEWS} guesses")
    parser.add_argument("--mib", type=float, default=MAX_MIB, help="largest file, in MiB")
    parser.add_argument("--queries", type=int, default=120, help="labelled images beside the references")
    options = parser.parse_args(argv)
    try:
        told = pack(
            options.folder,
            options.out,
            px=options.px,
            quality=options.quality,
            mib=options.mib,
            queries=options.queries,
            views=options.views,
        )
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def pack(
    folder: Path,
    out: Path,
    *,
    px: int = 128,
    quality: int = 90,
    mib: float = MAX_MIB,
    queries: int = 120,
    views: str = "",
) -> dict[str, object]:
    """Write the pack; return what it holds.

    Raises:
        DataError: The folder is not as expected, has no image of that view, or even its labelled images do
            not fit.
    """
    data = load_plain(folder)
    labelled = dict(_labelled(folder, queries))
    left = mib * MIB - sum(len(content) + 300 for content in labelled.values()) - 4096
    if left <= 0:
        raise DataError(f"the labelled images of {folder} do not fit {mib:g} MiB", remedy="lower --queries")
    wanted = views_of(folder, views, data.images) if views else dict.fromkeys(data.images, False)
    with ThreadPoolExecutor(_THREADS) as pool:
        made = pool.map(lambda one: _square(one[0], px, quality, mirrored=one[1]), wanted.items())
        squares = [square for square in made if square]
    chosen = _that_fit(squares, left)
    told = {
        "name": folder.resolve().name,
        "unlabelled": len(chosen),
        "of": len(squares),
        "px": px,
        "quality": quality,
        "labelled": sum(name.startswith("images/") for name in labelled),
    }
    if views:
        told |= {"views": views, "mirrored": sum(wanted.values())}
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("pack.json", json.dumps(told))
        for name, content in labelled.items():
            archive.writestr(name, content)
        for number, content in enumerate(chosen):
            archive.writestr(f"unlabelled/{number:06d}.webp", content)
    return told | {"mib": round(out.stat().st_size / MIB, 2)}


def unpack(packed: Path, folder: Path) -> dict[str, object]:
    """Write the files of a pack into ``folder``, unless they are there; return what it holds.

    Raises:
        DataError: The file is no pack.
    """
    done = folder / "pack.json"
    try:
        with zipfile.ZipFile(packed) as archive:
            told = archive.read("pack.json")
            if not done.is_file() or done.read_bytes() != told:
                for name in archive.namelist():
                    _write_inside(folder, name, archive.read(name))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{packed} cannot be unpacked ({error})",
            expected="a file of benchmarks/gpu/pack.py",
            remedy="pack the data again",
        ) from error
    found: dict[str, object] = json.loads(told)
    return found


def _write_inside(folder: Path, name: str, content: bytes) -> None:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise DataError(f"the pack holds {name!r}", expected="names inside of its folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _labelled(folder: Path, queries: int) -> list[tuple[str, bytes]]:
    data = load_plain(folder)
    if data.labelled is None or not data.references:
        raise DataError(f"{folder} has no labels or no references.txt")
    others = [name for name in data.labelled.names if name not in data.references]
    if queries < len(others):
        others = [others[i * len(others) // queries] for i in range(queries)]
    files: list[tuple[str, bytes]] = []
    for item in data.labelled.select([*data.references, *others]):
        label = folder / "labels" / f"{item.name}.png"
        files.append((f"images/{item.name}.jpg", _jpeg(read_image(item.image), 95)))
        files.append((f"labels/{item.name}.png", label.read_bytes()))
    files.append(("references.txt", ("\n".join(data.references) + "\n").encode()))
    files.append(("classes.json", (folder / "classes.json").read_bytes()))
    return files


def views_of(folder: Path, view: str, images: Sequence[Path]) -> dict[Path, bool]:
    """Return the images of a view, and whether each is to be mirrored, as ``unlabelled.csv`` says.

    Raises:
        DataError: There is no such file, it lacks a column, or no image of that view.
    """
    path = folder / VIEWS
    needed = {"name", "view_guess", "flip_to_face_left"}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error})", expected="a table of views") from error
    if not rows or not needed <= set(rows[0]):
        raise DataError(f"{path} is no table of views", expected=f"the columns {', '.join(sorted(needed))}")
    mirrored = {row["name"]: row["flip_to_face_left"] == "1" for row in rows if row["view_guess"] == view}
    found = {image: mirrored[image.name] for image in images if image.name in mirrored}
    if not found:
        known = ", ".join(sorted({row["view_guess"] for row in rows}))
        raise DataError(f"{path} names no image of the view {view!r}", expected=f"one of {known}")
    return found


def _square(path: Path, px: int, quality: int, *, mirrored: bool) -> bytes | None:
    try:
        pixels = read_square(path, px)
    except ImageError:
        return None
    buffer = io.BytesIO()
    shown = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
    Image.fromarray(shown).save(buffer, format="WEBP", quality=quality, method=4)
    return buffer.getvalue()


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _that_fit(files: Sequence[bytes], room: float) -> list[bytes]:
    """Return as many files as fit, evenly spread."""
    count = len(files)
    while count:
        chosen = [files[i * len(files) // count] for i in range(count)]
        size = sum(len(content) + 130 for content in chosen)  # a zip archive's own lines for each file
        if size <= room:
            return chosen
        count = min(count - 1, int(count * room / size))
    return []


if __name__ == "__main__":
    sys.exit(main())

"""Convert labelled images through every format and back, and export many images in little memory.

    python benchmarks/formats.py ../shared/data/cats ../shared/data/cars     # what each format gives back
    python benchmarks/formats.py --export 10000                              # memory while COCO is written

Each folder holds ``images``, ``labels`` (index PNG) and ``classes.json``. There and back: index PNG, the
format, index PNG again, by `app.domain.formats.convert`, as the command does it; compared are the first files
with the last. Every format is tried with its defaults, then with each other value of each choice.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from common import Row, machine, print_json, print_report

from app.domain.classes import table_from_names
from app.domain.edits import LabelMap
from app.domain.formats import FORMATS, ExportOptions, convert
from app.domain.formats.base import ExportItem
from app.domain.formats.class_list import class_names
from app.domain.formats.exports import write_items
from app.domain.formats.matching import agreement, same_classes
from coordgan_core.labels import read_label_map

INDEX = "index-png"
SIZE = 256


@dataclass(frozen=True)
class Trip:
    """What came back of the images of a folder through one format.

    Args:
        folder: The data.
        format: Name of the format, with its choices.
        images: How many.
        mean_iou: Mean over the images of the mean intersection over union of their classes.
        worst_iou: The smallest of these.
        same_pixels: Part of all pixels that are as they were.
        border_iou: For YOLO-seg, the mean IoU when OpenCV fills outlines with their border, as programs
            for training do; None for the others.
        seconds: For both ways.
        bytes_image: Size of what was written, for each image.
    """

    folder: str
    format: str
    images: int
    mean_iou: float
    worst_iou: float
    same_pixels: float
    border_iou: float | None
    seconds: float
    bytes_image: int


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=0, help="labelled images of each folder; 0: all")
    parser.add_argument("--formats", default="", help="names with commas; all by default")
    parser.add_argument("--export", type=int, default=0, metavar="N", help="export N synthetic images")
    parser.add_argument("--to", default="coco", help="the format of --export")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    names = given.formats.split(",") if given.formats else list(FORMATS)
    found: dict[str, object] = {"machine": machine()}
    if given.folders:
        trips = [t for folder in given.folders for t in round_trips(folder, names, given.count)]
        found["trips"] = [asdict(t) for t in trips]
        if not given.json:
            _print_trips(trips)
    if given.export:
        found["export"] = growth = export_memory(given.export, given.to)
        if not given.json:
            rows = [Row(name, f"{value:,.1f}") for name, value in growth.items()]
            print_report(f"Export of {given.export:,} synthetic images to {given.to}", rows, machine())
    if given.json:
        print_json(found)


def _print_trips(trips: Sequence[Trip]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="There and back", title_justify="left", header_style="bold")
    columns = "data|images|format|mean IoU|worst image|pixels as they were|with border|s|kB/image"
    for name in columns.split("|"):
        table.add_column(name, justify="left" if name in ("data", "format") else "right")
    for t in trips:
        border = "" if t.border_iou is None else f"{t.border_iou:.4f}"
        figures = (f"{t.mean_iou:.6f}", f"{t.worst_iou:.4f}", f"{100 * t.same_pixels:.4f} %", border)
        table.add_row(
            t.folder, str(t.images), t.format, *figures, f"{t.seconds:.1f}", f"{t.bytes_image / 1000:.1f}"
        )
    Console(highlight=False, width=130).print(table)
    sys.stdout.write(", ".join(f"{k} {v}" for k, v in machine().items() if v not in ("", None)) + "\n")


def variants(name: str) -> list[dict[str, str]]:
    """Return the choices of a format: the defaults, then each other value alone."""
    choices = FORMATS[name].choices
    return [{}, *({c.key: value} for c in choices for value in list(c.values)[1:])]


def round_trips(folder: Path, names: Sequence[str], count: int) -> Iterator[Trip]:
    """Yield what comes back of a folder, for each format with its defaults and each other choice."""
    labels = folder / "labels"
    with tempfile.TemporaryDirectory() as place:
        chosen = Path(place) / "chosen"
        chosen.mkdir()
        for file in sorted(labels.glob("*.png"))[: count or None]:
            (chosen / file.name).symlink_to(file.resolve())
        (chosen / "classes.json").symlink_to((folder / "classes.json").resolve())
        for name in names:
            for choices in variants(name):
                with tempfile.TemporaryDirectory() as out:
                    yield _trip(chosen, folder, name, ExportOptions(choices=choices), Path(out))


def _trip(chosen: Path, folder: Path, name: str, options: ExportOptions, out: Path) -> Trip:
    started = time.perf_counter()
    images = folder / "images"
    for event in convert(chosen, INDEX, out / "there", name, images=images, options=options, verify=False):
        _refuse(event.error, name)
    for event in convert(out / "there", name, out / "back", INDEX, images=images, verify=False):
        _refuse(event.error, name)
    seconds = time.perf_counter() - started
    size = sum(f.stat().st_size for f in (out / "there").rglob("*") if f.is_file())
    same = same_classes(class_names(out / "back"), class_names(chosen))
    ious, equal, pixels = [], 0, 0
    for file in sorted(chosen.glob("*.png")):
        before, after = read_label_map(file), read_label_map(out / "back" / file.name)
        table = np.array([same.get(i, 0) for i in range(256)], np.uint8)
        after = table[after]
        ious.append(agreement(before, after))
        equal, pixels = equal + int((before == after).sum()), pixels + before.size
    title = " ".join([name, *(f"{k}={v}" for k, v in options.choices.items())])
    sys.stderr.write(f"{folder.name}: {title}: {statistics.mean(ious):.6f}\n")
    return Trip(
        folder.name,
        title,
        len(ious),
        statistics.mean(ious),
        min(ious),
        equal / pixels,
        _filled_with_border(out / "there", chosen) if name == "yolo-seg" else None,
        seconds,
        size // len(ious),
    )


def _filled_with_border(there: Path, chosen: Path) -> float:
    """Return the mean IoU of what `cv2.fillPoly` makes of the lines of YOLO, decimals cut off."""
    import cv2
    import yaml

    names = yaml.safe_load((there / "data.yaml").read_text(encoding="utf-8"))["names"]
    same = same_classes({i + 1: name for i, name in names.items()}, class_names(chosen))
    ious = []
    for file in sorted(chosen.glob("*.png")):
        before = read_label_map(file)
        after = np.zeros_like(before)
        for line in (there / "labels/train" / f"{file.stem}.txt").read_text().splitlines():
            index, *values = line.split()
            corners = np.array(values, np.float64).reshape(-1, 2) * before.shape[::-1]
            cv2.fillPoly(after, [corners.astype(np.int32)], same[int(index) + 1])
        ious.append(agreement(before, after))
    return statistics.mean(ious)


def _refuse(error: str, name: str) -> None:
    if error:
        raise SystemExit(f"{name}: {error}")


def synthetic(seed: int) -> LabelMap:
    """Return a label map of overlapping disks and rings of eight classes, ``uint8 [256, 256]``."""
    random = np.random.default_rng(seed)
    ys, xs = np.mgrid[:SIZE, :SIZE]
    labels = np.zeros((SIZE, SIZE), np.uint8)
    for class_id in range(1, 9):
        x, y, radius = random.uniform(20, SIZE - 20), random.uniform(20, SIZE - 20), random.uniform(8, 60)
        distance = np.hypot(xs - x, ys - y)
        labels[(distance < radius) & (distance > radius / 3)] = class_id
    return labels


def export_memory(count: int, name: str) -> dict[str, float]:
    """Return seconds and growth of the memory while ``count`` synthetic images are written."""
    table = table_from_names([f"part {i}" for i in range(1, 9)])

    def items(number: int) -> list[ExportItem]:
        return [
            ExportItem(i, f"{i:06}.png", f"{i:06}", Path(f"{i:06}.png"), lambda i=i: synthetic(i))
            for i in range(1, number + 1)
        ]

    with tempfile.TemporaryDirectory() as out:
        for _ in write_items(FORMATS[name], items(50), table, Path(out) / "warm", ExportOptions()):
            pass
    everything = items(count)
    started, before = time.perf_counter(), _memory_mb()
    at_tenth = before
    with tempfile.TemporaryDirectory() as out:
        for event in write_items(FORMATS[name], everything, table, Path(out), ExportOptions()):
            _refuse(event.error, name)
            if event.done == max(1, count // 10):
                at_tenth = _peak_mb()
            if event.done % max(1, count // 20) == 0:
                sys.stderr.write(f"{event.done:,} of {event.total:,} ({_memory_mb():.0f} MB)\n")
        size = sum(f.stat().st_size for f in Path(out).rglob("*") if f.is_file())
    return {
        "seconds": time.perf_counter() - started,
        "memory before, MB": before,
        "peak after a tenth, growth in MB": max(0.0, at_tenth - before),
        "peak after all, growth in MB": max(0.0, _peak_mb() - before),
        "written, MB": size / 1e6,
    }


def _memory_mb() -> float:
    """Return the memory that the process holds now; its peak where the system does not tell."""
    file = Path("/proc/self/statm")
    if not file.exists():
        return _peak_mb()
    import os

    return int(file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _peak_mb() -> float:
    """Return the most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells there is inherited from the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()

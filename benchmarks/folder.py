"""Propagation of a whole folder of photographs, over the floor of decoding each and writing its label PNG.

    python benchmarks/folder.py                      # 1,000 JPEGs of one megapixel, the bundled sample model
    python benchmarks/folder.py --count 100 --threads 1
    python benchmarks/folder.py --inside /dev/shm    # files in memory: the processors alone count

The floor reads every image and writes its label map with the program's own reader and writer, in as many
threads as the program takes; it runs before and after. Then `coordlabel propagate` runs as a user would run
it, start of the program included. Where other programs are busy, read the ratio of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import Row, machine, print_json, print_report
from folder_pictures import make_folder
from folder_profile import profile

from coordgan_core.data.images import read_image
from coordgan_core.devices import worker_threads
from coordgan_core.errors import DataError
from coordgan_core.folder import WRITERS
from coordgan_core.labels import read_label_map, write_label_map

BAR, AIM = 3.0, 1.5
"""Times the floor that the whole folder may take."""


@dataclass(frozen=True)
class Lasted:
    """Seconds of one pass over the folder: by the clock, and of the processors."""

    wall: float
    processor: float


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    options = _parser().parse_args(argv)
    about = machine()  # before the work, so that the load is that of other programs
    try:
        with tempfile.TemporaryDirectory(dir=options.inside) as temporary:
            report = measure(Path(temporary), options)
    except DataError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    if options.json:
        print_json({**report, "machine": about})
    else:
        print_report("Propagation of a whole folder", list(rows(report)), about)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="photographs")
    parser.add_argument("--side", type=int, default=1000, help="their sides in pixels")
    parser.add_argument("--model", default="sample", help="file, run folder or name")
    parser.add_argument("--inside", type=Path, help="where the temporary folder is made")
    parser.add_argument("--threads", type=int, default=0, help="of each part; 0: as the program chooses")
    parser.add_argument("--profile", type=int, default=24, help="photographs of the breakdown; 0: none")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Make the photographs in ``folder`` and measure floor, program and parts.

    Raises:
        DataError: The program failed.
    """
    reference = make_folder(folder, options.count, options.side, say=_say)
    threads = (options.threads or worker_threads()) + WRITERS
    images = sorted((folder / "images").iterdir())
    labels = read_label_map(reference.labels)

    def decode_and_write(path: Path) -> None:
        read_image(path)
        write_label_map(folder / "floor" / f"{path.stem}.png", labels)

    _say("floor ...")
    floors = [_timed(lambda: _in_threads(decode_and_write, images, threads))]
    _say("coordlabel propagate ...")
    command = [*_program(), "--model", options.model, "--images", str(folder / "images")]
    command += ["--reference", str(reference.image), "--labels", str(reference.labels)]
    program, said = _run([*command, "--out", str(folder / "out"), "--json"], options.threads)
    _say("floor ...")
    floors.append(_timed(lambda: _in_threads(decode_and_write, images, threads)))
    floor = Lasted(*(sum(getattr(f, name) for f in floors) / 2 for name in ("wall", "processor")))
    parts = profile(folder, reference, options.model, options.profile) if options.profile else {}
    return {
        "images": options.count,
        "megapixels": options.side**2 / 1e6,
        "kilobytes": sum(path.stat().st_size for path in images) / len(images) / 1e3,
        "threads": threads,
        "floor": asdict(floor),
        "program": asdict(program),
        "seconds_of_propagation": said["seconds"],
        "images_per_second": options.count / program.wall,
        "ratio": program.wall / floor.wall,
        "ratio_of_propagation": said["seconds"] / floor.wall,
        "ratio_of_processor_time": program.processor / floor.processor,
        "milliseconds_by_part": {name: 1e3 * seconds for name, seconds in parts.items()},
    }


def _in_threads(work: Callable[[Path], None], paths: list[Path], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, paths))


def _timed(work: Callable[[], None]) -> Lasted:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Lasted(time.perf_counter() - wall, time.process_time() - processor)


def _program() -> list[str]:
    return [sys.executable, "-m", "app", "propagate"]


def _run(command: list[str], threads: int) -> tuple[Lasted, dict[str, Any]]:
    """Run the program; return how long it took, and what it said."""
    environment = dict(os.environ)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise DataError(f"`coordlabel propagate` ended with {done.returncode}: {reason}")
    spent = sum(getattr(after, n) - getattr(before, n) for n in ("children_user", "children_system"))
    return Lasted(wall, spent), json.loads(done.stdout)


def rows(report: dict[str, Any]) -> list[Row]:
    """Return the rows of a report, with the bar that is set for it."""
    floor, program, count = report["floor"], report["program"], report["images"]

    def each(lasted: dict[str, float]) -> str:
        return " and ".join(f"{1e3 * lasted[k] / count:.1f} ms {k}" for k in ("wall", "processor"))

    what = f"{count} JPEGs of {report['megapixels']:.1f} megapixel, {report['kilobytes']:.0f} kB"
    found = [
        Row(what, f"{report['ratio']:.2f} x the floor", f"{BAR} x", f"{AIM} x"),
        Row("  without the start of the program", f"{report['ratio_of_propagation']:.2f} x"),
        Row("  by processor time", f"{report['ratio_of_processor_time']:.2f} x"),
        Row("  images per second", f"{report['images_per_second']:.1f}"),
        Row(f"floor in {report['threads']} threads, an image", each(floor)),
        Row("program, an image", each(program)),
    ]
    parts = report["milliseconds_by_part"]
    return found + [Row(f"  {name}", f"{value:.2f} ms") for name, value in parts.items()]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

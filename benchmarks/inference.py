"""Compare ways of running a model's network on the CPU: images a second, and whether labels stay the same.

    python benchmarks/inference.py                          # the bundled sample model on its own pictures
    python benchmarks/inference.py --model MODEL --images 24 --seconds 3
    python benchmarks/inference.py --held-out 48            # labels of synthetic figures instead

Labels are those of a propagation, compared with those of eager float32: from the map alone, and after
alignment and refinement, as they are written. What is not installed is skipped with a note; ONNX Runtime and
OpenVINO, which the program takes where it is there, come with the extra `runtimes`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from common import machine, print_json
from inference_engines import ENGINES, Unavailable

from app.commands.catalogue import find_model
from coordgan_core.data.images import read_image
from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.errors import CoordError
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import Image, PropagationOptions, Propagator, Reference, read_reference
from coordgan_core.snapshot import load_model
from resources import sample_project

EQUAL = 0.995
"""Share of equal labels from which on an engine may replace eager float32."""
BASE = "eager float32"
HELD_OUT_SEED, FIGURE_PX = 101, 256
Labels = list[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Row:
    """What one engine reached.

    Args:
        engine: Its name.
        images_per_second: Of the network alone, in batches, by the wall clock.
        images_per_cpu_second: The same by the time of the processors that it used.
        map_agreement: Share of labels equal to those of eager float32, from the map alone.
        label_agreement: The same after alignment and refinement.
        preparation_seconds: Compiling or converting, and the first batch.
    """

    engine: str
    images_per_second: float
    images_per_cpu_second: float
    map_agreement: float
    label_agreement: float
    preparation_seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sample", help="file, run folder or name")
    parser.add_argument("--images", type=int, default=24, help="pictures of the sample project")
    parser.add_argument(
        "--held-out", type=int, default=0, help="instead: so many synthetic figures, at 256 px"
    )
    parser.add_argument("--batch", type=int, default=8, help="images at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each engine is timed")
    parser.add_argument("--engines", default="", help=f"of {', '.join(ENGINES)}; all by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    about = machine()
    names = [name.strip() for name in options.engines.split(",") if name.strip()] or list(ENGINES)
    if unknown := [name for name in names if name not in ENGINES]:
        sys.stderr.write(f"Error: there is no engine {unknown[0]!r}; there are {', '.join(ENGINES)}\n")
        return 2
    try:
        events = list(compare(options, names))
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    rows = [event for event in events if isinstance(event, Row)]
    skipped = [event for event in events if isinstance(event, Unavailable)]
    if options.json:
        print_json(
            {
                "engines": [asdict(row) for row in rows],
                "skipped": {note.engine: note.reason for note in skipped},
                "fastest_with_equal_labels": fastest(rows),
                "machine": about,
            }
        )
    else:
        _print(rows, skipped, about)
    return 0


def compare(options: argparse.Namespace, names: Sequence[str]) -> Iterator[Row | Unavailable]:
    """Measure the engines; eager float32 goes first, whatever was asked for."""
    path = find_model(options.model)
    reference, photographs = _figures(options.held_out) if options.held_out else _sample(options.images)
    truth: tuple[Labels, Labels] | None = None
    for name in [BASE, *(name for name in names if name != BASE)]:
        model = load_model(path).eval()
        if not options.json:
            sys.stderr.write(f"{name} ...\n")
        began = time.perf_counter()
        try:
            engine = ENGINES[name](model, options.batch)
            predictor = Predictor(engine, device="cpu", batch=options.batch, runtime="torch")
            predictor.analyse(photographs[: options.batch])
        except Unavailable as note:
            yield replace_name(note, name)
            continue
        preparation = time.perf_counter() - began
        found = _labels(predictor, reference, photographs)
        truth = truth or found
        wall, cpu = _rates(engine, model.input_px, options.batch, options.seconds)
        agreements = [_agreement(a, b) for a, b in zip(truth, found, strict=True)]
        yield Row(name, wall, cpu, agreements[0], agreements[1], preparation)


def replace_name(note: Unavailable, engine: str) -> Unavailable:
    """Return the note with the name of the engine that it is about."""
    return Unavailable(note.reason, engine)


def fastest(rows: Sequence[Row]) -> str | None:
    """Return the engine with the most images per second of processor time whose labels are equal."""
    equal = [row for row in rows if row.label_agreement >= EQUAL]
    return max(equal, key=lambda row: row.images_per_cpu_second).engine if equal else None


def _sample(count: int) -> tuple[Reference, list[Image]]:
    """Return the labelled picture of the sample project and ``count`` others."""
    sample = sample_project()
    label_map = sorted((sample / "labels").glob("*.png"))[0]
    reference = read_reference(sample / "images" / f"{label_map.stem}.jpg", label_map)
    paths = [p for p in sorted((sample / "images").glob("*.jpg")) if p.stem != label_map.stem]
    return reference, [read_image(path) for path in paths[:count]]


def _figures(count: int) -> tuple[Reference, list[Image]]:
    """Return a labelled synthetic figure and ``count`` others, of a seed that no model was trained on."""
    category = SyntheticCategory(HELD_OUT_SEED)
    first, *others = (category.sample(index, FIGURE_PX) for index in range(count + 1))
    return Reference(first.image, first.labels), [figure.image for figure in others]


def _labels(
    predictor: Predictor, reference: Reference, photographs: Sequence[Image]
) -> tuple[Labels, Labels]:
    """Return the label maps from the map alone, and those after alignment and refinement."""
    found = []
    whole = PropagationOptions()
    for options in (replace(whole, align=None, refine=None), whole):
        propagator = Propagator(predictor, [reference], options=options)
        labels: Labels = []
        for start in range(0, len(photographs), predictor.batch):
            part = propagator.run(photographs[start : start + predictor.batch])
            labels += [result.labels for result in part]
        found.append(labels)
    return found[0], found[1]


def _agreement(first: Labels, second: Labels) -> float:
    equal = sum(int((a == b).sum()) for a, b in zip(first, second, strict=True))
    return equal / sum(a.size for a in first)


def _rates(engine: Any, side: int, batch: int, seconds: float) -> tuple[float, float]:
    """Return images a second of the network alone, by the wall clock and by processor time."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, side, side, generator=generator) * 2.0 - 1.0
    images = images.contiguous(memory_format=torch.channels_last)
    done, wall, cpu = 0, time.perf_counter(), time.process_time()
    with torch.inference_mode():
        while time.perf_counter() - wall < seconds or done == 0:
            engine.correspondence(images)
            done += batch
    return done / (time.perf_counter() - wall), done / max(time.process_time() - cpu, 1e-9)


def _print(rows: Sequence[Row], skipped: Sequence[Unavailable], about: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title="CPU inference of the network", title_justify="left", header_style="bold")
    table.add_column("engine")
    for name in ("images/s", "images/s of CPU time", "x", "equal labels, map", "equal labels", "start, s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.engine,
            f"{row.images_per_second:.1f}",
            f"{row.images_per_cpu_second:.1f}",
            f"{row.images_per_cpu_second / rows[0].images_per_cpu_second:.2f}",
            f"{100 * row.map_agreement:.3f} %",
            f"{100 * row.label_agreement:.3f} %",
            f"{row.preparation_seconds:.1f}",
        )
    console.print(table)
    for note in skipped:
        console.print(f"{note.engine} was left out: {note.reason}.", markup=False)
    console.print(f"Fastest with {100 * EQUAL:.1f} % equal labels or more: {fastest(rows)}.", markup=False)
    console.print(", ".join(f"{name} {value}" for name, value in about.items() if value not in ("", None)))


if __name__ == "__main__":
    sys.exit(main())

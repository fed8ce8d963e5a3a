"""Quality and speed of a model: the rows of docs/benchmarks.md that no other command prints.

    python benchmarks/quality.py                                  # bundled model: synthetic, speed, demo
    python benchmarks/quality.py --synthetic MODEL                # map error in pixels, label mean IoU
    python benchmarks/quality.py --model MODEL --data DIR --protocol celebamask-7
    python benchmarks/quality.py --data DIR                       # bundled model of that name, all peers
    python benchmarks/quality.py --speed MODEL                    # images of one megapixel a second
    python benchmarks/quality.py --swaps MODEL --images DIR       # swap consistency, likeness to real images
    python benchmarks/quality.py --demo                           # `coordlabel demo`, start to finish

DIR holds images/, labels/, classes.json and references.txt. A MODEL is a file, a run folder, or a name.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundled_sets import BARS, protocol_for
from common import Row, machine, print_json, print_report

from app.commands.catalogue import find_model
from app.commands.output import console
from coordgan_core.errors import CoordError

BUNDLED = "sample"
SMALL: dict[str, Any] = {
    "embedding.channels": (8, 8),
    "embedding.input_px": 32,
    "synthesis.trunk_channels": 8,
    "encoder.max_channels": 16,
}
"""Makes `quick-64` small enough for `smoke`."""

Report = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    options = _parser().parse_args(argv)
    if options.model and not options.data:
        sys.stderr.write("--model needs --data\n")
        return 2
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    about = machine()  # before the work, so that the load is that of other programs
    try:
        report = smoke() if options.smoke else measure(options)
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    if options.json:
        print_json({**report, "machine": about})
    else:
        title = "An untrained model: figures mean nothing" if options.smoke else "Quality and speed"
        print_report(title, list(rows(report)), about)
        if "peers" in report:
            from quality_peers import print_peers

            print_peers(report["peers"])
    return 0


def _parser() -> argparse.ArgumentParser:
    from quality_peers import add_options

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", help="model to measure on --data")
    parser.add_argument("--data", type=Path, help="labelled folder")
    parser.add_argument("--protocol", default="", help="merges classes of --data, as celebamask-7 does")
    parser.add_argument(
        "--layout", default="plain", help="of --data, such as celebamask: coordgan_core.data.datasets"
    )
    parser.add_argument("--limit", type=int, default=0, help="queries of --data, evenly spread; 0 for all")
    parser.add_argument("--synthetic", metavar="MODEL", help="measure on the synthetic category")
    parser.add_argument("--speed", metavar="MODEL", help="measure on images of one megapixel")
    parser.add_argument("--swaps", metavar="MODEL", help="swap consistency of what a model paints")
    parser.add_argument("--images", type=Path, help="real images for --swaps to compare with")
    parser.add_argument("--samples", type=int, default=1000, help="of --swaps; 10000 as published")
    parser.add_argument("--demo", action="store_true", help="time the demo")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of PyTorch; 0: as it is")
    parser.add_argument(
        "--smoke", action="store_true", help="everything once, small, with an untrained model"
    )
    add_options(parser)
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measure what was asked for; the bundled model's rows if nothing was."""
    synthetic, speed, demo = options.synthetic, options.speed, options.demo
    if not (options.data or options.swaps or synthetic or speed or demo):
        synthetic, speed, demo = BUNDLED, BUNDLED, True
    report: Report = {}
    if demo:
        from quality_runs import measure_demo

        report["demo"] = measure_demo()
    if speed:
        from quality_runs import measure_speed

        report["speed"] = measure_speed(_load(speed, options.device)[0])
    if synthetic:
        report["synthetic"] = synthetic_report(*_load(synthetic, options.device))
    if options.swaps:
        from quality_swaps import measure_swaps

        report["swaps"] = measure_swaps(
            _load(options.swaps, options.device)[0].model, samples=options.samples, images=options.images
        )
    if options.model:
        predictor, calibration = _load(options.model, options.device)
        report["folder"] = folder_report(
            predictor,
            options.data,
            protocol=options.protocol or protocol_for(options.data.name),
            limit=options.limit,
            layout=options.layout,
            calibration=calibration,
        )
    if options.data and options.peers != "none" and (options.peers or not options.model):
        report["peers"] = peers_report(options)
    return report


def peers_report(options: argparse.Namespace) -> Report:
    """Return the figures of the model, the bundled one by default, beside its peers."""
    from quality_peers import bundled_for, collect, measure_peers

    model = options.model or bundled_for(options.data)
    loaded = _load(model, options.device) if model else None
    return collect(measure_peers(options.data, options, model=loaded), options, model=model)


def _load(model: str, device: str) -> tuple[Any, Any]:
    """Return the predictor and the calibration of a model."""
    from coordgan_core.predictor import Predictor
    from coordgan_core.snapshot import load_calibration, load_model

    path = find_model(model)
    return Predictor(load_model(path), device=device), load_calibration(path)


def synthetic_report(predictor: Any, calibration: Any = None, **sizes: Any) -> Report:
    """Return map error and label quality on the synthetic category."""
    from quality_synthetic import measure_labels, measure_maps

    pictures = sizes.pop("pictures", 24)
    maps = asdict(measure_maps(predictor, pictures=pictures))
    events = measure_labels(predictor, calibration=calibration, **sizes)
    labels = _follow("synthetic", (("", event) for event in events))[""]
    return {"maps": maps, "labels": labels}


def folder_report(predictor: Any, folder: Path, **options: Any) -> Report:
    """Return the figures of a labelled folder, by way of propagation."""
    from quality_runs import measure_folder

    return {"name": folder.name, **_follow(folder.name, measure_folder(predictor, folder, **options))}


def _follow(what: str, events: Iterator[tuple[str, Any]]) -> Report:
    """Show progress on stderr; return each way's evaluation."""
    from rich.progress import Progress

    from coordgan_core.evaluation import Evaluation

    found: Report = {}
    with Progress(console=console(), transient=True) as progress:
        task = progress.add_task(what, total=None)
        for way, event in events:
            if isinstance(event, Evaluation):
                found[way] = asdict(event)
            else:
                text = f"{what} {way} {event.what}"[:60]
                progress.update(task, description=text, total=event.total, completed=event.done)
    return found


def smoke() -> Report:
    """Run every part once with a small untrained model: tells whether the script works, measures nothing."""
    from quality_runs import labelled_sample, measure_speed

    from coordgan_core.config import replace
    from coordgan_core.models.coordgan import CoordGAN
    from coordgan_core.presets import preset
    from coordgan_core.snapshot import ModelCard, save_model

    small = replace(preset("quick-64").model, **SMALL)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_model(folder / "untrained.safetensors", CoordGAN(small), ModelCard(name="untrained"))
        predictor, calibration = _load(str(folder / "untrained.safetensors"), "cpu")
        data = labelled_sample(folder / "figures", images=2)
        return {
            "speed": measure_speed(predictor, images=2, side=256),
            "synthetic": synthetic_report(predictor, calibration, pictures=2, references=1, queries=1),
            "folder": folder_report(predictor, data, limit=1),
        }


def rows(report: Report) -> Iterator[Row]:
    """Yield the rows of a report, with the bars that are set for them."""
    if demo := report.get("demo"):
        yield Row("coordlabel demo, start to finish", f"{demo['seconds']:.1f} s", "60 s", "20 s")
        yield Row("  its mean IoU against exact masks", f"{demo['miou']:.3f}")
    if speed := report.get("speed"):
        what = f"encoder + atlas + refinement, {speed['megapixels']:.1f} megapixel"
        yield Row(what, f"{speed['images_per_second']:.1f} images/s", "10 images/s", "30 images/s")
        yield Row("  with residual alignment", f"{speed['images_per_second_aligned']:.1f} images/s")
        yield Row(
            "  and with decoding and PNG writing", f"{speed['images_per_second_with_files']:.1f} images/s"
        )
        yield Row("  the network alone", f"{speed['images_per_second_network']:.1f} images/s")
    if synthetic := report.get("synthetic"):
        yield from _synthetic_rows(synthetic)
    if folder := report.get("folder"):
        yield from _folder_rows(folder)
    if swaps := report.get("swaps"):
        from quality_swaps import rows as swap_rows

        yield from swap_rows(swaps)


def _synthetic_rows(synthetic: Report) -> Iterator[Row]:
    maps, labels = synthetic["maps"], synthetic["labels"]
    yield Row("synthetic: mean map error at 64 px", f"{maps['mean_px']:.2f} px", "2 px", "1 px")
    yield Row("  median; of the same position", f"{maps['median_px']:.2f}; {maps['unmoved_px']:.2f} px")
    yield Row("  PCK@0.05, PCK@0.1", f"{maps['pck_05']:.3f}, {maps['pck_10']:.3f}")
    yield Row("synthetic: label mean IoU, one reference", f"{labels['miou']:.3f}", "0.80", "0.92")
    yield from _peer_rows(labels)
    yield Row("  calibration error", f"{labels['ece']:.3f}")


def _folder_rows(folder: Report) -> Iterator[Row]:
    name = folder["name"]
    ways = {way: found for way, found in folder.items() if way != "name"}
    for i, (way, found) in enumerate(ways.items()):
        bar = tuple(f"{value:.2f}" for value in BARS[name]) if i == 0 and name in BARS else ("", "")
        figures = f"{found['miou']:.3f} ({found['foreground_iou']:.3f})"
        yield Row(f"{name}: mean IoU (foreground), {way}", figures, *bar)
        if i == 0:
            yield from _peer_rows(found)
            yield Row(f"{name}: calibration error, {way}", f"{found['ece']:.3f}", "0.08", "0.03")


def _peer_rows(found: Report) -> Iterator[Row]:
    for peer, figures in found["peers"].items():
        yield Row(f"  {peer}", f"{figures['miou']:.3f} ({figures['foreground_iou']:.3f})")


if __name__ == "__main__":
    sys.exit(main())

"""Train a model of a category on a CUDA machine, slice by slice; run again, it goes on.

    python benchmarks/gpu/train_model.py faces-tight --pack .data/faces-tight.zip --out OUT
    python benchmarks/gpu/train_model.py faces-tight --pack .data/faces-tight.zip --from PARTS --out OUT

A slice takes at most --minutes, measuring and writing included. It goes on from the run folder under --work
if it is still there, else from the parts in --from. OUT gets run.part0 .. run.part6 (at most 16 MiB each) and
report.json; with the pack they fit one upload of 64 MiB (`next_upload_mib`). A finished run's parts hold the
model instead of a checkpoint (`slices.load` joins them, `benchmarks/bundle_model.py` bundles the run).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pack
import slices
import tree
from common import machine
from smoke import SMALL, drawn_pack

from coordgan_core.config import replace
from coordgan_core.errors import CoordError
from coordgan_core.presets import PRESETS, preset
from coordgan_core.training import events as ev
from coordgan_core.training.loop import resume, train
from coordgan_core.training.run import RunFolder, is_run

SLICE_MINUTES = 9.0
RESERVE_SEC = 60.0
"""Kept of a slice for the checkpoint, the figures and the parts."""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        report = smoke() if options.smoke else run_slice(options)
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("category", nargs="?", default="category")
    parser.add_argument("--pack", type=Path, help="file of pack.py; .data/CATEGORY.zip by default")
    parser.add_argument("--from", dest="parts", type=Path, help="folder with the parts of the slice before")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the parts and the report go")
    parser.add_argument("--work", type=Path, help="scratch folder; runs/gpu/CATEGORY by default")
    parser.add_argument("--preset", default="fast-128", choices=PRESETS)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="FIELD=JSON")
    parser.add_argument("--total-minutes", type=float, default=25.0, help="of the whole training")
    parser.add_argument("--minutes", type=float, default=SLICE_MINUTES, help="of this slice")
    parser.add_argument("--mib", type=float, default=slices.CARRIED_MIB, help="most that all parts may take")
    parser.add_argument(
        "--loss", type=int, default=0, choices=slices.LEVELS, help="least loss of what is carried: `slices`"
    )
    parser.add_argument("--queries", type=int, default=60, help="labelled images of the figures")
    parser.add_argument("--protocol", default="", help="merges classes, as celebamask-7 does")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--smoke", action="store_true", help="two tiny slices on the CPU")
    return parser


def run_slice(options: argparse.Namespace) -> dict[str, Any]:
    """Train for one slice and write what the next one needs; return the report."""
    began = time.monotonic()
    about = machine()
    work = options.work or tree.ROOT / "runs/gpu" / options.category
    data, run = work / "data", work / "run"
    packed = options.pack or tree.ROOT / f".data/{options.category}.zip"
    told = pack.unpack(packed, data)
    if not is_run(run) and options.parts is not None:
        slices.load(options.parts, run, images=data / "unlabelled")
    reserve = min(RESERVE_SEC, 0.5 * 60.0 * options.minutes)
    last = _follow(_events(options, data, run), run, deadline=began + 60.0 * options.minutes - reserve)
    finished = isinstance(last, ev.Finished)
    report: dict[str, Any] = {"category": options.category, "preset": options.preset, "data": told}
    carried = slices.save(run, options.out, mib=options.mib, finished=finished, least=options.loss)
    report["carried"] = carried
    report["next_upload_mib"] = round(packed.stat().st_size / slices.MIB + carried["mib"], 2)
    report |= {"status": vars(RunFolder.open(run).status())}
    if (run / "model.safetensors").is_file():
        from figures import label_iou

        report["labels"] = label_iou(
            run / "model.safetensors",
            data,
            protocol=options.protocol,
            queries=options.queries,
            device=options.device,
        )
    report |= {"machine": about, "slice_sec": round(time.monotonic() - began, 1)}
    (options.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _events(options: argparse.Namespace, data: Path, run: Path) -> Iterator[ev.Event]:
    if is_run(run):
        return resume(run, device=options.device)
    changes = {name: json.loads(value) for name, _, value in (s.partition("=") for s in options.settings)}
    config = replace(preset(options.preset), **{"train.minutes": options.total_minutes} | changes)
    return train(
        config,
        images=data / "unlabelled",
        run=run,
        device=options.device,
        name=options.category,
        category=options.category,
        licence="research use",
    )


def _follow(events: Iterator[ev.Event], run: Path, *, deadline: float) -> ev.Event | None:
    """Train until done or the deadline; tell the course on stderr."""
    last: ev.Event | None = None
    told, asked = 0.0, False
    for last in events:
        now = time.monotonic()
        if isinstance(last, ev.Progress):
            if now - told > 15.0:
                told = now
                losses = "  ".join(f"{name} {value:.3f}" for name, value in last.scalars.items())
                line = f"{last.stage} {last.nimg}/{last.total_nimg}  {last.images_per_second:.0f} img/s"
                sys.stderr.write(f"{line}  {losses}\n")
        elif not isinstance(last, ev.Decoding):
            sys.stderr.write(f"{last}\n")
        if now > deadline and not asked and is_run(run):
            asked = True
            RunFolder.open(run).request("pause")
    return last


def smoke() -> dict[str, Any]:
    """Train a tiny model in two slices, the second on a bare machine: tells whether the script works."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words = ["figures", "--pack", str(drawn_pack(folder)), "--work", str(folder / "work")]
        words += ["--out", str(folder / "out"), "--device", "cpu", "--queries", "1"]
        settings = SMALL | {f"train.{stage}.total_nimg": 4 for stage in preset("fast-128").train.stages}
        for name, value in settings.items():
            words += ["--set", f"{name}={json.dumps(value)}"]
        words += ["--total-minutes", "0"]
        short = ["--minutes", "0.02", "--mib", "1", "--loss", "2"]
        first = run_slice(_parser().parse_args([*words, *short]))
        shutil.rmtree(folder / "work")
        second = run_slice(_parser().parse_args([*words, "--from", str(folder / "out")]))
    return {"first": first, "second": second}


if __name__ == "__main__":
    sys.exit(main())

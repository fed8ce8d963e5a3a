"""What each change is worth: label IoU of variants of fast-128 at equal wall time, one after the other.

    python benchmarks/gpu/ablation.py --pack .data/faces-tight.zip --minutes 2 --out OUT
    python benchmarks/gpu/ablation.py --pack .data/faces-tight.zip --variants no-anchor,no-early --out OUT

Variants that are in OUT/ablation.json already are not run again, so that the next slice goes on; one is only
begun where it can end within --slice minutes. "By code" is the map of the structure code, which the
adversarial stage trains; the embedding's, which labels travel by, comes from the stages before.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pack
import tree  # noqa: F401
from common import Row, machine, print_json, print_report
from figures import label_iou
from smoke import SMALL, chosen, drawn_pack

from coordgan_core.config import Config, replace
from coordgan_core.errors import CoordError
from coordgan_core.presets import preset
from coordgan_core.training import events as ev
from coordgan_core.training.loop import train

GAN_FIRST: dict[str, Any] = {
    "train.stages": ("gan", "encoder"),
    "train.stage_shares": (0.6, 0.4),
    "train.perceptual": "structural",
    "train.gan.frame": 0.0,
}
"""The published order of stages: nothing is learned before the adversary."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "fast-128": ("fast-128", {}),
    "paper-128": ("paper-128", {}),
    "quick-64": ("quick-64", {}),
    "no-gan": ("fast-128", {"train.stages": ("embedding", "joint"), "train.stage_shares": (0.6, 0.4)}),
    "embedding-only": ("fast-128", {"train.stages": ("embedding",), "train.stage_shares": (1.0,)}),
    "no-warm-start": ("fast-128", GAN_FIRST),
    "no-residual": ("fast-128", {"model.warp.residual": False, "model.warp.squash": True}),
    "trunk-3x3": ("fast-128", {"model.synthesis.trunk_kernel": 3}),
    "trunk-256": ("fast-128", {"model.synthesis.trunk_channels": 256}),
    "no-frame": ("fast-128", {"train.gan.frame": 0.0}),
    "structural": ("fast-128", {"train.perceptual": "structural"}),
    "non-saturating": ("fast-128", {"train.gan.adversary": "non-saturating"}),
    "no-augment": ("fast-128", {"train.gan.augment": "none"}),
    "float32": ("fast-128", {"train.precision": "float32"}),
    "no-compile": ("fast-128", {"train.compile": False}),
    "no-early": ("fast-128", {"train.embedding.early_px": 0}),
    "no-anchor": ("fast-128", {"train.embedding.anchor": 0.0}),
    "batch-16": ("fast-128", {"train.batch": 16}),
}
RESERVE = 1.3
"""A variant takes its minutes times this, decoding, snapshots and figures included."""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    options = _parser().parse_args(argv)
    about = machine()
    try:
        report = smoke() if options.smoke else measure(options)
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    if options.json:
        print_json({**report, "machine": about})
    else:
        title = "Tiny widths: figures mean nothing" if options.smoke else "Variants at equal wall time"
        print_report(title, rows(report), about)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pack", type=Path, help="file of pack.py")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="which, separated by commas")
    parser.add_argument("--minutes", type=float, default=2.0, help="training time of each")
    parser.add_argument("--slice", type=float, default=9.0, help="minutes that this call may take")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of ablation.json")
    parser.add_argument("--from", dest="earlier", type=Path, help="ablation.json of the slice before")
    parser.add_argument("--queries", type=int, default=40, help="labelled images of the figures")
    parser.add_argument("--protocol", default="", help="merges classes, as celebamask-7 does")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--smoke", action="store_true", help="two tiny variants on the CPU")
    return parser


def measure(options: argparse.Namespace, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train and measure the variants that are still missing, as far as the slice reaches.

    Args:
        options: Of the command line.
        changes: Made to every variant where its model has the field (smoke).
    """
    began, result = time.monotonic(), options.out / "ablation.json"
    earlier = next((path for path in (result, options.earlier) if path and path.is_file()), None)
    told = json.loads(earlier.read_text(encoding="utf-8")) if earlier else {}
    found: dict[str, Any] = told.get("variants", {}) if told.get("minutes") == options.minutes else {}
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = chosen(options.variants, VARIANTS)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        pack.unpack(options.pack, data)
        for name in wanted:
            spent = (time.monotonic() - began) / 60.0
            if name in found or spent + RESERVE * options.minutes > options.slice:
                continue
            sys.stderr.write(f"{name}\n")
            base, own = VARIANTS[name]
            config = replace(preset(base), **(changes or {}) | own | {"train.minutes": options.minutes})
            found[name] = _variant(config, Path(temporary) / name, data, options)
            result.write_text(json.dumps({"minutes": options.minutes, "variants": found}), encoding="utf-8")
    missing = [name for name in wanted if name not in found]
    return {"minutes": options.minutes, "variants": found, "missing": missing}


def _variant(config: Config, run: Path, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train one variant for its minutes; return what it saw and how well labels travel."""
    begin, seen, last = time.monotonic(), {}, None
    for last in train(config, images=data / "unlabelled", run=run, device=options.device):
        if isinstance(last, ev.Progress):
            seen[last.stage] = last.nimg
    told: dict[str, Any] = {"seconds": round(time.monotonic() - begin, 1), "nimg": seen}
    rules = {"protocol": options.protocol, "queries": options.queries, "device": options.device}
    told["labels"] = label_iou(run / "model.safetensors", data, **rules)
    if "encoder" in config.train.stages or "joint" in config.train.stages:
        told["by_code"] = label_iou(run / "model.safetensors", data, by_code=True, **rules)
    return told


def smoke() -> dict[str, Any]:
    """Run two variants with tiny widths, in two slices: tells whether the script works."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words = ["--pack", str(drawn_pack(folder)), "--out", str(folder / "out"), "--device", "cpu"]
        words += ["--minutes", "0.01", "--queries", "1", "--slice", "5"]
        for names in ("no-warm-start", "no-warm-start,fast-128"):
            report = measure(_parser().parse_args([*words, "--variants", names]), SMALL)
    return report


def rows(report: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of a report."""
    for name, found in report["variants"].items():
        labels, code = found["labels"], found.get("by_code")
        seen = ", ".join(f"{stage} {nimg}" for stage, nimg in found["nimg"].items())
        yield Row(f"{name}, {report['minutes']:g} min: mean IoU (foreground)", _figures(labels))
        yield Row("  not aligned", _figures(labels, "_unaligned"))
        if code:
            yield Row("  by code, not aligned", _figures(code, "_unaligned"))
        yield Row("  images seen", seen)
    for name in report.get("missing", ()):
        yield Row(name, "not measured")


def _figures(found: dict[str, float], ending: str = "") -> str:
    return f"{found['miou' + ending]:.3f} ({found['foreground_iou' + ending]:.3f})"


if __name__ == "__main__":
    sys.exit(main())

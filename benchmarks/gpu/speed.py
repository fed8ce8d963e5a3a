"""Speed on one device: training of fast-128 beside paper-128, propagation, memory.

    python benchmarks/gpu/speed.py                      # on a CUDA machine, a few minutes
    python benchmarks/gpu/speed.py --device cpu --batch 2 --steps 1 --warm 0
    python benchmarks/gpu/speed.py --smoke              # tiny widths, tells whether it works

Training is the adversarial stage with all its losses on; lazy penalties have their share from 16 steps up,
and none below. Pictures are random and weights untrained: neither matters for speed. Presets are run as they
are but for the batch; `paper-128 bf16` is paper-128 in the arithmetic of fast-128, to tell what the networks
save from what bfloat16 saves.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import tree  # noqa: F401
from common import Row, machine, print_json, print_report
from smoke import PAPER_ONLY, SMALL, chosen

from coordgan_core.config import Config, replace
from coordgan_core.data.sampler import ImageSource
from coordgan_core.devices import resolve_device, uses_bfloat16
from coordgan_core.errors import CoordError
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.presets import preset
from coordgan_core.training import profiling
from coordgan_core.training.state import is_out_of_memory, seeded

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper-128": ("paper-128", {}),
    "paper-128 bf16": ("paper-128", {"train.precision": "auto"}),
    "fast-128": ("fast-128", {}),
    "fast-128 uncompiled": ("fast-128", {"train.compile": False}),
    "fast-256": ("fast-256", {}),
}
_IMAGES = 64
Report = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    options = _parser().parse_args(argv)
    if options.smoke:
        options.device, options.batch, options.steps = "cpu", 2, 1
        options.presets = "paper-128,fast-128"
    about = machine()
    try:
        report = measure(options)
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    if options.json:
        print_json({**report, "machine": about})
    else:
        title = "Tiny widths: figures mean nothing" if options.smoke else "Speed"
        print_report(title, rows(report), about)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", default=",".join(VARIANTS), help="which to train, separated by commas")
    parser.add_argument("--batch", type=int, default=16, help="images a step, the same for all")
    parser.add_argument("--steps", type=int, default=16, help="steps that are measured")
    parser.add_argument("--warm", type=int, default=2, help="steps before them")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--no-propagation", action="store_true", help="measure training alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--smoke", action="store_true", help="everything once with tiny widths, on the CPU")
    return parser


def measure(options: argparse.Namespace) -> Report:
    """Measure what was asked for."""
    device = resolve_device(options.device)
    report: Report = {"batch": options.batch, "steps": options.steps, "training": {}}
    wanted = {name: VARIANTS[name] for name in chosen(options.presets, VARIANTS)}
    for name, (base, changes) in wanted.items():
        small = {} if not options.smoke else PAPER_ONLY if base.startswith("paper") else SMALL
        changes = small | changes | {"train.batch": options.batch}
        config = replace(preset(base), **changes)
        sys.stderr.write(f"training {name}\n")
        report["training"][name] = _training(config, device, options.steps, options.warm)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if not options.no_propagation:
        sys.stderr.write("propagation\n")
        config = replace(preset("fast-128"), **(SMALL if options.smoke else {}))
        report["propagation"] = _propagation(config, device, smoke=options.smoke)
    return report


def _training(config: Config, device: torch.device, steps: int, warm: int) -> Report:
    """Measure the adversarial stage of a configuration."""
    peak = profiling.matmul_peak(device, bfloat16=uses_bfloat16(config.train.precision, device))
    source, model = _source(config, device), _model(config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        stage = profiling.build("gan", config, model, source, device)
        # Operations are counted at a second pass through the stage, which a slow device need not have.
        count = peak if device.type == "cuda" else 0.0
        begun = time.process_time()
        found = profiling.measure(stage, config, source, device, steps=steps, warm=warm, peak=count)
        cpu = (time.process_time() - begun) / (steps + warm)
        waits = _waits(stage, config, source, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return {"images_per_second": 0.0, "error": "out of memory"}
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    told = {**vars(found), "peak_flops": peak, "memory_bytes": memory, "waits": waits}
    return told | ({"cpu_sec": cpu} if device.type == "cpu" else {})


def _waits(stage: Any, config: Config, source: ImageSource, device: torch.device) -> int | None:
    """Count the times that two steps make the host wait for the device; None on a CPU."""
    if device.type != "cuda":
        return None
    batch, first = config.train.batch, profiling.settled_nimg(config, "gan")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for number in range(2):
                nimg = first + number * batch
                stage.step(source.batch(nimg, batch, mirror=True, device=device), nimg=nimg)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(item.message) for item in heard)


def _propagation(config: Config, device: torch.device, *, smoke: bool) -> Report:
    from quality_runs import measure_speed

    from coordgan_core.predictor import Predictor

    predictor = Predictor(_model(config, device), device=str(device))
    sizes = {"images": 2, "side": 128} if smoke else {"images": 48 if device.type == "cuda" else 8}
    return measure_speed(predictor, **sizes)


def _source(config: Config, device: torch.device) -> ImageSource:
    side = config.model.image_px
    draws = np.random.default_rng(0)
    source = ImageSource.from_images(draws.integers(0, 256, (_IMAGES, side, side, 3), dtype=np.uint8))
    if device.type == "cuda":
        source.preload(device)
    return source


def _model(config: Config, device: torch.device) -> CoordGAN:
    """Build an untrained model whose prototypes are set, so that its embedding serves."""
    with seeded(0, "model", 0, device):
        model = CoordGAN(config.model)
        if model.embedding is not None:
            model.embedding.set_prototypes(torch.randn(model.embedding.prototypes.shape))
    return model.to(device)


def rows(report: Report) -> Iterator[Row]:
    """Yield the rows of a report, with the bars that are set for them."""
    training = report["training"]
    for name, found in training.items():
        what = f"{name}, batch {report['batch']}: training images/s"
        if "error" in found:
            yield Row(what, found["error"])
            continue
        yield Row(what, f"{found['images_per_second']:.3g}")
        parts = ", ".join(f"{part} {sec * 1e3:.0f}" for part, sec in found["parts_sec"].items() if sec)
        yield Row("  ms a step", parts)
        if "cpu_sec" in found:  # other programs on the same core do not lengthen it
            yield Row("  processor time, s a step", f"{found['cpu_sec']:.3g}")
        if found["memory_bytes"]:
            bar = ("8 GB", "4 GB") if name == "fast-128" else ("", "")
            yield Row("  peak memory", f"{found['memory_bytes'] / 1e9:.2f} GB", *bar)
            yield Row("  share of the matrix product's peak", f"{found['peak_share']:.1%}")
            yield Row("  waits of the host in two steps", str(found["waits"]), "0", "0")
    base, fast = (training.get(name, {}).get("images_per_second") for name in ("paper-128", "fast-128"))
    if base and fast:
        yield Row("fast-128 over paper-128", f"{fast / base:.1f} x", "15 x", "50 x")
    if speed := report.get("propagation"):
        what = f"propagation, {speed['megapixels']:.2f} megapixel: images/s"
        yield Row(what, f"{speed['images_per_second']:.1f}")
        yield Row("  with residual alignment", f"{speed['images_per_second_aligned']:.1f}")
        yield Row("  and with decoding and PNG writing", f"{speed['images_per_second_with_files']:.1f}")
        yield Row("  the network alone", f"{speed['images_per_second_network']:.1f}")


if __name__ == "__main__":
    sys.exit(main())

"""The part of `quality` that measures a model and its peers in one run, and prints them as one table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peers.carriers import PEERS, ModelCarrier, PeerOptions
from peers.runs import MODEL, Figures, Maker, Skipped, Step, compare
from quality_runs import load
from rich.console import Console
from rich.table import Table

from coordgan_core.data.datasets import names_a_side
from coordgan_core.errors import ConfigError, DataError
from coordgan_core.evaluation import Protocol
from resources import bundled_models

MODELS = {"faces-tight": "faces", "faces-wide": "faces"}
"""Name of the bundled model for a folder, where it is not that of the folder."""
FOLDER_PROTOCOLS = {"faces-tight": "celebamask-7", "faces-wide": "celebamask-7"}
BARS = {
    "faces-tight": (0.62, 0.74),
    "faces-wide": (0.62, 0.74),
    "xrays": (0.78, 0.88),
    "cars": (0.32, 0.50),
    "cats": (0.60, 0.75),
}
"""Bar and aim of the ordinary mean IoU, one reference."""

Report = dict[str, Any]
Loaded = tuple[Any, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the peers."""
    group = parser.add_argument_group("peers, measured beside the model on --data")
    group.add_argument(
        "--peers", help=f"of {', '.join(PEERS)}, separated by commas; `all` (without --model) or `none`"
    )
    group.add_argument("--queries", type=int, default=20, help="queries of slow peers; 0 for all")
    group.add_argument("--peer-seconds", type=float, default=60.0, help="processor time to train each U-Net")
    group.add_argument("--references", type=int, default=0, help="the first so many only; 0 for all")
    group.add_argument("--dinov2", type=Path, help="weights of DINOv2: dinov2_vits14_pretrain.pth")


def chosen_peers(text: str) -> tuple[str, ...]:
    """Return the peers that a list names.

    Raises:
        ConfigError: One of them does not exist.
    """
    if text in ("all", "none"):
        return PEERS if text == "all" else ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise ConfigError(f"there is no peer {unknown[0]!r}", expected=f"peers of {', '.join(PEERS)}")
    return names


def bundled_for(folder: Path) -> str | None:
    """Return the name of the bundled model for a folder of `../shared/data`, None if there is none."""
    name = MODELS.get(folder.name, folder.name)
    return name if name in [path.stem for path in bundled_models()] else None


def measure_peers(
    folder: Path, options: argparse.Namespace, *, model: Loaded | None
) -> Iterator[Step | Skipped | Figures | Protocol]:
    """Measure what the options ask for; yields the rules first.

    Args:
        folder: The labelled images.
        options: Of `add_options`, and ``protocol``, ``layout`` and ``limit``.
        model: Predictor and calibration; None for peers alone.

    Raises:
        DataError: The folder has no labels or no references.
        ConfigError: There is no such peer.
    """
    names = chosen_peers(options.peers or "all")
    protocol = options.protocol or FOLDER_PROTOCOLS.get(folder.name, "")
    references, queries, rules = load(folder, protocol=protocol, limit=options.limit, layout=options.layout)
    if not queries:
        raise DataError(f"{folder} has no queries", expected="labelled images that are not references")
    if options.references:
        references = references[: options.references]
    own = PeerOptions(
        classes=len(rules.class_names),
        size=rules.size,
        seconds=options.peer_seconds,
        mirror=not any(names_a_side(name) for name in rules.class_names),
        dinov2=options.dinov2,
    )
    maker: Maker | None = None
    if model is not None:
        predictor, calibration = model

        def maker(reference: Any) -> ModelCarrier:
            return ModelCarrier(predictor, reference, rules.size, calibration)

    yield rules
    yield from compare(names, references, queries, rules, own, model=maker, slow_queries=options.queries)


def collect(
    events: Iterator[Step | Skipped | Figures | Protocol], options: argparse.Namespace, *, model: str | None
) -> Report:
    """Follow a measurement on stderr; return its report."""
    from rich.progress import Progress

    from app.commands.output import console

    ways: list[Report] = []
    skipped: dict[str, str] = {}
    size = 0
    with Progress(console=console(), transient=True) as progress:
        task = progress.add_task("peers", total=None)
        for event in events:
            if isinstance(event, Protocol):
                size = event.size
            elif isinstance(event, Figures):
                ways.append(asdict(event))
            elif isinstance(event, Skipped):
                skipped[event.way] = event.reason
            else:
                progress.update(task, description=event.what[:60], total=event.total, completed=event.done)
    name = options.data.name
    return {
        "name": name,
        "protocol": options.protocol or FOLDER_PROTOCOLS.get(name, ""),
        "size": size,
        "model": model,
        "unet_seconds": options.peer_seconds,
        "ways": ways,
        "skipped": skipped,
    }


def lead(ways: Sequence[Report]) -> tuple[str, float] | None:
    """Return the strongest peer and how far the model is ahead of it, by mean IoU on that peer's queries."""
    peers = [way for way in ways if not way["way"].startswith(MODEL)]
    models = {way["queries"]: way["miou"] for way in ways if way["way"].startswith(MODEL)}
    if not peers or not models:
        return None
    leads = [(models[peer["queries"]] - peer["miou"], peer["way"]) for peer in peers]
    ahead, best = min(leads)
    return best, ahead


def print_peers(report: Report) -> None:
    """Print one table: IoU by both measures, seconds an image, seconds of preparation."""
    console = Console(highlight=False, width=120)
    rules = report["protocol"] or "all classes"
    title = f"{report['name']}, {rules}, compared at {report['size']} x {report['size']} pixels"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("way")
    columns = ("mean IoU", "foreground", "s/image (CPU)", "s preparation (CPU)", "references", "queries")
    for name in columns:
        table.add_column(name, justify="right")
    for way in report["ways"]:
        table.add_row(
            way["way"] if way["way"] != MODEL else f"{MODEL} {report['model']}",
            f"{way['miou']:.3f}",
            f"{way['foreground_iou']:.3f}",
            f"{way['seconds_per_image']:.4f} ({way['cpu_per_image']:.4f})",
            f"{way['seconds_of_preparation']:.2f} ({way['cpu_of_preparation']:.2f})",
            str(way["references"]),
            str(way["queries"]),
        )
    console.print(table)
    for note in _notes(report):
        console.print(note, markup=False)


def _notes(report: Report) -> Iterator[str]:
    if found := lead(report["ways"]):
        best, ahead = found
        word = "ahead of" if ahead > 0 else "behind"
        yield f"The model is {abs(ahead):.3f} {word} the best peer, {best}, on the same queries (aim + 0.10)."
    if report["name"] in BARS and report["model"]:
        bar, aim = BARS[report["name"]]
        yield f"Bar of the model's mean IoU {bar:.2f}, aim {aim:.2f}."
    counts = {way["queries"] for way in report["ways"]}
    if len(counts) > 1:
        yield f"Slow peers were measured on {min(counts)} queries, evenly spread (--queries)."
    if any(way["way"] == "unet" for way in report["ways"]):
        yield f"The U-Net had {report['unet_seconds']:g} s of processor time for each reference."
    if report["model"]:
        yield "Preparation of the model is its atlas; its training is in its card."
    else:
        yield "No model: pass --model, or bundle one of this category."
    for way, reason in report["skipped"].items():
        yield f"{way} was left out: {reason}."

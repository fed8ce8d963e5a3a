"""The part of `quality` that measures a model and its peers in one run, and prints them as one table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundled_sets import BARS, model_for, protocol_for
from peers.carriers import PEERS, ModelCarrier, PeerOptions
from peers.runs import AS_SLOW, MODEL, UNALIGNED, Figures, Maker, Skipped, Step, compare
from quality_runs import load
from rich.console import Console
from rich.table import Table

from coordgan_core.data.datasets import names_a_side
from coordgan_core.errors import ConfigError, DataError
from coordgan_core.evaluation import Protocol
from coordgan_core.propagator import PropagationOptions
from resources import bundled_models

Report = dict[str, Any]
Loaded = tuple[Any, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the peers."""
    group = parser.add_argument_group("peers, measured beside the model on --data")
    group.add_argument(
        "--peers", help=f"of {', '.join(PEERS)}, separated by commas; `all` (without --model) or `none`"
    )
    group.add_argument("--queries", type=int, default=20, help="queries of slow peers; 0 for all")
    group.add_argument("--slow-references", type=int, default=2, help="of slow peers; 0 for all")
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
    name = model_for(folder.name)
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
    protocol = options.protocol or protocol_for(folder.name)
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
    yield rules
    yield from compare(
        names,
        references,
        queries,
        rules,
        own,
        model=_maker(model, rules.size, PropagationOptions()),
        unaligned=_maker(model, rules.size, PropagationOptions(align=None)),
        slow_queries=options.queries,
        slow_references=options.slow_references,
    )


def _maker(model: Loaded | None, size: int, options: PropagationOptions) -> Maker | None:
    """Return what prepares a model with its references, None without a model."""
    if model is None:
        return None
    predictor, calibration = model
    return lambda references: ModelCarrier(predictor, references, size, calibration, options)


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
        "protocol": options.protocol or protocol_for(name),
        "size": size,
        "model": model,
        "unet_seconds": options.peer_seconds,
        "ways": ways,
        "skipped": skipped,
    }


def lead(ways: Sequence[Report]) -> tuple[str, float] | None:
    """Return the strongest peer and how far the model is ahead of it, by mean IoU on that peer's queries."""
    peers = [way for way in ways if not way["way"].startswith(MODEL)]
    models = {_seen(way): way["miou"] for way in ways if way["way"] in (MODEL, AS_SLOW)}
    if not peers or not models:
        return None
    leads = [(models[_seen(peer)] - peer["miou"], peer["way"]) for peer in peers]
    ahead, best = min(leads)
    return best, ahead


def _seen(way: Report) -> tuple[int, int]:
    """Return on how much a way was measured."""
    return way["references"], way["queries"]


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
    seen = {_seen(way) for way in report["ways"]}
    if len(seen) > 1:
        references, queries = min(seen)
        yield (
            f"Slow peers: {queries} queries, evenly spread (--queries), from {references} references "
            "(--slow-references)."
        )
    if any(way["way"] == "unet" for way in report["ways"]):
        yield f"The U-Net had {report['unet_seconds']:g} s of processor time for each reference."
    if report["model"]:
        yield "Preparation of the model is its atlas; its training is in its card."
        yield f"`{UNALIGNED}` is what its maps are worth without the short optical flow behind them."
    else:
        yield "No model: pass --model, or bundle one of this category."
    for way, reason in report["skipped"].items():
        yield f"{way} was left out: {reason}."

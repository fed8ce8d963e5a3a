"""Make a run's best model one of those that ship with the program: resources/models/NAME.safetensors.

    python benchmarks/bundle_model.py runs/faces faces
    python benchmarks/bundle_model.py runs/cars cars --limit 40 --machine "AMD EPYC, one core"

RUN is a run folder or a model file. The weights are stored in half precision where that leaves at least
99.9 % of the labels as they are, else those that make the maps in full precision as far as 16 MiB reach. The
card names the data and its terms (`bundled_sets`), the training, and figures measured here on the file that
is written, with the command that prints them; it holds no picture. --data names the labelled folders.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import math
import re
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bundled_sets import SETS, BundledSet
from common import machine
from quality_runs import load, measure_folder
from torch import nn

from coordgan_core.devices import worker_threads
from coordgan_core.errors import CoordError, DataError, ModelError
from coordgan_core.evaluation import Evaluation
from coordgan_core.labels import LabelMap
from coordgan_core.model_card import write_with_card
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import Propagator, Reference
from coordgan_core.snapshot import ModelCard, inspect, load_calibration, load_model, save_model
from coordgan_core.training.best import best_snapshot
from coordgan_core.training.run import RunFolder, is_run

ROOT = Path(__file__).resolve().parents[1]
MIB = 2**20
MAX_MIB = 16.0
SAME_LABELS = 0.999
"""Share of the pixels whose label half precision must leave as it is."""
_ORDER = ("miou", "best_flow_miou", "miou_fused", "miou_unaligned", "foreground_iou", "ece")
"""Of the figures in a card: lists show the first ones only."""
COMPARED = 24
"""Images on which that is looked at."""
_MAPPING = ("embedding.", "dense_head.")
"""Tensors of the networks whose maps labels travel by."""
_HEADER_BYTES = 128 << 10
FIGURES = {"one reference": "miou", "fused": "miou_fused", "not aligned": "miou_unaligned"}
"""Name in the card of the mean IoU of each way of `quality_runs.WAYS` that is measured."""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    options = _parser().parse_args(argv)
    known = SETS[options.name]
    folders = options.data or [Path("../shared/data") / name for name in known.folders]
    try:
        report = bundle(
            options.run,
            options.name,
            folders=folders,
            out=options.out or ROOT / "resources/models" / f"{options.name}.safetensors",
            limit=options.limit,
            least=options.same,
            trained_on=options.machine,
            data=options.trained_data,
            description=options.description,
        )
    except CoordError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder, or a model file")
    parser.add_argument("name", metavar="NAME", choices=SETS, help=f"one of {', '.join(SETS)}")
    parser.add_argument("--data", type=Path, action="append", help="labelled folder; repeatable")
    parser.add_argument("--limit", type=int, default=120, help="queries, evenly spread; 0 for all")
    parser.add_argument("--same", type=float, default=SAME_LABELS, help="share of labels that must stay")
    parser.add_argument("--machine", default="", help="of the training; this one by default")
    parser.add_argument("--trained-data", default="", help="of the training, in place of the usual text")
    parser.add_argument("--description", default="", help="a sentence for the card")
    parser.add_argument("--out", type=Path, help="another place for the file")
    return parser


def bundle(
    run: Path,
    name: str,
    *,
    folders: Sequence[Path],
    out: Path,
    limit: int = 120,
    least: float = SAME_LABELS,
    trained_on: str = "",
    data: str = "",
    description: str = "",
) -> dict[str, Any]:
    """Write the model with its card; return what was measured.

    Args:
        run: A run folder, whose best snapshot is taken, or a model file.
        name: One of `SETS`.
        folders: Labelled folders: images/, labels/, classes.json, references.txt; relative to the tree.
        out: The file to write.
        limit: Queries of each folder; 0 for all.
        least: Share of the labels that must stay as they are.
        trained_on: The machine of the training; this one if empty.
        data: What it was trained on; the usual text if empty.
        description: A sentence for the card; made from the run if empty.

    Raises:
        ModelError: There is no model, or it does not fit.
        DataError: No folder is there to measure on.
    """
    source, known = _source(run), SETS[name]
    places = [(ROOT / folder).resolve() for folder in folders]
    if not places:
        raise DataError(f"nothing is known to measure {name} on", remedy="pass --data DIR, a labelled folder")
    with tempfile.TemporaryDirectory() as temporary:
        small, same = _stored(source, Path(temporary), places[0], known.protocol, least)
        figures = _figures(small, places, known.protocol, limit)
        here = machine()
        trained = _history(run, source)
        card = _card(source, name, known, trained)
        where = trained_on or _machine(here)
        if data:
            card = dataclasses.replace(card, data_source=data)
        card = dataclasses.replace(
            card,
            machine=where,
            description=description or _description(card, where, len(trained)),
            figures=figures,
            measured=_measured(name, folders, limit, here, same),
        )
        write_with_card(small, out, card)
    shown = {key: value for key, value in card.to_json().items() if key != "sample_strip"}
    mib = round(out.stat().st_size / MIB, 2)
    return {"path": out.name, "from": source.name, "mib": mib, "same_labels": same, "card": shown}


def _source(run: Path) -> Path:
    if run.is_file():
        return run
    if not is_run(run):
        raise ModelError(f"{run} is no run folder", expected="a run folder or a .safetensors file")
    best = best_snapshot(RunFolder.open(run))
    if best is None:
        raise ModelError(
            f"the run {run} has no model yet", expected="a snapshot", remedy="train a little longer"
        )
    return best


def _stored(source: Path, folder: Path, data: Path, protocol: str, least: float) -> tuple[Path, float]:
    """Write the model as small as its labels allow; return the file and the share of equal labels."""
    info, model = inspect(source), load_model(source)
    found: list[tuple[float, Path]] = []
    ways: dict[str, bool | set[str]] = {"half": True, "mixed": halved(model), "full": False}
    for name, half in ways.items():
        path = folder / f"{name}.safetensors"
        save_model(path, model, info.card, calibration=info.calibration, half=half)
        if path.stat().st_size <= MAX_MIB * MIB:
            found.append((agreement(source, path, data, protocol=protocol) if half else 1.0, path))
            if found[-1][0] >= SAME_LABELS:
                break
    same, best = max(found, default=(0.0, source))
    if same < least:
        raise ModelError(
            f"{source} cannot be bundled: within {MAX_MIB:g} MiB {same:.2%} of the labels stay as they are",
            expected=f"{least:.1%}",
            remedy=f"allow that with --same {math.floor(1000 * same) / 1000:g}, which the card tells, "
            "or train a smaller configuration",
        )
    return best, round(same, 6)


def halved(model: nn.Module) -> set[str]:
    """Return the tensors to store in half precision so that the others, which make the maps, fit in full."""
    tensors = {name: tensor.numel() for name, tensor in model.state_dict().items()}
    room = MAX_MIB * MIB - _HEADER_BYTES - 2 * sum(tensors.values())
    halves = set(tensors)
    for name in sorted(tensors, key=lambda name: (not name.startswith(_MAPPING), tensors[name])):
        if 2 * tensors[name] <= room:
            room -= 2 * tensors[name]
            halves.remove(name)
    return halves


def agreement(first: Path, second: Path, data: Path, *, protocol: str = "", count: int = COMPARED) -> float:
    """Return the share of pixels to which two models give one label, from the folder's first reference."""
    references, queries, _ = load(data, protocol=protocol, limit=count)
    start = references[0]
    images = [query.image for query in queries]
    pair = []
    for path in (first, second):
        predictor = Predictor(load_model(path), device="cpu", precision="float32")
        propagator = Propagator(predictor, [Reference(start.image, start.labels, name=start.name)])
        labels: dict[int, LabelMap] = {}
        with ThreadPoolExecutor(worker_threads()) as pool:
            for begin in range(0, len(images), predictor.batch):
                part = images[begin : begin + predictor.batch]
                labels |= {one.index: one.labels for one in propagator.run(part, first=begin, pool=pool)}
        pair.append(labels)
    same = sum(int((pair[0][i] == pair[1][i]).sum()) for i in pair[0])
    return same / sum(labels.size for labels in pair[0].values())


def _figures(model: Path, folders: Sequence[Path], protocol: str, limit: int) -> dict[str, float]:
    """Return the figures of the card; those of further folders carry the folder's name."""
    predictor, calibration = Predictor(load_model(model)), load_calibration(model)
    figures: dict[str, float] = {}
    endings = ["", *(f"_{folder.name}" for folder in folders[1:])]
    for ending, folder in zip(endings, folders, strict=True):
        measured = measure_folder(
            predictor, folder, protocol=protocol, limit=limit, ways=tuple(FIGURES), calibration=calibration
        )
        for way, event in measured:
            if isinstance(event, Evaluation):
                figures[FIGURES[way] + ending] = event.miou
                if event.peers:
                    best = max(peer["miou"] for peer in event.peers.values())
                    figures[f"foreground_iou{ending}"] = event.foreground_iou
                    figures[f"best_flow_miou{ending}"] = best
                    figures[f"ece{ending}"] = event.ece
    order = [name + ending for ending in endings for name in _ORDER]
    return {name: round(figures[name], 4) for name in order if name in figures}


def _history(run: Path, source: Path) -> list[ModelCard]:
    """Return the cards of the model and of those that its training began with, the last first."""
    cards, seen = [inspect(source).card], {run.resolve()}
    while is_run(run):
        start = Path(RunFolder.open(run).settings.start or "")
        run = start if is_run(start) else next((p for p in start.parents[:2] if is_run(p)), start.parent)
        if not start.name or not start.exists() or run.resolve() in seen:
            break
        seen.add(run.resolve())
        path = start if start.is_file() else start / "model.safetensors"
        cards.append(inspect(path).card)
    return cards


def _card(source: Path, name: str, known: BundledSet, trained: Sequence[ModelCard]) -> ModelCard:
    """Return what is known of the model before it is measured, its whole training included."""
    return dataclasses.replace(
        inspect(source).card,
        name=name,
        category=known.category,
        data_source=known.data,
        licence=known.licence,
        research_use=known.research_use,
        trained_nimg=sum(card.trained_nimg for card in trained),
        trained_sec=round(sum(card.trained_sec for card in trained), 1),
        sample_strip="",  # it would show training images
    )


def _description(card: ModelCard, where: str, trainings: int) -> str:
    steps = f", in {trainings} trainings one after the other" if trainings > 1 else ""
    marked = " For research only." if card.research_use else ""
    minutes = f"{card.trained_sec / 60.0:.0f} minutes of training on {where}{steps}"
    return f"Bundled model of {card.category}: preset {card.preset}, {minutes}.{marked}"


def _measured(name: str, folders: Sequence[Path], limit: int, here: dict[str, Any], same: float) -> str:
    few = f" --limit {limit}" if limit else ""
    commands = [
        f"python benchmarks/quality.py --model {name} --data {_shown(folder)}{few}" for folder in folders
    ]
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    rounded = [f"{same:.2%} of the labels are those of full precision"] if same < 1.0 else []
    return "; ".join([*commands, day, _machine(here), *rounded])


def _machine(here: dict[str, Any]) -> str:
    return f"{here['gpu'] or here['cpu']}, {here['usable_cores']} of {here['cores']} cores"


def _shown(folder: Path) -> str:
    """Return a folder as it may stand in a card: no path of this machine."""
    return folder.as_posix() if re.match(r"\.\./shared/data/", folder.as_posix()) else folder.name


if __name__ == "__main__":
    sys.exit(main())

"""`evaluate`: measure label propagation on labelled images, beside classical peers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.catalogue import find_model
from app.commands.output import console, print_json, print_line
from app.commands.propagate import (
    Align,
    Device,
    Json,
    Model,
    RefineLabels,
    options,
    predictor,
    read_classes,
    stems,
)
from coordgan_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coordgan_core.evaluation import Evaluation, LabelledImage, Measured, Protocol
    from coordgan_core.labels import LabelClasses

    Table = NDArray[np.uint8]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Model,
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    labels: Annotated[Path, typer.Option(help="Folder of their label maps, same stems.")],
    references: Annotated[list[str], typer.Option(help="Stems, or a file of stems, one a line.")],
    protocol: Annotated[str, typer.Option(help="Merges classes, as celebamask-7 does.")] = "",
    peers: Annotated[str, typer.Option(help="Of copy, dis, dis-gradient; separated by commas.")] = "",
    fuse: Annotated[bool, typer.Option(help="All references together.")] = False,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of the comparison, pixels.")] = 128,
    limit: Annotated[int, typer.Option(min=0, help="Queries, evenly spread; 0 for all.")] = 0,
    classes: Annotated[Path | None, typer.Option(help="classes.json; found by itself beside labels.")] = None,
    save_calibration: Annotated[
        bool, typer.Option("--save-calibration", help="Fit confidences to these images, in the model file.")
    ] = False,
    align: Align = True,
    refine: RefineLabels = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure how well labels are carried from the references to all other labelled images."""
    from coordgan_core import evaluation
    from coordgan_core.flow import PEERS
    from coordgan_core.snapshot import load_calibration, store_calibration

    chosen = tuple(name.strip() for name in peers.split(",") if name.strip())
    unknown = [name for name in chosen if name not in PEERS]
    if unknown:
        raise ConfigError(f"there is no peer {unknown[0]!r}", expected=f"peers of {', '.join(PEERS)}")
    path = find_model(model)
    names = stems(references)
    table, merged, excluded = _protocol(protocol, read_classes(classes, labels / "any.png"))
    given, queries = _load(images, labels, names, limit, table)
    if merged is None:
        count = 1 + max(int(item.labels.max()) for item in [*given, *queries])
        merged = [f"class {k}" if k else "background" for k in range(count)]
    rules = evaluation.Protocol(tuple(merged), tuple(excluded), size=size, fuse=fuse, peers=chosen)
    network, how = predictor(path, device), options(align=align, refine=refine)
    events = evaluation.evaluate(
        network,
        given,
        queries,
        rules,
        options=how,
        calibration=load_calibration(path),
    )
    result = _follow(events)
    fitted = None
    if save_calibration:
        fitted = evaluation.calibrate(network, [*given, *queries], options=how, references=len(given))
        store_calibration(path, fitted)
    if as_json:
        print_json(asdict(result) | ({"calibration": fitted.to_json()} if fitted else {}))
        return
    _print(result, rules)
    if fitted:
        print_line(f"calibrated in {path}: error {fitted.ece:.3f} on these images, from now on")


def _protocol(
    name: str, classes: LabelClasses | None
) -> tuple[Table | None, list[str] | None, tuple[int, ...]]:
    """Return the table of merged ids (or None), the class names (or None) and the excluded ids."""
    if not name:
        names = None if classes is None else [classes.name(k) for k in range(classes.count)]
        return None, names, ()
    from coordgan_core.data.protocols import PROTOCOLS

    if name not in PROTOCOLS:
        raise ConfigError(f"there is no protocol {name!r}", expected=f"one of {', '.join(PROTOCOLS)}")
    rules = PROTOCOLS[name]
    table = rules.lut if classes is None else rules.lut_for([classes.name(k) for k in range(classes.count)])
    return table, list(rules.class_names), rules.excluded


def _load(
    images: Path, labels: Path, references: list[str], limit: int, table: Table | None
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Read the labelled images: references, and all others as queries."""
    from coordgan_core.data.images import list_images

    found = {p.stem: p for p in list_images(images) if (labels / f"{p.stem}.png").is_file()}
    missing = [stem for stem in references if stem not in found]
    if missing:
        raise DataError(
            f"the reference {missing[0]!r} has no image or no label map",
            expected=f"{missing[0]}.jpg or .png in {images} and {missing[0]}.png in {labels}",
            remedy="check the stem: the file name without its ending",
        )
    rest = [stem for stem in found if stem not in references]
    if limit and limit < len(rest):
        rest = [rest[i * len(rest) // limit] for i in range(limit)]
    return (
        [_read(found[stem], labels / f"{stem}.png", table) for stem in references],
        [_read(found[stem], labels / f"{stem}.png", table) for stem in rest],
    )


def _read(image: Path, labels: Path, table: Table | None) -> LabelledImage:
    from coordgan_core.data.images import read_image
    from coordgan_core.evaluation import LabelledImage
    from coordgan_core.labels import check_labels, merge_classes, read_label_map

    pixels, ids = read_image(image), read_label_map(labels)
    check_labels(ids, image_size=(pixels.shape[1], pixels.shape[0]), name=image.name)
    return LabelledImage(image.stem, pixels, ids if table is None else merge_classes(ids, table))


def _follow(events: Iterator[Measured | Evaluation]) -> Evaluation:
    from rich.progress import Progress

    from coordgan_core.evaluation import Evaluation

    with Progress(console=console()) as progress:
        task = progress.add_task("Measuring", total=None)
        for event in events:
            if isinstance(event, Evaluation):
                return event
            progress.update(task, total=event.total, completed=event.done, description=event.what[:40])
    raise AssertionError("an evaluation ends with its result")


def _print(result: Evaluation, rules: Protocol) -> None:
    print_line(
        f"{result.references} references, {result.queries} queries, {rules.size} x {rules.size} pixels"
    )
    print_line(f"{'':14s}{'mean IoU':>10s}{'foreground':>12s}")
    rows = {"model": {"miou": result.miou, "foreground_iou": result.foreground_iou}, **result.peers}
    for name, row in rows.items():
        print_line(f"{name:14s}{row['miou']:10.3f}{row['foreground_iou']:12.3f}")
    print_line("  ".join(f"{name} {iou:.2f}" for name, iou in result.per_class.items()))
    print_line(
        f"calibration error {result.ece:.3f}, boundary F {result.boundary_f:.3f}, "
        f"{result.images_per_second:.1f} images a second"
    )

"""`propagate`: carry the labels of references to a folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.catalogue import find_model
from app.commands.output import EXIT_FINDINGS, console, duration, leads, print_json
from coordgan_core.errors import ConfigError

if TYPE_CHECKING:
    from coordgan_core.folder import Finished, FolderEvent
    from coordgan_core.labels import LabelClasses
    from coordgan_core.propagator import PropagationOptions

Model = Annotated[str, typer.Option(help="Model file, run folder, or name of a model.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
Align = Annotated[bool, typer.Option(help="Correct maps by a short optical flow.")]
RefineLabels = Annotated[bool, typer.Option(help="Fit borders to the image's edges and colours.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("propagate")(propagate)


def propagate(
    model: Model,
    reference: Annotated[list[Path], typer.Option(help="A labelled image; repeat for more.")],
    labels: Annotated[list[Path], typer.Option(help="Its label map, in the same order.")],
    images: Annotated[Path, typer.Option(help="Folder of the images, sub-folders included.")],
    out: Annotated[Path, typer.Option(help="Folder for label maps, confidences and contact sheet.")],
    classes: Annotated[Path | None, typer.Option(help="classes.json with names and colours.")] = None,
    align: Align = True,
    refine: RefineLabels = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Carry the labels of one or more references to every image of a folder.

    Run again, it does only what is missing.
    """
    if len(reference) != len(labels):
        raise ConfigError(
            f"there are {len(reference)} references and {len(labels)} label maps",
            expected="one --labels after each --reference",
            remedy="give them in pairs: --reference a.jpg --labels a.png --reference b.jpg --labels b.png",
        )
    from coordgan_core.devices import worker_threads
    from coordgan_core.folder import Finished, propagate_folder
    from coordgan_core.propagator import read_reference
    from coordgan_core.snapshot import load_calibration

    path = find_model(model)
    names = read_classes(classes, labels[0])
    known = names.ids if names else None
    pairs = [read_reference(i, m, known_ids=known) for i, m in zip(reference, labels, strict=True)]
    events = propagate_folder(
        predictor(path, device),
        pairs,
        images,
        out,
        options=options(align=align, refine=refine),
        calibration=load_calibration(path),
        classes=names,
        rank=int(os.environ.get("RANK", "0")),
        world=int(os.environ.get("WORLD_SIZE", "1")),
        workers=worker_threads(),
    )
    finished: Finished | None = None
    with contextlib.closing(_shown(events)) as shown:  # Ctrl+C: what is done is on disk, and noted
        for event in shown:
            if isinstance(event, Finished):
                finished = event
    assert finished is not None
    if as_json and leads():
        failures = json.loads((out / _manifest_name()).read_text(encoding="utf-8"))["failures"]
        print_json({**asdict(finished), "out": str(out), "failures": failures})
    if finished.failed:
        raise typer.Exit(EXIT_FINDINGS)


def _manifest_name() -> str:
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    return "propagation.json" if alone else f"propagation.{os.environ['RANK']}.json"


def predictor(path: Path, device: str) -> Any:
    """Load a model file and put it on its device; with `torchrun` each process takes its own."""
    from coordgan_core.devices import resolve_device
    from coordgan_core.predictor import Predictor
    from coordgan_core.snapshot import load_model

    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    local = int(os.environ.get("LOCAL_RANK", "0")) if several else None
    return Predictor(load_model(path), device=str(resolve_device(device, local_rank=local)))


def options(*, align: bool, refine: bool) -> PropagationOptions:
    """Return the options of a propagation that the flags ask for."""
    from coordgan_core.flow import AlignConfig
    from coordgan_core.propagator import PropagationOptions
    from coordgan_core.refine import RefineConfig

    return PropagationOptions(
        align=AlignConfig() if align else None, refine=RefineConfig() if refine else None
    )


def read_classes(given: Path | None, label_map: Path) -> LabelClasses | None:
    """Return the classes of ``given``, or of a ``classes.json`` beside or above a label map, or None."""
    from coordgan_core.labels import LabelClasses

    if given is not None:
        return LabelClasses.load(given)
    for folder in (label_map.parent, label_map.parent.parent):
        if (folder / "classes.json").is_file():
            return LabelClasses.load(folder / "classes.json")
    return None


def _shown(events: Iterator[FolderEvent]) -> Generator[FolderEvent]:
    """Pass events on, showing a progress bar with the time left on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from coordgan_core.folder import Failed, Finished, Labelled, Started

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = console()
    with (
        contextlib.closing(events),  # type: ignore[type-var]
        Progress(*columns, console=screen, disable=not leads()) as progress,
    ):
        task = progress.add_task("Reading the references", total=None)
        for event in events:
            if isinstance(event, Started):
                total = event.images - event.done - event.edited
                progress.update(task, description="Propagating", total=total)
            elif isinstance(event, Labelled):
                progress.advance(task)
            elif isinstance(event, Failed):
                progress.advance(task)
                screen.print(f"[red]skipped[/red] {event.name}: {event.reason}", markup=True)
            elif isinstance(event, Finished) and leads():
                screen.print(_sentence(event))
            yield event


def _sentence(event: Finished) -> str:
    parts = [f"{event.labelled} labelled in {duration(event.seconds)}"]
    parts += [f"{event.done} were done already"] * bool(event.done)
    parts += [f"{event.edited} kept, as someone edited them"] * bool(event.edited)
    parts += [f"{event.failed} failed"] * bool(event.failed)
    return ", ".join(parts)


def stems(values: Sequence[str]) -> list[str]:
    """Return stems given on the command line: names, comma-separated names, or files of names, one a line.

    Raises:
        ConfigError: There is none.
    """
    found: list[str] = []
    for value in values:
        path = Path(value)
        parts = path.read_text(encoding="utf-8").split() if path.is_file() else value.split(",")
        found += [part.strip() for part in parts if part.strip()]
    if not found:
        raise ConfigError("there are no references", expected="stems, or a file of stems")
    return list(dict.fromkeys(found))

"""`propagate`: carry the labels of references to a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands import together
from app.commands.catalogue import find_model, terms
from app.commands.output import EXIT_DONE, EXIT_FINDINGS, console, duration, leads, print_json
from coordgan_core.errors import ConfigError

if TYPE_CHECKING:
    from coordgan_core.folder import FolderEvent
    from coordgan_core.labels import LabelClasses
    from coordgan_core.propagator import PropagationOptions, Reference

Model = Annotated[str, typer.Option(help="Model file, run folder, or name of a model.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
Align = Annotated[bool, typer.Option(help="Correct maps by a short optical flow.")]
RefineLabels = Annotated[bool, typer.Option(help="Fit borders to the image's edges and colours.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("propagate")(propagate)


def propagate(
    model: Annotated[
        str,
        typer.Option(
            help="Model file, run folder, or name of a model. With --project: that of its last propagation."
        ),
    ] = "",
    reference: Annotated[
        list[str] | None,
        typer.Option(
            help="A labelled image; repeat for more. With --project: all its references by default."
        ),
    ] = None,
    labels: Annotated[
        list[Path] | None, typer.Option(help="Its label map, in the same order; not with --project.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, sub-folders included; not with --project.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for label maps, confidences and contact sheet; not with --project."),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="A project: from its references, into it, as one step back.")
    ] = None,
    only: Annotated[
        str, typer.Option(help="With --project: search words, as status:unlabelled. All by default.")
    ] = "",
    keep_corrections: Annotated[
        bool,
        typer.Option(
            "--keep-corrections", help="With --project: renew machine pixels around a person's corrections."
        ),
    ] = False,
    classes: Annotated[Path | None, typer.Option(help="classes.json with names and colours.")] = None,
    align: Align = True,
    refine: RefineLabels = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Carry the labels of one or more references to every image of a folder, or of a project.

    Run again, it does only what is missing. On several devices or machines that share the folder:
    torchrun --nproc-per-node 4 -m app propagate ...
    """
    if project is not None:
        _refuse({"--labels": labels, "--images": images, "--out": out, "--classes": classes})
        from app.commands.propagate_project import propagate_project

        code = propagate_project(
            project,
            model,
            reference or [],
            only,
            device=device,
            align=align,
            refine=refine,
            keep_corrections=keep_corrections,
            as_json=as_json,
        )
        raise typer.Exit(code)
    if only or keep_corrections:
        raise ConfigError("--only and --keep-corrections are about a project", expected="--project DIR too")
    if not model:
        raise typer.BadParameter("no model is named; `coordlabel models` lists them", param_hint="--model")
    if not (reference and labels and images and out):
        raise ConfigError(
            "it is not said what to propagate",
            expected="--reference, --labels, --images and --out, or --project",
        )
    code = propagate_files(
        find_model(model),
        _pairs([Path(name) for name in reference], labels, classes),
        images,
        out,
        options=options(align=align, refine=refine),
        classes=read_classes(classes, labels[0]),
        device=device,
        as_json=as_json,
    )
    raise typer.Exit(code)


def propagate_files(
    model: Path,
    references: Sequence[Reference],
    images: Path,
    out: Path,
    *,
    options: PropagationOptions,
    classes: LabelClasses | None,
    device: str,
    as_json: bool,
) -> int:
    """Propagate a folder, alone or with the processes beside this one; return the exit code."""
    from coordgan_core.devices import worker_threads
    from coordgan_core.folder import Failed, Finished, propagate_folder
    from coordgan_core.snapshot import inspect, load_calibration

    meeting, card = together.Meeting(), inspect(model).card
    runner = predictor(model, device)
    events = propagate_folder(
        runner,
        references,
        images,
        out,
        options=options,
        calibration=load_calibration(model),
        classes=classes,
        card=card,
        rank=together.rank(),
        world=together.world(),
        workers=worker_threads(),
    )
    failures: dict[str, str] = {}
    mine: dict[str, Any] = {}
    with contextlib.closing(_shown(events)) as shown:  # Ctrl+C: what is done is on disk, and noted
        for event in shown:
            if isinstance(event, Failed):
                failures[event.name] = event.reason
            elif isinstance(event, Finished):
                mine = {**asdict(event), "failures": failures}
    total = _total(meeting.reports(mine))
    if leads() or not meeting.waits:
        console().print(f"{_sentence(total)}; {runner.runtime} ran the model")
        if card.research_use:
            console().print(terms(card), markup=False, highlight=False)
        if as_json:
            share = {} if meeting.waits or together.world() == 1 else {"rank": together.rank()}
            about = {"model": card.name or model.stem, "research_use": card.research_use}
            print_json({**total, **about, "out": str(out), "runtime": runner.runtime, **share})
    return EXIT_FINDINGS if total["failed"] else EXIT_DONE


def _total(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sum of what several processes report."""
    total: dict[str, Any] = {
        key: sum(report[key] for report in reports) for key in ("labelled", "done", "edited", "failed")
    }
    total["seconds"] = max(report["seconds"] for report in reports)
    total["failures"] = {name: why for report in reports for name, why in report["failures"].items()}
    return total


def _refuse(options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(
            f"{given[0]} does not go with --project",
            expected="a project, which knows its images and label maps, or a folder",
        )


def _pairs(images: Sequence[Path], labels: Sequence[Path], classes: Path | None) -> list[Reference]:
    if len(images) != len(labels):
        raise ConfigError(
            f"there are {len(images)} references and {len(labels)} label maps",
            expected="one --labels after each --reference",
            remedy="give them in pairs: --reference a.jpg --labels a.png --reference b.jpg --labels b.png",
        )
    from coordgan_core.propagator import read_reference

    names = read_classes(classes, labels[0])
    known = names.ids if names else None
    return [read_reference(i, m, known_ids=known) for i, m in zip(images, labels, strict=True)]


def predictor(path: Path, device: str) -> Any:
    """Load a model file and put it on its device; with `torchrun` each process takes its own."""
    from coordgan_core.devices import resolve_device
    from coordgan_core.predictor import Predictor
    from coordgan_core.snapshot import load_model

    local = int(os.environ.get("LOCAL_RANK", "0")) if together.world() > 1 else None
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

    from coordgan_core.folder import Failed, Labelled, Started

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
            yield event


def _sentence(total: dict[str, Any]) -> str:
    parts = [f"{total['labelled']} labelled in {duration(total['seconds'])}"]
    parts += [f"{total['done']} were done already"] * bool(total["done"])
    parts += [f"{total['edited']} kept, as someone edited them"] * bool(total["edited"])
    parts += [f"{total['failed']} failed"] * bool(total["failed"])
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

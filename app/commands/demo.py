"""`demo`: the main job in one command, without a network: one labelled image, twenty-three to go."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.output import console, leads, print_json, print_line

MODEL = "sample"
"""Name of the bundled model of the sample's category."""


@dataclass(frozen=True)
class Sample:
    """The copy of the sample project in the user's folder."""

    images: Path
    reference: Path
    labels: Path
    classes: Path
    truth: Path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the copy of the sample and the results.")] = Path(
        "coordlabel-demo"
    ),
    window: Annotated[bool, typer.Option(help="Open the window on the results at the end.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")] = False,
) -> None:
    """Label a sample folder from its one labelled image, and show where the results are."""
    begin = time.monotonic()
    sample = copy_sample(out)
    result = out / "labelled"
    done = propagate(sample, result)
    make_project(sample, result)
    report = {
        "images": str(sample.images),
        "reference": str(sample.reference),
        "labels": str(result / "labels"),
        "confidence": str(result / "confidence"),
        "contact_sheet": str(result / "contact_sheet.png"),
        **done,
        "miou": round(quality(sample, result / "labels"), 4),
        "seconds": round(time.monotonic() - begin, 1),
    }
    if as_json:
        print_json(report)
    else:
        _print(report, sample)
    if window and not as_json and has_window():
        from app.commands.window import open_window

        raise typer.Exit(open_window([str(sample.images)]))


def copy_sample(out: Path) -> Sample:
    """Copy the sample project to ``out``; files that are there already stay as they are."""
    from resources import sample_project

    source = sample_project()
    for path in sorted(source.rglob("*")):
        target = out / "sample" / path.relative_to(source)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    root = out / "sample"
    labels = sorted((root / "labels").glob("*.png"))[0]
    images = root / "images"
    reference = next(path for path in sorted(images.iterdir()) if path.stem == labels.stem)
    return Sample(images, reference, labels, root / "classes.json", root / "truth")


def propagate(sample: Sample, out: Path) -> dict[str, Any]:
    """Carry the one label map to all images; return how many were done now, before, failed, and by what."""
    from rich.progress import Progress

    from app.commands.catalogue import find_model
    from coordgan_core.folder import Finished, Labelled, Started, propagate_folder
    from coordgan_core.labels import LabelClasses
    from coordgan_core.predictor import Predictor
    from coordgan_core.propagator import read_reference
    from coordgan_core.snapshot import load_calibration, load_model

    model = find_model(MODEL)
    predictor = Predictor(load_model(model))
    reference = read_reference(sample.reference, sample.labels)
    classes = LabelClasses.load(sample.classes)
    done = {"labelled": 0, "already_done": 0, "failed": 0}
    with Progress(console=console(), transient=True, disable=not leads()) as bar:
        task = bar.add_task("labelling", total=None)
        for event in propagate_folder(
            predictor, [reference], sample.images, out, classes=classes, calibration=load_calibration(model)
        ):
            if isinstance(event, Started):
                bar.update(task, total=event.images, completed=event.done)
            elif isinstance(event, Labelled):
                bar.advance(task)
            elif isinstance(event, Finished):
                done = {"labelled": event.labelled, "already_done": event.done, "failed": event.failed}
    return {**done, "runtime": predictor.runtime}


def make_project(sample: Sample, result: Path) -> None:
    """Put the reference and the results into a project of the sample's images, for the window; once only."""
    from app.domain.classes import ClassTable, LabelClass
    from app.domain.place import find_project
    from app.domain.project import Project
    from app.domain.status import Status
    from app.domain.storage.batch_rows import Result
    from coordgan_core.labels import LabelClasses, read_confidence, read_label_map

    if find_project(sample.images) is not None:
        return
    named = LabelClasses.load(sample.classes).classes
    with Project.create(sample.images) as project:
        project.set_classes(ClassTable(tuple(LabelClass(c.id, c.name, c.color) for c in named)))
        for _ in project.scan():
            pass
        batch = project.batches.begin("import", "The sample's reference")
        reference = project.find(sample.reference.name)
        if reference is not None:
            labels = read_label_map(sample.labels)
            project.batches.write_labels(batch, reference, labels, status=Status.REFERENCE)
        project.batches.finish(batch)
        batch = project.batches.begin("propagation", "Propagate")
        for path, entry in json.loads((result / "propagation.json").read_text())["images"].items():
            image, name = project.find(path), Path(path).with_suffix(".png")
            if image is not None:
                labels = read_label_map(result / "labels" / name)
                size = (labels.shape[1], labels.shape[0])
                confidence = read_confidence(result / "confidence" / name, size=size)
                project.batches.write_result(batch, image, Result(labels, confidence, entry.get("score")))
        project.batches.finish(batch)


def quality(sample: Sample, labels: Path) -> float:
    """Return the mean IoU, with background, of all images but the reference against the exact label maps."""
    from coordgan_core.labels import LabelClasses, read_label_map
    from coordgan_core.metrics import Confusion

    confusion = Confusion(LabelClasses.load(sample.classes).count)
    for truth in sorted(sample.truth.glob("*.png")):
        found = labels / truth.name
        if truth.stem != sample.reference.stem and found.is_file():
            confusion.add(read_label_map(found), read_label_map(truth))
    return confusion.mean_iou()


def has_window() -> bool:
    """Return whether the window is part of this build and there is a display to show it on."""
    from app.commands.window import has_display

    return importlib.util.find_spec("app.launch") is not None and has_display(os.environ, sys.platform)


def _print(report: dict[str, Any], sample: Sample) -> None:
    print_line(f"One labelled image:   {report['reference']}")
    print_line(f"Images labelled:      {report['labelled']} now, {report['already_done']} before")
    print_line(f"Label maps:           {report['labels']}")
    print_line(f"Confidence:           {report['confidence']}")
    print_line(f"To look at:           {report['contact_sheet']}")
    print_line(f"Against exact masks:  mean IoU {report['miou']:.3f}, with background")
    print_line(f"Time:                 {report['seconds']} s")
    print_line(f"In the window:        coordlabel {sample.images}")

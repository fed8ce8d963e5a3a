"""`init`, `label-info`, `review-list`, `accept`: what the window does with a project, without it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.opening import Json, ProjectPath, check_writable, find_images, opened, progress_bar, tell
from app.commands.output import EXIT_FINDINGS, counted, print_json, print_line
from coordgan_core.errors import ConfigError

if TYPE_CHECKING:
    from app.domain.project import Project


class Decision(StrEnum):
    """What a person decides about an image."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REFERENCE = "reference"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init)
    app.command("label-info")(label_info)
    app.command("review-list")(review_list)
    app.command("accept")(accept)


def init(
    images: Annotated[Path, typer.Argument(help="Folder of the images, sub-folders included.")],
    project: Annotated[
        Path | None,
        typer.Option(help="Folder of the project; .coordlabel in the images folder if not given."),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="classes.json, or a text file with one class name a line.")
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--class", help="Name of a class; repeat for more.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a project for a folder of images, or list what is new in the folder of one that exists."""
    from app.domain.project import Project

    with Project.create(images, project) as made:
        check_writable(made)
        _add_classes(made, classes, names or [])
        report = _scan(made)
    if as_json:
        print_json(report)
        return
    new = f", {report['added']} new" if report["added"] else ""
    print_line(f"{counted(report['images'], 'image')}{new} in {report['project']}")
    print_line(f"classes: {', '.join(report['classes']) or 'none yet'}")
    tell(f"cannot be used: {line['image']}: {line['reason']}" for line in report["unreadable"])


def label_info(
    path: ProjectPath,
    per_image: Annotated[bool, typer.Option("--per-image", help="Also list every image.")] = False,
    query: Annotated[str, typer.Option(help="Search words of the window, as status:accepted.")] = "",
    as_json: Json = False,
) -> None:
    """Print the label classes with the images and pixels that they have, and with them each image."""
    with opened(path, write=False) as project:
        report = label_report(project, query)
    if as_json:
        print_json(report)
        return
    print_line(f"{'id':>3s}  {'name':20s}  {'colour':7s}  {'images':>8s}  {'pixels':>12s}  share")
    for line in report["classes"]:
        share = f"{line['share']:6.2%}"
        print_line(
            f"{line['id']:3d}  {line['name']:20s}  {line['color']}  {line['images']:8d}  "
            f"{line['pixels']:12d}  {share}"
        )
    print_line("  ".join(f"{count} {status}" for status, count in report["status"].items()))
    for line in report["images"] if per_image else []:
        pixels = "  ".join(f"{name} {count}" for name, count in line["classes"].items())
        print_line(f"{line['image']}  {line['status']}  {pixels}")


def review_list(
    path: ProjectPath,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Sort by the confidence of this class.")
    ] = None,
    below: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only images with a confidence below this.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many; 0 for all.")] = 0,
    as_json: Json = False,
) -> None:
    """Print the propagated images that nobody has looked at, least certain first."""
    with opened(path, write=False) as project:
        report = review_report(project, class_name, below, limit)
    if as_json:
        print_json(report)
        return
    for line in report["images"]:
        value = line["classes"].get(report["class"]) if report["class"] else line["confidence"]
        print_line(f"{'     -' if value is None else f'{value:6.3f}'}  {line['image']}")
    counts = report["counts"]
    tell([f"{counts['left']} to review, {counts['accepted']} accepted, {counts['corrected']} corrected"])
    if report["label_next"]:
        tell([f"label next: {report['label_next']['image']} ({report['label_next']['reason']})"])


def accept(
    path: ProjectPath,
    images: Annotated[
        list[str] | None, typer.Argument(help="Images: paths within the images folder, or from here.")
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="All propagated images with at least this confidence."),
    ] = None,
    decision: Annotated[
        Decision, typer.Option("--as", help="What they become; a reference is a source of propagation.")
    ] = Decision.ACCEPTED,
    as_json: Json = False,
) -> None:
    """Accept labels, reject them, or make images references: one step that can be taken back."""
    if bool(images) == (above is not None):
        raise ConfigError(
            "it is not said which images are meant",
            expected="either images or --above CONFIDENCE",
            remedy="`coordlabel review-list` lists what there is to accept",
        )
    with opened(path) as project:
        report = decide(project, images or [], above, decision)
    if as_json:
        print_json(report)
    else:
        are = "is" if len(report["changed"]) == 1 else "are"
        print_line(f"{counted(len(report['changed']), 'image')} {are} now {report['status']}")
        tell(f"left alone: {name}: it has no labels" for name in report["without_labels"])
    if report["without_labels"]:
        raise typer.Exit(EXIT_FINDINGS)


def label_report(project: Project, query: str) -> dict[str, Any]:
    """Return the classes of a project with their use, and the images that fit ``query``, as JSON types."""
    from app.domain.palette import hex_color

    rows = project.rows(project.ids(query))
    names = {c.id: c.name for c in project.classes.classes}
    tables = project.index.class_tables([row.id for row in rows])
    used: dict[int, list[int]] = {}
    for table in tables.values():
        for class_id, pixels in table.items():
            used.setdefault(class_id, []).append(pixels)
    area = sum(row.width * row.height for row in rows if row.has_labels)
    background = area - sum(map(sum, used.values()))
    # background is what is left
    used[0] = [background] if background else []
    ids = [*names, *sorted(set(used) - set(names))]
    palette = project.classes.palette()
    classes = [
        {
            "id": i,
            "name": names.get(i, f"class {i}"),
            "color": hex_color(tuple(int(v) for v in palette[i])),  # type: ignore[arg-type]
            "images": len(used.get(i, [])) if i else sum(row.has_labels for row in rows),
            "pixels": sum(used.get(i, [])),
            "share": sum(used.get(i, [])) / area if area else 0.0,
        }
        for i in ids
    ]
    listed = [
        {
            "image": row.path,
            "status": row.status.value,
            "confidence": row.confidence,
            "width": row.width,
            "height": row.height,
            "classes": {names.get(c, f"class {c}"): n for c, n in sorted(tables.get(row.id, {}).items())},
        }
        for row in rows
    ]
    status = {s.value: n for s, n in project.counts().items() if n}
    return {"project": str(project.folder), "status": status, "classes": classes, "images": listed}


def review_report(
    project: Project, class_name: str | None, below: float | None, limit: int
) -> dict[str, Any]:
    """Return what there is to review, least certain first, as JSON types.

    Raises:
        ConfigError: There is no class of that name.
    """
    from dataclasses import asdict

    from app.domain.review import review_counts, review_queue, suggest_next

    known = None
    if class_name is not None:
        known = project.classes.by_name(class_name)
        if known is None:
            raise ConfigError(
                f"there is no class {class_name!r}", expected="one of " + ", ".join(project.classes.names)
            )
    rows = project.rows(review_queue(project, class_id=known.id if known else None))
    if below is not None:
        rows = [row for row in rows if row.confidence is None or row.confidence < below]
    rows = rows[:limit] if limit else rows
    suggestion = suggest_next(project)
    scores = project.index.class_scores([row.id for row in rows])
    names = {c.id: c.name for c in project.classes.classes}
    return {
        "project": str(project.folder),
        "class": known and known.name,
        "counts": asdict(review_counts(project)),
        "images": [
            {
                "image": row.path,
                "confidence": row.confidence,
                "classes": {names.get(c, f"class {c}"): score for c, score in scores.get(row.id, {}).items()},
            }
            for row in rows
        ],
        "label_next": suggestion
        and {"image": project.row(suggestion.image_id).path, "reason": suggestion.reason},
    }


def decide(project: Project, images: list[str], above: float | None, decision: Decision) -> dict[str, Any]:
    """Give images a status as one batch; return what happened as JSON types."""
    from app.domain.status import Status

    if images:
        ids = find_images(project, images)
    else:
        ids = [int(i) for i in project.ids(f"status:propagated score:>={above} -is:missing")]
    rows = project.rows(ids)
    ready = [row.id for row in rows if row.has_labels]
    batch, changed = project.set_status(ready, Status(decision.value)) if ready else (None, [])
    return {
        "project": str(project.folder),
        "status": decision.value,
        "batch": batch,
        "changed": [row.path for row in project.rows(changed)],
        "without_labels": [row.path for row in rows if not row.has_labels],
    }


def _add_classes(project: Project, file: Path | None, names: list[str]) -> None:
    from app.domain.classes import ClassTable, ImportClasses, LabelClass, read_label_list
    from coordgan_core.labels import LabelClasses

    if file is not None and file.suffix.lower() == ".json":
        known = LabelClasses.load(file).classes
        if len(project.classes.classes) == 1:  # ids and colours of the file hold in a new project
            project.set_classes(ClassTable(tuple(LabelClass(c.id, c.name, c.color) for c in known)))
        else:
            names = [*(c.name for c in known), *names]
    elif file is not None:
        names = [*read_label_list(file), *names]
    if names:
        for _ in project.change_classes(ImportClasses(tuple(names))):
            pass


def _scan(project: Project) -> dict[str, Any]:
    with progress_bar() as bar:
        task = bar.add_task("Listing images", total=None)
        added = 0
        for found in project.scan():
            bar.update(task, total=found.found, completed=found.measured)
            added = found.added
    problems = [row for row in project.rows(project.ids("is:failed")) if row.problem]
    return {
        "project": str(project.folder),
        "images": project.count(),
        "added": added,
        "classes": [c.name for c in project.classes.classes if c.id],
        "status": {s.value: n for s, n in project.counts().items() if n},
        "unreadable": [{"image": row.path, "reason": row.problem} for row in problems],
    }

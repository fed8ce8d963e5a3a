"""`import`, `export`: label maps from and to other tools; first what would happen, then the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.opening import Json, ProjectPath, find_images, opened, progress_bar, tell
from app.commands.output import EXIT_DONE, EXIT_FINDINGS, counted, print_json, print_line
from coordgan_core.errors import ConfigError, LabelError

if TYPE_CHECKING:
    from app.domain.formats import ExportOptions, ExportReport, Format, ImportReport
    from app.domain.project import Project

_SHOWN = 20

FormatName = Annotated[str, typer.Option("--format", help="Name of the format; `coordlabel formats` lists.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go on after the report.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("formats")(formats)
    app.command("import")(import_)
    app.command("export")(export)


def formats(as_json: Json = False) -> None:
    """List the formats of import, export and convert, and what a person may decide about each."""
    from app.domain.formats import FORMATS

    if as_json:
        listed = [
            {"name": f.name, "title": f.title, "choices": {c.key: list(c.values) for c in f.choices}}
            for f in FORMATS.values()
        ]
        print_json({"formats": listed})
        return
    for each in FORMATS.values():
        print_line(f"{each.name:16s}  {each.title}")
        for choice in each.choices:
            print_line(f"{'':18s}--choice {choice.key}={'|'.join(choice.values)}")


def import_(
    path: ProjectPath,
    source: Annotated[Path, typer.Argument(help="The label maps: a folder, or the file of the format.")],
    format_name: FormatName = "",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="SOURCE=CLASS: a class of the source and what it becomes; repeatable."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace what a person has made in the project.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring label maps into a project: a report first, with --yes or --map the work, as one step back.

    CLASS may be new, and `background` drops a class. Without --yes nothing is changed. A folder that
    `coordlabel propagate` has made comes with its confidences, as a machine's work.
    """
    from app.domain.formats import import_report
    from app.domain.propagated import PropagatedFolder

    made = None if format_name or mapping or not source.is_dir() else PropagatedFolder.find(source)
    if made is not None:
        from app.commands.import_propagated import import_propagated

        raise typer.Exit(import_propagated(path, made, go=yes, as_json=as_json))
    name = known_format(format_name).name if format_name else probed(source)
    go = yes or bool(mapping)
    with opened(path, write=go) as project:
        report = import_report(project, name, source)
        names = remapped(report.mapping, {**report.mapping, **report.names}, mapping or [])
        found = import_summary(project, name, report, names)
        if not as_json:
            show_import(found)
        if go:
            found |= run_import(project, name, source, names, overwrite=overwrite)
    found["dry_run"] = not go
    if as_json:
        print_json(found)
    elif go:
        print_line(f"{counted(found['taken'], 'label map')} taken, as step {found['batch']} of the history")
        tell(f"not taken: {image}: {reason}" for image, reason in found["failures"].items())
    else:
        tell(["Nothing is changed yet. Run it again with --yes, or with --map SOURCE=CLASS."])
    bad = found["failures"] if go else found["warnings"]
    raise typer.Exit(EXIT_FINDINGS if bad else EXIT_DONE)


def export(
    path: ProjectPath,
    out: Annotated[Path, typer.Argument(help="Folder to write to, outside of the images and the project.")],
    format_name: FormatName,
    images: Annotated[
        list[str] | None, typer.Option("--image", help="An image; repeat for more. All by default.")
    ] = None,
    only: Annotated[str, typer.Option(help="Search words instead, as status:accepted.")] = "",
    choice: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, a choice of the format; repeatable.")
    ] = None,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Put copies of the images beside the labels.")
    ] = False,
    project_colors: Annotated[
        bool, typer.Option("--project-colors", help="The project's colours instead of the format's own.")
    ] = False,
    validation_share: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the images that goes to the validation list.")
    ] = 0.0,
    measure_all: Annotated[
        bool, typer.Option("--measure-all", help="Measure the loss of every image before, not of 200.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be written.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Write label maps in a format; what it cannot hold is said before, and then needs --yes."""
    from app.domain.formats import ExportOptions, export_report

    chosen = known_format(format_name)
    options = ExportOptions(
        copy_images=copy_images,
        project_colors=project_colors,
        validation_share=validation_share,
        choices=choices(chosen, choice or []),
    )
    with opened(path, write=False) as project:
        ids = find_images(project, images) if images else [int(i) for i in project.ids(only)]
        limit = {"measured": None} if measure_all else {}
        report = export_report(project, ids, chosen.name, out, options, **limit)
        found = export_summary(project, chosen.name, out, report)
        if not as_json:
            show_export(found)
        go = not dry_run and (yes or not found["warnings"])
        if go:
            found |= run_export(project, ids, chosen.name, out, options)
    found["dry_run"] = not go
    if as_json:
        print_json(found)
    elif go:
        print_line(f"{counted(found['written'], 'image')} written to {out}")
        tell(f"loses pixels: {image}: IoU {iou:.6f}" for image, iou in _lossy(found["iou"])[:_SHOWN])
        more = len(_lossy(found["iou"])) - _SHOWN
        tell([f"and {more} more lose pixels"] if more > 0 else [])
        tell(f"left out: {image}: {reason}" for image, reason in found["failures"].items())
    elif not dry_run:
        tell(["Nothing is written yet. Run it again with --yes."])
    bad = found["failures"] if go else found["warnings"]
    raise typer.Exit(EXIT_FINDINGS if bad else EXIT_DONE)


def known_format(name: str) -> Format:
    """Return a format.

    Raises:
        ConfigError: There is none of this name.
    """
    from app.domain.formats import FORMATS

    if name not in FORMATS:
        raise ConfigError(f"there is no format {name!r}", expected="one of " + ", ".join(FORMATS))
    return FORMATS[name]


def probed(source: Path) -> str:
    """Return the format that label maps look like, and say it.

    Raises:
        LabelError: They look like none, or there is nothing.
    """
    from app.domain.formats import guess

    if not source.exists():
        raise LabelError(
            f"there is no file or folder {source}",
            expected="label maps: a folder, or the file of the format",
            remedy="check the path",
        )
    try:
        name = guess(source)
    except LabelError as error:
        remedy = "say with --format what it is (for convert: --from)"
        raise LabelError(error.found, expected=error.expected, remedy=remedy) from error
    tell([f"format: {name}"])
    return name


def choices(chosen: Format, given: Sequence[str]) -> dict[str, str]:
    """Return the choices of a format that flags make.

    Raises:
        ConfigError: There is no such choice or value.
    """
    known = {choice.key: choice.values for choice in chosen.choices}
    result: dict[str, str] = {}
    for text in given:
        key, _, value = text.partition("=")
        if value not in known.get(key, ()):
            each = [f"{name}={'|'.join(values)}" for name, values in known.items()]
            raise ConfigError(
                f"{chosen.name} has no choice {text!r}",
                expected=", ".join(each) or "no --choice: there is nothing to decide about this format",
            )
        result[key] = value
    return result


def remapped(mapping: Mapping[int, str], sources: Mapping[int, str], given: Sequence[str]) -> dict[int, str]:
    """Return which class each id of the source becomes, after ``SOURCE=CLASS`` flags (name or id = name).

    Args:
        mapping: Class id of the source -> name of the class it becomes.
        sources: Class id of the source -> its name there.
        given: The flags.

    Raises:
        ConfigError: The source has no such class.
    """
    result = dict(mapping)
    for text in given:
        source, sign, target = (part.strip() for part in text.partition("="))
        ids = [i for i, name in sources.items() if source.casefold() == name.casefold() or source == str(i)]
        if not sign or not ids:
            known = ", ".join(f"{i} {name}" for i, name in sources.items()) or "none"
            found = f"the source has no class {source!r}" if sign else f"--map {text!r} has no ="
            raise ConfigError(found, expected=f"SOURCE=CLASS with a class of the source ({known})")
        for class_id in ids:
            if target.casefold() in ("", "background"):
                result.pop(class_id, None)
            else:
                result[class_id] = target
    return result


def import_summary(
    project: Project, name: str, report: ImportReport, names: Mapping[int, str]
) -> dict[str, Any]:
    """Return an import's report as JSON types, with paths instead of numbers."""
    from app.domain.formats import new_classes

    return {
        "format": name,
        "matched": {row.path: report.matched[row.id] for row in project.rows(report.matched)},
        "missing": [row.path for row in project.rows(report.missing)],
        "extra": list(report.extra),
        "mapping": [
            {
                "id": i,
                "source": report.names.get(i, report.mapping.get(i, "")),
                "class": names.get(i, "background"),
                "images": report.images.get(i, 0),
            }
            for i in sorted({**report.mapping, **names})
        ],
        "new_classes": list(new_classes(project.classes, names.values())),
        "unfit": {row.path: report.unfit[row.id] for row in project.rows(report.unfit)},
        "protected": [row.path for row in project.rows(report.protected)],
        "warnings": list(report.warnings),
    }


def show_import(found: Mapping[str, Any]) -> None:
    """Tell people what an import would do."""
    tell(
        [
            f"{len(found['matched'])} label maps match, {len(found['missing'])} images have none, "
            f"{len(found['extra'])} match no image",
            *(
                f"class {line['id']} {line['source']} (in {line['images']} images) becomes {line['class']}"
                for line in found["mapping"]
            ),
        ]
    )
    _warn(found["warnings"])


def run_import(
    project: Project, name: str, source: Path, names: Mapping[int, str], *, overwrite: bool
) -> dict[str, Any]:
    """Import, with a bar; return what happened as JSON types."""
    from app.domain.formats import import_labels

    taken, refused, failures, batch = 0, [], {}, 0
    with progress_bar() as bar:
        task = bar.add_task("Importing", total=None)
        for event in import_labels(project, name, source, names, overwrite=overwrite):
            bar.update(task, completed=event.done, total=event.total)
            taken, batch = taken + event.taken, event.batch
            if event.error:
                failures[event.path] = event.error
            elif not event.taken:
                refused.append(event.path)
    return {"taken": taken, "left_alone": refused, "failures": failures, "batch": batch}


def export_summary(project: Project, name: str, out: Path, report: ExportReport) -> dict[str, Any]:
    """Return an export's report as JSON types."""
    from app.domain.model_choice import label_sources, research_notes

    return {
        "format": name,
        "out": str(out),
        "images": report.images,
        "files": len(report.files),
        "skipped": [row.path for row in project.rows(report.skipped)],
        "lossless": report.lossless,
        "iou": {row.path: round(report.iou[row.id], 6) for row in project.rows(report.iou)},
        "warnings": list(report.warnings),
        "models": [asdict(source) for source in label_sources(project)],
        "notes": research_notes(project),
    }


def show_export(found: Mapping[str, Any]) -> None:
    """Tell people what an export would write."""
    skipped = f"; without labels, left out: {len(found['skipped'])}" if found["skipped"] else ""
    tell([f"{counted(found['images'], 'image')} in {counted(found['files'], 'file')}{skipped}"])
    _warn(found["warnings"])
    tell(found["notes"])


def run_export(
    project: Project, ids: Sequence[int], name: str, out: Path, options: ExportOptions
) -> dict[str, Any]:
    """Export, with a bar; return what happened as JSON types."""
    from app.domain.formats import export as write

    written, failures, iou = 0, {}, {}
    with progress_bar() as bar:
        task = bar.add_task("Exporting", total=None)
        for event in write(project, ids, name, out, options):
            bar.update(task, completed=event.done, total=event.total)
            if event.error:
                failures[event.path] = event.error
            else:
                written += 1
                iou[event.path] = round(event.iou, 6)
    return {"written": written, "failures": failures, "iou": iou, "changed": dict(_lossy(iou))}


def _lossy(iou: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the images of which a round trip does not give back every pixel, the worst first."""
    return sorted(((image, value) for image, value in iou.items() if value < 1), key=lambda pair: pair[1])


def _warn(warnings: Sequence[str]) -> None:
    tell(f"warning: {text}" for text in warnings[:_SHOWN])
    if len(warnings) > _SHOWN:
        tell([f"and {len(warnings) - _SHOWN} more"])

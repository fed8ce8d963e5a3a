"""`validate`: is a project, or a folder of label maps, whole; and mend what can be mended safely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.opening import Json, opened, progress_bar, tell
from app.commands.output import EXIT_DONE, EXIT_FINDINGS, print_json, print_line
from coordgan_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from app.domain.validation import Checked, Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate")(validate)


def validate(
    path: Annotated[Path, typer.Argument(help="A project, or a folder of label maps.")],
    images: Annotated[
        Path | None, typer.Option(help="Of label maps: their images, to compare names and sizes.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Of label maps: classes.json; found by itself in or above the folder.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Of a project: mend what can be mended without losing anything.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check sizes, class ids, files and the database; exit code 1 if something is wrong."""
    from app.domain.place import find_project

    if not path.is_dir() and find_project(path) is None:
        found = f"{path} is a file" if path.is_file() else f"there is no folder {path}"
        raise DataError(found, expected="a project or a folder of label maps")
    place = find_project(path)
    if place is None:
        if repair:
            raise ConfigError(
                f"{path} is no project", expected="a project", remedy="only projects can be repaired"
            )
        from app.domain.validation import check_labels_folder

        findings, checked = follow(check_labels_folder(path, images=images, classes=classes))
    else:
        if images or classes:
            raise ConfigError(
                "--images and --classes are about folders of label maps; a project knows its own"
            )
        findings, checked = check(place, repair=repair)
    left = [finding for finding in findings if not finding.repaired]
    if as_json:
        listed = [asdict(finding) for finding in findings]
        print_json({"path": str(place or path), "label_maps": checked, "findings": listed})
    else:
        for finding in findings:
            print_line(f"{finding.kind}: {finding.path}: {finding.problem}")
            print_line(f"  {'repaired' if finding.repaired else finding.remedy}")
        tell([summary(findings, checked)])
    raise typer.Exit(EXIT_FINDINGS if left else EXIT_DONE)


def check(place: Path, *, repair: bool) -> tuple[list[Finding], int]:
    """Check a project; a damaged database ends it, as nothing else can be read then."""
    from app.domain.validation import check_database, check_project, cut_off

    found = check_database(place)
    if found:
        return found, 0
    before: list[Finding] = []
    if repair:  # opening for writing mends these
        with opened(place, write=False) as project:
            before = [replace(finding, repaired=True) for finding in cut_off(project)]
    with opened(place, write=repair) as project:
        findings, checked = follow(check_project(project, repair=repair))
    again = {(finding.kind, finding.problem) for finding in findings}
    return [f for f in before if (f.kind, f.problem) not in again] + findings, checked


def follow(events: Iterator[Finding | Checked]) -> tuple[list[Finding], int]:
    """Show the progress of a check; return its findings and how many label maps it has looked at."""
    from app.domain.validation import Checked

    findings, checked = [], 0
    with progress_bar() as bar:
        task = bar.add_task("Checking", total=None)
        for event in events:
            if isinstance(event, Checked):
                checked = event.done
                bar.update(task, completed=event.done, total=event.total)
            else:
                findings.append(event)
    return findings, checked


def summary(findings: list[Finding], checked: int) -> str:
    """Return the outcome in one line."""
    if not findings:
        return f"{checked} label maps checked, nothing found"
    counts = Counter(finding.kind for finding in findings)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    repaired = sum(finding.repaired for finding in findings)
    mendable = sum(finding.repairable and not finding.repaired for finding in findings)
    parts = [f"{checked} label maps checked, {len(findings)} findings ({kinds})"]
    parts += [f"{repaired} repaired"] * bool(repaired)
    parts += [f"{mendable} can be repaired with --repair"] * bool(mendable)
    return ", ".join(parts)

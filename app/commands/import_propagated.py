"""`import` of a propagated folder: into a project, as a machine's work with its confidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.opening import opened, progress_bar, tell
from app.commands.output import EXIT_DONE, EXIT_FINDINGS, print_json, print_line

if TYPE_CHECKING:
    from app.domain.project import Project
    from app.domain.propagated import PropagatedFolder


def import_propagated(path: Path, source: PropagatedFolder, *, go: bool, as_json: bool) -> int:
    """Say what would be taken, and with ``go`` take it; return the exit code."""
    with opened(path, write=go) as project:
        found = _summary(project, source)
        if not as_json:
            protected = f", {len(found['protected'])} of them stay: a person has worked on them"
            tell(
                [
                    f"a propagated folder: {len(found['matched'])} of {len(source.images)} label maps match"
                    + protected * bool(found["protected"])
                ]
            )
        if go:
            found |= _take(project, source)
    found["dry_run"] = not go
    if as_json:
        print_json(found)
    elif go:
        print_line(f"{found['taken']} results taken, as step {found['batch']} of the history")
        tell(f"not taken: {image}: {reason}" for image, reason in found["failures"].items())
    else:
        tell(["Nothing is changed yet. Run it again with --yes."])
    return EXIT_FINDINGS if (found["failures"] if go else found["extra"]) else EXIT_DONE


def _summary(project: Project, source: PropagatedFolder) -> dict[str, Any]:
    matched = {name: image for name in source.images if (image := project.find(name)) is not None}
    human = {int(i) for i in project.ids("is:human")}
    return {
        "format": "propagation",
        "matched": {name: str(source.labels(name)) for name in matched},
        "extra": [name for name in source.images if name not in matched],
        "protected": [name for name, image in matched.items() if image in human],
        "warnings": [],
    }


def _take(project: Project, source: PropagatedFolder) -> dict[str, Any]:
    from app.domain.propagated import take_propagated

    taken, batch = 0, 0
    left: list[str] = []
    failures: dict[str, str] = {}
    with progress_bar() as bar:
        task = bar.add_task("Taking", total=None)
        for event in take_propagated(project, source):
            bar.update(task, completed=event.done, total=event.total)
            taken, batch = taken + event.taken, event.batch
            if event.error:
                failures[event.path] = event.error
            elif not event.taken:
                left.append(event.path)
    return {"taken": taken, "left_alone": left, "failures": failures, "batch": batch}

"""Opening projects for commands, and the arguments that many of them share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.output import console, leads
from coordgan_core.errors import DataError

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.domain.project import Project

ProjectPath = Annotated[Path, typer.Argument(help="The project: its images folder or its own folder.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]


@contextlib.contextmanager
def opened(path: Path, *, write: bool = True) -> Iterator[Project]:
    """Open a project, to change it or only to look at it.

    Raises:
        DataError: There is no project, or it is to be changed and someone else has it open.
    """
    from app.domain.place import find_project
    from app.domain.project import Project

    if find_project(path) is None:
        raise DataError(
            f"there is no project in {path}",
            expected="an images folder with a project, or a project folder",
            remedy=f"make one with `coordlabel init {path}`",
        )
    with Project.open(path, read_only=not write) as project:
        if write:
            check_writable(project)
        if project.note:
            console().print(project.note, markup=False)
        yield project


def check_writable(project: Project) -> None:
    """Raise `DataError` if a project that was opened to be changed can only be read."""
    if project.read_only:
        raise DataError(
            f"the project {project.folder} cannot be changed: {project.read_only_reason}",
            expected="a project that nobody else has open",
            remedy="close the window or command that uses it, and run this again",
        )


def find_images(project: Project, names: Sequence[str]) -> list[int]:
    """Return the images that are named: by path in the images folder, or by path from here.

    Raises:
        DataError: One is not in the project.
    """
    found: list[int] = []
    for name in names:
        image_id = project.find(Path(name).as_posix())
        if image_id is None:
            with contextlib.suppress(ValueError):  # on another drive
                place = os.path.relpath(Path(name).absolute(), project.images_folder)
                image_id = project.find(Path(place).as_posix())
        if image_id is None:
            raise DataError(
                f"there is no image {name} in the project",
                expected=f"a path within {project.images_folder}",
                remedy="check the name; `coordlabel init` lists images that are new in the folder",
            )
        found.append(image_id)
    return list(dict.fromkeys(found))


def progress_bar() -> Progress:
    """Return a progress bar with the time left, on stderr; without a terminal it is silent."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = console()
    return Progress(*columns, console=screen, transient=True, disable=not (screen.is_terminal and leads()))


def tell(lines: Iterable[str]) -> None:
    """Write lines for people to stderr."""
    screen = console()
    for line in lines:
        screen.print(line, markup=False)

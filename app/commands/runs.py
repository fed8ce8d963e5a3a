"""`runs`: list the trainings of a folder, and ask something of them from any terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.commands.output import console, duration, print_json, print_line
from coordgan_core.errors import CoordError

if TYPE_CHECKING:
    from coordgan_core.training.run import Request

Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
Run = Annotated[Path, typer.Argument(help="Folder of the run.")]


class _ListsByDefault(TyperGroup):
    """A group that lists where no command is named: ``runs``, ``runs FOLDER``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from app.commands.train import resume

    group = typer.Typer(cls=_ListsByDefault, help="List trainings, and pause, resume, stop or discard one.")
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("stop")(stop)
    group.command("discard")(discard)
    app.add_typer(group, name="runs")


def list_all(
    folder: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List the trainings of a folder and what they are doing."""
    from coordgan_core.training.run import find_runs

    listed = [_listed(path) for path in find_runs(folder)]
    if as_json:
        print_json({"folder": str(folder), "runs": listed})
        return
    if not listed:
        console().print(f"There are no runs in {folder}.")
    for line in listed:
        if line["state"] == "unreadable":
            print_line(f"{line['run']}  cannot be read: {line['message']}")
            continue
        share = line["nimg"] / line["total_nimg"] if line["total_nimg"] else 0.0
        left = f", {duration(line['seconds_left'])} left" if line["state"] == "running" else ""
        print_line(f"{line['run']}  {line['preset']}  {line['state']}  {line['stage']} {share:.0%}{left}")


def show(run: Run, as_json: Json = False) -> None:
    """Print what a training is doing, its newest figures, and what happened to it."""
    from app.commands.train_view import sentence
    from coordgan_core.training.events import Progress, SheetWritten, Validated
    from coordgan_core.training.run import RunFolder

    opened = RunFolder.open(run)
    events = list(opened.events())
    last = next((e for e in reversed(events) if isinstance(e, Progress)), None)
    quality = next((e for e in reversed(events) if isinstance(e, Validated)), None)
    about: dict[str, Any] = {
        "run": str(opened.path.absolute()),
        "preset": opened.settings.config.preset,
        "images": opened.settings.images,
        **vars(opened.status()),
        "model": str(opened.model_path) if opened.model_path.exists() else None,
        "active_sec": last.active_sec if last else 0.0,
        "losses": dict(last.scalars) if last else {},
        "quality": vars(quality) if quality else None,
        "sheets": [str(e.path) for e in events if isinstance(e, SheetWritten)],
        "notes": [text for text in map(sentence, events) if text],
    }
    if as_json:
        print_json(about)
        return
    for name in ("run", "preset", "images", "state", "stage", "message", "model"):
        if about[name]:
            print_line(f"{name}: {about[name]}")
    print_line(f"images seen in this stage: {about['nimg']} of {about['total_nimg']}")
    print_line(f"time at work: {duration(about['active_sec'])}")
    for name, value in about["losses"].items():
        print_line(f"  {name}: {value:.4g}")
    for note in about["notes"][-20:]:
        print_line(f"- {note}")


def pause(run: Run, as_json: Json = False) -> None:
    """Ask a running training to write a checkpoint and end; `resume` goes on."""
    _ask(run, "pause", as_json=as_json)


def stop(run: Run, as_json: Json = False) -> None:
    """End a training and keep its newest model."""
    _ask(run, "stop", as_json=as_json)


def discard(
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End a training and delete what it wrote, its models included; asks first."""
    if not yes:
        typer.confirm(f"Delete the training in {run} with its models and checkpoints?", abort=True, err=True)
    _ask(run, "discard", as_json=as_json)


def _ask(run: Path, what: Request, *, as_json: bool) -> None:
    from coordgan_core.training.control import ask
    from coordgan_core.training.run import RunFolder

    answer = ask(RunFolder.open(run), what)
    if as_json:
        print_json({"run": str(run), "asked": what, "answer": answer})
    else:
        print_line(f"{run}: {answer}")


def _listed(path: Path) -> dict[str, Any]:
    from coordgan_core.training.run import RunFolder

    try:
        opened = RunFolder.open(path)
        return {"run": path.name, "preset": opened.settings.config.preset, **vars(opened.status())}
    except CoordError as error:
        return {"run": path.name, "state": "unreadable", "message": str(error)}

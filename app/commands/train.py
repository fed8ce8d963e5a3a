"""`train`, `resume`: fit a model to a folder of images; `--check`, `--estimate`, `--profile` come before."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.output import EXIT_CANCELLED, console, leads, print_json
from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.errors import ConfigError
from coordgan_core.presets import PRESETS, preset

if TYPE_CHECKING:
    from coordgan_core.training.events import Event

DEFAULT_PRESET = "quick-64"

Json = Annotated[bool, typer.Option("--json", help="Write events as JSON lines to stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("train")(train)
    app.command("resume")(resume)


def train(
    images: Annotated[Path | None, typer.Option(help="Folder of the images, sub-folders included.")] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of the run, new or empty.")] = None,
    preset_name: Annotated[
        str, typer.Option("--preset", help=f"What to train: {', '.join(PRESETS)}.")
    ] = DEFAULT_PRESET,
    minutes: Annotated[
        float | None, typer.Option(help="Time the whole training may take; 0 for no limit.")
    ] = None,
    nimg: Annotated[
        int | None, typer.Option(help="Length of every stage in images, instead of a time limit.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step, over all devices.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    device: Device = "auto",
    labels: Annotated[
        Path | None, typer.Option(help="Label maps of some of the images, to report quality as it grows.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Model file whose weights it starts from.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any field of the configuration: train.batch=8.")
    ] = None,
    recursive: Annotated[bool, typer.Option(help="Take sub-folders too.")] = True,
    crop: Annotated[
        str | None, typer.Option(help="whole, centre, labels (the box around them) or left,top,right,bottom.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the model's card calls it.")] = "",
    category: Annotated[str, typer.Option(help="What the images show, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Terms of use, for the card.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Only look at the images, and advise.")] = False,
    contact_sheet: Annotated[Path | None, typer.Option(help="With --check: a PNG to write.")] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only measure ten steps: time, memory, disk.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Only measure where the time of a step goes, stage by stage.")
    ] = False,
    list_devices: Annotated[
        bool, typer.Option("--devices", help="Only list the devices it can run on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model on a folder of images; Ctrl+C leaves it resumable.

    On several GPUs: torchrun --nproc-per-node 4 -m -- app train ...
    """
    from app.commands import train_checks

    if list_devices:
        raise typer.Exit(train_checks.devices(as_json=as_json))
    flags = {"train.minutes": minutes, "train.batch": batch, "train.seed": seed} | _crop_flags(crop)
    config = configure(preset_name, flags, settings or [], nimg=nimg)
    images = _given(images, "--images", "the folder of the images")
    if check:
        sheet = contact_sheet
        raise typer.Exit(
            train_checks.check(
                config, images, labels=labels, recursive=recursive, contact_sheet=sheet, as_json=as_json
            )
        )
    if estimate:
        raise typer.Exit(
            train_checks.estimate(
                config, images, run, device=device, labels=labels, recursive=recursive, as_json=as_json
            )
        )
    if profile:
        raise typer.Exit(
            train_checks.profile(
                config, images, device=device, labels=labels, recursive=recursive, as_json=as_json
            )
        )
    run = _given(run, "--run", "a new folder for the run")

    from coordgan_core.training.loop import train as start_training

    events = start_training(
        config,
        images=images,
        run=run,
        device=device,
        labels=labels,
        start=start,
        recursive=recursive,
        name=name,
        category=category,
        licence=licence,
    )
    raise typer.Exit(follow(events, run, as_json=as_json))


def resume(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    device: Annotated[str | None, typer.Option(help="Another device than it was started with.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time it may still take, for one whose time was up.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with a training, bit for bit where it was."""
    from coordgan_core.training.loop import resume as resume_training

    raise typer.Exit(follow(resume_training(run, device=device, minutes=minutes), run, as_json=as_json))


def configure(
    preset_name: str, flags: dict[str, Any], settings: list[str], *, nimg: int | None = None
) -> Config:
    """Return a preset with the changes of the command line.

    Args:
        preset_name: Name of the preset.
        flags: {dotted field: value}; None changes nothing.
        settings: ``field=value`` texts; values are JSON where they can be, lists also as ``a,b``.
        nimg: Length of every stage in images.

    Raises:
        ConfigError: A name, type or range is wrong.
    """
    config = preset(preset_name)
    changes = {name: value for name, value in flags.items() if value is not None}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            raise ConfigError(f"--set {setting}", expected="FIELD=VALUE, such as train.batch=8")
        changes[name.strip()] = _parsed(text.strip())
    config = configuration.replace(config, **changes)
    if nimg is not None:
        lengths = {f"train.{stage}.total_nimg": nimg for stage in config.train.stages}
        limit = {} if "train.minutes" in changes else {"train.minutes": 0.0}  # of the preset
        config = configuration.replace(config, **lengths, **limit)
    return config


def _given(path: Path | None, option: str, what: str) -> Path:
    if path is None:
        raise ConfigError(f"{option} is missing", expected=what, remedy=f"add {option} FOLDER")
    return path


def _crop_flags(crop: str | None) -> dict[str, Any]:
    """Return the fields that ``--crop`` changes."""
    if crop is None or crop in ("whole", "centre", "labels"):
        return {"model.crop.mode": crop}
    return {"model.crop.mode": "box", "model.crop.box": _parsed(crop)}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [_parsed(part) for part in text.split(",")] if "," in text else text


def follow(events: Iterator[Event], run: Path, *, as_json: bool) -> int:
    """Show the events of a training until it ends; return the exit code."""
    from app.commands.train_view import TrainView
    from coordgan_core.training.events import Paused, to_dict

    cancelled = False
    with _pausing(run) as asked, TrainView(console(), quiet=not leads()) as view:
        for event in events:
            if as_json and leads():
                print_json(to_dict(event))
            view.show(event)
            cancelled = isinstance(event, Paused) and bool(asked)
    return EXIT_CANCELLED if cancelled else 0


@contextlib.contextmanager
def _pausing(run: Path) -> Iterator[list[int]]:
    """Make the first Ctrl+C (or SIGTERM) a request to pause, the second an interrupt; yield those so far."""
    from coordgan_core.training.run import RunFolder, is_run

    asked: list[int] = []
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked and together:
            return  # torchrun passes on what the terminal has sent to all already
        if asked or not is_run(run):
            raise KeyboardInterrupt
        asked.append(number)
        if leads():
            sys.stderr.write("\nPausing: a checkpoint is being written. Ctrl+C again stops at once.\n")
            RunFolder.open(run).request("pause")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

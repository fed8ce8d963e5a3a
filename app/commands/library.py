"""`models rename|describe|import|delete|compare`: what can be done with the models that are there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from app.commands.catalogue import find_model, own_models_folder
from app.commands.output import console, print_json, print_line
from app.services import model_files
from coordgan_core.errors import ConfigError, ModelError
from coordgan_core.reports import Comparison

Model = Annotated[str, typer.Argument(help="Name of one of your models, or its file.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Folder of your models instead of the usual one.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `models`."""
    group.command("rename")(rename)
    group.command("describe")(describe)
    group.command("import")(import_model)
    group.command("delete")(delete)
    group.command("compare")(compare)


def rename(
    model: Model,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Give one of your models another name."""
    path = model_files.rename(_own(model, folder), name)
    _say({"renamed": str(path)}, f"{model} is now {path.stem}", as_json=as_json)


def describe(
    model: Model,
    category: Annotated[str | None, typer.Option(help="What the images show.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence.")] = None,
    licence: Annotated[str | None, typer.Option(help="Under what terms it may be used.")] = None,
    data_source: Annotated[str | None, typer.Option(help="Where the training images come from.")] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Write into the card of one of your models."""
    given = {
        "category": category,
        "description": description,
        "licence": licence,
        "data_source": data_source,
    }
    path = _own(model, folder)
    model_files.describe(path, **{name: text for name, text in given.items() if text is not None})
    _say({"described": str(path)}, f"the card of {path.stem} is changed", as_json=as_json)


def import_model(
    file: Annotated[Path, typer.Argument(help="A .safetensors model file.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Check a model file completely and copy it to your models."""
    from coordgan_core.snapshot import inspect, load_model

    inspect(file)  # kind, version, sound header: what is no model is refused before PyTorch is loaded
    load_model(file)  # shapes against its configuration, finite weights; runs nothing of it
    path = model_files.take_in(file, folder or own_models_folder())
    _say({"imported": str(path)}, f"{path.stem} is one of your models now: {path}", as_json=as_json)


def delete(
    model: Model,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Delete one of your models; asks first."""
    path = _own(model, folder)
    if not yes:
        typer.confirm(f"Delete the model {path}?", abort=True, err=True)
    model_files.delete(path, folder or own_models_folder())
    _say({"deleted": str(path)}, f"{path.stem} is deleted", as_json=as_json)


def compare(
    models: Annotated[list[str], typer.Argument(help="Two models or more: names, files or run folders.")],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    labels: Annotated[Path, typer.Option(help="Folder of label maps, all reviewed.")],
    references: Annotated[
        list[str], typer.Option(help="Images that labels are carried from: paths below the folder, or stems.")
    ],
    classes: Annotated[Path | None, typer.Option(help="classes.json; found by itself beside labels.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Measure models on one reviewed set: the same references, carried to the same queries."""
    from rich.progress import Progress

    from app.commands.propagate import read_classes
    from coordgan_core.comparison import Comparing
    from coordgan_core.comparison import compare as measure
    from coordgan_core.training.events import to_dict

    if len(models) < 2:
        raise ConfigError("one model is named", expected="two or more", remedy="name another one")
    found = [find_model(model, folder) for model in models]
    table = read_classes(classes, labels / "any.png")
    with Progress(console=console(), disable=as_json) as progress:
        task = progress.add_task("Measuring", total=None)
        for event in measure(found, images, labels, references, classes=table, device=device):
            if as_json:
                print_json(to_dict(event))
            if isinstance(event, Comparing):
                progress.update(task, completed=event.done, total=event.total, description=event.what[:40])
    if isinstance(event, Comparison) and not as_json:
        _print(event)


def _print(found: Comparison) -> None:
    width = min(shutil.get_terminal_size().columns // 2, max(len(m.name) for m in found.models) + 2)
    print_line(f"{len(found.references)} references, {found.queries} queries")
    print_line(f"{'':{width}s}{'mean IoU':>10s}{'foreground':>12s}{'error':>8s}{'images/s':>10s}")
    for model in found.models:
        print_line(
            f"{model.name[: width - 1]:{width}s}{model.miou:10.3f}{model.foreground_iou:12.3f}"
            f"{model.ece:8.3f}{model.images_per_second:10.1f}"
        )
    names = list(dict.fromkeys(name for model in found.models for name in model.per_class))
    for name in names:
        values = "  ".join(f"{model.per_class.get(name, float('nan')):.2f}" for model in found.models)
        print_line(f"  {name}: {values}")


def _own(model: str, folder: Path | None) -> Path:
    """Return the file of one of the user's models.

    Raises:
        ModelError: It is a bundled one, or there is none.
    """
    own = (folder or own_models_folder()).absolute()
    path = find_model(model, folder).absolute()
    if path.parent != own:
        raise ModelError(
            f"{path} is not one of your models",
            expected=f"a model in {own}",
            remedy="`coordlabel models import FILE` makes it one",
        )
    return path


def _say(values: dict[str, str], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(values)
    else:
        print_line(text)

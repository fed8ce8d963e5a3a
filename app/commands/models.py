"""`models`: the models that are there, and their cards."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands import library
from app.commands.catalogue import find_model, list_models, own_models_folder
from app.commands.output import console, print_json, print_line
from coordgan_core.config import to_dict
from coordgan_core.errors import ModelError
from coordgan_core.snapshot import ModelInfo, inspect

if TYPE_CHECKING:
    pass

_FIGURES_SHOWN = 3
"""Of a model in the list; `models show` prints all."""
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Folder of your models instead of the usual one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List the models; `models show M` prints a model's card.")
    group.callback(invoke_without_command=True)(list_all)
    group.command("list")(list_named)
    group.command("show")(show)
    group.command("export")(export)
    library.register(group)
    app.add_typer(group, name="models")


def list_all(context: typer.Context, folder: Folder = None, as_json: Json = False) -> None:
    """List bundled models and your own; one that cannot be read is listed with the reason."""
    if context.invoked_subcommand is not None:
        return
    lines = []
    for entry in list_models(folder):
        line: dict[str, Any] = {"name": entry.name, "origin": entry.origin, "path": str(entry.path)}
        try:
            line = summary(inspect(entry.path)) | line  # what commands take, not what the card calls it
        except ModelError as error:
            line["error"] = str(error)
        lines.append(line)
    if as_json:
        print_json({"models": lines})
    elif not lines:
        console().print(
            f"No models yet. Train one with `coordlabel train`; yours go to {own_models_folder()}."
        )
    else:
        for line in lines:
            print_line(_line(line))


def list_named(context: typer.Context, folder: Folder = None, as_json: Json = False) -> None:
    """List bundled models and your own."""
    context.invoked_subcommand = None
    list_all(context, folder, as_json)


def show(
    model: Annotated[str, typer.Argument(help="Model file, run folder, or name of a model.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Print what a model's header says: its card, its configuration, its size."""
    info = inspect(find_model(model, folder))
    if as_json:
        print_json({"path": str(info.path), **summary(info), "config": to_dict(info.config)})
        return
    print_line(f"path: {info.path}")
    for name, value in summary(info).items():
        if value not in ("", {}, 0, 0.0, None):
            print_line(f"{name}: {_shown(value)}")


def export(
    model: Annotated[str, typer.Argument(help="Model file, run folder, or name of a model.")],
    out: Annotated[Path, typer.Argument(help="The file to write, *.safetensors.")],
    name: Annotated[str | None, typer.Option(help="Name in the card.")] = None,
    category: Annotated[str | None, typer.Option(help="What the images show.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence for the card.")] = None,
    data_source: Annotated[str | None, typer.Option(help="Where the training images come from.")] = None,
    licence: Annotated[str | None, typer.Option(help="Under what terms it may be used.")] = None,
    figure: Annotated[
        list[str] | None, typer.Option(help="A measured figure, NAME=VALUE; repeatable.")
    ] = None,
    research_use: Annotated[
        bool, typer.Option("--research-use", help="Mark it: its data allow research only.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    strip: Annotated[
        bool, typer.Option(help="Keep the sample strip in its card, which shows training images.")
    ] = True,
) -> None:
    """Write a copy of a model with another card, or half the bytes."""
    from coordgan_core.snapshot import load_model, save_model

    source = find_model(model)
    info = inspect(source)
    given: dict[str, Any] = {
        "name": name,
        "category": category,
        "description": description,
        "data_source": data_source,
        "licence": licence,
        "research_use": research_use or None,
        "figures": _figures(figure),
        "sample_strip": None if strip else "",
    }
    card = dataclasses.replace(info.card, **{key: value for key, value in given.items() if value is not None})
    save_model(out, load_model(source), card, calibration=info.calibration, half=half)
    print_line(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _figures(given: list[str] | None) -> dict[str, float] | None:
    if not given:
        return None
    try:
        return {name: float(value) for name, value in (item.split("=", 1) for item in given)}
    except ValueError:
        raise typer.BadParameter("expected NAME=NUMBER, as in --figure miou=0.61") from None


def summary(info: ModelInfo) -> dict[str, Any]:
    """Return what matters of a model's header as JSON types."""
    card = info.card.to_json()
    card.pop("sample_strip", None)  # a picture
    return {
        **card,
        "resolution": info.config.resolution,
        "parts": [part for part in ("encoder", "embedding", "dense_head") if getattr(info.config, part)],
        "parameters": info.parameters,
        "megabytes": round(info.bytes / 1e6, 1),
        "calibrated": info.calibration is not None,
    }


def _line(line: dict[str, Any]) -> str:
    if "error" in line:
        return f"{line['name']}  {line['origin']}  cannot be used: {line['error']}"
    shown = list(line["figures"].items())[:_FIGURES_SHOWN]
    figures = "  ".join(f"{name} {value:.3f}" for name, value in shown)
    use = "research use" if line["research_use"] else ""
    about = line["category"] or line["data_source"] or "category unknown"
    size = f"{line['resolution']} px  {line['megabytes']} MB"
    return "  ".join(part for part in (line["name"], line["origin"], use, about, size, figures) if part)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""`swap`: swap grids, reconstructions and walks through the codes, as one PNG."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.exploring import (
    Captions,
    Device,
    Exploration,
    Images,
    Json,
    Model,
    Source,
    paths_of,
    sources,
    write_sheet,
)
from coordgan_core.errors import DataError

if TYPE_CHECKING:
    from coordgan_core.panels import Panel

_SIDE_PX = 320
_POOL = 48
_STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
_GROUPS = 3


class Show(StrEnum):
    """What a picture of `swap` shows."""

    TEXTURE = "texture"
    STRUCTURE = "structure"
    BOTH = "both"
    RECONSTRUCTION = "reconstruction"
    WALK = "walk"


def swap(
    model: Model,
    images: Images,
    out: Annotated[Path, typer.Option(help="The PNG.")],
    textures: Annotated[
        Path | None,
        typer.Option(help="Other images whose textures are put on the structures: art, anything."),
    ] = None,
    show: Annotated[
        Show,
        typer.Option(
            help="texture: a row is one structure, a column one texture. structure: a row is one texture. "
            "both. reconstruction: images as they come back from their codes. walk: steps along the "
            "directions in which the codes differ most."
        ),
    ] = Show.BOTH,
    count: Annotated[int, typer.Option(min=1, max=32, help="Structures and textures.")] = 6,
    generated: Annotated[
        int,
        typer.Option(
            min=0,
            max=32,
            help="Draw so many structures and textures instead: from the model's prior, or, if it has none, "
            "from how the images differ.",
        ),
    ] = 0,
    directions: Annotated[int, typer.Option(min=1, max=8, help="Of each kind, in a walk.")] = 3,
    base: Annotated[
        Path | None, typer.Option(help="Image where the walk begins; without it the middle of all.")
    ] = None,
    captions: Captions = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write swap grids: above, a row is one structure and a column one texture; below, the other way."""
    work = Exploration(model, device, as_json=as_json)
    if not (generated and work.abilities.draws):
        work.abilities.require_encoder(work.path.stem)
    pool = sources(paths_of(images, _POOL)) if not (generated and work.abilities.draws) else []
    if show is Show.RECONSTRUCTION:
        _reconstruct(work, paths_of(images, count), out, captions=captions)
    elif show is Show.WALK:
        _walk(work, pool, base, directions, out, captions=captions)
    else:
        rows = sources(paths_of(images, count))
        columns = rows if textures is None else sources(paths_of(textures, count))
        if generated:
            rows = [{"seed": seed} for seed in range(1, generated + 1)]
            columns = rows if textures is None else columns
        _grids(work, rows, columns, pool, show, out, captions=captions)


def _grids(
    work: Exploration,
    structures: list[Source],
    textures: list[Source],
    pool: list[Source],
    show: Show,
    out: Path,
    *,
    captions: bool,
) -> None:
    import numpy as np

    from coordgan_core.panels import draw_panels

    kinds = ["structure", "texture"] if show is Show.BOTH else []
    kinds = kinds or ["structure" if show is Show.TEXTURE else "texture"]
    pages = []
    for rows_are in kinds:
        rows, columns = (structures, textures) if rows_are == "structure" else (textures, structures)
        rows_of_panels = _grid(work, rows, columns, pool, rows_are)
        pages.append(draw_panels(rows_of_panels, captions=captions, has_heads=True))
    width = max(page.shape[1] for page in pages)
    padded = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pages]
    write_sheet(out, np.concatenate(padded))
    work.done(f"Swap grids written to {out}", written=str(out))


def _grid(
    work: Exploration, rows: list[Source], columns: list[Source], pool: list[Source], rows_are: str
) -> list[list[Panel]]:
    """Return the panels of one grid with its heads; rows and columns that cannot be read are left out."""
    from coordgan_core.panels import Panel

    heads: dict[tuple[str, int], Panel] = {}
    cells: dict[tuple[int, int], Any] = {}
    params = {"rows": rows, "columns": columns, "rows_are": rows_are, "pool": pool, "side": _SIDE_PX}
    for data, arrays in work.ask("grid", len(rows) * len(columns), **params):
        if data["event"] == "head":
            source = (rows if data["axis"] == "row" else columns)[data["index"]]
            caption = Path(source["path"]).stem if "path" in source else f"#{source['seed']}"
            heads[data["axis"], data["index"]] = Panel(arrays["image"], caption, data["aspect"], is_head=True)
        elif data["event"] == "cell":
            cells[data["row"], data["column"]] = arrays["image"]
            work.tell("cell", rows_are=rows_are, row=data["row"], column=data["column"])
        elif data["event"] == "error" and "axis" in data:
            source = (rows if data["axis"] == "row" else columns)[data["index"]]
            work.skip(source.get("path", ""), data["message"])
    used = {axis: sorted(i for a, i in heads if a == axis) for axis in ("row", "column")}
    if not cells:
        raise DataError("there is nothing to swap", expected="at least one readable image on both sides")
    other = "texture" if rows_are == "structure" else "structure"
    table = [
        [Panel(caption=f"{other} across, {rows_are} down"), *(heads["column", c] for c in used["column"])]
    ]
    for r in used["row"]:
        shapes = [("row", r) if rows_are == "structure" else ("column", c) for c in used["column"]]
        renders = [
            Panel(cells[r, c], aspect=heads[shape].aspect)
            for c, shape in zip(used["column"], shapes, strict=True)
        ]
        table.append([heads["row", r], *renders])
    return table


def _reconstruct(work: Exploration, paths: list[Path], out: Path, *, captions: bool) -> None:
    from coordgan_core.panels import Panel, draw_panels

    groups: list[list[Panel]] = []
    differences: dict[str, float] = {}
    for data, arrays in work.ask("reconstruct", len(paths), images=sources(paths)):
        path = paths[data["index"]]
        if data["event"] == "error":
            work.skip(path, data["message"])
            continue
        differences[str(path)] = round(data["difference"], 4)
        work.tell("reconstruction", image=str(path), difference=differences[str(path)])
        texts = (path.stem, "reconstruction", f"difference {100 * data['difference']:.1f} %")
        names = ("image", "output", "difference")
        groups.append([Panel(arrays[n], t, data["aspect"]) for n, t in zip(names, texts, strict=True)])
    if not groups:
        raise DataError("no image could be read", expected="at least one")
    rows = [
        [panel for group in groups[start : start + _GROUPS] for panel in group]
        for start in range(0, len(groups), _GROUPS)
    ]
    write_sheet(out, draw_panels(rows, captions=captions, group=3))
    mean = sum(differences.values()) / len(differences)
    text = f"{len(groups)} reconstructions written to {out}, mean difference {100 * mean:.1f} %"
    work.done(text, written=str(out), differences=differences)


def _walk(
    work: Exploration,
    pool: list[Source],
    base: Path | None,
    directions: int,
    out: Path,
    *,
    captions: bool,
) -> None:
    """Write a row of steps for each direction: those of structure above, those of texture below."""
    from coordgan_core.panels import Panel, draw_panels

    shares = _shares(work, pool)
    start = {"path": str(base)} if base is not None else None
    rows: list[list[Panel]] = []
    for kind, other in (("structure", "texture"), ("texture", "structure")):
        for number, share in enumerate(shares[kind][:directions]):
            amounts = [[0.0] * number + [step] for step in _STEPS]
            still = [[0.0]] * len(_STEPS)
            params = {"pool": pool, "base": start, kind: amounts, other: still}
            row = [Panel(caption=f"{kind} {number + 1}, {100 * share:.0f} %")]
            for data, arrays in work.ask("walk", len(_STEPS), **params):
                if data["event"] == "step":
                    row.append(
                        Panel(arrays["image"], f"{_STEPS[data['index']]:+g} sigma".replace("+0 sigma", "0"))
                    )
            rows.append(row)
            work.tell("direction", kind=kind, number=number + 1, share=round(share, 4))
    write_sheet(out, draw_panels(rows, captions=captions))
    origin = "the model's prior" if work.abilities.draws else f"{shares['images']} images (no random prior)"
    text = f"Walk written to {out}; directions of the codes of {origin}"
    work.done(text, written=str(out), directions=shares)


def _shares(work: Exploration, pool: list[Source]) -> dict[str, Any]:
    asked = work.ask("directions", len(pool), pool=pool)
    while True:
        try:
            data, _ = next(asked)
        except StopIteration as end:
            return dict(end.value[0])
        if data["event"] == "error":
            work.skip(pool[data["index"]]["path"], data["message"])

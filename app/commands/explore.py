"""`maps`, `track` (and `swap`, of `explore_swap`): look at what a model has understood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands import explore_swap
from app.commands.exploring import (
    Captions,
    Device,
    Exploration,
    Images,
    Json,
    Model,
    paths_of,
    relative,
    sources,
    write_sheet,
)
from coordgan_core.errors import ConfigError, ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coordgan_core.tracking import Found, Located

    Pixels = NDArray[np.uint8]

_SIDE_PX = 512  # longest side of the pictures that are written
_SHEET_GROUPS, _SHEET_COLUMNS, _SHEET_MOST = 4, 6, 48


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("maps")(maps)
    app.command("swap")(explore_swap.swap)
    app.command("track")(track)


def maps(
    model: Model,
    images: Images,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    sheet: Annotated[
        Path | None, typer.Option(help=f"Also one PNG with the frame and up to {_SHEET_MOST} images.")
    ] = None,
    captions: Captions = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write every image beside its correspondence map in colour: equal colours are equal places.

    With them the canonical frame itself, and all images averaged in it.
    """
    import numpy as np

    from coordgan_core.panels import Panel, draw_panels

    work = Exploration(model, device, as_json=as_json)
    paths = paths_of(images)
    written: list[str] = []
    pairs: list[list[Panel]] = []
    asked = work.ask("maps", len(paths), images=sources(paths), side=_SIDE_PX)
    final: dict[str, Any] = {}
    for data, arrays in _kept(asked, final):
        path = paths[data["index"]]
        if data["event"] == "error":
            work.skip(path, data["message"])
            continue
        target = out / relative(path, images).with_suffix(".png")
        write_sheet(target, np.concatenate([arrays["image"], arrays["colours"]], axis=1))
        written.append(str(target))
        work.tell("map", image=str(path), written=str(target))
        if len(pairs) < _SHEET_MOST:
            pairs.append([Panel(arrays["image"], path.stem), Panel(arrays["colours"])])
    if not written:
        raise _nothing(images)
    frame, average = out / "canonical_frame.png", out / "canonical_average.png"
    write_sheet(frame, final["frame"])
    write_sheet(average, np.dstack([final["average"], final["known"]]))
    if sheet is not None:
        own = [Panel(final["frame"], "canonical frame"), Panel(final["average"], "images averaged in it")]
        write_sheet(sheet, draw_panels(_wrapped([own, *pairs], _SHEET_GROUPS), captions=captions, group=2))
    text = f"{len(written)} maps written to {out}"
    work.done(text, written=written, frame=str(frame), average=str(average), sheet=sheet and str(sheet))


def track(
    model: Model,
    reference: Annotated[Path, typer.Option(help="Image in which the points are given.")],
    point: Annotated[list[str], typer.Option(help="X,Y in pixels of the reference; repeat for more.")],
    images: Images,
    out: Annotated[Path | None, typer.Option(help="Folder for pictures with the points drawn in.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help=f"One PNG with the points on up to {_SHEET_MOST} images.")
    ] = None,
    captions: Captions = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find points of one image in all others, through the correspondence maps.

    Each point comes with a certainty from 0 to 1: the model's own opinion, not calibrated.
    """
    from coordgan_core.data.images import image_size
    from coordgan_core.panels import Panel, draw_panels
    from coordgan_core.tracking import Located

    points = [_parsed_point(text, image_size(reference), reference) for text in point]
    work = Exploration(model, device, as_json=as_json)
    start = _located_reference(work, reference).places(points)
    paths = paths_of(images)
    found: dict[str, list[dict[str, float]]] = {}
    panels: list[list[Panel]] = []
    for data, arrays in work.ask("maps", len(paths), images=sources(paths), side=_SIDE_PX):
        path = paths[data["index"]]
        if data["event"] == "error":
            work.skip(path, data["message"])
            continue
        marks = Located(arrays["map"], arrays["reliability"]).find(start.points, start.certainty)
        name = relative(path, images)
        found[str(name)] = _in_pixels(marks, image_size(path))
        work.tell("points", image=str(name), points=found[str(name)])
        if out is not None or sheet is not None:
            picture = _drawn(arrays["image"], marks)
            if out is not None:
                write_sheet(out / name.with_suffix(".png"), picture)
            if len(panels) < _SHEET_MOST:
                panels.append([Panel(picture, f"{path.stem}  {marks.certainty.min():.2f}")])
    if not found:
        raise _nothing(images)
    if sheet is not None:
        write_sheet(sheet, draw_panels(_wrapped(panels, _SHEET_COLUMNS), captions=captions))
    work.done(_point_table(found), points=found, sheet=sheet and str(sheet))


def _located_reference(work: Exploration, reference: Path) -> Located:
    from coordgan_core.tracking import Located

    for data, arrays in work.ask("maps", 1, images=sources([reference]), side=_SIDE_PX):
        if data["event"] == "map":
            return Located(arrays["map"], arrays["reliability"])
        raise ImageError(str(data["message"]), remedy="choose another reference")
    raise ImageError(f"{reference} has no map", remedy="choose another reference")


def _nothing(images: Path) -> ImageError:
    return ImageError(f"{images} holds no readable image", expected="at least one image")


def _kept(asked: Any, final: dict[str, Any]) -> Any:
    """Pass events on, and put the arrays of the last answer into ``final``."""
    _, arrays = yield from asked
    final.update(arrays)


def _wrapped(groups: list[Any], count: int) -> list[list[Any]]:
    return [
        [panel for group in groups[start : start + count] for panel in group]
        for start in range(0, len(groups), count)
    ]


def _parsed_point(text: str, size: tuple[int, int], image: Path) -> tuple[float, float]:
    """Return a point ``X,Y`` in pixels as normalised (x, y) in the image frame."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--point {text}", expected="X,Y in pixels, such as 120,80") from None
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        raise ConfigError(
            f"the point {text} lies outside of {image}", expected=f"0 <= x < {size[0]} and 0 <= y < {size[1]}"
        )
    return (2 * x + 1) / size[0] - 1, (2 * y + 1) / size[1] - 1


def _in_pixels(marks: Found, size: tuple[int, int]) -> list[dict[str, float]]:
    width, height = size
    return [
        {
            "x": round(((float(x) + 1) * width - 1) / 2, 1),
            "y": round(((float(y) + 1) * height - 1) / 2, 1),
            "certainty": round(float(sure), 3),
        }
        for (x, y), sure in zip(marks.points, marks.certainty, strict=True)
    ]


def _drawn(pixels: Pixels, marks: Found) -> Pixels:
    import cv2

    from coordgan_core.palette import default_palette

    picture = pixels.copy()
    h, w = pixels.shape[:2]
    radius = max(3, max(h, w) // 60)
    colours = default_palette(len(marks.points) + 1)[1:].tolist()
    for (x, y), sure, colour in zip(marks.points.tolist(), marks.certainty, colours, strict=True):
        centre = (round(((x + 1) * w - 1) / 2), round(((y + 1) * h - 1) / 2))
        cv2.circle(picture, centre, radius + 2, (255, 255, 255), -1 if sure >= _SURE else 2, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, colour, -1 if sure >= _SURE else 2, cv2.LINE_AA)
    return picture


_SURE = 0.25  # as in the window: below, a point is an open ring


def _point_table(found: dict[str, list[dict[str, float]]]) -> str:
    lines = []
    for path, points in found.items():
        places = "  ".join(f"{p['x']:g},{p['y']:g} ({p['certainty']:.2f})" for p in points)
        lines.append(f"{path}  {places}")
    return "\n".join(lines)

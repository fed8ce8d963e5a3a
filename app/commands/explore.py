"""`maps`, `swap`, `track`: look at what a model has understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.catalogue import find_model
from app.commands.output import console, print_json
from coordgan_core.errors import ConfigError, ImageError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from coordgan_core.predictor import Analysis, Predictor

    Pixels = NDArray[np.uint8]

Skip = dict[str, str]

_BATCH = 16  # images in memory at once
_SIDE_PX = 512  # longest side of the pictures that are written

Model = Annotated[str, typer.Option(help="Model file, run folder, or name of a model.")]
Images = Annotated[Path, typer.Option(help="Folder of the images, or one image.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("maps")(maps)
    app.command("swap")(swap)
    app.command("track")(track)


def maps(
    model: Model,
    images: Images,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write every image beside its correspondence map in colour: equal colours are equal places."""
    import torch

    from coordgan_core.coords import resize_map
    from coordgan_core.data.pixels import to_tensor
    from coordgan_core.pictures import colour_map, write_png

    written: list[str] = []
    skipped: list[Skip] = []
    for path, pixels, analysis in _analysed(_predictor(model, device), images, skipped):
        colours = colour_map(resize_map(analysis.map[None], *pixels.shape[:2]))
        target = out / path.with_suffix(".png")
        write_png(target, torch.cat([to_tensor(pixels), colours], dim=3)[0])
        written.append(str(target))
    _done(as_json, {"written": written, "skipped": skipped}, f"{len(written)} maps written to {out}")


def swap(
    model: Model,
    images: Images,
    out: Annotated[Path, typer.Option(help="The PNG.")],
    textures: Annotated[
        Path | None, typer.Option(help="Other images whose textures are put on the structures.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=32, help="Structures and textures.")] = 6,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write swap grids: above, a row is one structure and a column one texture; below, the other way."""
    import torch

    from coordgan_core.devices import resolve_device
    from coordgan_core.pictures import write_png
    from coordgan_core.snapshot import load_model
    from coordgan_core.swap import sheet, structure_swap, texture_swap

    network = load_model(find_model(model), resolve_device(device))
    if network.encoder is None:
        raise ModelError(
            f"the model {model} has no encoder, so it cannot take an image apart",
            expected="a model trained with stage joint or encoder",
            remedy="train one, for instance with the preset quick-64",
        )
    skipped: list[Skip] = []
    structures = _tensors(images, count, network.config.resolution, skipped).to(resolve_device(device))
    painted = structures
    if textures is not None:
        painted = _tensors(textures, count, network.config.resolution, skipped).to(resolve_device(device))
    first = texture_swap(network, structures, painted)
    second = structure_swap(network, painted, structures)
    side = first.shape[-2:]
    heads = [torch.nn.functional.interpolate(part, side) for part in (structures, painted)]
    upper = sheet(first, rows=heads[0], columns=heads[1])
    lower = sheet(second, rows=heads[1], columns=heads[0])
    width = max(upper.shape[2], lower.shape[2])
    page = [
        torch.nn.functional.pad(part, (0, width - part.shape[2], 0, 12), value=1.0) for part in (upper, lower)
    ]
    write_png(out, torch.cat(page, dim=1))
    _done(as_json, {"written": str(out), "skipped": skipped}, f"Swap grids written to {out}")


def track(
    model: Model,
    reference: Annotated[Path, typer.Option(help="Image in which the points are given.")],
    point: Annotated[list[str], typer.Option(help="X,Y in pixels of the reference; repeat for more.")],
    images: Images,
    out: Annotated[Path | None, typer.Option(help="Folder for pictures with the points drawn in.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find points of one image in all others, through the correspondence maps."""
    from coordgan_core.data.images import image_size, read_image

    points = [_parsed_point(text, image_size(reference), reference) for text in point]
    predictor = _predictor(model, device)
    places = _canonical(predictor.analyse([read_image(reference)])[0].map, points)
    skipped: list[Skip] = []
    found: dict[str, list[dict[str, float]]] = {}
    for path, pixels, analysis in _analysed(predictor, images, skipped):
        marks = _nearest(analysis.map, places)
        original = image_size(images / path if images.is_dir() else images)
        found[str(path)] = [_in_pixels(mark, original) for mark in marks]
        if out is not None:
            _draw(out / path.with_suffix(".png"), pixels, marks)
    _done(as_json, {"points": found, "skipped": skipped}, _point_table(found))


def _predictor(model: str, device: str) -> Predictor:
    from coordgan_core.predictor import Predictor
    from coordgan_core.snapshot import load_model

    return Predictor(load_model(find_model(model)), device=device)


def _analysed(
    predictor: Predictor, images: Path, skipped: list[Skip]
) -> Iterator[tuple[Path, Pixels, Analysis]]:
    for batch in _batches(images, skipped):
        analyses = predictor.analyse([pixels for _, pixels in batch])
        for (path, pixels), analysis in zip(batch, analyses, strict=True):
            yield path, pixels, analysis


def _batches(images: Path, skipped: list[Skip]) -> Iterator[list[tuple[Path, Pixels]]]:
    """Yield (path relative to the folder, pixels); append what cannot be read to ``skipped``."""
    from coordgan_core.data.images import list_images, read_image

    paths = list_images(images) if images.is_dir() else [images]
    root = images if images.is_dir() else images.parent
    batch: list[tuple[Path, Pixels]] = []
    for path in paths:
        try:
            batch.append((path.relative_to(root), read_image(path, max_side=_SIDE_PX)))
        except ImageError as error:
            skipped.append({"image": str(path), "reason": str(error)})
            console().print(f"skipped: {error}", markup=False)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _tensors(images: Path, count: int, side: int, skipped: list[Skip]) -> Tensor:
    """Return the first ``count`` readable images, ``[N, 3, side, side]``."""
    import torch

    from coordgan_core.data.images import resize
    from coordgan_core.data.pixels import to_tensor

    tensors: list[Tensor] = []
    for batch in _batches(images, skipped):
        tensors += [to_tensor(resize(pixels, side, side)) for _, pixels in batch]
        if len(tensors) >= count:
            break
    if not tensors:
        raise ImageError(f"{images} holds no readable image", expected="at least one image")
    return torch.cat(tensors[:count])


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


def _canonical(correspondence: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
    """Return where points of the image frame lie in the canonical frame, ``[N, 2]``."""
    import torch

    from coordgan_core.coords import sample

    grid = torch.tensor(points).T[None, :, None]
    return sample(correspondence[None], grid)[0, :, 0].T


def _nearest(correspondence: Tensor, places: Tensor) -> Tensor:
    """Return the normalised (x, y) of the pixel that maps nearest to each place, ``[N, 2]``."""
    import torch

    _, h, w = correspondence.shape
    distance = torch.cdist(places, correspondence.flatten(1).T)
    index = distance.argmin(dim=1)
    return torch.stack([(2 * (index % w) + 1) / w - 1, (2 * (index // w) + 1) / h - 1], dim=1)


def _in_pixels(mark: Tensor, size: tuple[int, int]) -> dict[str, float]:
    x, y = (((float(u) + 1) * n - 1) / 2 for u, n in zip(mark, size, strict=True))
    return {"x": round(x, 1), "y": round(y, 1)}


def _draw(path: Path, pixels: Pixels, marks: Tensor) -> None:
    import cv2

    from coordgan_core.data.pixels import to_tensor
    from coordgan_core.palette import default_palette
    from coordgan_core.pictures import write_png

    picture = pixels.copy()
    h, w = pixels.shape[:2]
    radius = max(3, max(h, w) // 80)
    for mark, colour in zip(marks.tolist(), default_palette(len(marks) + 1)[1:].tolist(), strict=True):
        centre = (round(((mark[0] + 1) * w - 1) / 2), round(((mark[1] + 1) * h - 1) / 2))
        cv2.circle(picture, centre, radius + 2, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, colour, -1, cv2.LINE_AA)
    write_png(path, to_tensor(picture)[0])


def _point_table(found: dict[str, list[dict[str, float]]]) -> str:
    lines = []
    for path, points in found.items():
        places = "  ".join(f"{point['x']:g},{point['y']:g}" for point in points)
        lines.append(f"{path}  {places}")
    return "\n".join(lines)


def _done(as_json: bool, result: dict[str, Any], text: str) -> None:
    from app.commands.output import print_line

    if as_json:
        print_json(result)
    else:
        print_line(text)

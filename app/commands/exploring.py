"""What `maps`, `swap` and `track` share: the core's views, told on the terminal or as events."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.catalogue import find_model
from app.commands.output import console, print_json, print_line
from coordgan_core.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coordgan_core.explore import Abilities
    from coordgan_core.predictor import Predictor

    Pixels = NDArray[np.uint8]

Answer = tuple[Mapping[str, Any], Mapping[str, Any]]
Source = dict[str, Any]

Model = Annotated[str, typer.Option(help="Model file, run folder, or name of a model.")]
Images = Annotated[Path, typer.Option(help="Folder of the images, or one image.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Write events to stdout, one JSON object a line.")]
Captions = Annotated[bool, typer.Option(help="Write names into sheets.")]


_WORDS = {
    "maps": "Mapping images",
    "grid": "Rendering the grid",
    "reconstruct": "Reconstructing",
    "directions": "Reading images",
    "walk": "Walking",
}


class Exploration:
    """A loaded model, what it is asked, and what is told about it.

    Args:
        model: What `find_model` takes.
        device: Where it computes.
        as_json: Tell events as JSON instead of a progress bar.
    """

    def __init__(self, model: str, device: str, *, as_json: bool) -> None:
        from coordgan_core.engine.explorer import Explorer
        from coordgan_core.explore import abilities
        from coordgan_core.predictor import Predictor
        from coordgan_core.snapshot import load_model

        self.path = find_model(model)
        self.predictor: Predictor = Predictor(load_model(self.path), device=device)
        self.abilities: Abilities = abilities(self.predictor.model)
        self._explorer = Explorer(lambda _request: self.predictor)
        self._device = device
        self.as_json = as_json
        self.skipped: list[dict[str, str]] = []

    def ask(self, what: str, total: int, **params: Any) -> Generator[Answer, None, Answer]:
        """Yield the events of a view and return its last answer, with a progress bar over ``total`` pictures.

        Closing it stops the work.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from coordgan_core.engine.protocol import Request

        values = {"model": str(self.path), "device": self._device, "what": what, **params}
        work = self._explorer.run(Request(1, "explore", params=values))
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console(), disable=self.as_json) as bar:
            task = bar.add_task(_WORDS[what], total=total)
            try:
                while True:
                    try:
                        event = next(work)
                    except StopIteration as end:
                        return end.value or ({}, {})
                    kind = event[0]["event"]
                    if kind == "progress":
                        bar.update(task, completed=event[0]["done"])
                    elif kind != "head" and what != "directions":
                        bar.advance(task)
                    yield event
            finally:
                work.close()

    def skip(self, image: object, reason: str) -> None:
        """Note an image that could not be used."""
        self.skipped.append({"image": str(image), "reason": reason})
        if self.as_json:
            self.tell("skipped", image=str(image), reason=reason)
        else:
            console().print(f"skipped: {reason}", markup=False)

    def tell(self, event: str, **values: Any) -> None:
        """Write an event, where somebody asked for events."""
        if self.as_json:
            print_json({"event": event, **values})

    def done(self, text: str, **values: Any) -> None:
        """Write the last event, or say in words what was done."""
        if self.as_json:
            print_json({"event": "done", **values, "skipped": self.skipped})
        else:
            print_line(text)


def paths_of(images: Path, count: int | None = None) -> list[Path]:
    """Return the image files of a folder, or the one file; with ``count`` as many, spread over all of them.

    Raises:
        ImageError: There is none.
    """
    from coordgan_core.data.images import list_images

    found = list_images(images) if images.is_dir() else [images]
    if not found:
        raise ImageError(f"{images} holds no readable image", expected="at least one image")
    if count is None or len(found) <= count:
        return found
    return [found[i * len(found) // count] for i in range(count)]


def relative(path: Path, images: Path) -> Path:
    """Return the name of an image as results carry it."""
    return path.relative_to(images) if images.is_dir() else Path(path.name)


def sources(paths: Sequence[Path]) -> list[Source]:
    """Return paths as the explorer takes them."""
    return [{"path": str(path)} for path in paths]


def write_sheet(path: Path, pixels: Pixels) -> None:
    """Write a sheet as PNG, atomically."""
    from PIL import Image

    from coordgan_core.files import atomic_path

    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")

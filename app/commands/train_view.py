"""Shows a training to people: one bar a stage with time left, and a line for what matters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.commands.output import duration
from coordgan_core.training import events as ev

if TYPE_CHECKING:
    from rich.console import Console

_LINE_SEC = 15.0  # between two lines of progress where there is no terminal to draw a bar on


class TrainView:
    """Progress of a training on a console; use as a context manager.

    Args:
        console: Where it is drawn.
        quiet: Whether it shows nothing.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._console = console
        self._quiet = quiet
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[text]}"),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, text="")
        self._line_at = 0.0

    def __enter__(self) -> TrainView:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: ev.Event) -> None:
        """Show one event."""
        if isinstance(event, ev.Decoding):
            self._bar.update(
                self._task, description="reading images", completed=event.done, total=event.total, text=""
            )
        elif isinstance(event, ev.StageStarted):
            self._bar.reset(self._task, description=event.stage, total=event.total_nimg, completed=event.nimg)
        elif isinstance(event, ev.Progress):
            self._progress(event)
        line = sentence(event)
        if line and not self._quiet:
            self._console.print(line, markup=False)

    def _progress(self, event: ev.Progress) -> None:
        losses = "  ".join(f"{name} {value:.3g}" for name, value in event.scalars.items())
        text = f"{event.images_per_second:.1f} img/s  {duration(event.seconds_left)} left"
        self._bar.update(
            self._task, description=event.stage, completed=event.nimg, total=event.total_nimg, text=text
        )
        if self._quiet or self._console.is_terminal or time.monotonic() - self._line_at < _LINE_SEC:
            return
        self._line_at = time.monotonic()
        share = event.nimg / event.total_nimg
        self._console.print(f"{event.stage} {share:.0%}  {text}  {losses}", markup=False)


def sentence(event: ev.Event) -> str:
    """Return what an event says to people, empty for those that only move the bar."""
    match event:
        case ev.ImageSkipped():
            return f"skipped: {event.reason}"
        case ev.Started():
            verb = "Resuming" if event.resumed else "Training"
            return f"{verb} {event.preset} on {event.images} images, {event.device}, in {event.run}"
        case ev.Planned():
            return f"{event.stage}: {event.total_nimg} images at {event.images_per_second:.1f} a second"
        case ev.SnapshotWritten():
            return f"{event.stage} at {event.nimg} images: model written to {event.model}"
        case ev.Validated():
            on = " on warped copies of the only reference" if event.kind == "copies" else ""
            return f"{event.stage} at {event.nimg} images: validation mean IoU {event.miou:.3f}{on}"
        case ev.BatchHalved():
            return f"Memory ran out: the batch goes from {event.before} to {event.after} images"
        case ev.RolledBack():
            return f"{event.reason}: back to {event.to_nimg} images with other random draws"
        case ev.Notice():
            return event.message
        case ev.Paused():
            return f"Paused at {event.nimg} images of stage {event.stage}; `coordlabel resume` goes on"
        case ev.Discarded():
            return f"Discarded {event.run}"
        case ev.Finished():
            return f"Finished after {duration(event.active_sec)}: {event.reason}. Model: {event.model}"
    return ""

"""Sizes, times and states in words."""

from __future__ import annotations

import time

from app.services.training_values import RunState, RunView
from app.services.translations import mark
from app.ui.texts import duration, plural, tr

STATE_ICONS: dict[RunState, tuple[str, str]] = {
    RunState.QUEUED: ("mdi6.timer-sand", "muted"),
    RunState.STARTING: ("mdi6.progress-clock", "accent"),
    RunState.RUNNING: ("mdi6.play-circle-outline", "accent"),
    RunState.PAUSED: ("mdi6.pause-circle-outline", "warn"),
    RunState.FINISHED: ("mdi6.check-circle-outline", "good"),
    RunState.FAILED: ("mdi6.alert-circle-outline", "bad"),
    RunState.INTERRUPTED: ("mdi6.flash-alert-outline", "warn"),
    RunState.UNREADABLE: ("mdi6.file-alert-outline", "bad"),
}
STATE_BARS: dict[RunState, str] = {
    RunState.FINISHED: "done",
    RunState.FAILED: "failed",
    RunState.UNREADABLE: "failed",
    RunState.PAUSED: "paused",
    RunState.INTERRUPTED: "paused",
}
"""State of a run -> look of its progress bar."""


def size_text(count: int) -> str:
    """Return an amount of memory: `512 MB`, `3.4 GB`."""
    if count < 1 << 20:
        return tr("{n} kB", n=max(1, count >> 10)) if count else tr("{n} kB", n=0)
    if count < 1 << 30:
        return tr("{n} MB", n=round(count / (1 << 20)))
    return tr("{n} GB", n=f"{count / (1 << 30):.1f}")


def count_text(number: float) -> str:
    """Return a count that may be large: `850`, `12.4 k`, `4.8 M`."""
    if number < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:.1f} k" if number < 1e6 else f"{number / 1e6:.1f} M"


def state_text(view: RunView) -> str:
    """Return how a run stands, in a few words."""
    if view.asked and view.is_alive:
        return {"pause": tr("Pausing…"), "stop": tr("Stopping…"), "discard": tr("Discarding…")}.get(
            view.asked, tr("Stopping…")
        )
    match view.state:
        case RunState.QUEUED:
            return tr("Waiting, number {n} on {device}", n=view.place, device=view.device or tr("its device"))
        case RunState.STARTING:
            return tr("Starting…")
        case RunState.RUNNING:
            left = tr("{time} left", time=duration(view.left_sec)) if view.left_sec > 0 else ""
            return "  ·  ".join(part for part in (f"{view.fraction:.0%}", left) if part)
        case RunState.PAUSED:
            return tr("Paused at {share}", share=f"{view.fraction:.0%}")
        case RunState.FINISHED:
            return tr("Finished")
        case RunState.FAILED:
            return tr("Failed")
        case RunState.INTERRUPTED:
            return tr("Interrupted at {share}", share=f"{view.fraction:.0%}")
    return tr("Cannot be read")


_STAGES = {
    "embedding": mark("Embedding"),
    "joint": mark("Joint training"),
    "gan": mark("Adversarial training"),
    "encoder": mark("Encoder"),
}


def stage_text(stage: str) -> str:
    """Return the name of a stage for people."""
    return tr(_STAGES.get(stage, stage.replace("_", " ").capitalize()))


def images_text(count: int) -> str:
    """Return a number of images in words."""
    return plural(count, "{n} image", "{n} images")


def clock_text(seconds: float) -> str:
    """Return a moment of today as the clock shows it, of another day with its date."""
    moment, now = time.localtime(seconds), time.localtime()
    same_day = moment[:3] == now[:3]
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M", moment)

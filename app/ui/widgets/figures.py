"""What the figures of a model's card are called and how they are written."""

from __future__ import annotations

from collections.abc import Mapping

from app.services.translations import mark
from app.ui.texts import tr

_MAIN = 3
FIGURE_NAMES = {
    "miou": mark("label IoU"),
    "miou_fused": mark("label IoU, references fused"),
    "miou_unaligned": mark("label IoU, not aligned"),
    "best_flow_miou": mark("label IoU of optical flow"),
    "foreground_iou": mark("IoU of parts"),
    "ece": mark("calibration error"),
    "equivariance": mark("equivariance"),
    "pck": mark("points found"),
}


def figure_title(name: str) -> str:
    """Return what a figure of a card is called."""
    known = sorted((known for known in FIGURE_NAMES if name.startswith(f"{known}_")), key=len)
    if name not in FIGURE_NAMES and known:  # that of one of several labelled folders
        return f"{tr(FIGURE_NAMES[known[-1]])} ({name[len(known[-1]) + 1 :]})"
    return tr(FIGURE_NAMES.get(name, name.replace("_", " ")))


def figure_text(value: float) -> str:
    """Return a figure: shares in per cent, others with three digits."""
    return f"{value:.1%}" if 0 <= value <= 1 else f"{value:.3g}"


def main_figures(figures: Mapping[str, float]) -> list[str]:
    """Return the first figures of a card, those that say most, each as one text."""
    shown = [(name, value) for name, value in figures.items() if isinstance(value, int | float)]
    return [f"{figure_title(name)} {figure_text(value)}" for name, value in shown[:_MAIN]]

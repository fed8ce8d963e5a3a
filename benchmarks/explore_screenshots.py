"""The pictures of the Explore tab, with the sample project and the bundled model; see `make_screenshots`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.services.explore import Source

if TYPE_CHECKING:
    from app.ui.pages.explore.page import ExplorePage
    from benchmarks.make_screenshots import Studio

POINTS = ((-0.29, -0.06), (0.15, -0.06), (-0.11, 0.12), (-0.12, 0.29), (-0.1, 0.47))
"""What is clicked on the first figure, as normalised (x, y)."""
PAINTINGS: dict[str, list[tuple[int, int, int]]] = {
    "night": [(16, 26, 84), (52, 104, 196), (244, 222, 120), (252, 250, 226)],
    "clay": [(110, 28, 20), (224, 92, 42), (250, 196, 126)],
    "moss": [(8, 56, 40), (88, 162, 92), (232, 242, 204)],
    "charcoal": [(24, 24, 26), (128, 128, 130), (242, 242, 240)],
}
"""Pictures that are painted for the view of art: their colours from dark to bright."""


def take_exploring(studio: Studio, folder: Path) -> None:
    """Show every view with the sample project."""
    from app.ui.pages.explore.page import ExplorePage

    window = studio.window
    window.open_sample()
    workspace = window.workspace
    assert workspace is not None
    studio.wait(lambda: workspace.browser.model.rowCount() == 24)
    window.show_page("explore")
    page = window.host.page("explore")
    assert isinstance(page, ExplorePage)
    studio.wait(lambda: page.service.abilities is not None)
    page.art.set(Source(path) for path in paint_pictures(folder / "paintings"))
    for name in page.views:
        page.show_view(name)
        prepare(studio, page, name)
        studio.shoot(f"explore-{name}")


def prepare(studio: Studio, page: ExplorePage, name: str) -> None:
    """Wait until a view is filled, and do there what a person would."""
    from app.ui.pages.explore.maps import MapsView
    from app.ui.pages.explore.track import TrackView
    from app.ui.pages.explore.walk import WalkView

    view = page.views[name]
    studio.wait()
    studio.wait(lambda: not view.asker.is_busy)
    first = page.images.items[0]
    if isinstance(view, MapsView):
        view.board_view.hovered.emit((first, "image"), *POINTS[0])
    elif isinstance(view, TrackView):
        for point in POINTS:
            view.add_point(first, *point)
    elif isinstance(view, WalkView):
        studio.wait(lambda: bool(view.kinds["texture"].sliders))
        view.kinds["structure"].sliders[0].setValue(-16)
        view.kinds["texture"].sliders[1].setValue(14)
        studio.wait(limit_sec=1.0)
        studio.wait(lambda: not view.asker.is_busy)


def paint_pictures(folder: Path) -> list[Path]:
    """Paint flowing patterns in a few colours, 256 x 256 pixels each, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:256, 0:256] / 256
    paths = []
    for number, (name, colours) in enumerate(PAINTINGS.items()):
        draws = np.random.default_rng(number + 1)
        waves = [draws.uniform(-4, 4, 3) for _ in range(6)]
        height = sum(np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in waves)
        level = (height - height.min()) / np.ptp(height) * (len(colours) - 1)
        below = np.minimum(level.astype(int), len(colours) - 2)
        mix = (level - below)[..., None]
        table = np.array(colours, float)
        pixels = table[below] * (1 - mix) + table[below + 1] * mix
        paths.append(folder / f"{name}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths

"""The pictures of the Training tab: a real training on drawn figures, photographed by `make_screenshots`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from app.ui.pages.train.page import TrainPage
    from benchmarks.make_screenshots import Studio

IMAGES = 160
LABELLED = 6
SIDE_PX = 128
PICTURED_AT = 0.8
"""Part of the training at which the run is photographed."""
SMALL: dict[str, Any] = {
    "train.minutes": 0.0,
    "train.batch": 8,
    "train.snapshot_nimg": 500,
    "train.embedding.total_nimg": 2500,
    "train.embedding.warmup_nimg": 100,
    "train.joint.total_nimg": 1200,
    "model.embedding.channels": (24, 48, 64),
    "model.embedding.dim": 16,
    "model.synthesis.trunk_channels": 32,
    "model.encoder.max_channels": 64,
}
"""What differs from the preset, so that the pictures are made in a minute of one core."""
SHOWN_FOLDER = "~/photographs/figures"
"""What stands in the picture instead of the folder of this machine."""


def draw_images(folder: Path) -> dict[str, Path]:
    """Draw the images and some label maps beside them; return {image: label map}."""
    from benchmarks.make_synthetic import make
    from coordgan_core.data.synthetic import SyntheticCategory

    images, maps = folder / "figures", folder / "labels"
    make(images, count=IMAGES, size=SIDE_PX)
    maps.mkdir(exist_ok=True)
    category, labels = SyntheticCategory(0), {}
    for index in range(LABELLED):
        path = maps / f"{index:05d}.png"
        Image.fromarray(category.sample(index, SIDE_PX).labels).save(path)
        labels[f"{index:05d}.jpg"] = path
    return labels


def take_training(studio: Studio, folder: Path) -> None:
    """Train on drawn figures and take pictures of every step in both appearances."""
    labels = draw_images(folder)
    window = studio.window
    window.show_page("train")
    page: Any = window.host.page("train")
    setup = page.setup
    setup.draft.choose_images(folder / "figures", own_folder=True)
    studio.wait(lambda: setup.check.report is not None)
    setup.draft.labels = labels
    setup.images.refresh()
    setup.device.choices["cpu"].click()
    setup.start.names["name"].setText("figures")
    setup.start.names["category"].setText("figures")
    setup.start.names["licence"].setText("CC0, drawn by a program")
    setup.start.measure.click()
    studio.wait(lambda: setup.start.estimate is not None)
    setup.images.path.setText(SHOWN_FOLDER)
    studio.shoot_both("train-check")
    for key, value in SMALL.items():
        setup.preset.fields.set(key, value)
    setup.start.start.click()
    photograph_run(studio, page)
    photograph_models(studio, page)


def photograph_run(studio: Studio, page: TrainPage) -> None:
    """Wait until the run has something to show, then take its picture."""
    run_id, training = page.rail.current, page.training

    def view() -> Any:
        return training.run(run_id)

    over = {"finished", "failed", "interrupted"}
    studio.wait(lambda: view().fraction > PICTURED_AT or str(view().state) in over)
    assert str(view().state) not in over - {"finished"}, view().message
    page.run_panel.sheets.choose("maps")
    studio.wait()
    hide_folder(page.run_panel.header)
    studio.shoot_both("train-run")
    studio.wait(lambda: not view().is_alive)


def hide_folder(header: Any) -> None:
    """Show another folder than the one of this machine whenever the head of the run is drawn."""
    show_run = header.show_run

    def show(view: Any) -> None:
        show_run(replace(view, images=SHOWN_FOLDER))

    header.show_run = show
    header.facts.setText(header.facts.text().partition("  ·  /")[0] + "  ·  " + SHOWN_FOLDER)


def photograph_models(studio: Studio, page: TrainPage) -> None:
    """Take the picture of the model list."""
    page.show_place("models")
    studio.wait(lambda: len(page.models_view.cards) > 1)
    studio.shoot_both("train-models")

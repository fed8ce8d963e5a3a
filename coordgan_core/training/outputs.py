"""What a training leaves on the way: snapshots, sample sheets, validation figures."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coordgan_core.snapshot import ModelCard, save_model
from coordgan_core.training.events import Event, SheetWritten, SnapshotWritten, Validated
from coordgan_core.training.run import RunFolder, RunSettings
from coordgan_core.training.state import Position

if TYPE_CHECKING:
    from coordgan_core.data.sampler import ImageSource
    from coordgan_core.models.coordgan import CoordGAN
    from coordgan_core.training.validation import Quality

SHEET_IMAGES = 6
"""Images on a sample sheet, always the same ones."""


def write(
    folder: RunFolder,
    name: str,
    position: Position,
    model: CoordGAN,
    source: ImageSource,
    *,
    last: bool = False,
) -> Iterator[Event]:
    """Write a snapshot with its figures, publish it as the newest model, and write its sample sheet.

    Args:
        folder: The run.
        name: The stage.
        position: How far the training is.
        model: What is written.
        source: The images.
        last: The training ends here: where there are labels, the model's confidences are calibrated on them.
    """
    from coordgan_core.training import sheets

    device = next(model.parameters()).device
    images = source.images(range(min(SHEET_IMAGES, len(source))), device)
    picture = folder.sheet_path(position.stage, name, position.nimg)
    sheets.write_sheet(picture, model, images, stage=name)
    yield SheetWritten(picture, name, position.nimg)
    quality = _quality(folder, name, model, str(device), calibrated=last)
    if quality is not None:
        yield Validated(name, position.nimg, quality.miou, quality.foreground_iou)
    path = folder.snapshot_path(position.stage, name, position.nimg)
    found = None if quality is None or quality.calibration is None else quality.calibration.to_json()
    save_model(path, model, card(folder, position, len(source), str(device), quality), calibration=found)
    folder.publish(path)
    yield SnapshotWritten(path, folder.model_path, name, position.nimg)


def check_labels_folder(settings: RunSettings) -> None:
    """Raise `DataError` if a folder of validation labels is given that does not fit the images."""
    if settings.labels is not None:
        from coordgan_core.training.validation import find_pairs

        find_pairs(Path(settings.images), Path(settings.labels))


def _quality(
    folder: RunFolder, name: str, model: CoordGAN, device: str, *, calibrated: bool
) -> Quality | None:
    """Measure the model on the labelled images, where there are some and its maps mean something yet."""
    settings = folder.settings
    if settings.labels is None or (name == "gan" and model.embedding is None):
        return None
    from coordgan_core.training.validation import find_pairs, validate

    pairs = find_pairs(Path(settings.images), Path(settings.labels))
    return validate(model, pairs, device=device, calibrated=calibrated)


def card(
    folder: RunFolder, position: Position, images: int, device: str, quality: Quality | None = None
) -> ModelCard:
    """Return what is known of a run's model; what only a person knows (category, licence) stays empty."""
    figures = {} if quality is None else quality.figures()
    return ModelCard(
        name=folder.path.absolute().name,
        data_source=Path(folder.settings.images).name,
        data_count=images,
        preset=folder.settings.config.preset,
        trained_nimg=position.seen_nimg,
        trained_sec=round(position.active_sec, 1),
        device=device,
        figures=figures,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )

"""What a training leaves on the way: snapshots and sample sheets."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coordgan_core.snapshot import ModelCard, save_model
from coordgan_core.training.events import Event, SheetWritten, SnapshotWritten
from coordgan_core.training.run import RunFolder
from coordgan_core.training.state import Position

if TYPE_CHECKING:
    from coordgan_core.data.sampler import ImageSource
    from coordgan_core.models.coordgan import CoordGAN

SHEET_IMAGES = 6
"""Images on a sample sheet, always the same ones."""


def write(
    folder: RunFolder, name: str, position: Position, model: CoordGAN, source: ImageSource
) -> Iterator[Event]:
    """Write a snapshot, publish it as the newest model, and write its sample sheet."""
    from coordgan_core.training import sheets

    device = next(model.parameters()).device
    path = folder.snapshot_path(position.stage, name, position.nimg)
    save_model(path, model, card(folder, position, len(source), str(device)))
    folder.publish(path)
    yield SnapshotWritten(path, folder.model_path, name, position.nimg)
    images = source.images(range(min(SHEET_IMAGES, len(source))), device)
    picture = folder.sheet_path(position.stage, name, position.nimg)
    sheets.write_sheet(picture, model, images, stage=name)
    yield SheetWritten(picture, name, position.nimg)


def card(folder: RunFolder, position: Position, images: int, device: str) -> ModelCard:
    """Return what is known of a run's model; what only a person knows (category, licence) stays empty."""
    return ModelCard(
        name=folder.path.absolute().name,
        data_source=Path(folder.settings.images).name,
        data_count=images,
        preset=folder.settings.config.preset,
        trained_nimg=position.seen_nimg,
        trained_sec=round(position.active_sec, 1),
        device=device,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )

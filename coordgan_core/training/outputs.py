"""What a training leaves on the way: snapshots, sample sheets, validation figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordgan_core.training.events import Event, SheetWritten, SnapshotWritten
from coordgan_core.training.run import RunFolder

if TYPE_CHECKING:
    from coordgan_core.data.sampler import ImageSource
    from coordgan_core.models.coordgan import CoordGAN

SHEET_IMAGES = 6
"""Images on a sample sheet, always the same ones."""


def write(
    folder: RunFolder, stage: int, name: str, nimg: int, model: CoordGAN, source: ImageSource
) -> Iterator[Event]:
    """Write a snapshot, publish it as the newest model, and write its sample sheet."""
    from coordgan_core import snapshot
    from coordgan_core.training import sheets

    path = folder.snapshot_path(stage, name, nimg)
    card = snapshot.ModelCard(name=folder.path.name)
    snapshot.save_model(path, model, card)
    folder.publish(path)
    yield SnapshotWritten(path, folder.model_path, name, nimg)
    images = source.images(range(min(SHEET_IMAGES, len(source))), next(model.parameters()).device)
    picture = folder.sheet_path(stage, name, nimg)
    sheets.write_sheet(picture, model, images, stage=name)
    yield SheetWritten(picture, name, nimg)

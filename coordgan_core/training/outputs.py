"""What a training begins with, and leaves on the way: snapshots, sample sheets, validation figures."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.data import crop
from coordgan_core.data.check import LEAST_IMAGES
from coordgan_core.data.images import list_images
from coordgan_core.data.pairs import all_pairs
from coordgan_core.errors import ConfigError, CoordError, DataError
from coordgan_core.snapshot import ModelCard, save_model
from coordgan_core.training.events import Event, Notice, SheetWritten, SnapshotWritten, Validated
from coordgan_core.training.run import RunFolder, RunSettings
from coordgan_core.training.state import Position

if TYPE_CHECKING:
    from torch import Tensor

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
    """Write a snapshot with its figures, publish it as the newest model, and write its sample sheets.

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
    yield from _write_kinds(folder, name, position, model, images)
    quality: Quality | None = None
    try:
        quality = _quality(folder, name, model, str(device), source, calibrated=last)
    except CoordError as error:  # labels or images changed meanwhile: no reason to lose the training
        yield Notice(f"the labels could not be compared: {error}")
    if quality is not None:
        yield Validated(
            name, position.nimg, quality.miou, quality.foreground_iou, quality.kind, quality.images
        )
        yield _write_labels(folder, name, position, quality)
    path = folder.snapshot_path(position.stage, name, position.nimg)
    found = None if quality is None or quality.calibration is None else quality.calibration.to_json()
    about = card(
        folder, position, source, str(device), quality, strip=sheets.sample_strip(model, images, stage=name)
    )
    save_model(path, model, about, calibration=found)
    folder.publish(path)
    yield SnapshotWritten(path, folder.model_path, name, position.nimg)


def _write_kinds(
    folder: RunFolder, name: str, position: Position, model: CoordGAN, images: Tensor
) -> Iterator[Event]:
    from coordgan_core.pictures import write_png
    from coordgan_core.training.sheets import sheets_of_a_kind

    for kind, page in sheets_of_a_kind(model, images, stage=name).items():
        path = folder.sheet_path(position.stage, name, position.nimg, kind)
        write_png(path, page.cpu())
        yield SheetWritten(path, name, position.nimg, kind)


def _write_labels(folder: RunFolder, name: str, position: Position, quality: Quality) -> Event:
    from coordgan_core.pictures import write_png
    from coordgan_core.training.sheets import labels_sheet

    path = folder.sheet_path(position.stage, name, position.nimg, "labels")
    write_png(path, labels_sheet(quality.examples))
    return SheetWritten(path, name, position.nimg, "labels")


def check_labels_folder(settings: RunSettings) -> None:
    """Raise `DataError` if a folder of validation labels is given that does not fit the images."""
    if settings.labels is not None:
        from coordgan_core.training.validation import find_pairs

        find_pairs(Path(settings.images), Path(settings.labels))


def with_measured_box(config: Config, images: Path, labels: str | Path | None) -> Config:
    """Return the configuration with the box measured on the labels, where images are cropped to labels.

    Images without labels, in training and in propagation, are cropped to that box.

    Raises:
        ConfigError: There are no labels.
        DataError: No image has a label map, or all are empty.
    """
    cut = config.model.crop
    if cut.mode != "labels":
        return config
    if labels is None:
        raise ConfigError(
            "model.crop.mode is labels, and there are no label maps",
            expected="a folder of label maps",
            remedy="label some images and pass --labels, or choose another cropping",
        )
    boxes = crop.label_boxes(all_pairs(images, Path(labels)), margin=cut.margin)
    return configuration.replace(config, **{"model.crop.box": crop.typical_box(boxes.values())})


def image_source(
    settings: RunSettings,
    *,
    cache: Path | None = None,
    limit: int = 0,
    on_skip: Callable[[Path, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSource:
    """Decode the images of a training, cropped as its configuration says.

    Args:
        settings: The training.
        cache: Folder that keeps them, None for memory.
        limit: Take no more than so many, evenly spread; 0 for all.
        on_skip: Called with each file that is left out and the reason.
        progress: Called with (images done, images in all).

    Raises:
        DataError: There are no readable images, or fewer than can be trained on.
    """
    from coordgan_core.data.sampler import ImageSource

    folder, cut = Path(settings.images), settings.config.model.crop
    paths = list_images(folder, settings.recursive)
    if not paths:
        raise DataError(
            f"{folder} holds no images",
            expected="JPEG, PNG, TIFF, WebP, BMP or GIF files",
            remedy="choose another folder, or include sub-folders",
        )
    if limit and limit < len(paths):
        paths = [paths[i * len(paths) // limit] for i in range(limit)]
    own = None
    if cut.mode == "labels" and settings.labels is not None:
        own = crop.label_boxes(all_pairs(folder, Path(settings.labels)), margin=cut.margin)
    source = ImageSource.from_paths(
        paths,
        settings.config.model.image_px,
        boxes=crop.training_boxes(cut, paths, own),
        cache=cache,
        crop="centre" if cut.mode == "centre" else "whole",
        on_skip=on_skip,
        progress=progress,
    )
    if len(source) < LEAST_IMAGES:
        raise DataError(
            f"{folder} holds {len(source)} readable images",
            expected=f"at least {LEAST_IMAGES} to train on",
            remedy="add images; from 100 on models become useful",
        )
    return source


def _quality(
    folder: RunFolder, name: str, model: CoordGAN, device: str, source: ImageSource, *, calibrated: bool
) -> Quality | None:
    """Measure the model on the labelled images, where there are some and its maps mean something yet."""
    settings = folder.settings
    if settings.labels is None or (name == "gan" and model.embedding is None):
        return None
    from coordgan_core.training.validation import find_pairs, validate

    pairs = find_pairs(Path(settings.images), Path(settings.labels))
    return validate(model, pairs, device=device, calibrated=calibrated, others=source.paths)


def card(
    folder: RunFolder,
    position: Position,
    source: ImageSource,
    device: str,
    quality: Quality | None = None,
    *,
    strip: str = "",
) -> ModelCard:
    """Return what is known of a run's model; what a person did not say (category, licence) stays empty."""
    settings = folder.settings
    return ModelCard(
        name=settings.name or folder.path.absolute().name,
        category=settings.category,
        licence=settings.licence,
        data_source=Path(settings.images).name,
        data_count=len(source),
        data_fingerprint=source.fingerprint,
        preset=settings.config.preset,
        trained_nimg=position.seen_nimg,
        trained_sec=round(position.active_sec, 1),
        device=device,
        figures={} if quality is None else quality.figures(),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        sample_strip=strip,
    )

"""What the person has chosen so far for the next training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, Signal

from app.services.training_values import TrainRequest

CropMode = Literal["whole", "centre", "labels", "box"]
CROP_MODES: tuple[CropMode, ...] = ("whole", "centre", "labels", "box")
WHOLE_BOX = (0.0, 0.0, 1.0, 1.0)
CROP_GROUP = "model.crop"
"""Fields that the step of the images asks for; the form leaves them out."""


@dataclass
class Choices:
    """Plain values of a draft.

    Attributes:
        images: Folder of the images, None while none is chosen.
        own_folder: Whether `images` was picked here, and does not follow the open project.
        crop: What of each image the networks see.
        box: Left, top, right, bottom as fractions of the image, for the crop mode ``box``.
        changes: {key of a field: value} where it differs from the preset.
    """

    images: Path | None = None
    own_folder: bool = False
    recursive: bool = True
    crop: CropMode = "whole"
    box: tuple[float, float, float, float] = WHOLE_BOX
    margin: float | None = None
    preset: str = "quick-64"
    changes: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    name: str = ""
    category: str = ""
    licence: str = ""


_REMEMBERED = ("recursive", "preset", "device", "licence")


class Draft(QObject):
    """The choices for the next training; tells which kind of them changed."""

    imagesChanged = Signal()  # noqa: N815 - folder, sub-folders or cropping: the check is out of date
    trainingChanged = Signal()  # noqa: N815 - anything that changes how long it takes

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now = Choices()
        self.labels: dict[str, Path] = {}

    def choose_images(self, images: Path | None, *, own_folder: bool) -> None:
        """Train on the images of a folder."""
        if (images, own_folder) != (self.now.images, self.now.own_folder):
            self.now.images, self.now.own_folder = images, own_folder
            self._images_changed()

    def set_recursive(self, on: bool) -> None:
        """Let sub-folders count or not."""
        if on != self.now.recursive:
            self.now.recursive = on
            self._images_changed()

    def set_crop(self, crop: CropMode) -> None:
        """Choose what of each image the networks see."""
        if crop != self.now.crop:
            self.now.crop = crop
            self._images_changed()

    def set_box(self, box: tuple[float, float, float, float]) -> None:
        """Choose the template of the crop mode ``box``."""
        if box != self.now.box:
            self.now.box = box
            self._images_changed()

    def set_margin(self, margin: float) -> None:
        """Leave room around the detected box, as a fraction of its side."""
        if margin != self.now.margin:
            self.now.margin = margin
            self._images_changed()

    def choose_preset(self, preset: str) -> None:
        """Start from another preset; what was changed in the one before does not carry over."""
        if preset != self.now.preset:
            self.now.preset = preset
            self.now.changes = {}
            self.trainingChanged.emit()

    def set_changes(self, changes: dict[str, Any]) -> None:
        """Replace everything that differs from the preset."""
        if changes != self.now.changes:
            self.now.changes = dict(changes)
            self.trainingChanged.emit()

    def choose_device(self, device: str) -> None:
        """Train on another device."""
        if device != self.now.device:
            self.now.device = device
            self.trainingChanged.emit()

    def crop_changes(self) -> dict[str, Any]:
        """Return the cropping as fields of the configuration."""
        now = self.now
        if now.crop == "whole":
            return {}
        found: dict[str, Any] = {f"{CROP_GROUP}.mode": now.crop}
        if now.crop == "box":
            found[f"{CROP_GROUP}.box"] = now.box
        if now.crop == "labels" and now.margin is not None:
            found[f"{CROP_GROUP}.margin"] = now.margin
        return found

    def request(self) -> TrainRequest | None:
        """Return what is to be trained, None while no folder is chosen."""
        now = self.now
        if now.images is None:
            return None
        return TrainRequest(
            images=now.images,
            preset=now.preset,
            changes={**now.changes, **self.crop_changes()},
            device=now.device,
            recursive=now.recursive,
            labels=dict(self.labels),
            name=now.name.strip(),
            category=now.category.strip(),
            licence=now.licence.strip(),
        )

    def state(self) -> bytes:
        """Return what is remembered until the next start."""
        return json.dumps({name: getattr(self.now, name) for name in _REMEMBERED}).encode()

    def restore_state(self, state: bytes) -> None:
        """Take remembered values that still have the right type."""
        try:
            values = json.loads(state)
        except ValueError:
            return
        known = {f.name: f for f in fields(Choices)}
        for name in _REMEMBERED:
            value = values.get(name) if isinstance(values, dict) else None
            if name in known and type(value) is type(getattr(self.now, name)):
                setattr(self.now, name, value)

    def _images_changed(self) -> None:
        self.imagesChanged.emit()
        self.trainingChanged.emit()

"""What is found out before a training and about models: frozen values. Standard library only.

The library fills them, the command line prints them as JSON, and the window, which must not load what fills
them, reads them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["error", "warning", "hint", "good"]


@dataclass(frozen=True)
class Advice:
    """A plain sentence about the images, and how much it matters."""

    level: Level
    text: str


@dataclass(frozen=True)
class DataReport:
    """What the data check found; files are relative to the folder.

    Attributes:
        images: The folder.
        count: Readable images.
        sizes: (width, height, how many) in pixels, most frequent first, at most 20.
        smallest: (width, height) of the image with the shortest side; None without any.
        unreadable: (file, reason).
        duplicates: Groups of files that look the same.
        alignment: Mean correlation of the layouts of two images, about 0 (nothing in common) to 1 (the same);
            None below two.
        alignment_text: What that figure means for the training.
        advice: Sentences, the most important first.
        contact_sheet: PNG of some images as the networks will see them; None if there is none.
        preset: The preset that fits.
        can_train: Whether there is enough to train on.
    """

    images: Path
    count: int
    sizes: tuple[tuple[int, int, int], ...]
    smallest: tuple[int, int] | None
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, ...], ...]
    alignment: float | None
    alignment_text: str
    advice: tuple[Advice, ...]
    contact_sheet: Path | None
    preset: str
    can_train: bool


@dataclass(frozen=True)
class StageEstimate:
    """A stage as measured over ``steps`` steps: ``total_nimg`` images take ``seconds``."""

    name: str
    images_per_second: float
    total_nimg: int
    seconds: float
    steps: int


@dataclass(frozen=True)
class Estimate:
    """What a training will take, from a trial on the device; sizes in bytes, 0 where they cannot be told.

    Attributes:
        device: Where the trial ran.
        seconds: Time to train, without pauses.
        memory_bytes: Most memory the trial took: of the GPU there, else of the process.
        memory_total_bytes: What the device has.
        disk_bytes: What the run folder will take.
        disk_free_bytes: What is free there.
        batch: Images a step that fit; smaller than asked for where memory ran out.
        images: Images of the folder.
        stages: Each stage.
        warnings: Sentences: what will not fit.
    """

    device: str
    seconds: float
    memory_bytes: int
    memory_total_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    batch: int
    images: int
    stages: tuple[StageEstimate, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComparedModel:
    """A model's figures on a reviewed set, as of `evaluation.Evaluation`.

    Attributes:
        id: Path of its file.
        name: Its name.
        miou: Mean intersection over union of all classes, 0 to 1.
        foreground_iou: The same without background.
        ece: Expected calibration error of the confidence, 0 to 1.
        images_per_second: Speed of labelling.
        per_class: IoU by class name.
    """

    id: str
    name: str
    miou: float
    foreground_iou: float
    ece: float
    images_per_second: float
    per_class: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Models on one reviewed set, in the order they were given; ``references`` are names of images."""

    references: tuple[str, ...]
    queries: int
    models: tuple[ComparedModel, ...]

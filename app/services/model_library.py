"""The model list of the window: bundled and own models, their cards, and what can be done with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal


@dataclass(frozen=True)
class ModelEntry:
    """A model of the list: its card in plain values; ``problem`` says why a file cannot be used.

    Attributes:
        id: Path of its file.
        builtin: Ships with the program: it can be exported and compared, not renamed or deleted.
        strip: PNG bytes of the sample strip, empty without one.
        figures: Measured values by name.
        card: Everything else the card says.
    """

    id: str
    name: str
    path: Path
    builtin: bool
    category: str = ""
    preset: str = ""
    resolution: int = 0
    data_source: str = ""
    data_count: int = 0
    data_fingerprint: str = ""
    licence: str = ""
    research_use: bool = False
    created: str = ""
    bytes: int = 0
    parameters: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    strip: bytes = b""
    problem: str = ""


@dataclass(frozen=True)
class ComparedModel:
    """A model's figures on the reviewed set; ``per_class``: IoU by class name."""

    id: str
    name: str
    miou: float
    foreground_iou: float
    ece: float
    images_per_second: float
    per_class: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Two or more models on one reviewed set: the same references carried to the same queries."""

    references: tuple[str, ...]
    queries: int
    models: tuple[ComparedModel, ...]


class ModelLibrary(QObject):
    """The models of this user; reading and comparing happen in the background.

    Args:
        folder: The user's own models (``settings.paths.models``).
        others: Folders that are only read: bundled models, the folder of the settings.
        parent: Qt parent.
    """

    changed = Signal()  # ask `entries`
    failed = Signal(str)  # a sentence
    imported = Signal(str)  # id of the new model
    exported = Signal(str)  # path of the file
    compareProgress = Signal(int, int, str)  # noqa: N815 - steps done, in all, what is measured
    compareDone = Signal(object)  # noqa: N815 - Comparison
    compareFailed = Signal(str)  # noqa: N815 - a sentence

    def __init__(self, folder: Path, others: tuple[Path, ...] = (), *, parent: QObject | None = None) -> None:
        super().__init__(parent)
        raise NotImplementedError

    def refresh(self) -> None:
        """Read the folders again; `changed` follows."""
        raise NotImplementedError

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return the models as they were read last, own ones first, newest first."""
        raise NotImplementedError

    def entry(self, model_id: str) -> ModelEntry | None:
        """Return one model."""
        raise NotImplementedError

    def rename(self, model_id: str, name: str) -> None:
        """Give an own model another name, of card and file."""
        raise NotImplementedError

    def describe(self, model_id: str, **values: str) -> None:
        """Change ``category``, ``description``, ``licence`` or ``data_source`` of an own model's card."""
        raise NotImplementedError

    def import_model(self, path: Path) -> None:
        """Check a file (safetensors, version, shapes, finite weights) and copy it into the list."""
        raise NotImplementedError

    def export(self, model_id: str, path: Path) -> None:
        """Write a copy of a model."""
        raise NotImplementedError

    def delete(self, model_id: str) -> None:
        """Delete an own model's file. Ask the user first."""
        raise NotImplementedError

    def compare(self, model_ids: tuple[str, ...], images: Path, labels: dict[str, Path],
                references: tuple[str, ...]) -> None:  # fmt: skip
        """Measure models on one reviewed set in another process.

        Args:
            model_ids: Two models or more.
            images: Folder of the images.
            labels: {image path relative to ``images``: label map} of the reviewed images.
            references: Those of them that labels are carried from; all others are the queries.
        """
        raise NotImplementedError

    def cancel_compare(self) -> None:
        """Drop the comparison that runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop what runs in the background."""
        raise NotImplementedError

"""The model list of the window: bundled and own models, their cards, and what can be done with them."""

from __future__ import annotations

import base64
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.services import model_files
from app.services import training_process as processes
from app.services.tasks import Worker
from app.services.tool import Tool
from app.services.translations import translated
from coordgan_core.errors import CoordError
from coordgan_core.reports import ComparedModel as ComparedModel
from coordgan_core.reports import Comparison as Comparison
from coordgan_core.snapshot import inspect

Blob = bytes  # inside `ModelEntry` that word is a field


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
    strip: Blob = b""
    problem: str = ""


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
        self._folder, self._others = folder, tuple(others)
        self._entries: tuple[ModelEntry, ...] = ()
        self._worker = Worker(parent=self)
        self._import = Tool(self._import_event, self._import_end, parent=self)
        self._compare = Tool(self._compare_event, self._compare_end, parent=self)
        self._compared = False

    def refresh(self) -> None:
        """Read the folders again; `changed` follows."""
        folder, others = self._folder, self._others
        self._worker.run(lambda: read_entries(folder, others), self._take, self.failed.emit)

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return the models as they were read last, own ones first, newest first."""
        return self._entries

    def entry(self, model_id: str) -> ModelEntry | None:
        """Return one model."""
        return next((entry for entry in self._entries if entry.id == model_id), None)

    def rename(self, model_id: str, name: str) -> None:
        """Give an own model another name, of card and file."""
        self._do(model_id, lambda path: model_files.rename(path, name))

    def describe(self, model_id: str, **values: str) -> None:
        """Change ``category``, ``description``, ``licence`` or ``data_source`` of an own model's card."""
        self._do(model_id, lambda path: model_files.describe(path, **values))

    def import_model(self, path: Path) -> None:
        """Check a file (safetensors, version, shapes, finite weights) and copy it into the list."""
        self._import.start("models", "import", str(path), "--folder", str(self._folder), "--json")

    def export(self, model_id: str, path: Path) -> None:
        """Write a copy of a model."""
        self._worker.run(
            lambda: model_files.export(Path(model_id), path),
            lambda _none: self.exported.emit(str(path)),
            self.failed.emit,
        )

    def delete(self, model_id: str) -> None:
        """Delete an own model's file. Ask the user first."""
        folder = self._folder
        self._do(model_id, lambda path: model_files.delete(path, folder))

    def compare(
        self,
        model_ids: tuple[str, ...],
        images: Path,
        labels: dict[str, Path],
        references: tuple[str, ...],
    ) -> None:
        """Measure models on one reviewed set in another process.

        Args:
            model_ids: Two models or more.
            images: Folder of the images.
            labels: {image path relative to ``images``: label map} of the reviewed images.
            references: Those of them that labels are carried from; all others are the queries.
        """
        self._compare.cancel()
        self._compared = False
        place = self._folder / ".compare"
        words = ["models", "compare", *model_ids, "--images", str(images), "--labels", str(place), "--json"]
        for reference in references:
            words += ["--references", reference]
        self._worker.run(
            lambda: _lay_down(labels, place),
            lambda _none: self._compare.start(*words),
            self.compareFailed.emit,
        )

    def cancel_compare(self) -> None:
        """Drop the comparison that runs."""
        self._compare.cancel()

    def close(self) -> None:
        """Stop what runs in the background; more than once is harmless."""
        self._import.cancel()
        self._compare.cancel()
        self._worker.close()

    def _do(self, model_id: str, work: Callable[[Path], object]) -> None:
        entry = self.entry(model_id)
        if entry is not None and entry.builtin:
            self.failed.emit(translated("This model ships with the program and cannot be changed."))
            return
        self._worker.run(lambda: work(Path(model_id)), lambda _result: self.refresh(), self._failed)

    def _failed(self, message: str) -> None:
        self.failed.emit(message)
        self.refresh()

    def _take(self, entries: tuple[ModelEntry, ...]) -> None:
        self._entries = entries
        self.changed.emit()

    def _import_event(self, event: dict[str, Any]) -> None:
        if "imported" in event:
            self.imported.emit(str(event["imported"]))

    def _import_end(self, message: str) -> None:
        if message:
            self.failed.emit(message)
        self.refresh()

    def _compare_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "comparing":
            self.compareProgress.emit(int(event["done"]), int(event["total"]), str(event["what"]))
        elif event.get("event") == "comparison":
            self._compared = True
            models = tuple(ComparedModel(**model) for model in event["models"])
            self.compareDone.emit(Comparison(tuple(event["references"]), int(event["queries"]), models))

    def _compare_end(self, message: str) -> None:
        if not self._compared:
            self.compareFailed.emit(message or translated("The comparison ended without a result."))


def read_entries(folder: Path, others: tuple[Path, ...]) -> tuple[ModelEntry, ...]:
    """Return the models of the user's folder, newest first, then those of other folders, by name."""
    own = sorted(folder.glob("*.safetensors"), key=lambda path: -path.stat().st_mtime)
    found = [_entry(path, builtin=False) for path in own]
    for other in others:
        if other.absolute() != folder.absolute():
            found += [_entry(path, builtin=True) for path in sorted(other.glob("*.safetensors"))]
    return tuple(found)


def _entry(path: Path, *, builtin: bool) -> ModelEntry:
    try:
        info = inspect(path)
    except (CoordError, OSError) as error:
        return ModelEntry(str(path), path.stem, path, builtin, problem=str(error))
    card = info.card
    strip = b""
    with contextlib.suppress(ValueError):
        strip = base64.b64decode(card.sample_strip, validate=True)
    return ModelEntry(
        id=str(path),
        name=card.name or path.stem,
        path=path,
        builtin=builtin,
        category=card.category,
        preset=card.preset,
        resolution=info.config.resolution,
        data_source=card.data_source,
        data_count=card.data_count,
        data_fingerprint=card.data_fingerprint,
        licence=card.licence,
        research_use=card.research_use,
        created=card.created,
        bytes=info.bytes,
        parameters=info.parameters,
        figures=dict(card.figures),
        card={key: value for key, value in card.to_json().items() if key != "sample_strip"},
        strip=strip,
    )


def _lay_down(labels: dict[str, Path], place: Path) -> None:
    """Copy label maps to one folder, with the names of their classes where those lie above them."""
    shutil.rmtree(place, ignore_errors=True)
    processes.lay_down_labels(labels, place)
    for path in list(labels.values())[:1]:
        for above in list(path.absolute().parents)[:4]:
            if (above / "classes.json").is_file():
                shutil.copyfile(above / "classes.json", place / "classes.json")
                return

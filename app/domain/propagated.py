"""Bringing a propagated folder into a project as what it is: a machine's work, with its confidence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.classes import ImportClasses
from app.domain.project import Project, Result
from app.domain.storage.class_rows import table_to_json
from coordgan_core.errors import CoordError, DataError, LabelError
from coordgan_core.labels import LabelClasses, read_confidence, read_label_map
from coordgan_core.manifest import NAME, Manifest

_TOGETHER = 8  # results stored in one transaction


@dataclass(frozen=True)
class Taken:
    """One image of a propagated folder: taken, left alone for a person's work, or why it could not be."""

    done: int
    total: int
    image_id: int
    path: str
    taken: bool
    error: str = ""
    batch: int = 0


@dataclass(frozen=True)
class PropagatedFolder:
    """What `coordlabel propagate` has written to a folder.

    Args:
        folder: The folder.
        about: Model, references and options, as its manifest tells them.
        images: Image path -> what is known of its result.
        manifest: Tells whether someone has edited a label map since.
    """

    folder: Path
    about: Mapping[str, Any]
    images: Mapping[str, Mapping[str, Any]]
    manifest: Manifest

    @classmethod
    def find(cls, folder: Path) -> PropagatedFolder | None:
        """Return the propagated folder at ``folder``; None if it is none, or several processes are not done.

        Raises:
            DataError: Its manifest is damaged.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            manifest = Manifest(folder, str(about["key"]), about)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{path} is damaged ({error})", remedy="propagate again") from error
        manifest.load()
        return cls(folder, about, dict(manifest.images), manifest)

    def labels(self, name: str) -> Path:
        """Return the label file of an image; two images of one stem keep their whole names."""
        whole = self.folder / "labels" / f"{name}.png"
        return whole if whole.is_file() else whole.parent / f"{PurePosixPath(name).stem}.png"

    def confidence(self, name: str) -> Path:
        """Return the file of the confidence of an image."""
        return self.folder / "confidence" / self.labels(name).relative_to(self.folder / "labels")


def take_propagated(project: Project, source: PropagatedFolder) -> Iterator[Taken]:
    """Bring the results into the project as one batch; a person's work is never replaced.

    A label map that someone has edited in the folder comes as that person's work.

    Raises:
        LabelError: The classes of the folder cannot be read.
    """
    found = [(name, image) for name in source.images if (image := project.find(name)) is not None]
    # the manifest knows the model by its content, not where it is: nothing can be asked of it again
    details = {
        "model": "",
        "model_digest": source.about.get("model", ""),
        "model_name": str(source.about.get("model_name") or ""),
        "research_use": source.about.get("research_use") is True,
        "model_data": str(source.about.get("model_data") or ""),
        "path": str(source.folder),
    }
    batch = project.batches.begin("propagation", "Take a propagated folder", details)
    try:
        table = _classes(project, batch, source)
        for start in range(0, len(found), _TOGETHER):
            part = found[start : start + _TOGETHER]
            outcomes = _take(project, batch, source, part, table)
            for done, ((name, image), outcome) in enumerate(zip(part, outcomes, strict=True), start + 1):
                text = "" if isinstance(outcome, bool) else str(outcome)
                yield Taken(done, len(found), image, name, outcome is True, text, batch)
    finally:
        project.batches.finish(batch)


def _take(
    project: Project,
    batch: int,
    source: PropagatedFolder,
    part: list[tuple[str, int]],
    table: npt.NDArray[np.uint8],
) -> list[bool | CoordError]:
    outcomes: dict[int, bool | CoordError] = {}
    results: list[tuple[int, Result]] = []
    for name, image in part:
        try:
            row = project.measure(image)
            labels = table[read_label_map(source.labels(name))]
            if row.width and labels.shape != (row.height, row.width):
                raise LabelError(
                    f"the label map of {name} has {labels.shape[1]} x {labels.shape[0]} pixels, "
                    f"the image {row.width} x {row.height}",
                    remedy="propagate the folder again: the image has changed",
                )
            if source.manifest.is_edited(name, source.labels(name)):
                outcomes[image] = project.batches.write_labels(batch, image, labels)
                continue
            confidence = read_confidence(source.confidence(name), size=(labels.shape[1], labels.shape[0]))
            score = _score(source.images[name].get("score"))
            results.append((image, Result(labels, confidence, score, _scores(labels, confidence))))
        except CoordError as error:
            outcomes[image] = error
    written = project.batches.write_results(batch, results)
    outcomes |= {image: taken for (image, _), taken in zip(results, written, strict=True)}
    return [outcomes[image] for _, image in part]


def _score(value: object) -> float | None:
    """Return the confidence that a manifest tells, None where it tells none: it may come from anywhere."""
    return float(value) if isinstance(value, int | float) and 0.0 <= value <= 1.0 else None


def _scores(labels: npt.NDArray[np.uint8], confidence: npt.NDArray[np.float32]) -> dict[int, float]:
    """Return the mean confidence of each class but background."""
    sums = np.bincount(labels.ravel(), weights=confidence.ravel(), minlength=256)
    counts = np.bincount(labels.ravel(), minlength=256)
    return {int(c): float(sums[c] / counts[c]) for c in np.flatnonzero(counts) if c}


def _classes(project: Project, batch: int, source: PropagatedFolder) -> npt.NDArray[np.uint8]:
    """Add the classes that the project does not have; return the project's id of each id of the folder."""
    known = [c for c in LabelClasses.load(source.folder / "classes.json").classes if c.id]
    before = project.classes
    numbers = {c.id for c in known if c.name == f"class {c.id}" and before.get(c.id)}
    names = tuple(c.name for c in known if c.id not in numbers)  # without names, numbers are what there is
    after = ImportClasses(names).apply(before)
    if after != before:
        project.remember_classes(batch, table_to_json(before), table_to_json(after))
        project.set_classes(after)
    table = np.zeros(256, np.uint8)
    for each in known:
        found = None if each.id in numbers else after.by_name(each.name.strip())
        table[each.id] = found.id if found else each.id
    return table

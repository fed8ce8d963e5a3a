"""What a propagation of a project asks for and what comes back, the same for window and command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.project import Project, Result
from app.domain.status import Status
from coordgan_core.errors import LabelError


@dataclass(frozen=True)
class PropagationRequest:
    """What to propagate.

    Args:
        model: Id of a model.
        references: Images whose label maps are the source.
        queries: Images that receive labels.
        options: Options of the propagation, as plain values.
        keep_human_pixels: Also renew the machine's pixels of images in which a person has corrected an
            earlier result; their corrections stay. Otherwise such images are left alone altogether.
        category: That of the model, for the record.
        model_name: Its name, for the record.
        research_use: Whether it is for research only, for the record.
        model_data: What it was trained on, for the record.
    """

    model: str
    references: tuple[int, ...]
    queries: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    keep_human_pixels: bool = False
    category: str = ""
    model_name: str = ""
    research_use: bool = False
    model_data: str = ""

    @property
    def details(self) -> dict[str, Any]:
        """What the project remembers of it: from what its results were made."""
        return {
            "model": self.model,
            "model_name": self.model_name,
            "category": self.category,
            "research_use": self.research_use,
            "model_data": self.model_data,
            "references": list(self.references),
            "options": self.options,
            "keep_human_pixels": self.keep_human_pixels,
        }


@dataclass(frozen=True)
class TargetPreview:
    """What a propagation would touch: images that get labels, that stay, that cannot be read."""

    queries: tuple[int, ...]
    protected: tuple[int, ...]
    unreadable: tuple[int, ...]


def propagation_targets(project: Project, request: PropagationRequest) -> TargetPreview:
    """Say which images a request would touch; references are never among them."""
    references = set(request.references)
    wanted = [i for i in request.queries if i not in references]
    human = {int(i) for i in project.ids("is:human")}
    corrected = set()
    if request.keep_human_pixels:
        corrected = {int(i) for i in project.ids(f"status:{Status.EDITED.value}")} & _on_machine_base(project)
    missing = {int(i) for i in project.ids("is:missing")} | _unreadable(project)
    protected = tuple(i for i in wanted if i in human and i not in corrected)
    left = set(protected)
    queries = tuple(i for i in wanted if i not in left and i not in missing)
    return TargetPreview(queries, protected, tuple(i for i in wanted if i in missing and i not in left))


def last_request(project: Project) -> PropagationRequest | None:
    """Return what the newest propagation of a project asked for, from whatever start of the application.

    Its references and queries are those of then; None where there was none.
    """
    for run in project.runs():
        details = run.details
        if run.kind == "propagation" and details.get("model"):
            options, references = details.get("options"), details.get("references")
            return PropagationRequest(
                model=str(details["model"]),
                references=_whole_numbers(references),
                queries=(),
                options=dict(options) if isinstance(options, dict) else {},
                keep_human_pixels=bool(details.get("keep_human_pixels")),
                category=str(details.get("category") or ""),
                model_name=str(details.get("model_name") or ""),
                research_use=bool(details.get("research_use")),
                model_data=str(details.get("model_data") or ""),
            )
    return None


def _whole_numbers(value: object) -> tuple[int, ...]:
    """Return the numbers of a list in a database that may come from anywhere."""
    return tuple(i for i in value if isinstance(i, int)) if isinstance(value, list) else ()


def reference_revisions(project: Project, request: PropagationRequest) -> list[list[int]]:
    """Return what changes when a label map of a reference does, for the record of a batch."""
    return [[row.id, row.revision] for row in project.rows(request.references)]


def cut_short(project: Project, request: PropagationRequest) -> tuple[int, frozenset[int]] | None:
    """Return the batch that was cancelled or cut off on the way to the same results, and what it has done.

    Only the newest step of the history is continued, so that the whole is still one step back.
    """
    newest = next(iter(project.batches.runs(1)), None)
    if newest is None or newest.kind != "propagation" or newest.undone:
        return None
    details = newest.details
    if not (details.get("cancelled") or details.get("cut_off")):
        return None
    wanted = {**request.details, "revisions": reference_revisions(project, request)}
    if any(details.get(key) != value for key, value in wanted.items()):
        return None
    rows = project.database.read(
        "SELECT id FROM images WHERE run_id = ? AND status = ?", (newest.id, Status.PROPAGATED.value)
    )
    return newest.id, frozenset(row[0] for row in rows)


def engine_question(
    project: Project, request: PropagationRequest, queries: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.uint8]]]:
    """Return the parameters and arrays of the engine's verb ``propagate``.

    Args:
        project: The project; its label maps are read as the journal has them.
        request: What to propagate.
        queries: The images to ask for, of `propagation_targets`.

    Raises:
        LabelError: There is no reference, or one has no labels.
    """
    if not request.references:
        raise LabelError("there is no reference", remedy="label one image and make it a reference first")
    items, arrays = [], {}
    for index, row in enumerate(project.rows(request.references)):
        labels = project.labels(row.id)
        if not labels.any():
            raise LabelError(
                f"the reference {row.path} has no labels",
                expected="at least one painted part",
                remedy="paint it first, or leave it out",
            )
        items.append({"path": str(project.images_folder / row.path)})
        arrays[f"labels{index}"] = labels
    asked = [{"id": row.id, "path": str(project.images_folder / row.path)} for row in project.rows(queries)]
    params = {"model": request.model, "references": items, "queries": asked, "options": request.options}
    return params, arrays


def result_of(
    project: Project, image_id: int, data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> Result:
    """Return the result for an image from what the engine has answered.

    Raises:
        LabelError: The answer does not fit the image.
    """
    row = project.measure(image_id)
    labels = arrays["labels"]
    if labels.ndim != 2 or labels.dtype != np.uint8 or labels.shape != (row.height, row.width):
        raise LabelError(
            f"the engine sent labels of {list(labels.shape)} for {row.path}",
            expected=f"[{row.height}, {row.width}]",
            remedy="propagate again; if it happens again, the image has changed",
        )
    confidence = arrays.get("confidence")
    if confidence is not None:
        if confidence.shape != labels.shape:
            raise LabelError(
                f"the engine sent a confidence of {list(confidence.shape)} for {row.path}",
                expected=f"[{row.height}, {row.width}]",
                remedy="propagate again",
            )
        confidence = confidence.astype(np.float32) / np.float32(255.0)
    scores = {int(c): _share(s) for c, s in dict(data.get("class_scores", {})).items()}
    return Result(
        labels,
        confidence,
        _share(data.get("score")),
        {c: s for c, s in scores.items() if s is not None},
        str(data.get("note", "")),
    )


def _share(value: object) -> float | None:
    """Return a number from 0 to 1; None for whatever else an engine may say."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def _on_machine_base(project: Project) -> set[int]:
    return {row[0] for row in project.database.read("SELECT image_id FROM machine_base")}


def _unreadable(project: Project) -> set[int]:
    return {row[0] for row in project.database.read("SELECT id FROM images WHERE problem <> ''")}

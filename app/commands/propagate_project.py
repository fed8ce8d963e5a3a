"""`propagate --project`: from a project's references into the project, by the engine that the window uses."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from app.commands import together
from app.commands.catalogue import find_model, terms
from app.commands.opening import find_images, opened, progress_bar, tell
from app.commands.output import EXIT_DONE, EXIT_FINDINGS, print_json
from coordgan_core.errors import ConfigError, CoordError, LabelError

if TYPE_CHECKING:
    from app.domain.project import Project
    from app.domain.propagation import PropagationRequest, TargetPreview
    from coordgan_core.engine.server import Answer

FLOW = "builtin:flow"
_TOGETHER = 8  # results stored in one transaction: their syncs are what takes time


def propagate_project(
    place: Path,
    model: str,
    references: list[str],
    only: str,
    *,
    device: str,
    align: bool,
    refine: bool,
    keep_corrections: bool,
    as_json: bool,
) -> int:
    """Propagate within a project as one batch; return the exit code.

    Args:
        place: The project.
        model: What the command line calls the model; ``flow`` is optical flow; empty for that of the last
            propagation.
        references: Images to propagate from; all references of the project if empty.
        only: Search words for the images that receive labels.
        device: Where the network runs.
        align: Correct maps by a short optical flow.
        refine: Fit borders to the image's edges and colours.
        keep_corrections: Renew the machine's pixels around a person's corrections.
        as_json: Report as one JSON object.
    """
    if together.world() > 1:
        raise ConfigError(
            "several processes cannot write one project",
            expected="one process, or a folder: --reference, --labels, --images, --out",
            remedy="propagate the folder with torchrun, then `coordlabel import PROJECT FOLDER --yes`",
        )
    with opened(place) as project:
        chosen = references_of(project, references)
        options: dict[str, Any] = {} if align else {"align": None}
        request = make_request(
            project,
            model,
            chosen,
            only,
            options=options if refine else {**options, "refine": None},
            keep_corrections=keep_corrections,
        )
        from app.domain.propagation import propagation_targets

        targets = propagation_targets(project, request)
        report = _Run(project, request, targets, device).go()
        left = [row.path for row in project.rows(targets.protected)]
        unreadable = {row.path: row.problem for row in project.rows(targets.unreadable)}
    failures = {**unreadable, **report.failures}
    tell([_sentence(report, len(left), len(failures))])
    tell(f"failed: {name}: {reason}" for name, reason in failures.items())
    if as_json:
        found = {
            "project": str(project.folder),
            "model": request.model_name,
            "research_use": request.research_use,
            "batch": report.batch,
            "labelled": report.labelled,
            "done": report.before,
            "left_alone": left,
            "failed": len(failures),
            "failures": failures,
        }
        print_json(found)
    return EXIT_FINDINGS if failures else EXIT_DONE


def references_of(project: Project, names: list[str]) -> tuple[int, ...]:
    """Return the images that are named, else all references of the project.

    Raises:
        LabelError: The project has no reference.
    """
    chosen = find_images(project, names) if names else project.references()
    if not chosen:
        raise LabelError(
            f"the project {project.folder} has no reference",
            expected="at least one image that someone has labelled completely",
            remedy="label one in the window, or import its label map, and "
            "`coordlabel accept PROJECT IMAGE --as reference`",
        )
    return tuple(chosen)


def make_request(
    project: Project,
    model: str,
    references: tuple[int, ...],
    only: str,
    *,
    options: dict[str, Any],
    keep_corrections: bool,
) -> PropagationRequest:
    """Return what is asked for, as the window would ask.

    Raises:
        ModelError: There is no such model.
        ConfigError: None is named, and none was used before.
    """
    from app.domain.propagation import PropagationRequest, last_request

    if not model:
        last = last_request(project)
        if last is None:
            raise ConfigError(
                f"nothing was propagated in {project.folder} before",
                expected="--model, a model file, a run folder or the name of a model",
                remedy="`coordlabel models` lists the models",
            )
        model = last.model
    category, name, path, research, data = "", "Optical flow", FLOW, False, ""
    if model not in (FLOW, "flow"):
        from coordgan_core.snapshot import inspect

        found = find_model(model).resolve()
        card = inspect(found).card
        category, name, path = card.category, card.name or found.stem, str(found)
        research, data = card.research_use, card.data_source
        tell([terms(card)] if research else [])
    return PropagationRequest(
        path,
        references,
        tuple(int(i) for i in project.ids(only)),
        options,
        keep_human_pixels=keep_corrections,
        category=category,
        model_name=name,
        research_use=research,
        model_data=data,
    )


@dataclass
class _Report:
    """What a propagation has done so far; failures by the path of the image."""

    batch: int
    before: int = 0
    labelled: int = 0
    overtaken: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class _Run:
    """Asks the engine, in this process, and stores what it answers."""

    def __init__(
        self, project: Project, request: PropagationRequest, targets: TargetPreview, device: str
    ) -> None:
        self._project = project
        self._request = request
        self._targets = targets
        self._device = device
        self._waiting: list[tuple[int, Mapping[str, Any], Mapping[str, Any]]] = []
        self._names = {row.id: row.path for row in project.rows(targets.queries)}

    def go(self) -> _Report:
        """Do it; on Ctrl+C what is done stays, and the batch is closed so that it can be taken back."""
        from app.domain.propagation import engine_question
        from coordgan_core.engine.backend import LocalBackend
        from coordgan_core.engine.protocol import Request

        report, queries = self._begin()
        params, arrays = engine_question(self._project, self._request, queries)
        asked = Request(1, "propagate", params={**params, "device": self._device}, arrays=arrays)
        suggestion: Any = None
        cancelled = True
        try:
            with contextlib.closing(LocalBackend().run(asked)) as events:
                suggestion = self._follow(events, report)
            cancelled = False
        finally:
            self._store(report)
            details = {
                "taken": report.before + report.labelled,
                "protected": len(self._targets.protected) + report.overtaken,
                "failed": len(report.failures),
                "suggestion": suggestion,
                "cancelled": cancelled,
                "cut_off": False,
            }
            self._project.batches.finish(report.batch, details)
        return report

    def _begin(self) -> tuple[_Report, tuple[int, ...]]:
        """Open a batch, or go on with one that was cancelled; return what is left to ask."""
        from app.domain.propagation import cut_short, reference_revisions

        found = cut_short(self._project, self._request)
        if found is None:
            revisions = reference_revisions(self._project, self._request)
            details = {**self._request.details, "revisions": revisions, "cancelled": True}
            batch = self._project.batches.begin("propagation", "Propagate", details)
            return _Report(batch), self._targets.queries
        batch, done = found
        left = tuple(i for i in self._targets.queries if i not in done)
        return _Report(batch, before=len(self._targets.queries) - len(left)), left

    def _follow(self, events: Generator[Answer, None, Answer | None], report: _Report) -> Any:
        with progress_bar() as bar:
            task = bar.add_task("Reading the references", total=None)
            while True:
                try:
                    data, arrays = next(events)
                except StopIteration as end:
                    return end.value[0].get("suggestion") if end.value else None
                image_id = data.get("image")
                if data["event"] == "progress":
                    text = "Propagating"
                    bar.update(task, description=text, completed=data["done"], total=data["total"])
                elif data["event"] == "result":
                    self._waiting.append((cast("int", image_id), data, arrays))
                    if len(self._waiting) >= _TOGETHER:
                        self._store(report)
                else:
                    self._fail(report, cast("int", image_id), str(data.get("message", "")))

    def _store(self, report: _Report) -> None:
        from app.domain.project import Result
        from app.domain.propagation import result_of

        waiting, self._waiting = self._waiting, []
        results: list[tuple[int, Result]] = []
        for image_id, data, arrays in waiting:
            try:
                results.append((image_id, result_of(self._project, image_id, data, arrays)))
            except CoordError as error:
                self._fail(report, image_id, str(error))
        outcomes = self._project.batches.write_results(
            report.batch, results, refresh_edited=self._request.keep_human_pixels
        )
        for (image_id, _), outcome in zip(results, outcomes, strict=True):
            if isinstance(outcome, CoordError):
                self._fail(report, image_id, str(outcome))
            else:
                report.labelled += outcome
                report.overtaken += not outcome

    def _fail(self, report: _Report, image_id: int, message: str) -> None:
        report.failures[self._names[image_id]] = message
        self._project.batches.write_failure(report.batch, image_id, message)


def _sentence(report: _Report, left: int, failed: int) -> str:
    parts = [f"{report.labelled} images labelled"]
    parts += [f"{report.before} were done before it was cancelled"] * bool(report.before)
    parts += [f"{left} left alone: a person worked on them"] * bool(left)
    parts += [f"{failed} failed"] * bool(failed)
    return ", ".join(parts)

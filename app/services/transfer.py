"""Export and import as jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from app.domain.formats import ExportOptions, export, import_labels
from app.services.changes import Changes
from app.services.job_values import JobError, JobProgress
from app.services.jobs import JobControl, JobRunner
from app.services.session import Session


def start_export(
    session: Session,
    jobs: JobRunner,
    ids: Sequence[int],
    format_name: str,
    out: Path,
    *,
    options: ExportOptions | None = None,
    title: str = "Export",
) -> int:
    """Begin an export and return the id of its job; it tells an `ExportEvent` for each image."""
    session.flush()

    def work(_: JobControl) -> Iterator[object]:
        for event in export(session.project, ids, format_name, out, options):
            yield JobError(event.path, event.error, event.image_id) if event.error else event
            yield JobProgress(event.done, event.total)

    number = jobs.start(title, work, kind="export")
    session.closing.connect(jobs.job(number).close)
    return number


def start_import(
    session: Session,
    jobs: JobRunner,
    format_name: str,
    path: Path,
    mapping: Mapping[int, str] | None = None,
    *,
    overwrite: bool = False,
    title: str = "Import labels",
) -> int:
    """Begin an import and return the id of its job; it is one step of the session's history."""
    batch = 0
    session.flush()

    def work(_: JobControl) -> Iterator[object]:
        nonlocal batch
        for event in import_labels(session.project, format_name, path, mapping, overwrite=overwrite):
            batch = event.batch
            ids = frozenset({event.image_id}) if event.taken else frozenset[int]()
            if event.error:
                yield JobError(event.path, event.error, event.image_id)
            if ids or event.done == 1:  # the classes are there with the first event, whatever becomes of it
                yield Changes(ids, ids, classes=event.done == 1)
            yield JobProgress(event.done, event.total)

    number = jobs.start(title, work, kind="import")
    job = jobs.job(number)
    session.closing.connect(job.close)
    job.told.connect(lambda changes: session.tell(changes) if isinstance(changes, Changes) else None)
    job.finished.connect(lambda: session.add_batch(batch, title) if batch else None)
    return number

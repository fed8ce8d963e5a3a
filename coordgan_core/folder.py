"""Propagation of a folder of files: resumable, one bad image never stops it, human work is never replaced."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordgan_core.calibration import Calibration
from coordgan_core.data.images import image_size, list_images
from coordgan_core.errors import CoordError, DataError, ImageError
from coordgan_core.files import write_bytes
from coordgan_core.labels import LabelClasses, confidence_bytes, label_map_bytes
from coordgan_core.manifest import Manifest, digest, stamp
from coordgan_core.predictor import Analysis, Predictor
from coordgan_core.propagator import Prepared, PropagationOptions, Propagator, Query, Reference
from coordgan_core.sheet import write_contact_sheet
from coordgan_core.snapshot import ModelCard
from coordgan_core.timing import Part

_BATCH_PIXELS = 32_000_000
CONFIDENCE_PX = 256
"""Longer side of the confidences on disk: twice what they are computed at; larger files would say no more."""
WRITERS = 4
"""Threads that write files, beside those that label."""


@dataclass(frozen=True)
class Started:
    """The folder was listed: images in all, done already, and kept because someone edited them."""

    images: int
    done: int
    edited: int


@dataclass(frozen=True)
class Labelled:
    """The label map and the confidence of one image are on disk."""

    name: str
    """Path relative to the folder of images, with forward slashes."""
    labels: Path
    confidence: Path
    score: float


@dataclass(frozen=True)
class Failed:
    """One image could not be done; the others go on."""

    name: str
    reason: str


@dataclass(frozen=True)
class Finished:
    """All is done: images labelled now, done before, kept because someone edited them, failed."""

    labelled: int
    done: int
    edited: int
    failed: int
    seconds: float


FolderEvent = Prepared | Started | Labelled | Failed | Finished


@dataclass(frozen=True)
class _Job:
    path: Path
    name: str
    labels: Path
    confidence: Path


def propagate_folder(
    predictor: Predictor,
    references: Sequence[Reference],
    images: Path,
    out: Path,
    *,
    options: PropagationOptions | None = None,
    calibration: Calibration | None = None,
    classes: LabelClasses | None = None,
    card: ModelCard | None = None,
    rank: int = 0,
    world: int = 1,
    workers: int = 2,
) -> Iterator[FolderEvent]:
    """Carry the labels of references to every image of a folder and its sub-folders.

    Writes ``labels/<relative path>.png`` (palette PNG at the image's own size), ``confidence/<relative
    path>.png`` (the whole image at `CONFIDENCE_PX`, for `read_confidence`), ``classes.json``,
    ``contact_sheet.png`` and the manifest ``propagation.json``. Run again, it does only what is missing;
    other references, another model or other options do everything again, but label maps that someone edited
    since are kept.

    Several processes, on one machine or on several that share a file system, may do it together: each takes
    its part, and the one that ends last writes what is about the whole folder. They need not talk to each
    other, any of them may die, and any number of them may go on; the results are those of a single process.

    Args:
        predictor: The model, ready for use.
        references: One or more.
        images: The folder.
        out: Where the results go; may lie inside ``images``.
        options: Options.
        calibration: Of the model; the default prior if None.
        classes: Names and colours; anonymous ones if None.
        card: Of the model; its name and whether it is for research use go into the manifest.
        rank: Of this process, 0 to ``world`` - 1; it takes every ``world``-th image.
        world: Number of processes that share the folder.
        workers: Threads that read and refine, beside `WRITERS`; 0 does everything in this one.

    Yields:
        `Prepared`, `Started`, then `Labelled` or `Failed` for each image, `Finished`.

    Raises:
        DataError: The folder holds no image.
        LabelError: A reference does not fit its image, is empty, or there is none.
        DiskFullError: The results cannot be written.
    """
    began = time.monotonic()
    options = dataclasses.replace(
        options or PropagationOptions(), keep_raw=False, confidence_px=CONFIDENCE_PX
    )
    whole_folder = _jobs(Path(images), Path(out))
    jobs = whole_folder[rank::world]
    propagator = Propagator(predictor, references, options=options, calibration=calibration)
    yield propagator.prepared
    manifest = _manifest(Path(out), propagator, references, rank, world, card)
    todo, done, edited = _divide(jobs, manifest)
    yield Started(len(jobs), done, edited)
    names = classes or LabelClasses.anonymous(propagator.classes)
    run = _Run(propagator, manifest, names, workers)
    try:
        yield from run.work(todo)
    finally:
        manifest.flush(now=True)  # also when the generator is closed half way
    _complete(Path(out), whole_folder, manifest, names, redo=run.labelled > 0)
    yield Finished(run.labelled, done, edited, run.failed, time.monotonic() - began)


Waiting = deque[tuple[_Job, "Future[_Result] | str"]]


@dataclass(frozen=True)
class _Result:
    """The score of an image whose files are being written."""

    score: float
    files: Sequence[Future[None]]


class _InThisThread(Executor):
    """Does what it is given at once: for measuring."""

    def submit(self, work: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Run:
    """The work itself: batches are read ahead, analysed together, refined in threads and written in others.

    While the network runs on a batch, threads refine the one before; at most three batches are in memory.
    """

    def __init__(
        self, propagator: Propagator, manifest: Manifest, classes: LabelClasses, workers: int
    ) -> None:
        self._propagator = propagator
        self._manifest = manifest
        self._palette = classes.palette()
        self._pool = ThreadPoolExecutor(workers) if workers else _InThisThread()
        # they wait for the disk, not for a processor
        self._writers = ThreadPoolExecutor(WRITERS) if workers else _InThisThread()
        self._waiting: Waiting = deque()
        self.labelled = self.failed = 0

    def work(self, jobs: Sequence[_Job]) -> Iterator[Labelled | Failed]:
        batches = list(_batches(jobs, self._propagator.predictor.batch))
        try:
            ahead = self._read_ahead(batches[:1])
            for i, batch in enumerate(batches):
                reading, ahead = ahead, self._read_ahead(batches[i + 1 : i + 2])
                before = len(self._waiting)
                self._label(batch, [future.result() for future in reading])
                yield from self._finished(before)
            yield from self._finished(len(self._waiting))
        finally:
            self._stop()

    def _read_ahead(self, batches: Sequence[Sequence[_Job]]) -> list[Future[Query | str]]:
        read = self._propagator.read
        return [self._pool.submit(_read, read, job) for batch in batches for job in batch]

    def _label(self, batch: Sequence[_Job], queries: Sequence[Query | str]) -> None:
        """Analyse a batch, and let its images be labelled and written."""
        predictor = self._propagator.predictor
        near = [query.near for query in queries if isinstance(query, Query)]
        padded = near
        if near and not predictor.independent:
            # Always as many at once: kernels for one image round differently than those for many, and what
            # an image gets must not depend on what is missing, or on how many processes share the folder.
            padded = near + near[-1:] * (predictor.batch - len(near))
        with Part("network"):
            analyses = iter(predictor.analyse(padded)[: len(near)])
        for job, query in zip(batch, queries, strict=True):
            if isinstance(query, str):
                self._waiting.append((job, query))
            else:
                self._waiting.append((job, self._pool.submit(self._write, job, query, next(analyses))))

    def _write(self, job: _Job, query: Query, analysis: Analysis) -> _Result:
        found = self._propagator.label(query, analysis)
        with Part("confidence PNG"):
            confidence = confidence_bytes(found.confidence)
        with Part("label PNG"):
            labels = label_map_bytes(found.labels, self._palette)
        with Part("writing"):
            files = [
                self._writers.submit(write_bytes, job.confidence, confidence),
                self._writers.submit(write_bytes, job.labels, labels),
            ]
        return _Result(found.score, files)

    def _finished(self, count: int) -> Iterator[Labelled | Failed]:
        """Wait for the next ``count`` images, in order."""
        for _ in range(count):
            job, result = self._waiting[0]
            event = self._note(job, result)
            self._waiting.popleft()
            yield event

    def _note(self, job: _Job, result: Future[_Result] | str) -> Labelled | Failed:
        if isinstance(result, str):
            self.failed += 1
            self._manifest.fail(job.name, result)
            return Failed(job.name, result)
        found = result.result()
        for file in found.files:
            file.result()
        self._manifest.add(
            job.name,
            {"score": round(found.score, 4), "source": stamp(job.path), "written": stamp(job.labels)},
        )
        self.labelled += 1
        return Labelled(job.name, job.labels, job.confidence, found.score)

    def _stop(self) -> None:
        """End all threads, and note what they have done: it need not be done again."""
        self._pool.shutdown(cancel_futures=True)
        self._writers.shutdown()
        for job, result in self._waiting:
            with contextlib.suppress(CoordError, OSError, CancelledError):  # the first of them is on its way
                self._note(job, result)


def _jobs(images: Path, out: Path) -> list[_Job]:
    """List the images, without what lies in ``out``, and where their results go."""
    inside = out.resolve()
    paths = (
        [p for p in list_images(images) if not p.resolve().is_relative_to(inside)] if images != out else []
    )
    if not paths:
        raise DataError(
            f"{images} holds no image",
            expected="a folder with JPEG, PNG, TIFF, WebP or BMP files other than the output folder",
            remedy="check the path",
        )
    relative = [path.relative_to(images) for path in paths]
    stems = Counter(r.with_suffix("") for r in relative)
    jobs = []
    for path, r in zip(paths, relative, strict=True):
        # a.jpg and a.png in one folder: both keep their whole name
        target = r.with_suffix(".png") if stems[r.with_suffix("")] == 1 else r.with_name(r.name + ".png")
        jobs.append(_Job(path, r.as_posix(), out / "labels" / target, out / "confidence" / target))
    return jobs


def _pixels(path: Path) -> int:
    try:
        width, height = image_size(path)
    except CoordError:
        return 1  # it fails, with its reason, when it is read
    return width * height


def _divide(jobs: Sequence[_Job], manifest: Manifest) -> tuple[list[_Job], int, int]:
    """Return what is to be done, and how many images are done already, and how many are kept as edited."""
    todo, done, edited = [], 0, 0
    for job in jobs:
        if manifest.is_edited(job.name, job.labels):
            edited += 1
        elif manifest.is_done(job.name, stamp(job.path), [job.labels, job.confidence]):
            done += 1
        else:
            todo.append(job)
    return todo, done, edited


def _batches(jobs: Sequence[_Job], size: int) -> Iterator[list[_Job]]:
    """Cut into batches of at most ``size`` images and about 32 million pixels."""
    batch: list[_Job] = []
    pixels = 0
    for job in jobs:
        more = _pixels(job.path)
        if batch and (len(batch) == size or pixels + more > _BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(job)
        pixels += more
    if batch:
        yield batch


def _read(read: Callable[[Path], Query], job: _Job) -> Query | str:
    """Return the image, or the reason why it cannot be read."""
    try:
        with Part("decoding"):
            return read(job.path)
    except (ImageError, OSError, MemoryError) as error:
        return str(error) or type(error).__name__


def _manifest(
    out: Path,
    propagator: Propagator,
    references: Sequence[Reference],
    rank: int,
    world: int,
    card: ModelCard | None,
) -> Manifest:
    options = dataclasses.asdict(propagator.options)
    calibration = propagator.calibration.to_json()
    hashed = [digest(r.image.tobytes(), r.labels.tobytes(), r.labels.shape, r.weight) for r in references]
    about: dict[str, Any] = {
        "model": propagator.predictor.model_id,
        "references": [{"name": r.name, "digest": h} for r, h in zip(references, hashed, strict=True)],
        "options": options,
        "calibration": calibration,
    }
    if card is not None:
        about |= {
            "model_name": card.name,
            "research_use": card.research_use,
            "model_data": card.data_source,
        }
    key = digest(about["model"], hashed, options, calibration)
    manifest = Manifest(out, key, about, rank, world)
    manifest.load()
    return manifest


def _complete(
    out: Path, jobs: Sequence[_Job], manifest: Manifest, classes: LabelClasses, *, redo: bool
) -> None:
    """Write what is about the whole folder, once all of it is done: whichever process ends last does."""
    whole = manifest
    if manifest.world > 1:
        whole, redo = manifest.whole(), True
        # every process notes its own work before it looks, so the last one sees all
        todo = {job.name for job in _divide(jobs, whole)[0]}
        if todo - set(whole.failures):
            return
        whole.failures = {name: reason for name, reason in whole.failures.items() if name in todo}
        whole.images = {name: entry for name, entry in whole.images.items() if name not in todo}
    classes.save(out / "classes.json")
    _sheet(out, jobs, whole, classes, redo=redo)
    whole.replace_parts()


def _sheet(out: Path, jobs: Sequence[_Job], manifest: Manifest, classes: LabelClasses, *, redo: bool) -> None:
    target = out / "contact_sheet.png"
    if target.is_file() and not redo:
        return
    done = [(manifest.images[j.name].get("score", 1.0), j) for j in jobs if j.name in manifest.images]
    done.sort(key=lambda pair: (pair[0], pair[1].name))
    with Part("contact sheet"):
        write_contact_sheet(target, [(j.path, j.labels, s) for s, j in done], classes)

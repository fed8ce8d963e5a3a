"""Train, and resume a training: generators of events, the same in one process and under `torchrun`."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import torch

from coordgan_core.config import Config, check
from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import CheckpointError, ConfigError, CoordError, DiskFullError
from coordgan_core.snapshot import inspect
from coordgan_core.training import checkpoint, outputs
from coordgan_core.training.distributed import Group, joined
from coordgan_core.training.events import (
    Decoding,
    Discarded,
    Event,
    Finished,
    ImageSkipped,
    Paused,
    Started,
)
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus, State
from coordgan_core.training.trainer import Trainer


def train(
    config: Config,
    *,
    images: str | Path,
    run: str | Path,
    device: str = "auto",
    labels: str | Path | None = None,
    start: str | Path | None = None,
    recursive: bool = True,
    name: str = "",
    category: str = "",
    licence: str = "",
) -> Iterator[Event]:
    """Train a model on a folder of images; yield what happens.

    Closing the iterator writes a checkpoint and ends the training; `resume` goes on bit for bit where it was.

    Args:
        config: What is trained, from a preset.
        images: Folder of the images, sub-folders included.
        run: Folder of the run, new or empty.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        labels: Folder of label maps of some of the images, whose propagation quality is then reported.
        start: Model file; its weights are taken over where name and shape agree.
        recursive: Whether sub-folders count.
        name: What the model's card calls it; the run folder's name where empty.
        category: What the images show, for the card.
        licence: Terms of use, for the card.

    Raises:
        CheckpointError: The run folder is not empty.
        DataError: There are no readable images, or labels fit none of them.
        ModelError: ``start`` is no model file.
        TrainingDivergedError: Losses became not-a-number again and again; the last good model is kept.
        OutOfMemoryError: Not even the smallest batch fits the device.
        DiskFullError: A file could not be written; the previous checkpoint is intact.

    Example:
        >>> from coordgan_core.presets import preset
        >>> for event in train(preset("quick-64"), images="photos", run="runs/1"):  # doctest: +SKIP
        ...     print(event)
    """
    check(config)
    if start is not None:
        inspect(start)  # better now than after all images were decoded
    settings = RunSettings(
        outputs.with_measured_box(config, Path(images), labels),
        str(images),
        _text(labels),
        device,
        _text(start),
        recursive,
        name,
        category,
        licence,
    )
    outputs.check_labels_folder(settings)
    with joined(device) as group:
        if group.leads:
            RunFolder.create(run, settings)
        group.share(None)  # nobody reads the folder before it is there
        yield from _drive(RunFolder.open(run), group, resumed=False)


def resume(run: str | Path, *, device: str | None = None, minutes: float | None = None) -> Iterator[Event]:
    """Go on with a training from its newest checkpoint; yield what happens.

    Args:
        run: Folder of the run.
        device: Another device than the one it was started with.
        minutes: The time it may still take, from now on: for a training whose time was up. Stages that were
            begun keep their planned length, so it may end earlier.

    Raises:
        CheckpointError: There is no training, or one of a newer version, or another process trains there, or
            ``minutes`` are given and all its stages are done.
        ConfigError: ``minutes`` is not positive, or the training never had a limit of time.
    """
    folder = RunFolder.open(run)
    if minutes is not None:
        _check_minutes(folder, minutes)
    with joined(device or folder.settings.device) as group:
        yield from _drive(folder, group, resumed=True, minutes=minutes or 0.0)


def _check_minutes(folder: RunFolder, minutes: float) -> None:
    train = folder.settings.config.train
    if not 0.0 < minutes < float("inf"):
        raise ConfigError(f"{minutes} minutes are given", expected="more than 0 minutes")
    if not train.minutes:
        raise ConfigError(
            f"{folder.path} trains without a limit of time, so it cannot be given more",
            remedy="resume it without --minutes",
        )
    newest, _ = checkpoint.newest(folder.checkpoints)
    if newest is not None and checkpoint.stage_of(newest) >= len(train.stages):
        raise CheckpointError(
            f"{folder.path} has no use for more time: all its stages are done",
            expected="a training whose time was up before",
            remedy=f"train on from its model in a new run, with --start {folder.model_path}",
        )


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def _drive(folder: RunFolder, group: Group, *, resumed: bool, minutes: float = 0.0) -> Iterator[Event]:
    with folder.locked() if group.leads else contextlib.nullcontext():
        if group.leads:
            folder.take_request()  # what was asked of an earlier trainer does not count
            folder.write_status(RunStatus("running", message="reading images"))
        for event in _guarded(folder, group, resumed=resumed, minutes=minutes):
            if group.leads and not isinstance(event, (Discarded, Decoding)):
                folder.log(event)
            yield event


def _guarded(folder: RunFolder, group: Group, *, resumed: bool, minutes: float) -> Iterator[Event]:
    """Train; whatever ends it, leave the folder resumable and say in its status what happened."""
    trainer: Trainer | None = None
    began, ended = resumed, False
    try:
        begin = time.monotonic()
        source = yield from _load_images(folder, group)
        trainer = Trainer(folder, source, group)
        began = True
        yield _started(folder, group, source, resumed=resumed)
        for event in trainer.run(spent_sec=time.monotonic() - begin, minutes=minutes):
            ended = isinstance(event, (Paused, Finished, Discarded))
            yield event
    except GeneratorExit:
        if group.leads and not ended:
            if trainer is not None and trainer.session.consistent:
                trainer.session.save()
            _tell(folder, RunStatus("paused", message="closed"))
        raise
    except BaseException as error:
        if group.leads and not began and isinstance(error, CoordError):
            folder.discard()  # so that the same command works once its mistake is corrected
        elif group.leads:
            state: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            told = dataclasses.replace(folder.status(), seconds_left=0.0)  # how far it came stays known
            _tell(folder, dataclasses.replace(told, state=state, message=str(error) or type(error).__name__))
        raise


def _started(folder: RunFolder, group: Group, source: ImageSource, *, resumed: bool) -> Started:
    return Started(
        run=folder.path,
        preset=folder.settings.config.preset,
        stages=folder.settings.config.train.stages,
        images=len(source),
        device=str(group.device),
        processes=group.world,
        resumed=resumed,
    )


def _tell(folder: RunFolder, status: RunStatus) -> None:
    if folder.path.is_dir():  # it may have been discarded
        with contextlib.suppress(DiskFullError):  # the error that brought us here matters more
            folder.write_status(status)


def _load_images(folder: RunFolder, group: Group) -> Generator[Event, None, ImageSource]:
    """Decode the images into the run folder's cache; the leading process first, for all."""
    source: ImageSource | None = None
    if group.leads:
        source = yield from _decode(folder)
    group.share(None)
    if source is None:
        source = yield from _decode(folder)
    if group.device.type == "cuda":
        pixels = len(source) * 3 * source.resolution**2
        if pixels < torch.cuda.mem_get_info(group.device)[0] // 4:
            source.preload(group.device)
    return source


class _StoppedError(Exception):
    """Nobody waits for the images any more."""


def _decode(folder: RunFolder) -> Generator[Event, None, ImageSource]:
    """Decode in a thread, so that events can be yielded meanwhile."""
    happened: queue.Queue[Event | ImageSource | BaseException] = queue.Queue()
    stop = threading.Event()

    def report(done: int, total: int) -> None:
        if stop.is_set():
            raise _StoppedError
        happened.put(Decoding(done, total))

    def work() -> None:
        settings = folder.settings
        try:
            happened.put(
                outputs.image_source(
                    settings,
                    cache=folder.path / "cache",
                    on_skip=lambda path, reason: happened.put(ImageSkipped(str(path), reason)),
                    progress=report,
                )
            )
        except BaseException as error:  # handed over to the consumer's thread
            happened.put(error)

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            item = happened.get()
            if isinstance(item, ImageSource):
                return item
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()

"""What a training will take, measured before it starts: ten steps of every stage on the device itself."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.data.images import list_images
from coordgan_core.devices import resolve_device
from coordgan_core.reports import Estimate, StageEstimate
from coordgan_core.training import checkpoint, outputs, stages
from coordgan_core.training.pace import Pace
from coordgan_core.training.run import KEEP_SNAPSHOTS, RunSettings
from coordgan_core.training.state import capture_stage, is_out_of_memory, seeded
from coordgan_core.training.stats import RunningMeans

if TYPE_CHECKING:
    from coordgan_core.data.sampler import ImageSource
    from coordgan_core.models.coordgan import CoordGAN

    Trying = Generator["Measuring", None, CoordGAN]

STEPS = 10
STAGE_SEC = 60.0
"""A stage is measured no longer than this, however slow its steps are."""

_IMAGES = 64  # decoded for the trial; all are counted
_SHEET_BYTES = 400_000  # the sheets of one snapshot, about


@dataclass(frozen=True)
class Measuring:
    """A step of the trial is done."""

    stage: str
    step: int
    steps: int


@dataclass
class _Trial:
    """What is found out on the way."""

    config: Config
    device: torch.device
    batch: int
    speeds: dict[str, tuple[float, int]] = field(default_factory=dict)
    state_bytes: int = 0
    model_bytes: int = 0
    warnings: list[str] = field(default_factory=list)


def estimate(
    config: Config,
    *,
    images: str | Path,
    run: str | Path | None = None,
    device: str = "auto",
    labels: str | Path | None = None,
    recursive: bool = True,
    steps: int = STEPS,
) -> Iterator[Measuring | Estimate]:
    """Measure a few steps of every stage; yield progress, and the estimate last. Nothing is written.

    Args:
        config: What is to be trained.
        images: Folder of the images.
        run: Where the run folder is to be; its disk is looked at.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        labels: Folder of label maps, for cropping to labels.
        recursive: Whether sub-folders count.
        steps: Steps of a stage that are measured, after one that is not.

    Raises:
        ConfigError: A value is out of range, or the device is not there.
        DataError: There are no readable images.
    """
    configuration.check(config)
    settings = RunSettings(
        outputs.with_measured_box(config, Path(images), labels),
        str(images),
        None if labels is None else str(labels),
        recursive=recursive,
    )
    count = len(list_images(Path(images), recursive))
    source = outputs.image_source(settings, limit=_IMAGES)
    trial = _Trial(settings.config, resolve_device(device), config.train.batch)
    if trial.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trial.device)
    model = _model(trial)
    for name in config.train.stages:
        model = yield from _measure(trial, name, model, source, steps)
        if name not in trial.speeds:
            break
    yield _summary(trial, count, Path(run) if run is not None else Path())


def _model(trial: _Trial, weights: dict[str, Any] | None = None) -> CoordGAN:
    with seeded(trial.config.train.seed, "model", 0, trial.device):
        model = stages.build_model(trial.config)
    if weights is not None:
        model.load_state_dict(weights)
    return model.to(trial.device)


def _measure(trial: _Trial, name: str, model: CoordGAN, source: ImageSource, steps: int) -> Trying:
    """Measure one stage with the largest batch that fits; return the model that the next one begins with."""
    while True:
        try:
            return (yield from _try_stage(trial, name, model, source, steps))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            before, trial.batch = trial.batch, trial.batch // 4 * 2
        if trial.device.type == "cuda":
            torch.cuda.empty_cache()
        if trial.batch < 2:
            trial.warnings.append(f"stage {name} does not fit the memory of {trial.device} at any batch")
            return model
        trial.warnings.append(f"a batch of {before} does not fit the memory; {trial.batch} will be used")


def _try_stage(trial: _Trial, name: str, model: CoordGAN, source: ImageSource, steps: int) -> Trying:
    config = configuration.replace(trial.config, **{"train.batch": trial.batch})
    with seeded(config.train.seed, f"{name}/build", 0, trial.device):
        stage = stages.build_stage(name, config, model, source, trial.device)
    means, done, begin = RunningMeans(), 0, time.monotonic()
    for step in range(steps + 1):
        images = source.batch(step * trial.batch, trial.batch, mirror=False, device=trial.device)
        means.add(stage.step(images, nimg=step * trial.batch))
        means.read()  # waits for the device
        if step == 0:  # the first one allocates, compiles and chooses kernels
            begin = time.monotonic()
            continue
        done = step
        yield Measuring(name, step, steps)
        if time.monotonic() - begin > STAGE_SEC:
            break
    trial.speeds[name] = done * trial.batch / max(time.monotonic() - begin, 1e-9), done
    trial.state_bytes = max(trial.state_bytes, _bytes(capture_stage(stage)) + _bytes(model.state_dict()))
    stage.finish()
    exported = stage.export()
    trial.model_bytes = _bytes(exported.state_dict())
    return _model(trial, dict(exported.state_dict()))


def _bytes(state: Any) -> int:
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(_bytes(value) for value in state.values())
    return sum(_bytes(value) for value in state) if isinstance(state, (list, tuple)) else 0


def _summary(trial: _Trial, images: int, run: Path) -> Estimate:
    measured = tuple(_stages(trial))
    snapshots = sum(1 + item.total_nimg // trial.config.train.snapshot_nimg for item in measured)
    pixels = images * 3 * trial.config.model.image_px**2
    disk = (
        pixels
        + (checkpoint.KEEP + 1) * trial.state_bytes  # one more while it is being written
        + (KEEP_SNAPSHOTS + 2) * trial.model_bytes
        + snapshots * _SHEET_BYTES
    )
    used, total = memory(trial.device)
    free = shutil.disk_usage(_existing(run)).free
    if disk > free:
        trial.warnings.append(f"the disk has {free / 1e9:.1f} GB free, {disk / 1e9:.1f} GB are needed")
    return Estimate(
        device=str(trial.device),
        seconds=sum(item.seconds for item in measured),
        memory_bytes=used,
        memory_total_bytes=total,
        disk_bytes=disk,
        disk_free_bytes=free,
        batch=trial.batch,
        images=images,
        stages=measured,
        warnings=tuple(trial.warnings),
    )


def _stages(trial: _Trial) -> Iterator[StageEstimate]:
    train, pace = trial.config.train, Pace(trial.config.train)
    for index, (name, (speed, steps)) in enumerate(trial.speeds.items()):
        if train.minutes:
            seconds = pace.stage_sec(index)
            pace.active_sec += seconds
            yield StageEstimate(name, speed, round(seconds * speed), seconds, steps)
        else:
            length = int(getattr(train, name).total_nimg)
            yield StageEstimate(name, speed, length, length / max(speed, 1e-9), steps)


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def memory(device: torch.device) -> tuple[int, int]:
    """Return (most that this process took, what there is) of a device's memory in bytes; 0 for unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device), torch.cuda.mem_get_info(device)[1]
    if sys.platform == "win32":
        return 0, 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, total

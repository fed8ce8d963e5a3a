"""Where a step's time goes, part by part, and how much of the device's arithmetic it uses.

Parts: ``data`` (images to the device), ``views`` (warping and recolouring), ``forward`` (networks and losses;
whatever is nothing else), ``backward``, ``optimiser``, ``average`` (moving average of the weights).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.devices import resolve_device, uses_bfloat16
from coordgan_core.timing import Clock, Part
from coordgan_core.training import outputs, stages
from coordgan_core.training.estimate import STAGE_SEC, Measuring
from coordgan_core.training.run import RunSettings
from coordgan_core.training.state import seeded

if TYPE_CHECKING:
    from coordgan_core.data.sampler import ImageSource
    from coordgan_core.models.coordgan import CoordGAN

PARTS = ("data", "views", "forward", "backward", "optimiser", "average")
STEPS = 16
"""Steps that are measured: one round of the lazy penalties of the adversarial stage."""
WARM_STEPS = 2  # allocate, compile and choose kernels, with the lazy penalties and without
_IMAGES = 64
_MATMUL = {"cuda": 8192, "cpu": 1024}
_MATMULS = 5


@dataclass(frozen=True)
class StageProfile:
    """One stage: seconds are those of a mean step.

    Attributes:
        name: The stage.
        steps: Steps that were measured.
        images_per_second: Over all of them.
        step_sec: Of one step.
        parts_sec: Of its parts; they add up to it.
        flops: Floating-point operations of matrix products and convolutions in a step.
        peak_share: Their rate, as a share of the device's measured peak.
    """

    name: str
    steps: int
    images_per_second: float
    step_sec: float
    parts_sec: dict[str, float]
    flops: float
    peak_share: float


@dataclass(frozen=True)
class Profile:
    """All stages of a training on a device; the peak is that of a large matrix product, in operations/s."""

    device: str
    precision: str
    batch: int
    peak_flops: float
    stages: tuple[StageProfile, ...]


def profile(
    config: Config,
    *,
    images: str | Path,
    device: str = "auto",
    labels: str | Path | None = None,
    recursive: bool = True,
    steps: int = STEPS,
) -> Iterator[Measuring | Profile]:
    """Measure some steps of every stage, all its losses on; yield progress, and the profile last.

    Args:
        config: What would be trained.
        images: Folder of the images; some of them are decoded.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        labels: Folder of label maps, for cropping to labels.
        recursive: Whether sub-folders count.
        steps: Steps of a stage that are measured, after two that are not.

    Raises:
        ConfigError: A value is out of range, or the device is not there.
        DataError: There are no readable images.
    """
    configuration.check(config)
    cut = outputs.with_measured_box(config, Path(images), labels)
    settings = RunSettings(cut, str(images), None if labels is None else str(labels), recursive=recursive)
    source, found = outputs.image_source(settings, limit=_IMAGES), resolve_device(device)
    if found.type == "cuda":
        source.preload(found)
    peak = matmul_peak(found, bfloat16=uses_bfloat16(config.train.precision, found))
    model, measured = _model(cut, found), []
    for name in config.train.stages:
        stage = build(name, cut, model, source, found)
        measured.append(measure(stage, cut, source, found, steps=steps, peak=peak))
        yield Measuring(name, steps, steps)
        stage.finish()
        weights = stage.export().state_dict()
        model = _model(cut, found)
        model.load_state_dict(weights)
    precision = "bfloat16" if uses_bfloat16(config.train.precision, found) else "float32"
    yield Profile(str(found), precision, config.train.batch, peak, tuple(measured))


def build(
    name: str, config: Config, model: CoordGAN, source: ImageSource, device: torch.device
) -> stages.Stage:
    """Build a stage as a training does, reproducibly."""
    with seeded(config.train.seed, f"{name}/build", 0, device):
        return stages.build_stage(name, config, model, source, device)


def measure(
    stage: stages.Stage,
    config: Config,
    source: ImageSource,
    device: torch.device,
    *,
    steps: int = STEPS,
    warm: int = WARM_STEPS,
    peak: float = 0.0,
) -> StageProfile:
    """Measure ``steps`` steps of a stage from where all its losses are on, after ``warm`` others.

    Less than a round of lazy penalties is measured without them. Operations are counted where ``peak``, of
    `matmul_peak`, is given. It ends early where steps are very slow.
    """
    batch, clock = config.train.batch, Clock(device)
    first = settled_nimg(config, stage.name)
    skipped = 0 if steps >= config.train.gan.lazy_every else 1

    def step(number: int) -> None:
        nimg = first + number * batch
        with Part("data"):
            images = source.batch(nimg, batch, mirror=config.train.mirror, device=device)
        stage.step(images, nimg=nimg)

    begin = time.perf_counter()
    for number in range(warm):
        step(number)
        if time.perf_counter() - begin > STAGE_SEC:
            break
    _wait(device)
    begin, done = time.perf_counter(), 0
    with clock.listen():
        while done < steps and (not done or time.perf_counter() - begin < STAGE_SEC):
            step(skipped + done)
            done += 1
        _wait(device)
    seconds = (time.perf_counter() - begin) / done
    parts = dict.fromkeys(PARTS, 0.0) | {k: v / done for k, v in clock.seconds().items()}
    parts["forward"] = max(0.0, seconds - sum(parts.values()))
    flops = _flops(stage, source.batch(first, batch, device=device), first + batch) if peak else 0.0
    share = flops / seconds / peak if peak else 0.0
    return StageProfile(stage.name, done, batch / seconds, seconds, parts, flops, share)


def settled_nimg(config: Config, stage: str) -> int:
    """Return how many images a stage has seen when all its losses are on and its images at full size."""
    train = config.train
    if stage == "gan":
        gan = train.gan
        settled = max(gan.adversarial_ramp_nimg[1], gan.swap_ramp_nimg, gan.structure_swap_from_nimg)
    elif stage == "embedding" and train.embedding.early_px:
        settled = int(train.embedding.early_share * train.embedding.total_nimg) + 1
    else:
        settled = 0
    unit = train.batch * train.gan.lazy_every
    return -(-settled // unit) * unit


def matmul_peak(device: torch.device, *, bfloat16: bool) -> float:
    """Return the operations a second of a large matrix product, the best of a few."""
    side = _MATMUL.get(device.type, 1024)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(_MATMULS):
        _wait(device)
        begin = time.perf_counter()
        torch.mm(a, b)
        _wait(device)
        best = min(best, time.perf_counter() - begin)
    return float(2 * side**3 / best)


def _flops(stage: stages.Stage, images: torch.Tensor, nimg: int) -> float:
    """Count the operations of one step without lazy penalties; compiled parts are run as they are."""
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        stage.step(images, nimg=nimg)
    return float(counter.get_total_flops())


def _model(config: Config, device: torch.device) -> CoordGAN:
    with seeded(config.train.seed, "model", 0, device):
        return stages.build_model(config).to(device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

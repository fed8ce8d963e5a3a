"""A training that is killed again and again, resumed each time, and in the end equals one that never was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.judge import Verdict
from tests.faults.processes import Message, Tell

TOTAL_NIMG = 240


def config() -> object:
    """Return the real first stage, small, with a checkpoint every moment and files of all kinds."""
    from coordgan_core.config import EmbeddingConfig
    from tests.core.tiny import tiny_config

    return tiny_config(
        **{
            "model.embedding": EmbeddingConfig(dim=4, channels=(4, 8), input_px=32, prototype_px=8),
            "train.stages": ("embedding",),
            "train.embedding.total_nimg": TOTAL_NIMG,
            "train.embedding.queries": 8,
            "train.snapshot_nimg": 80,
            "train.checkpoint_sec": 1.0,
            "train.batch": 2,
        }
    )


def train(tell: Tell, folder: Path, seed: int) -> None:
    """Begin the run in ``folder/run``, or go on with it; tell checkpoints and models that were written."""
    from coordgan_core.training import loop, trainer
    from coordgan_core.training.events import CheckpointWritten, Progress, SnapshotWritten
    from coordgan_core.training.run import is_run

    hurry(trainer)
    run = folder / "run"
    if is_run(run):
        events = loop.resume(run)
    else:
        events = loop.train(config(), images=folder / "images", run=run, device="cpu")  # type: ignore[arg-type]
    ready = False
    for event in events:
        if isinstance(event, Progress) and not ready:
            ready = True
            tell("ready")
        if isinstance(event, CheckpointWritten):
            tell("checkpoint", event.nimg)
        elif isinstance(event, SnapshotWritten):
            tell("snapshot", str(event.path))
    tell("ready" if not ready else "finished")


def hurry(module: Any) -> None:
    """Let the clock of the trainer run fifty times as fast: checkpoints are written all the time."""

    class Clock:
        def __getattr__(self, name: str) -> Any:
            return getattr(time, name)

        def monotonic(self) -> float:
            return 50.0 * time.monotonic()

    module.time = Clock()


def judge(folder: Path, messages: Sequence[Message]) -> Verdict:
    """Check that the newest checkpoint told is there and whole, that models are, and that the run opens."""
    from coordgan_core.snapshot import inspect
    from coordgan_core.training import checkpoint
    from coordgan_core.training.run import RunFolder, is_run

    verdict = Verdict()
    run = folder / "run"
    told = [m[1] for m in messages if m[0] == "checkpoint"]
    models = [m[1] for m in messages if m[0] == "snapshot"]
    verdict.committed += len(told) + len(models)
    if not is_run(run):
        if told:
            verdict.lost.append("the whole run")
        return verdict
    try:
        opened = RunFolder.open(run)
        opened.status()
        list(opened.events())
        newest, _ = checkpoint.newest(run / "checkpoints")
        nimg = checkpoint.read(newest)["position"]["nimg"] if newest is not None else -1
        if told and nimg < max(told):
            verdict.lost.append(f"the checkpoint of {max(told)} images: the newest is of {nimg}")
        for path in [*sorted((run / "snapshots").glob("*.safetensors")), *run.glob("model.safetensors")]:
            inspect(path)
        if models and not opened.model_path.exists():
            verdict.lost.append("the model of the run")
    except Exception as error:
        verdict.damaged.append(f"the run: {type(error).__name__}: {error}")
    return verdict


def compare(tell: Tell, folder: Path, seed: int) -> None:
    """Finish the run that was killed, train another one without, and tell whether both are equal."""
    from coordgan_core.training import loop
    from tests.core.training.toys import assert_same, final_state

    if not (folder / "whole").exists():
        list(loop.train(config(), images=folder / "images", run=folder / "whole", device="cpu"))  # type: ignore[arg-type]
    list(loop.resume(folder / "run"))
    try:
        assert_same(final_state(folder / "run"), final_state(folder / "whole"))
    except AssertionError as error:
        tell("differs", str(error)[:300])
    else:
        tell("same")

"""What the loop does when it is killed, finds nothing whole, diverges, or runs out of memory or disk."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from coordgan_core.errors import (
    DiskFullError,
    OutOfMemoryError,
    TrainingDivergedError,
)
from coordgan_core.training import checkpoint
from coordgan_core.training import events as ev
from coordgan_core.training.loop import resume, train
from coordgan_core.training.run import RunFolder
from tests.core.training import toys
from tests.core.training.toys import assert_same, final_state, run_whole, toy_config

KILLED = """
import sys
from coordgan_core.training import pace
from coordgan_core.training.loop import train
from tests.core.training import toys

class Patch:
    setattr = staticmethod(setattr)

toys.install(Patch)
pace.Pace.stride = lambda self, batch: 1
for event in train(toys.toy_config(**{"train.checkpoint_sec": 1.0}), images=sys.argv[1], run=sys.argv[2]):
    print(type(event).__name__, flush=True)
    if type(event).__name__ == "Progress":
        import time; time.sleep(0.3)
"""


def test_a_killed_training_resumes_as_if_nothing_had_happened(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "whole")
    run = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(images), str(run)],
        stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "CheckpointWritten":
                break
        next(process.stdout)  # one more step, which is lost
        process.send_signal(signal.SIGKILL)
    folder = RunFolder.open(run)
    assert folder.status().state == "interrupted"
    assert 0 < final_state(run)["position"]["nimg"] < 40
    list(resume(run))
    assert_same(final_state(run), final_state(tmp_path / "whole"))


def test_a_cut_checkpoint_is_passed_over_for_the_one_before(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "run")
    newest, _ = checkpoint.newest(tmp_path / "run/checkpoints")
    assert newest is not None
    expected = final_state(tmp_path / "run")
    newest.write_bytes(newest.read_bytes()[:-100])
    happened = list(resume(tmp_path / "run"))
    notices = [event.message for event in happened if isinstance(event, ev.Notice)]
    assert notices == [f"checkpoint {newest.name} is damaged and was passed over for the one before"]
    assert_same(final_state(tmp_path / "run"), expected)


def test_no_whole_checkpoint_means_starting_over(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "run")
    expected = final_state(tmp_path / "run")
    for path in (tmp_path / "run/checkpoints").glob("*.pt"):
        path.write_bytes(b"")
    happened = list(resume(tmp_path / "run"))
    assert sum(isinstance(event, ev.Notice) for event in happened) == 2
    assert_same(final_state(tmp_path / "run"), expected)


class Diverging(toys.ToyStage):
    """Breaks at 20 images, as often as told."""

    times = 1

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        scalars = super().step(images, nimg=nimg)
        if nimg == 20 and self.name == "gan" and type(self).times > 0:
            type(self).times -= 1
            with torch.no_grad():
                self._model.first.weight.fill_(math.nan)
            return {"loss": torch.tensor(math.nan)}
        return scalars


def test_not_a_number_goes_back_to_the_last_checkpoint_with_other_draws(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    toys.install(toy, Diverging)
    toy.setattr(Diverging, "times", 1)
    cut = train(toy_config(), images=images, run=tmp_path / "run")
    for event in cut:
        if isinstance(event, ev.Progress) and event.nimg == 12:
            break
    cut.close()  # leaves a checkpoint at 12
    happened = list(resume(tmp_path / "run"))
    back = [event for event in happened if isinstance(event, ev.RolledBack)]
    assert back == [ev.RolledBack("gan", 24, 12, "loss became not-a-number", 1)]
    assert isinstance(happened[-1], ev.Finished)
    state = final_state(tmp_path / "run")
    assert state["position"]["salt"] == 1
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_a_training_that_diverges_again_and_again_is_given_up_and_keeps_its_model(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    toys.install(toy, Diverging)
    toy.setattr(Diverging, "times", 100)
    happened = train(toy_config(**{"train.rollbacks": 2}), images=images, run=tmp_path / "run")
    seen = []
    with pytest.raises(TrainingDivergedError, match="after 2 fresh attempts"):
        seen.extend(happened)  # extend keeps what came before the error
    folder = RunFolder.open(tmp_path / "run")
    assert sum(isinstance(event, ev.RolledBack) for event in folder.events()) == 2
    assert folder.status().state == "failed"
    model = load_file(folder.model_path)
    assert all(torch.isfinite(value).all() for value in model.values())


class Poisoned(toys.ToyStage):
    """Its losses are finite to the end, its weights are not."""

    times = 1

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        scalars = super().step(images, nimg=nimg)
        if nimg == 36 and self.name == "gan" and type(self).times > 0:
            type(self).times -= 1
            with torch.no_grad():
                self._average.last.bias.fill_(math.inf)
        return scalars


def test_broken_weights_never_become_a_model(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    toys.install(toy, Poisoned)
    toy.setattr(Poisoned, "times", 1)
    happened = run_whole(images, tmp_path / "run")
    (back,) = [event for event in happened if isinstance(event, ev.RolledBack)]
    assert (back.at_nimg, back.reason) == (40, "weights became not-a-number")
    for path in (tmp_path / "run/snapshots").iterdir():
        assert all(torch.isfinite(value).all() for value in load_file(path).values())


class Greedy(toys.ToyStage):
    """Fits one image a step."""

    fits = 2

    def step(self, images: Tensor, *, nimg: int) -> Mapping[str, Tensor]:
        if len(images) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().step(images, nimg=nimg)


def test_out_of_memory_halves_the_batch(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    toys.install(toy, Greedy)
    happened = run_whole(images, tmp_path / "run", **{"train.batch": 8})
    assert [event for event in happened if isinstance(event, ev.BatchHalved)] == [
        ev.BatchHalved(8, 4, 0),
        ev.BatchHalved(4, 2, 0),
    ]
    progress = [event.nimg for event in happened if isinstance(event, ev.Progress) and event.stage == "gan"]
    assert progress == list(range(2, 41, 2))


def test_out_of_memory_with_the_smallest_batch_is_an_error(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    toys.install(toy, Greedy)
    toy.setattr(Greedy, "fits", 1)
    with pytest.raises(OutOfMemoryError, match=r"a step with 2 images|A step with 2 images"):
        run_whole(images, tmp_path / "run")


def test_other_runtime_errors_are_not_taken_for_memory(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    toy.setattr(
        toys.ToyStage, "step", lambda self, images, nimg: (_ for _ in ()).throw(RuntimeError("shapes"))
    )
    with pytest.raises(RuntimeError, match="shapes"):
        run_whole(images, tmp_path / "run")


def test_a_full_disk_is_an_error_that_leaves_the_previous_checkpoint(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    happened = train(toy_config(), images=images, run=tmp_path / "run")
    next(event for event in happened if isinstance(event, ev.StageFinished))
    before = final_state(tmp_path / "run")

    def full(self: object, content: bytes) -> int:
        self.error = OSError(28, "No space left on device")  # type: ignore[attr-defined]
        raise self.error  # type: ignore[attr-defined]

    toy.setattr(checkpoint._Hashing, "write", full)
    with pytest.raises(DiskFullError, match="No space left"):
        list(happened)
    assert_same(final_state(tmp_path / "run"), before)
    assert not list((tmp_path / "run/checkpoints").glob(".*"))

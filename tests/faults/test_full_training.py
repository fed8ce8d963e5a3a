"""A training whose disk fills up: a real small disk, the real trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coordgan_core.errors import DiskFullError
from coordgan_core.training import events as ev
from coordgan_core.training import trainer
from coordgan_core.training.loop import resume, train
from coordgan_core.training.run import RunFolder
from tests.core.training.toys import assert_same, final_state
from tests.disks import fill, small_disk_at
from tests.faults import trainings


def test_a_training_whose_disk_fills_up_says_so_and_ends_as_an_undisturbed_one(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "time", trainer.time)  # put back what is hurried
    trainings.hurry(trainer)
    config: Any = trainings.config()
    with small_disk_at(tmp_path / "disk", "24m") as disk:
        run = disk / "run"
        happened = train(config, images=images, run=run, device="cpu")
        next(event for event in happened if isinstance(event, ev.CheckpointWritten))
        filler = fill(disk)
        with pytest.raises(DiskFullError, match="No space left"):
            list(happened)
        folder = RunFolder.open(run)
        assert folder.status().state in ("failed", "interrupted"), "both can be resumed"
        filler.unlink()
        resumed = list(resume(run))
        assert not any(isinstance(event, ev.Notice) for event in resumed), "the checkpoint was whole"
        assert resumed[0].__class__ is ev.Started or isinstance(resumed[0], ev.Decoding)
        list(train(config, images=images, run=tmp_path / "whole", device="cpu"))
        assert_same(final_state(run), final_state(tmp_path / "whole"))

"""The course of a training: what it tells, that it can be resumed, its limits."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from coordgan_core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
)
from coordgan_core.training import events as ev
from coordgan_core.training import pace, trainer
from coordgan_core.training.loop import resume, train
from coordgan_core.training.run import RunFolder
from tests.core.training.toys import assert_same, final_state, run_whole, toy_config


def test_a_training_tells_its_course(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    happened = run_whole(images, tmp_path / "run")
    kinds = [type(event).__name__ for event in happened if not isinstance(event, (ev.Progress, ev.Decoding))]
    assert kinds == [
        "ImageSkipped",
        "Started",
        "StageStarted",
        *["SnapshotWritten"] * 3,  # at 16, 32 and, when the stage is done, at 40
        "CheckpointWritten",
        "StageFinished",
        "StageStarted",
        *["SnapshotWritten"] * 2,
        "CheckpointWritten",
        "StageFinished",
        "Finished",
    ]
    progress = [event for event in happened if isinstance(event, ev.Progress)]
    assert [(event.stage, event.nimg) for event in progress] == [
        *(("gan", nimg) for nimg in range(4, 41, 4)),
        *(("encoder", nimg) for nimg in range(4, 25, 4)),
    ]
    assert progress[9].scalars["loss"] < progress[0].scalars["loss"]
    assert all(event.images_per_second > 0 and event.seconds_left >= 0 for event in progress)
    folder = RunFolder.open(tmp_path / "run")
    status = folder.status()
    assert (status.state, status.nimg, status.total_nimg) == ("finished", 64, 64)
    logged = [event for event in folder.events() if not isinstance(event, ev.Decoding)]
    assert logged == [event for event in happened if not isinstance(event, ev.Decoding)]
    started = next(event for event in happened if isinstance(event, ev.Started))
    assert (started.images, started.resumed) == (7, False)


def test_the_next_stage_begins_with_the_finished_average(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    happened = train(toy_config(), images=images, run=tmp_path / "run")
    for event in happened:
        if isinstance(event, ev.StageFinished):
            break
    happened.close()
    state = final_state(tmp_path / "run")
    assert state["position"] == {"stage": 1, "nimg": 0, "batch": 4, "seen_nimg": 40, "salt": 0}
    published = load_file(tmp_path / "run/model.safetensors")
    assert_same(dict(state["model"]), dict(published))


@pytest.mark.parametrize("ticks", [1, 2, 9, 10, 11, 15])
def test_a_closed_and_resumed_training_equals_one_that_was_not(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path, ticks: int
) -> None:
    run_whole(images, tmp_path / "whole")
    happened = train(toy_config(), images=images, run=tmp_path / "cut")
    seen = 0
    while seen < ticks:
        seen += isinstance(next(happened), ev.Progress)
    happened.close()
    assert RunFolder.open(tmp_path / "cut").status().state == "paused"
    torch.manual_seed(ticks)  # whatever the program draws meanwhile
    rest = list(resume(tmp_path / "cut"))
    assert sum(isinstance(event, ev.Progress) for event in rest) == 16 - ticks
    assert_same(final_state(tmp_path / "cut"), final_state(tmp_path / "whole"))


def test_a_first_model_is_there_early(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    toy.setattr(trainer, "FIRST_SNAPSHOT_SEC", 0.0)
    happened = run_whole(images, tmp_path / "run", **{"train.snapshot_nimg": 1000})
    snapshots = [(event.stage, event.nimg) for event in happened if isinstance(event, ev.SnapshotWritten)]
    assert snapshots == [("gan", 4), ("gan", 40), ("encoder", 24)]


def test_resuming_does_not_begin_with_a_snapshot(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    happened = train(toy_config(), images=images, run=tmp_path / "run")
    next(event for event in happened if isinstance(event, ev.Progress) and event.nimg == 20)
    happened.close()
    snapshots = [event.nimg for event in resume(tmp_path / "run") if isinstance(event, ev.SnapshotWritten)]
    assert snapshots == [32, 40, 16, 24]


def test_the_stride_between_ticks_changes_nothing(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "one")
    toy.setattr(pace.Pace, "stride", lambda self, batch: 3)
    run_whole(images, tmp_path / "three")
    assert_same(final_state(tmp_path / "three"), final_state(tmp_path / "one"))


def test_a_training_leaves_the_global_random_draws_alone(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run_whole(images, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_gives_another_training(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    run_whole(images, tmp_path / "a")
    run_whole(images, tmp_path / "b", **{"train.seed": 4})
    a, b = (final_state(tmp_path / name)["model"]["first.weight"] for name in "ab")
    assert not torch.equal(a, b)


def test_resuming_a_finished_training_says_so_and_changes_nothing(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "run")
    before = final_state(tmp_path / "run")
    again = list(resume(tmp_path / "run"))
    assert isinstance(again[-1], ev.Finished)
    assert not any(isinstance(event, ev.Progress) for event in again)
    assert_same(final_state(tmp_path / "run"), before)


@pytest.mark.parametrize(("request_", "state"), [("pause", "paused"), ("stop", "finished")])
def test_a_request_ends_the_training_and_it_can_be_resumed(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path, request_: str, state: str
) -> None:
    run_whole(images, tmp_path / "whole")
    happened = train(toy_config(), images=images, run=tmp_path / "run")
    for event in happened:
        if isinstance(event, ev.Progress) and event.nimg == 8:
            RunFolder.open(tmp_path / "run").request(request_)  # type: ignore[arg-type]
        last = event
    assert isinstance(last, ev.Paused if request_ == "pause" else ev.Finished)
    folder = RunFolder.open(tmp_path / "run")
    assert folder.status().state == state
    assert folder.model_path.exists() == (request_ == "stop")
    list(resume(tmp_path / "run"))
    assert_same(final_state(tmp_path / "run"), final_state(tmp_path / "whole"))


def test_discarding_deletes_the_run(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    happened = train(toy_config(), images=images, run=tmp_path / "run")
    for event in happened:
        if isinstance(event, ev.Progress):
            RunFolder.open(tmp_path / "run").request("discard")
            break
    assert list(happened)[-1] == ev.Discarded(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert len(list(images.iterdir())) == 8


def test_one_trainer_a_run(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    first = train(toy_config(), images=images, run=tmp_path / "run")
    next(event for event in first if isinstance(event, ev.Progress))
    with pytest.raises(CheckpointError, match="another process|Another process"):
        next(resume(tmp_path / "run"))
    assert RunFolder.open(tmp_path / "run").status().state == "running"
    first.close()


def test_a_run_folder_in_use_is_not_trained_over(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds a training already"):
        run_whole(images, tmp_path / "run")
    with pytest.raises(CheckpointError, match="is not empty"):
        run_whole(images, images)


def test_a_run_of_a_newer_format_is_refused(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    run_whole(images, tmp_path / "run")
    path = tmp_path / "run/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2, "program": "9.0"}))
    with pytest.raises(CheckpointError, match=r"run format 2, written by version 9\.0"):
        next(resume(tmp_path / "run"))


def test_a_folder_without_images_is_an_error(toy: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        run_whole(tmp_path / "empty", tmp_path / "run")
    assert not (tmp_path / "run").exists()  # the same command works with the right folder


def test_changed_images_are_told(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    happened = train(toy_config(), images=images, run=tmp_path / "run")
    next(event for event in happened if isinstance(event, ev.Progress))
    happened.close()
    (images / "3.png").unlink()
    notices = [event for event in resume(tmp_path / "run") if isinstance(event, ev.Notice)]
    assert len(notices) == 1
    assert "not those" in notices[0].message


def test_a_time_budget_fixes_the_lengths_once(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    config = toy_config(**{"train.minutes": 0.04, "train.stage_shares": [3.0, 1.0]})
    toy.setattr(pace.Pace, "stride", lambda self, batch: 25)
    happened = train(config, images=images, run=tmp_path / "run", device="cpu")
    first = list(itertools.takewhile(lambda event: not isinstance(event, ev.Progress), happened))
    planned = next(event for event in first if isinstance(event, ev.Planned))
    started = next(event for event in first if isinstance(event, ev.StageStarted))
    assert planned.total_nimg == started.total_nimg == RunFolder.open(tmp_path / "run").plan()["gan"]
    happened.close()
    rest = list(resume(tmp_path / "run"))
    assert [event.stage for event in rest if isinstance(event, ev.Planned)] == ["encoder"]
    assert (
        next(event for event in rest if isinstance(event, ev.StageStarted)).total_nimg == planned.total_nimg
    )
    finished = rest[-1]
    assert isinstance(finished, ev.Finished)
    assert finished.active_sec < 2.4 * 1.5


def test_a_training_slower_than_planned_ends_with_its_time(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    toy.setattr(pace.Pace, "time_is_up", lambda self: True)
    happened = run_whole(images, tmp_path / "run")
    assert isinstance(happened[-1], ev.Finished)
    assert happened[-1].reason == "its time is up"
    assert sum(isinstance(event, ev.Progress) for event in happened) == 1
    assert (tmp_path / "run/model.safetensors").exists()


def test_a_training_whose_time_was_up_is_given_more(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    toy.setattr(pace.Pace, "stage_sec", lambda self, stage: 0.2)
    with toy.context() as impatient:
        impatient.setattr(pace.Pace, "time_is_up", lambda self: True)
        cut = run_whole(images, run, **{"train.minutes": 0.01})[-1]
    assert isinstance(cut, ev.Finished)
    assert cut.reason == "its time is up"
    planned = RunFolder.open(run).plan()
    assert set(planned) == {"gan"}
    rest = list(resume(run, minutes=2.0))
    assert isinstance(rest[-1], ev.Finished)
    assert rest[-1].reason == "all stages are done"
    assert next(event for event in rest if isinstance(event, ev.StageStarted)).total_nimg == planned["gan"]
    budget = RunFolder.open(run).budget()
    assert budget is not None
    assert budget.limit_sec - budget.sec == pytest.approx(12.0)
    assert cut.active_sec < budget.sec - 120.0 + 0.5 < rest[-1].active_sec + 0.5
    with pytest.raises(CheckpointError, match="all its stages are done.*--start"):
        next(resume(run, minutes=1.0))
    assert RunFolder.open(run).status().state == "finished"


def test_only_a_training_with_a_limit_of_time_is_given_more(
    toy: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    run_whole(images, tmp_path / "run")
    with pytest.raises(ConfigError, match="without a limit of time"):
        next(resume(tmp_path / "run", minutes=1.0))
    with pytest.raises(ConfigError, match="more than 0 minutes"):
        next(resume(tmp_path / "run", minutes=0.0))


def test_shares_must_fit_the_stages(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 positive numbers"):
        run_whole(images, tmp_path / "run", **{"train.stage_shares": [1.0]})


def test_an_odd_batch_is_refused(toy: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="an even number"):
        run_whole(images, tmp_path / "run", **{"train.batch": 3})

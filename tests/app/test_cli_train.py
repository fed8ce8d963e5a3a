from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from app.cli import main
from app.commands.output import duration
from app.commands.train import configure
from app.commands.train_view import TrainView, sentence
from coordgan_core.config import Config
from coordgan_core.errors import ConfigError
from coordgan_core.training import events as ev
from coordgan_core.training import pace
from coordgan_core.training.run import RunFolder
from tests.core.training import toys

FAST = [
    "--preset",
    "paper-128",
    "--nimg",
    "12",
    "--batch",
    "4",
    "--set",
    "model.resolution=32",
    "--set",
    "model.encoder.downsamplings=2",
    "--device",
    "cpu",
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return toys.write_images(tmp_path / "images", count=4)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.install(monkeypatch)
    monkeypatch.setattr(pace.Pace, "stride", lambda self, batch: 1)


@pytest.mark.usefixtures("toy")
def test_a_training_from_the_command_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs/one"
    assert main(["train", "--images", str(images), "--run", str(run), *FAST, "--json"]) == 0
    streams = capsys.readouterr()
    events = [json.loads(line) for line in streams.out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "decoding"][:3] == [
        "image_skipped",
        "started",
        "stage_started",
    ]
    assert events[-1]["event"] == "finished"
    assert "Finished after" in streams.err
    assert main(["runs", str(tmp_path / "runs"), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert (listed["run"], listed["preset"], listed["state"]) == ("one", "paper-128", "finished")
    (tmp_path / "runs/two").mkdir()
    (tmp_path / "runs/two/config.json").write_text("{}")
    assert main(["runs", str(tmp_path / "runs")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "one  paper-128  finished  encoder 100%"
    assert second.startswith("two  cannot be read: ")


@pytest.mark.usefixtures("toy")
def test_training_in_a_used_folder_is_an_error(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--images", str(images), "--run", str(tmp_path / "run"), *FAST]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert "holds a training already" in capsys.readouterr().err
    assert main(["resume", str(tmp_path / "run")]) == 0


INTERRUPTED = """
import sys
from tests.core.training import toys
from coordgan_core.training import pace

class Patch:
    setattr = staticmethod(setattr)

class Slow(toys.ToyStage):
    def step(self, images, *, nimg):
        import time
        time.sleep(0.05)
        return super().step(images, nimg=nimg)

toys.install(Patch, Slow)
pace.Pace.stride = lambda self, batch: 1
from app.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_run_resumable(images: Path, tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    arguments = ["train", "--images", str(images), "--run", str(run), *FAST, "--nimg", "100000", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"progress"' in line:
                process.send_signal(number)
                break
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1])["event"] == "paused"
    assert "coordlabel resume" in errors
    assert RunFolder.open(run).status().state == "paused"
    assert list((run / "checkpoints").glob("*.pt"))


def test_flags_change_the_preset() -> None:
    config = configure(
        "paper-128",
        {"train.minutes": 5.0, "train.batch": None},
        ["train.mirror=false", "model.warp.grid=centres", "train.gan.adversarial_ramp_nimg=1,2"],
    )  # fmt: skip
    assert config.train.minutes == 5.0
    assert config.train.batch == Config().train.batch
    assert config.train.mirror is False
    assert config.model.warp.grid == "centres"
    assert config.train.gan.adversarial_ramp_nimg == (1, 2)


def test_a_length_in_images_replaces_the_presets_time_limit() -> None:
    assert configure("quick-64", {}, []).train.minutes > 0
    config = configure("quick-64", {}, [], nimg=640)
    assert config.train.minutes == 0
    assert {getattr(config.train, stage).total_nimg for stage in config.train.stages} == {640}
    assert configure("quick-64", {"train.minutes": 2.0}, [], nimg=640).train.minutes == 2.0


@pytest.mark.parametrize("setting", ["train.batch", "train.batch=x", "nothing=1", "train.batch=0"])
def test_settings_are_checked(setting: str) -> None:
    with pytest.raises(ConfigError):
        configure("paper-128", {}, [setting])


def test_every_event_that_matters_has_a_sentence() -> None:
    silent = {
        ev.Decoding,
        ev.StageStarted,
        ev.Progress,
        ev.StageFinished,
        ev.SheetWritten,
        ev.CheckpointWritten,
    }
    assert "0.512" in sentence(ev.Validated("gan", 3, 0.5123, 0.4))
    assert "from 8 to 4" in sentence(ev.BatchHalved(8, 4, 0))
    for cls in set(ev.Event.__subclasses__()) - silent:
        values = ["x" if field != "miou" else 0.5 for field in cls.__dataclass_fields__]
        if not {"active_sec", "images_per_second", "miou"} & set(cls.__dataclass_fields__):
            assert sentence(cls(*values))


def test_a_terminal_gets_a_bar_with_time_left_and_a_file_gets_lines() -> None:
    events = [
        ev.Started(Path("runs/1"), "quick-64", ("joint",), 70, "cpu", 1, resumed=True),
        ev.StageStarted("joint", 0, 200, 8),
        ev.Progress("joint", 50, 200, 20.0, 3700.0, 2.5, {"loss": 0.25}),
        ev.Notice("[looks like markup]"),
    ]
    terminal, file = io.StringIO(), io.StringIO()
    for stream, is_terminal in ((terminal, True), (file, False)):
        console = Console(file=stream, force_terminal=is_terminal, width=120, highlight=False)
        with TrainView(console) as view:
            for event in events:
                view.show(event)
    assert "20.0 img/s  62 min left" in terminal.getvalue()
    assert file.getvalue().splitlines() == [
        "Resuming quick-64 on 70 images, cpu, in runs/1",
        "joint 25%  20.0 img/s  62 min left  loss 0.25",
        "[looks like markup]",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5400, "1 h 30 min"), (1e5, "27 h 47 min")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.usefixtures("toy")
def test_a_profile_says_where_the_time_of_a_step_goes(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--profile", "--images", str(images), *FAST]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("On cpu in float32, 4 images a step; ")
    assert [line.split()[0] for line in lines[2:8]] == [
        "data",
        "views",
        "forward",
        "backward",
        "optimiser",
        "average",
    ]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["event"] == "profile"
    assert [stage["name"] for stage in found["stages"]] == ["gan", "encoder"]

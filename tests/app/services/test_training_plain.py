"""The parts of the service of trainings that need no process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from app.services import training_follow, training_form
from app.services import training_process as processes
from app.services.training_follow import RunReader
from app.services.training_queue import Order, Queue, QueueFile, conflict
from app.services.training_state import RunLook, log_tail, view_of
from app.services.training_values import RunState, TrainRequest
from coordgan_core import config as configuration
from coordgan_core.config import Config
from coordgan_core.presets import PRESETS
from coordgan_core.training import events as ev
from coordgan_core.training.run import RunFolder, RunSettings, RunStatus

# --- the form


@pytest.mark.parametrize("name", PRESETS)
def test_every_field_of_a_configuration_is_in_the_form_and_can_be_given_back(name: str) -> None:
    fields = training_form.fields(name)
    flat = dict(
        flattened({part: configuration.to_dict(getattr(PRESETS[name], part)) for part in ("model", "train")})
    )
    assert {field.key for field in fields} == set(flat)
    for field in fields:
        given = list(field.default) if isinstance(field.default, tuple) else field.default
        assert given == (list(flat[field.key]) if isinstance(flat[field.key], tuple) else flat[field.key])
        assert training_form.problem(name, {field.key: given}) == ""
        assert field.help
        assert field.label[0].isupper() or field.label[0].isdigit()
        assert field.group_title.endswith(".")
        assert field.kind in ("int", "float", "bool", "choice", "choices", "list", "text")
        assert field.kind != "choice" or field.default in field.choices
    assert [f.key for f in fields if f.basic and f.key.startswith("train")]


def flattened(values: dict[str, Any], prefix: str = "") -> Any:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        elif not (value is None and key in ("encoder", "embedding", "dense_head")):
            yield prefix + key, value


def test_fields_say_what_they_take_and_whether_they_matter() -> None:
    fields = {field.key: field for field in training_form.fields("quick-64")}
    batch = fields["train.batch"]
    assert (batch.kind, batch.low, batch.high, batch.unit) == ("int", 2, 1024, "images")
    assert fields["model.crop.mode"].choices == ("whole", "centre", "labels", "box")
    assert (fields["model.crop.box"].kind, fields["model.crop.box"].length) == ("list", 4)
    assert fields["train.stages"].kind == "choices"
    assert not fields["train.gan.warp"].used
    assert fields["train.joint.dense"].used
    assert "batch is 3" in training_form.problem("quick-64", {"train.batch": 3})
    assert training_form.presets()[0].name == "quick-64"


# --- the queue


def order(name: str, device: str = "cpu", state: Any = "waiting") -> Order:
    return Order(Path(name), "train", device, state=state)


def test_one_run_a_device_begins() -> None:
    queue = Queue(
        [order("a"), order("b"), order("c", "cuda:0"), order("d", "cuda:1"), order("e", "cuda:all")]
    )
    assert [o.run.name for o in queue.startable()] == ["a", "c", "d"]
    queue.orders[0].state = "started"
    assert [o.run.name for o in queue.startable()] == ["c", "d"]
    assert [queue.place(o) for o in queue.orders] == [0, 1, 1, 1, 3]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("cpu", "cpu", True),
        ("cpu", "cuda:0", False),
        ("cuda:0", "cuda:1", False),
        ("cuda:all", "cuda:1", True),
        ("auto", "cpu", True),
        ("cuda:all", "cpu", False),
    ],
)
def test_devices_are_shared_or_not(first: str, second: str, shared: bool) -> None:  # noqa: FBT001
    assert conflict(first, second) is conflict(second, first) is shared


def test_waiting_runs_change_places_and_others_keep_theirs() -> None:
    queue = Queue([order("a"), order("x", "cuda:0"), order("b"), order("c")])
    queue.move(queue.orders[3], 1)
    assert [o.run.name for o in queue.orders] == ["c", "x", "a", "b"]
    queue.move(queue.orders[0], 99)
    assert [o.run.name for o in queue.orders] == ["a", "x", "b", "c"]


def test_the_queue_comes_back_from_disk(tmp_path: Path) -> None:
    request = TrainRequest(
        Path("photos"),
        changes={"model.crop.box": (0.0, 0.1, 0.9, 1.0)},
        labels={"a.jpg": Path("there/a.png")},
        start=Path("m.safetensors"),
        licence="CC0",
    )
    file = QueueFile(tmp_path / "queue.json")
    with file.changing() as queue:
        queue.orders.append(Order(tmp_path / "run", request=request, asked="pause"))
    assert QueueFile(tmp_path / "queue.json").read() == queue
    with file.changing() as queue:
        pass
    document = json.loads((tmp_path / "queue.json").read_text())
    document["orders"][0]["invented later"] = 1
    (tmp_path / "queue.json").write_text(json.dumps(document))
    assert file.read() == queue


# --- the process


def test_a_request_becomes_a_command_line_that_means_the_same(tmp_path: Path) -> None:
    from app.commands.train import configure

    changes = {
        "train.batch": 8,
        "model.crop.mode": "box",
        "model.crop.box": (0.1, 0.2, 0.8, 0.9),
        "train.mirror": True,
    }
    request = TrainRequest(Path("photos"), changes=changes, licence="own use", recursive=False)
    words = processes.arguments(Order(tmp_path, request=request, device="cuda:1"))
    assert words[words.index("--device") + 1] == "cuda:1"
    assert words[words.index("--licence") + 1] == "own use"
    assert "--no-recursive" in words
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    expected = training_form.changed("quick-64", changes)
    assert configure("quick-64", {}, settings) == expected


def test_several_cards_train_through_torchrun(tmp_path: Path) -> None:
    words = processes.arguments(Order(tmp_path, "resume", "cuda:all"))
    assert "torch.distributed.run" in words
    assert words[-3:] == [str(tmp_path), "--device", "cuda"]


# --- following


def log(path: Path, *events: ev.Event) -> None:
    path.mkdir(exist_ok=True)
    with (path / "stats.jsonl").open("a") as stream:
        for event in events:
            stream.write(json.dumps(ev.to_dict(event) | {"time": 1.0}) + "\n")


def progress(stage: str, nimg: int, **scalars: float) -> ev.Progress:
    return ev.Progress(stage, nimg, 100, 5.0, 1.0, nimg / 10, scalars)


def test_curves_go_on_from_stage_to_stage(tmp_path: Path) -> None:
    reader = RunReader(tmp_path)
    assert not reader.read()
    log(tmp_path, ev.StageStarted("embedding", 0, 100, 4), progress("embedding", 50, loss=2.0))
    assert reader.read()
    assert not reader.read()
    log(
        tmp_path,
        ev.StageFinished("embedding", 100),
        ev.StageStarted("joint", 0, 100, 4),
        progress("joint", 20, loss=1.0, swap=float("nan")),
        ev.Validated("joint", 20, 0.5, 0.4, "copies", 8),
        ev.SheetWritten(Path("/elsewhere/sheets/x.png"), "joint", 20, "maps"),
    )
    reader.read()
    history = reader.history("id")
    assert history.curves["loss"].nimg == (50.0, 120.0)
    assert history.curves["loss"].seconds == (5.0, 2.0)
    assert history.curves["miou"].values == (0.5,)
    assert "swap" not in history.curves
    assert history.quality_kind == "copies"
    (sheet,) = history.sheets
    assert (sheet.path, sheet.nimg, sheet.kind) == (tmp_path / "sheets/x.png", 120, "maps")


def test_a_training_that_went_back_takes_its_curves_with_it(tmp_path: Path) -> None:
    reader = RunReader(tmp_path)
    log(tmp_path, ev.StageStarted("gan", 0, 100, 4), *(progress("gan", n, loss=n) for n in (10, 20, 30)))
    log(tmp_path, ev.RolledBack("gan", 30, 10, "loss became not-a-number", 1), progress("gan", 15, loss=0.5))
    reader.read()
    assert reader.history("").curves["loss"].values == (10.0, 0.5)
    log(tmp_path, ev.StageStarted("gan", 12, 100, 4), progress("gan", 14, loss=0.25))  # resumed after a kill
    reader.read()
    assert reader.history("").curves["loss"].values == (10.0, 0.25)
    (note,) = reader.history("").notes
    assert note.level == "warning"
    assert note.text.startswith("loss became not-a-number: back to the last good checkpoint at 10 images")


def test_half_a_line_waits_for_its_end_and_a_broken_one_is_passed_over(tmp_path: Path) -> None:
    reader = RunReader(tmp_path)
    line = json.dumps(ev.to_dict(ev.BatchHalved(8, 4, 0))).encode()
    (tmp_path / "stats.jsonl").write_bytes(b'{"event": "noti\n[1]\n{"event": "validated"}\n' + line[:10])
    reader.read()
    assert reader.history("").notes == ()
    with (tmp_path / "stats.jsonl").open("ab") as stream:
        stream.write(line[10:] + b"\n")
    reader.read()
    (note,) = reader.history("").notes
    assert note.text.startswith("Memory ran out: the batch goes from 8 to 4 images")


def test_long_curves_are_thinned_and_keep_their_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_follow, "MOST_POINTS", 100)
    reader = RunReader(tmp_path)
    log(tmp_path, ev.StageStarted("gan", 0, 9999, 4), *(progress("gan", n, loss=n) for n in range(1000)))
    reader.read()
    points = reader.history("").curves["loss"].values
    assert 50 < len(points) <= 100
    assert (points[0], points[-1]) == (0.0, 999.0)
    assert list(points) == sorted(points)


def test_many_left_out_images_are_not_all_told(tmp_path: Path) -> None:
    reader = RunReader(tmp_path)
    log(tmp_path, *(ev.ImageSkipped(f"{i}.jpg", "broken") for i in range(100)))
    reader.read()
    assert len(reader.history("").notes) == 20


# --- the state


def test_the_fraction_counts_all_stages(tmp_path: Path) -> None:
    config = configuration.replace(Config(), **{"train.gan.total_nimg": 300, "train.encoder.total_nimg": 100})
    folder = RunFolder.create(tmp_path / "run", RunSettings(config, "photos"))
    folder.write_status(RunStatus("paused", "encoder", 50, 100))
    look = RunLook(folder.path)
    look.refresh()
    view = view_of(look, Queue(), None)
    assert (view.state, view.stage_index, view.fraction) == (RunState.PAUSED, 1, 0.875)
    assert dataclasses.replace(view, state=RunState.RUNNING).can_pause


def test_the_reason_is_found_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("Training\nError: no images. Choose others.\nTraceback ends here\n")
    assert log_tail(tmp_path / "log.txt") == "no images. Choose others."
    (tmp_path / "log.txt").write_text("one\nSegmentation fault\n")
    assert log_tail(tmp_path / "log.txt") == "Segmentation fault"
    assert log_tail(tmp_path / "none") == ""

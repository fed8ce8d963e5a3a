"""Several processes share a folder, and real signals stop real commands."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import main
from app.commands.together import Meeting
from app.domain.project import Project, Status
from coordgan_core.errors import DataError
from coordgan_core.labels import LabelClasses, write_label_map
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.propagation_stubs import picture
from tests.core.tiny import tiny_config

COORDLABEL = [sys.executable, "-m", "app"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "app"]
COUNT = 21


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, images of several sizes, and the label map of one."""
    folder = tmp_path_factory.mktemp("data")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CoordGAN(tiny_config().model)
    save_model(folder / "tiny.safetensors", network, ModelCard(name="tiny"))
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(b"bad")  # the first, so that rank 0 meets it at once
    for i in range(COUNT):
        image, labels = picture(60 + i, 50, (0.01 * (i - 10), 0.0))
        Image.fromarray(image).save(folder / "images" / f"p{i}.png")
        write_label_map(folder / "labels" / f"p{i}.png", labels)
    LabelClasses.from_names(["background", "box", "left", "right"]).save(folder / "classes.json")
    return folder


def environment(**more: str) -> dict[str, str]:
    quiet = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    return {**quiet, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), **more}


def folder_arguments(data: Path, out: Path, images: Path | None = None) -> list[str]:
    pair = ["--reference", str(data / "images/p0.png"), "--labels", str(data / "labels/p0.png")]
    folders = ["--images", str(images or data / "images"), "--out", str(out)]
    return ["propagate", "--model", str(data / "tiny.safetensors"), *pair, *folders, "--json"]


Told = Callable[..., tuple[int, Any]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Return a function that runs a command in this process: exit code and what it wrote to stdout."""

    def run(arguments: list[str], **more: str) -> tuple[int, Any]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in more.items():
                patch.setenv(name, value)
            code = main(arguments)
        return code, json.loads(capsys.readouterr().out)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that are started
    yield run
    torch.set_num_threads(threads)


def content(out: Path) -> dict[str, bytes]:
    """All results but the manifest, which holds times, and unfinished files that a kill has left."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name != "propagation.json")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files if path.name[0] != "."}


@pytest.fixture(scope="module")
def alone(data: Path) -> dict[str, bytes]:
    """What a single process makes of the folder."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main(folder_arguments(data, data / "alone")) == 1  # a.png is bad
    torch.set_num_threads(threads)
    return content(data / "alone")


def test_two_processes_make_the_same_bytes_as_one_and_no_bad_image_ends_them_early(
    data: Path, alone: dict[str, bytes], tmp_path: Path, told: Told
) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        TORCHRUN + folder_arguments(data, out),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["labelled"], list(report["failures"])) == (1, COUNT, ["a.png"])
    assert content(out) == alone
    found, expected = (json.loads((o / "propagation.json").read_text()) for o in (out, data / "alone"))
    scores, wanted = ({n: e["score"] for n, e in noted["images"].items()} for noted in (found, expected))
    assert scores == wanted
    assert found["failures"] == expected["failures"]
    for world in ("2", "1"):
        report = told(folder_arguments(data, out), RANK="0", WORLD_SIZE=world)[1]
        assert (report["labelled"], report["failed"]) == (0, 1)
    assert report["done"] == COUNT


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def started(command: list[str], **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_when_one_process_dies_the_rest_is_done_by_the_next_run(
    data: Path, alone: dict[str, bytes], tmp_path: Path, told: Told
) -> None:
    out = tmp_path / "out"
    dying = started(COORDLABEL + folder_arguments(data, out), RANK="1", WORLD_SIZE="2")
    wait_for(lambda: len(list(out.glob("labels/*.png"))) >= 2, dying)
    dying.kill()
    dying.communicate()
    assert not (out / "contact_sheet.png").exists()
    assert told(folder_arguments(data, out), RANK="0", WORLD_SIZE="2")[1]["rank"] == 0
    assert not (out / "contact_sheet.png").exists()
    code, report = told(folder_arguments(data, out))  # any number may go on
    assert report["labelled"] + report["done"] == COUNT
    assert report["edited"] == 0
    assert {path.name for path in out.glob("propagation*")} == {"propagation.json"}
    assert content(out) == alone


class Store:
    """A store of `torch.distributed` of which the other end may go."""

    def __init__(self, *, gone: bool) -> None:
        self.gone = gone
        self.kept: dict[str, str] = {}

    def set(self, key: str, value: str) -> None:
        if self.gone:
            raise torch.distributed.DistNetworkError("Connection reset by peer")
        self.kept[key] = value

    def check(self, keys: list[str]) -> bool:
        self.kept.setdefault("report/1", json.dumps({"labelled": 2}))
        self.kept.setdefault("read/1", "")
        return all(key in self.kept for key in keys)

    def get(self, key: str) -> str:
        return self.kept[key]


@pytest.mark.parametrize("gone", [False, True])
def test_processes_meet_at_the_end_or_say_that_the_others_have_gone(
    monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    by_hand = Meeting()
    assert not by_hand.waits
    assert by_hand.reports({"labelled": 1}) == [{"labelled": 1}]
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    module = importlib.import_module("torch.distributed.rendezvous")
    monkeypatch.setattr(module, "rendezvous", lambda url: iter([(Store(gone=gone), 0, 2)]))
    meeting = Meeting()
    assert meeting.waits
    if gone:
        with pytest.raises(DataError, match="Run the same command again"):
            meeting.reports({"labelled": 1})
    else:
        assert meeting.reports({"labelled": 1}) == [{"labelled": 1}, {"labelled": 2}]


def interrupted(arguments: list[str], begun: Callable[[], object], number: int = signal.SIGINT) -> str:
    """Run a command, stop it once ``begun`` holds, and return what it has told people."""
    process = started(COORDLABEL + arguments)
    wait_for(begun, process)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.rstrip().endswith("Cancelled.")
    return told


def test_ctrl_c_leaves_a_folder_that_the_next_run_completes(
    data: Path, alone: dict[str, bytes], tmp_path: Path, told: Told
) -> None:
    out = tmp_path / "out"
    interrupted(folder_arguments(data, out), lambda: len(list(out.glob("labels/*.png"))) >= 2)
    assert not list(out.rglob("*.part"))
    noted = json.loads((out / "propagation.json").read_text())["images"]
    assert 0 < len(noted) < COUNT
    report = told(folder_arguments(data, out))[1]
    assert (report["done"], report["labelled"]) == (len(noted), COUNT - len(noted))
    assert content(out) == alone


@pytest.fixture
def project(data: Path, tmp_path: Path) -> Path:
    """A closed project of the images, p0 its reference."""
    shutil.copytree(data / "images", tmp_path / "images", ignore=shutil.ignore_patterns("a.png"))
    with Project.create(tmp_path / "images") as made:
        list(made.scan())
        batch = made.batches.begin("import", "Reference")
        labels = np.array(Image.open(data / "labels/p0.png"))
        made.batches.write_labels(batch, made.find("p0.png") or 0, labels, status=Status.REFERENCE)
        made.batches.finish(batch)
    return tmp_path / "images"


def project_arguments(data: Path, project: Path) -> list[str]:
    return ["propagate", "--project", str(project), "--model", str(data / "tiny.safetensors"), "--json"]


def test_ctrl_c_in_a_project_keeps_what_is_done_and_the_next_run_goes_on_in_one_step(
    data: Path, project: Path, told: Told
) -> None:
    labels = project / ".coordlabel" / "labels"
    arguments = project_arguments(data, project)
    interrupted(arguments, lambda: len(list(labels.glob("*.png"))) >= 3)
    with Project.open(project, read_only=True) as found:
        before = found.counts()[Status.PROPAGATED]
        assert 0 < before < COUNT - 1
        assert found.runs()[0].finished is not None
    code, report = told(arguments)
    assert (code, report["done"], report["labelled"]) == (0, before, COUNT - 1 - before)
    with Project.open(project) as found:
        assert [run.kind for run in found.runs()] == ["propagation", "import"]
        list(found.exchange(report["batch"]))
        assert found.counts()[Status.UNLABELLED] == COUNT - 1
        assert found.references() == [found.find("p0.png")]


def test_several_processes_refuse_one_project(data: Path, project: Path, told: Told) -> None:
    code, error = told(project_arguments(data, project), RANK="0", WORLD_SIZE="2")
    assert code == 2
    assert "coordlabel import" in error["remedy"]


def test_ctrl_c_during_an_import_keeps_what_is_taken_and_the_next_one_takes_the_rest(
    data: Path, project: Path, tmp_path: Path, told: Told
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(data / "labels", maps)
    arguments = ["import", str(project), str(maps), "--format", "index-png", "--yes", "--json"]
    labels = project / ".coordlabel" / "labels"
    interrupted(arguments, lambda: len(list(labels.glob("*.png"))) >= 4)
    with Project.open(project, read_only=True) as found:
        before = found.counts()[Status.EDITED]
    assert 0 < before < COUNT - 1
    code, report = told(arguments)
    assert (code, report["taken"]) == (0, COUNT - 1 - before)


def test_ctrl_c_during_an_export_leaves_whole_files_only(
    data: Path, project: Path, tmp_path: Path, told: Told
) -> None:
    arguments = ["import", str(project), str(data / "labels"), "--format", "index-png", "--yes", "--json"]
    assert told(arguments)[0] == 0
    out = tmp_path / "out"
    arguments = ["export", str(project), str(out), "--format", "index-png", "--yes", "--json"]
    interrupted(arguments, lambda: len(list(out.rglob("*.png"))) >= 2)
    assert not list(out.rglob("*.part"))
    for path in out.rglob("*.png"):
        Image.open(path).load()
    code, report = told(arguments)
    assert (code, report["written"]) == (0, COUNT)


def test_ctrl_c_during_a_conversion_leaves_whole_files_only(data: Path, tmp_path: Path, told: Told) -> None:
    out = tmp_path / "out"
    arguments = [
        "convert",
        str(data / "labels"),
        str(out),
        "--from",
        "index-png",
        "--to",
        "labelme",
        "--json",
    ]
    interrupted(arguments, lambda: len(list(out.rglob("*.json"))) >= 2)
    assert not list(out.rglob("*.part"))
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    code, report = told(arguments)
    assert (code, report["written"], report["mean_iou"]) == (0, COUNT, 1.0)

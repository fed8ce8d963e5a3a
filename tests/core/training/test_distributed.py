from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from coordgan_core.training.distributed import joined
from coordgan_core.training.events import Progress
from coordgan_core.training.loop import train
from tests.core.training import toys
from tests.core.training.toys import final_state, toy_config

WORKER = """
import sys
from pathlib import Path
from coordgan_core.training.loop import train
from tests.core.training import toys

class Patch:
    setattr = staticmethod(setattr)

toys.install(Patch)
toys.ToyStage.noise = 0.0  # its draws differ from process to process
images, run = sys.argv[1:]
config = toys.toy_config()
list(train(config, images=images, run=run, device="cpu"))
if Path("/proc/self/task").is_dir():  # threads of the group that outlive it crash the interpreter at its end
    left = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    sys.exit(" ".join(name for name in left if "gloo" in name) or 0)
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_two_processes_train_what_one_does(
    monkeypatch: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    toys.install(monkeypatch)
    monkeypatch.setattr(toys.ToyStage, "noise", 0.0)
    one = list(train(toy_config(), images=images, run=tmp_path / "one", device="cpu"))
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    command = [sys.executable, "-c", WORKER, str(images), str(tmp_path / "two")]
    other = subprocess.Popen(
        command, env={**os.environ, **environment, "RANK": "1", "LOCAL_RANK": "1"}, stderr=subprocess.PIPE
    )
    with monkeypatch.context() as patch:
        for name, value in {**environment, "RANK": "0", "LOCAL_RANK": "0"}.items():
            patch.setenv(name, value)
        two = list(train(toy_config(), images=images, run=tmp_path / "two", device="cpu"))
    _, errors = other.communicate(timeout=100)
    assert other.returncode == 0, errors.decode()
    assert [type(event) for event in two if not isinstance(event, Progress)] == [
        type(event) for event in one if not isinstance(event, Progress)
    ]
    expected, found = final_state(tmp_path / "one"), final_state(tmp_path / "two")
    assert found["position"] == expected["position"]
    for name, tensor in expected["model"].items():
        torch.testing.assert_close(found["model"][name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_one_process_is_a_group_of_one() -> None:
    with joined("cpu") as group:
        assert (group.rank, group.world, group.leads) == (0, 1, True)
        assert group.share("x") == "x"
        assert group.mean(torch.tensor(2.0)) == 2.0

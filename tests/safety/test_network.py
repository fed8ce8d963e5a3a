"""The whole road without a network: window, engine, training and commands, with every socket forbidden."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_sample_road import PERSON, ROOT, TINY

OFFLINE = Path(__file__).with_name("offline")
REACHING = "import socket; socket.create_connection(('127.0.0.1', 9))"
LOOKING_UP = "import urllib.request; urllib.request.urlopen('http://example.invalid')"
TRAIN = """
import sys
from coordgan_core.training.loop import train
from tests.core.tiny import tiny_config
config = tiny_config(**{"train.stages": ("gan",), "train.gan.total_nimg": 4})
list(train(config, images=sys.argv[1], run=sys.argv[2], device="cpu"))
"""


class Offline:
    """Runs Python where nothing can be reached, in a network of its own where the system allows it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._alone = []
        if (
            shutil.which("unshare")
            and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
        ):
            self._alone = ["unshare", "-rn"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(OFFLINE), str(ROOT)]),
            "COORDLABEL_TEST_NETWORK_LOG": str(self.log),
            "QT_QPA_PLATFORM": "offscreen",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        command = [*self._alone, sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)

    @property
    def attempts(self) -> list[str]:
        """What has reached for the network so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def offline(tmp_path: Path) -> Offline:
    return Offline(tmp_path / "network.log")


@pytest.mark.parametrize("code", [REACHING, LOOKING_UP])
def test_what_reaches_for_the_network_is_noticed(offline: Offline, code: str) -> None:
    assert offline.run("-c", code).returncode != 0
    assert offline.attempts


def test_commands_need_no_network(offline: Offline) -> None:
    for command in ("models", "--version", "doctor"):
        done = offline.run("-m", "app", command)
        assert "Traceback" not in done.stderr, done.stderr
    assert offline.attempts == []


@pytest.mark.slow
def test_the_whole_road_needs_no_network(offline: Offline, tmp_path: Path) -> None:
    models = tmp_path / "profile/data/models"
    models.mkdir(parents=True)
    assert offline.run("-c", TINY, str(models / "tiny.safetensors")).returncode == 0
    profile = str(tmp_path / "profile")
    done = offline.run(str(PERSON), "--profile", profile, "work", str(tmp_path / "exported"))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["problems"] == []
    assert list((tmp_path / "exported").rglob("*.png"))
    done = offline.run("-c", TRAIN, told["folder"], str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert offline.attempts == []

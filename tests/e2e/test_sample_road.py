"""The whole road as a person walks it: the real `main`, the real engine process, a model file, real keys.

A second process plays the person, so that nothing of the tests is loaded beside the window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.project import Project
from app.domain.status import Status
from resources import bundled_models

ROOT = Path(__file__).parents[2]
PERSON = Path(__file__).with_name("person.py")
TINY = """
import sys
import torch
from coordgan_core.models.coordgan import CoordGAN
from coordgan_core.snapshot import ModelCard, save_model
from tests.core.tiny import tiny_config
torch.manual_seed(0)
save_model(sys.argv[1], CoordGAN(tiny_config().model).eval(), ModelCard(name="Tiny", category="figures"))
"""

pytestmark = pytest.mark.slow


def run(*arguments: str) -> str:
    """Run Python in the project's root, without a screen; return what it wrote."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile with a model: one that has learned nothing where none is bundled."""
    models = tmp_path / "profile/data/models"
    models.mkdir(parents=True)
    if not bundled_models():
        run("-c", TINY, str(models / "tiny.safetensors"))
    return tmp_path / "profile"


def test_from_the_welcome_screen_to_exported_masks_and_back(profile: Path, tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    told = json.loads(run(str(PERSON), "--profile", str(profile), "work", str(exported)).splitlines()[-1])
    assert told["torch"] is False, "PyTorch belongs into the engine's process"
    assert told["problems"] == []
    assert told["linked"], "no pixel of the reference answered to the cursor"
    folder = Path(told["folder"])
    with Project.open(folder) as project:
        counts = project.counts()
        assert counts[Status.REFERENCE] == 1
        assert counts[Status.EDITED] == 1
        assert counts[Status.ACCEPTED] == 2
        assert counts[Status.REJECTED] == 1
        assert counts[Status.PROPAGATED] == 19
        run_of_model = next(run for run in project.runs() if run.kind == "propagation")
        assert run_of_model.details["suggestion"]["image"] in project.ids(), "what to label next"
        painted = project.labels(told["painted"])
        assert int((painted == 2).sum()) == told["pixels"] > 0
        reviewed = {i: project.labels(i) for i in told["accepted"]}
        names = {i: Path(project.row(i).path).stem for i in reviewed}
    written = sorted(path.stem for path in (exported / "SegmentationClass").glob("*.png"))
    assert len(written) == 4, "the reference, the painted image and both accepted ones"
    for image_id, labels in reviewed.items():
        with Image.open(exported / "SegmentationClass" / f"{names[image_id]}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), labels)

    again = json.loads(run(str(PERSON), "--profile", str(profile), "look", str(folder)).splitlines()[-1])
    assert again["counts"] == {str(status): count for status, count in counts.items()}
    assert again["shown"] == 24
    assert again["problems"] == []

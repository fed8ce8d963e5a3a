from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import resources
from coordgan_core.data.images import list_images, read_image
from coordgan_core.data.synthetic import CLASSES, SyntheticCategory
from coordgan_core.labels import LabelClasses, check_labels, read_label_map


def test_the_sample_project_is_complete_and_small() -> None:
    root = resources.sample_project()
    images = list_images(root / "images")
    classes = LabelClasses.load(root / "classes.json")
    assert len(images) == 24
    assert [c.name for c in classes.classes] == list(CLASSES)
    assert sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) < 600_000
    references = (root / "references.txt").read_text(encoding="utf-8").split()
    assert [p.stem for p in (root / "labels").iterdir()] == references
    for path in images:
        truth = read_label_map(root / "truth" / f"{path.stem}.png")
        check_labels(truth, image_size=(256, 256), known_ids=classes.ids, reference=True)
    first = read_label_map(root / "labels" / f"{references[0]}.png")
    np.testing.assert_array_equal(first, read_label_map(root / "truth" / f"{references[0]}.png"))
    assert set(np.unique(first)) == set(range(len(CLASSES)))


def test_the_sample_project_is_what_the_script_makes() -> None:
    root = resources.sample_project()
    sample = SyntheticCategory(2).sample(4, 256)
    truth = read_label_map(root / "truth" / "figure-05.png")
    assert (truth != sample.labels).mean() < 1e-4
    shown = read_image(root / "images" / "figure-05.jpg").astype(int)
    assert np.abs(shown - sample.image).mean() < 6  # JPEG


def test_missing_resources_say_so() -> None:
    with pytest.raises(FileNotFoundError, match="Install the program again"):
        resources.resource_path("no/such/thing")


def test_a_frozen_application_finds_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resources" / "models").mkdir(parents=True)
    (tmp_path / "resources" / "models" / "b.safetensors").touch()
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert (
        resources.resource_path("models/b.safetensors") == tmp_path / "resources" / "models" / "b.safetensors"
    )
    assert "b.safetensors" in [path.name for path in resources.bundled_models()]

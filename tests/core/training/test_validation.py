from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.coords import canonical_grid
from coordgan_core.errors import DataError
from coordgan_core.labels import write_label_map
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import Reference
from coordgan_core.training.validation import MOST_IMAGES, find_pairs, measure


@dataclass
class Same:
    """A model to which every image is the canonical frame itself."""

    config = SimpleNamespace(resolution=32)

    def correspondence(self, images: torch.Tensor) -> SimpleNamespace:
        grid = canonical_grid(32, 32).expand(len(images), 2, 32, 32)
        return SimpleNamespace(map=grid, reliability=torch.ones(len(images), 1, 32, 32), descriptors=None)


def labelled(column: int, seed: int) -> Reference:
    pixels = np.random.default_rng(seed).integers(0, 30, (32, 32, 3)).astype(np.uint8)
    labels = np.zeros((32, 32), np.uint8)
    labels[:, column:] = 1
    pixels[labels == 1] += 200
    return Reference(pixels, labels)


def test_equal_label_maps_are_perfect_and_others_are_not() -> None:
    predictor = Predictor(Same(), device="cpu")
    perfect = measure(predictor, [labelled(16, 0), labelled(16, 1)])
    assert perfect.miou == pytest.approx(1.0, abs=0.01)
    assert measure(predictor, [labelled(16, 0), labelled(4, 1)]).miou < 0.9


def test_images_meet_their_label_maps_by_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "deep/b.png", "c.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / name)
    labels = np.ones((4, 4), np.uint8)
    write_label_map(tmp_path / "labels/a.png", labels)
    with pytest.raises(DataError, match="1 images of"):
        find_pairs(tmp_path / "images", tmp_path / "labels")
    write_label_map(tmp_path / "labels/deep/b.png", labels)
    found = {pair[0].name: pair[1] for pair in find_pairs(tmp_path / "images", tmp_path / "labels")}
    assert found == {"a.jpg": tmp_path / "labels/a.png", "b.png": tmp_path / "labels/deep/b.png"}


def test_no_more_than_some_are_used(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for index in range(MOST_IMAGES + 9):
        Image.new("RGB", (2, 2)).save(tmp_path / f"images/{index:03d}.png")
        write_label_map(tmp_path / f"labels/{index:03d}.png", np.ones((2, 2), np.uint8))
    pairs = find_pairs(tmp_path / "images", tmp_path / "labels")
    assert len(pairs) == MOST_IMAGES
    assert [pairs[0][0].stem, pairs[-1][0].stem] == ["000", f"{MOST_IMAGES + 8:03d}"]

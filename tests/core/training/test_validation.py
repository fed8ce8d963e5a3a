from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.coords import canonical_grid
from coordgan_core.errors import DataError
from coordgan_core.labels import write_label_map
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import Reference
from coordgan_core.training.copies import warped_copies
from coordgan_core.training.validation import (
    COPIES,
    EXAMPLES,
    MOST_IMAGES,
    find_pairs,
    measure,
    measure_copies,
    validate,
)


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
    with pytest.raises(DataError, match="0 images of"):
        find_pairs(tmp_path / "images", tmp_path / "labels")
    write_label_map(tmp_path / "labels/a.png", labels)
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


def test_label_maps_of_a_project_are_found(tmp_path: Path) -> None:
    (tmp_path / "images/deep").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "images/deep/a.jpg")
    write_label_map(tmp_path / "labels/deep/a.jpg.png", np.ones((4, 4), np.uint8))
    (pair,) = find_pairs(tmp_path / "images", tmp_path / "labels")
    assert pair[1].name == "a.jpg.png"


def save(folder: Path, name: str, reference: Reference) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(reference.image).save(folder / name)
    return folder / name


def test_one_reference_is_measured_on_copies_of_itself(tmp_path: Path) -> None:
    home = labelled(16, 0)
    others = [save(tmp_path / "i", f"{index}.png", labelled(16, index)) for index in range(1, 9)]
    (tmp_path / "i/broken.png").write_bytes(b"no picture")
    write_label_map(tmp_path / "home.png", home.labels)
    pair = save(tmp_path / "i", "0.png", home), tmp_path / "home.png"
    model: Any = Same()
    quality = validate(model, [pair], device="cpu", others=[pair[0], tmp_path / "i/broken.png", *others])
    assert (quality.kind, quality.images) == ("copies", COPIES)
    assert [example.name for example in quality.examples][:2] == [
        "0.png",
        "2.png",
    ]  # the broken one is left out
    assert len(quality.examples) == EXAMPLES
    assert set(quality.figures()) == {"copies_miou", "copies_foreground_iou"}
    alone = validate(model, [pair], device="cpu", others=[pair[0]])
    assert alone.miou == quality.miou
    assert len(alone.examples) == 1


def test_a_model_that_follows_the_image_is_better_than_one_that_does_not() -> None:
    home = labelled(16, 0)
    blind, seeing = (
        measure_copies(Predictor(model, device="cpu"), home, []).miou for model in (Same(), Bright())
    )
    assert blind < 0.9 < seeing


class Bright(Same):
    """The map's x is the image's brightness relative to its mean, so that it follows the bright part."""

    def correspondence(self, images: torch.Tensor) -> SimpleNamespace:
        found = super().correspondence(images)
        gray = images.mean(1)
        found.map = found.map.clone()
        middle = (gray.amax((1, 2), keepdim=True) + gray.amin((1, 2), keepdim=True)) / 2
        found.map[:, 0] = (4.0 * (gray - middle)).clamp(-0.9, 0.9)
        return found


def test_copies_carry_the_labels_of_what_they_show() -> None:
    home = labelled(16, 0)
    copies = warped_copies(home.image, home.labels, 3)
    for copy in copies:
        bright = copy.image.mean(2) > (float(copy.image.max()) + float(copy.image.min())) / 2
        assert (bright == (copy.labels == 1))[copy.shown].mean() > 0.85
    assert (copies[0].labels != copies[1].labels).any()
    assert np.array_equal(copies[0].image, warped_copies(home.image, home.labels, 1)[0].image)

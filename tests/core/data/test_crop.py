from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.config import CropConfig, replace
from coordgan_core.coords import canonical_grid
from coordgan_core.data.crop import crop_box, crop_image, label_boxes, training_boxes, typical_box
from coordgan_core.data.sampler import ImageSource
from coordgan_core.errors import ConfigError, DataError
from coordgan_core.labels import write_label_map
from coordgan_core.predictor import Predictor
from coordgan_core.propagation import Propagated, Reference, propagate_labels
from tests.core.tiny import tiny_config

BOX = CropConfig("box", (0.25, 0.5, 0.75, 1.0))


def test_a_box_is_given_as_parts_of_the_sides() -> None:
    assert crop_box(CropConfig(), 40, 20) == (0, 0, 40, 20)
    assert crop_box(CropConfig("centre"), 40, 20) == (10, 0, 30, 20)
    assert crop_box(CropConfig("centre"), 20, 41) == (0, 10, 20, 30)
    assert crop_box(BOX, 40, 20) == (10, 10, 30, 20)
    assert crop_box(CropConfig("box", (0.0, 0.0, 0.02, 0.02)), 3, 1) == (0, 0, 1, 1)


def test_a_box_without_area_is_refused() -> None:
    with pytest.raises(ConfigError, match="CropConfig.box"):
        replace(CropConfig(), mode="box", box=(0.5, 0.0, 0.5, 1.0))


def test_boxes_lie_around_labels_with_a_margin(tmp_path: Path) -> None:
    labels = np.zeros((20, 40), np.uint8)
    write_label_map(tmp_path / "empty.png", labels)
    labels[5:10, 10:20] = 3
    write_label_map(tmp_path / "a.png", labels)
    pairs = [(Path("a"), tmp_path / "a.png"), (Path("b"), tmp_path / "empty.png")]
    (box,) = label_boxes(pairs, margin=0.2).values()
    assert box == pytest.approx((0.2, 0.2, 0.55, 0.55))
    assert label_boxes(pairs, margin=2.0)[Path("a")] == pytest.approx((0.0, 0.0, 1.0, 1.0))


def test_the_typical_box_is_the_median() -> None:
    boxes = [(0.1, 0.1, 0.5, 0.5), (0.2, 0.1, 0.6, 0.9), (0.9, 0.1, 1.0, 0.6)]
    assert typical_box(boxes) == (0.2, 0.1, 0.6, 0.6)
    with pytest.raises(DataError, match="no image has labels"):
        typical_box([])


def test_training_and_propagation_see_the_same_pixels(tmp_path: Path) -> None:
    """Each cropping: what the image store decodes is what the predictor gives to the network."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    for config in (CropConfig(), CropConfig("centre"), BOX, CropConfig("labels", (0.25, 0.5, 0.75, 1.0))):
        source = ImageSource.from_paths(
            [path],
            12,
            boxes=training_boxes(config, [path]),
            crop="centre" if config.mode == "centre" else "whole",
        )
        model = Looking(config)
        Predictor(model, device="cpu").analyse([pixels])
        assert torch.equal(model.seen, source.images([0]))


class Looking:
    """A model to which what it sees is the canonical frame itself."""

    def __init__(self, crop: CropConfig) -> None:
        self.config = replace(tiny_config().model, **{"resolution": 32, "crop": crop})
        self.input_px = 12
        self.seen = torch.zeros(0)

    def correspondence(self, images: torch.Tensor) -> object:
        self.seen = images

        class Found:
            map = canonical_grid(12, 12).expand(len(images), 2, 12, 12)
            reliability = torch.ones(len(images), 1, 12, 12)
            descriptors = None

        return Found


def test_the_map_of_a_part_lies_where_the_part_is() -> None:
    (found,) = Predictor(Looking(BOX), device="cpu").analyse([np.zeros((24, 48, 3), np.uint8)])
    assert found.map.shape == (2, 24, 24)
    assert torch.equal(found.map[:, 12:, 6:18], canonical_grid(12, 12))
    assert float(found.reliability.sum()) == 144
    assert bool((found.reliability[12:, 6:18] == 1).all())


def test_labels_stay_inside_of_the_crop() -> None:
    pixels = np.full((24, 48, 3), 90, np.uint8)
    labels = np.ones((24, 48), np.uint8)
    labels[:, 24:] = 2
    predictor = Predictor(Looking(BOX), device="cpu")
    query = pixels.copy()
    query[0, 0] += 1
    (result,) = (
        event
        for event in propagate_labels(predictor, [Reference(pixels, labels)], [query])
        if isinstance(event, Propagated)
    )
    inside = np.zeros((24, 48), bool)
    inside[12:, 12:36] = True
    assert not result.labels[~inside].any()
    assert not result.confidence[~inside].any()
    assert (result.labels[14:22, 14:22] == 1).all()
    assert (result.labels[14:22, 28:34] == 2).all()


def test_an_image_is_cut_without_a_copy() -> None:
    pixels = np.zeros((24, 48, 3), np.uint8)
    cut = crop_image(BOX, pixels)
    assert cut.shape == (12, 24, 3)
    assert np.shares_memory(cut, pixels)

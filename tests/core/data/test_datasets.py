from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coordgan_core.data.datasets import (
    detect_layout,
    load_afhq,
    load_celebamask,
    load_dataset,
    load_datasetgan,
    load_plain,
    load_stanford_cars,
)
from coordgan_core.data.labelled import LabelledSubset
from coordgan_core.data.protocols import CELEBAMASK_CLASSES, PROTOCOLS, protocol
from coordgan_core.data.store import read_square
from coordgan_core.errors import ConfigError, DataError, ImageError, LabelError
from coordgan_core.labels import write_label_map


def picture(path: Path, size: tuple[int, int] = (8, 6), colour: object = (9, 99, 199)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def index_map(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_map(path, labels.astype(np.uint8))


def part_mask(root: Path, number: int, part: str, columns: slice) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[:, columns] = 255
    path = root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{part}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).convert("RGB").save(path)


def test_the_celebamask_protocol_is_the_published_merge() -> None:
    lut = PROTOCOLS["celebamask-7"].lut
    # mouth 10, lips 11 12 -> 1; eyes 4 5 -> 2; brows 6 7 -> 3; ears 8 9 -> 4; nose 2 -> 5; skin 1 -> 6
    expected = {1: 6, 2: 5, 4: 2, 5: 2, 6: 3, 7: 3, 8: 4, 9: 4, 10: 1, 11: 1, 12: 1}
    assert lut.tolist() == [expected.get(i, 0) for i in range(256)]


def test_protocols_go_by_names_not_by_numbers() -> None:
    merged = protocol("celebamask-7").merge(np.array([[0, 1, 2]], np.uint8), ["x", "nose", "hair"])
    assert merged.tolist() == [[0, 5, 0]]
    with pytest.raises(ConfigError, match="knows none"):
        protocol("celebamask-7").merge(np.zeros((1, 1), np.uint8), ["wheel"])
    with pytest.raises(ConfigError, match="no protocol"):
        protocol("celeba")
    assert PROTOCOLS["datasetgan-face-34"].excluded == (17, 25)
    assert len(PROTOCOLS["datasetgan-car-20"].class_names) == 20


def test_plain_pairs_by_stem_and_reads_classes_and_references(tmp_path: Path) -> None:
    for name in ("a", "b", "sub/c"):
        picture(tmp_path / "images" / f"{name}.jpg")
        if name != "b":
            index_map(tmp_path / "labels" / f"{name}.png", np.full((6, 8), 2))
    picture(tmp_path / "unlabelled" / "u.jpg")
    (tmp_path / "classes.json").write_text(json.dumps(["background", "left lung", "heart"]))
    (tmp_path / "references.txt").write_text("sub/c\n")
    data = load_plain(tmp_path)
    assert data.labelled is not None
    assert data.labelled.names == ("a", "sub/c")
    assert data.references == ("sub/c",)
    assert [p.name for p in data.images] == ["u.jpg"]
    assert data.labelled.classes.name(2) == "heart"
    assert not data.mirror
    pixels, labels = data.labelled[0].read()
    assert pixels.shape == (6, 8, 3)
    assert (labels == 2).all()


def test_plain_with_images_only(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    data = load_dataset(tmp_path)
    assert data.labelled is None
    assert data.mirror
    assert [p.name for p in data.images] == ["a.jpg"]


def test_sizes_must_agree(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg", (8, 6))
    index_map(tmp_path / "labels" / "a.png", np.zeros((3, 4)))
    subset = LabelledSubset.from_folders(tmp_path / "images", tmp_path / "labels")
    with pytest.raises(LabelError, match="8 x 6"):
        subset[0].read()


def test_unknown_references_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    index_map(tmp_path / "labels" / "a.png", np.ones((6, 8)))
    (tmp_path / "references.txt").write_text("z\n")
    with pytest.raises(DataError, match="called z"):
        load_plain(tmp_path)


def test_labels_without_images(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="has a label map"):
        LabelledSubset.from_folders(tmp_path / "images", tmp_path / "labels")


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    for number in range(12):
        picture(tmp_path / "CelebA-HQ-img" / f"{number}.jpg", (16, 12))
        part_mask(tmp_path, number, "skin", slice(0, 8))
        part_mask(tmp_path, number, "mouth", slice(4, 6))
        part_mask(tmp_path, number, "u_lip", slice(5, 7))
        part_mask(tmp_path, number, "hair", slice(0, 2))
        part_mask(tmp_path, number, "nose", slice(6, 8))
    return tmp_path


def test_part_masks_are_painted_in_the_published_order(celeba: Path) -> None:
    data = load_celebamask(celeba)
    assert data.labelled is not None
    pixels, labels = data.labelled[0].read()
    assert pixels.shape == (6, 8, 3)  # the image comes down to the size of its masks
    # skin, then lips, then nose, then mouth; hair is no part of the protocol, so skin below it stays
    assert labels[0].tolist() == [6, 6, 6, 6, 1, 1, 5, 5]


def test_all_parts_without_a_protocol(celeba: Path) -> None:
    data = load_celebamask(celeba, protocol=None)
    assert data.labelled is not None
    hair, skin, mouth, upper, nose = (
        CELEBAMASK_CLASSES.index(n) for n in ("hair", "skin", "mouth", "u_lip", "nose")
    )
    _, labels = data.labelled[0].read()
    assert labels[0].tolist() == [hair, hair, skin, skin, mouth, upper, upper, nose]
    assert not data.mirror


def test_celeba_references_follow_the_order_of_strings(celeba: Path) -> None:
    data = load_celebamask(celeba)
    # 0 1 10 11 2 3 4 5 6 ...: indices 1 3 5 6 8
    assert data.references == ("1", "11", "3", "4", "6")


def test_celeba_index_maps(tmp_path: Path) -> None:
    picture(tmp_path / "CelebA-HQ-img" / "7.jpg")
    index_map(tmp_path / "CelebAMaskHQ-mask" / "7.png", np.tile(np.array([0, 1, 13, 4, 10, 2, 8, 6]), (6, 1)))
    data = load_dataset(tmp_path)
    assert data.labelled is not None
    assert data.labelled[0].read()[1][0].tolist() == [0, 6, 0, 2, 1, 5, 4, 3]


def test_afhq(tmp_path: Path) -> None:
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "val/cat/3.jpg"):
        picture(tmp_path / name)
    assert detect_layout(tmp_path) == "afhq"
    assert [p.name for p in load_dataset(tmp_path).images] == ["1.jpg"]
    assert [p.name for p in load_afhq(tmp_path, animal="cat", split="val").images] == ["3.jpg"]
    with pytest.raises(DataError, match="train/wild"):
        load_afhq(tmp_path, animal="wild")


def test_stanford_cars_boxes_count_from_one_with_ends_included(tmp_path: Path) -> None:
    from scipy.io import savemat

    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[2:4, 3:6] = 200
    (tmp_path / "cars_train").mkdir()
    (tmp_path / "devkit").mkdir()
    Image.fromarray(pixels).save(tmp_path / "cars_train" / "00001.png")
    fields = [
        ("bbox_x1", "O"),
        ("bbox_y1", "O"),
        ("bbox_x2", "O"),
        ("bbox_y2", "O"),
        ("class", "O"),
        ("fname", "O"),
    ]
    cars = np.array([(4, 3, 6, 4, 1, "00001.png")], dtype=fields)
    savemat(tmp_path / "devkit" / "cars_train_annos.mat", {"annotations": cars})
    data = load_dataset(tmp_path)
    assert data.boxes == ((3, 2, 6, 4),)
    np.testing.assert_array_equal(read_square(data.images[0], 2, box=data.boxes[0]), np.full((2, 2, 3), 200))
    assert load_stanford_cars(tmp_path, crop=False).boxes == ()
    with pytest.raises(ImageError, match="to be cut"):
        read_square(data.images[0], 2, box=(7, 0, 7, 3))


def test_datasetgan_pairs_by_number(tmp_path: Path) -> None:
    for number in (0, 1, 2, 10):
        picture(tmp_path / "training" / f"image_{number}.png", (8, 8), (number, 0, 0))
        np.save(tmp_path / "training" / f"image_mask{number}.npy", np.full((4, 4, 1), number, np.float64))
    picture(tmp_path / "testing" / "image_0.png", (4, 4))
    np.save(tmp_path / "testing" / "image_mask0.npy", np.zeros((4, 4), np.uint8))
    picture(tmp_path / "training" / "image_3.png")
    data = load_datasetgan(tmp_path, protocol=PROTOCOLS["datasetgan-car-20"])
    assert data.labelled is not None
    assert len(data.labelled) == 5
    assert data.references == tuple(f"training/image_{n}" for n in (0, 1, 10, 2))
    for item in data.labelled.select(data.references):
        pixels, labels = item.read()
        assert pixels.shape == (4, 4, 3)
        assert (labels == pixels[0, 0, 0]).all()


@pytest.mark.parametrize(
    "values", [np.full((4, 4), 300), np.full((4, 4), -1), np.zeros((2, 2, 3)), np.array([["a"]])]
)
def test_arrays_that_hold_no_class_ids(tmp_path: Path, values: np.ndarray) -> None:
    picture(tmp_path / "image_0.png", (4, 4))
    np.save(tmp_path / "image_mask0.npy", values)
    data = load_datasetgan(tmp_path, protocol=PROTOCOLS["datasetgan-car-20"])
    assert data.labelled is not None
    with pytest.raises(LabelError):
        data.labelled[0].read()


@pytest.mark.parametrize(
    "layout", ["celebamask", "afhq", "stanford-cars", "datasetgan-face-34", "plain", "x"]
)
def test_incomplete_folders_say_what_is_missing(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path, layout)
    assert caught.value.expected


def test_a_mere_folder_of_images(tmp_path: Path) -> None:
    picture(tmp_path / "10.jpg")
    picture(tmp_path / "9.jpg")
    assert detect_layout(tmp_path) is None
    assert [p.name for p in load_dataset(tmp_path).images] == ["9.jpg", "10.jpg"]


def test_loading_layouts_loads_no_torch() -> None:
    code = "import sys, coordgan_core.data.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0

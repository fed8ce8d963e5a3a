from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from coordgan_core.config import CropConfig
from coordgan_core.data import advice, alignment, hashing
from coordgan_core.data.check import Checking, check_images
from coordgan_core.data.synthetic import SyntheticCategory
from coordgan_core.errors import ConfigError, DataError
from coordgan_core.labels import write_label_map
from coordgan_core.reports import DataReport


def picture(seed: int, side: int = 96) -> Any:
    draws = np.random.default_rng(seed)
    coarse = draws.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def report(folder: Path, **options: object) -> DataReport:
    *progress, last = check_images(folder, **options)  # type: ignore[arg-type]
    assert all(isinstance(event, Checking) for event in progress)
    assert isinstance(last, DataReport)
    return last


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "i/deep").mkdir(parents=True)
    for seed in range(6):
        Image.fromarray(picture(seed)).save(tmp_path / f"i/{seed}.png")
    Image.fromarray(picture(3)).save(tmp_path / "i/deep/copy.jpg", quality=70)
    Image.fromarray(picture(9, 40)[:30]).save(tmp_path / "i/small.png")
    (tmp_path / "i/broken.jpg").write_bytes(b"no picture")
    return tmp_path / "i"


def test_the_report_counts_what_is_there(folder: Path) -> None:
    found = report(folder, contact_sheet=folder.parent / "sheet.png")
    assert found.count == 8
    assert found.sizes == ((96, 96, 7), (40, 30, 1))
    assert found.smallest == (40, 30)
    ((name, reason),) = found.unreadable
    assert name == "broken.jpg"
    assert "broken.jpg" in reason
    assert found.duplicates == (("3.png", "deep/copy.jpg"),) or found.duplicates == (
        ("deep/copy.jpg", "3.png"),
    )
    assert found.can_train
    assert found.preset == "quick-64"
    texts = [item.text for item in found.advice]
    assert any("under 100 images: use quick-64" in text for text in texts)
    assert any("1 file cannot be read" in text for text in texts)
    assert any("1 file looks like others" in text for text in texts)
    assert any("40 x 30" in text for text in texts)
    with Image.open(folder.parent / "sheet.png") as sheet:
        assert sheet.size == (8 * 100 - 4, 96)
    assert report(folder, recursive=False).count == 7


def test_bad_folders_are_told(tmp_path: Path) -> None:
    empty = report(tmp_path)
    assert (empty.count, empty.can_train, empty.alignment) == (0, False, None)
    assert empty.advice[0].level == "error"
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(b"no picture")
    broken = report(tmp_path, contact_sheet=tmp_path / "sheet.png")
    assert (broken.count, len(broken.unreadable), broken.contact_sheet) == (0, 3, None)
    assert not broken.can_train
    for index in range(3):
        Image.fromarray(picture(index)).save(tmp_path / f"{index}.png")
    few = report(tmp_path)
    assert (few.count, few.can_train) == (3, False)
    assert few.advice[0].text.startswith("3 different images are too few")
    with pytest.raises(DataError):
        report(tmp_path / "nowhere")


def test_progress_reaches_the_end(folder: Path) -> None:
    events = [event for event in check_images(folder) if isinstance(event, Checking)]
    assert events[-1] == Checking(9, 9)


def test_aligned_images_measure_higher_than_shifted_ones(tmp_path: Path) -> None:
    category, draws = SyntheticCategory(0), np.random.default_rng(0)
    for name in ("aligned", "shifted"):
        (tmp_path / name).mkdir()
    for index in range(24):
        image = category.sample(index, 96).image
        Image.fromarray(image).save(tmp_path / f"aligned/{index}.png")
        x, y = draws.integers(0, 48, 2)
        Image.fromarray(image[y : y + 48, x : x + 48]).save(tmp_path / f"shifted/{index}.png")
    aligned, shifted = report(tmp_path / "aligned"), report(tmp_path / "shifted")
    assert aligned.alignment is not None
    assert shifted.alignment is not None
    assert aligned.alignment > alignment.WELL > alignment.ROUGHLY > shifted.alignment
    assert "same place in most images" in aligned.alignment_text
    assert "crop the images alike" in shifted.alignment_text


def test_a_crop_that_undoes_the_shift_restores_the_alignment(tmp_path: Path) -> None:
    category, draws = SyntheticCategory(0), np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for index in range(24):
        page, labels = np.full((288, 288, 3), 127, np.uint8), np.zeros((288, 288), np.uint8)
        x, y = draws.integers(0, 192, 2)
        page[y : y + 96, x : x + 96] = category.sample(index, 96).image
        labels[y : y + 96, x : x + 96] = 1
        Image.fromarray(page).save(tmp_path / f"images/{index}.png")
        write_label_map(tmp_path / f"labels/{index}.png", labels)
    whole = report(tmp_path / "images").alignment
    cut = report(
        tmp_path / "images", cropping=CropConfig("labels", margin=0.0), labels=tmp_path / "labels"
    ).alignment
    assert whole is not None
    assert cut is not None
    assert cut > alignment.WELL
    assert cut > 2 * whole
    with pytest.raises(ConfigError, match="there are none"):
        report(tmp_path / "images", cropping=CropConfig("labels"))


def test_the_mean_correlation_is_that_of_all_pairs() -> None:
    draws = np.random.default_rng(0)
    layouts = draws.normal(size=(5, 40)).astype(np.float32)
    layouts /= np.linalg.norm(layouts, axis=1, keepdims=True)
    pairs = [float(layouts[i] @ layouts[j]) for i in range(5) for j in range(5) if i != j]
    assert alignment.mean_correlation(layouts) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert alignment.mean_correlation(layouts[:1]) is None


def test_both_ways_of_finding_duplicates_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    hashes = draws.integers(0, 2**63, (300, 4)).astype(np.uint64)
    for index in range(0, 40, 2):  # neighbours that differ in a few bits
        hashes[index + 1] = hashes[index]
        for bit in draws.choice(256, index % 20, replace=False):
            hashes[index + 1, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    expected = [
        [index, index + 1]
        for index in range(0, 40, 2)
        if int(np.bitwise_count(hashes[index] ^ hashes[index + 1]).sum()) <= hashing.SAME_BITS
    ]
    assert 10 < len(expected) < 20
    assert hashing.duplicate_groups(hashes) == expected
    monkeypatch.setattr(hashing, "_ALL_PAIRS", 0)
    assert hashing.duplicate_groups(hashes) == expected


def test_flat_pictures_are_no_duplicates() -> None:
    assert hashing.perceptual_hash(np.full((20, 20, 3), 90, np.uint8)) is None
    assert hashing.perceptual_hash(picture(0)) is not None


def test_more_images_deserve_a_larger_preset() -> None:
    levels = {n: advice.advise(n, 0, (), None, None, resolution=64, least=4)[0].level for n in (0, 50, 5000)}
    assert levels == {0: "error", 50: "warning", 5000: "good"}
    assert advice.best_preset(50) == "quick-64"
    assert advice.best_preset(50, gpu=True) == "quick-64"
    assert advice.best_preset(5000) == "quick-64"
    assert advice.best_preset(5000, gpu=True) == "fast-128"


def test_the_check_needs_no_torch() -> None:
    import subprocess

    code = "import sys, coordgan_core.data.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

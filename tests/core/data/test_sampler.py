from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coordgan_core.data.sampler import ImageSource, generator
from coordgan_core.data.store import read_square
from coordgan_core.errors import ConfigError, DataError, ShapeError


def numbered(count: int, size: int = 2) -> ImageSource:
    """Return a source whose image i is dark on the left and has the grey level 2 i + 1 on the right."""
    images = np.zeros((count, size, size, 3), np.uint8)
    images[:, :, size // 2 :] = (2 * np.arange(count) + 1)[:, None, None, None]
    return ImageSource.from_images(images)


def numbers(batch: torch.Tensor) -> list[int]:
    return [round(float(v)) // 2 for v in ((batch.amax((1, 2, 3)) + 1) * 127.5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for i in range(5):
        Image.new("RGB", (12, 8), (i * 40, 10, 20)).save(root / f"{i}.png")
    (root / "3.png").write_bytes(b"not an image")
    return root


def test_the_generator_is_the_same_everywhere() -> None:
    # golden: printf '1/warp/640' | sha256sum, its first 16 digits, halved
    assert generator(1, "warp", 640).initial_seed() == 8579520053147243455
    seeds = {generator(s, name, n).initial_seed() for s in (0, 1) for name in "ab" for n in (0, 1, 16)}
    assert len(seeds) == 12


def test_every_image_is_seen_once_an_epoch_and_orders_differ() -> None:
    source = numbered(10)
    epochs = [[n for k in range(0, 10, 2) for n in numbers(source.batch(e * 10 + k, 2, 7))] for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_depends_on_seed_and_images_seen_only() -> None:
    walked, fresh = numbered(10), numbered(10)
    for nimg in range(0, 32, 4):
        last = walked.batch(nimg, 4, 3, mirror=True)
    torch.testing.assert_close(fresh.batch(28, 4, 3, mirror=True), last, rtol=0, atol=0)
    assert any(not torch.equal(fresh.batch(n, 4, 3), fresh.batch(n, 4, 4)) for n in (0, 4, 8))


def test_a_batch_may_hold_several_epochs() -> None:
    seen = numbers(numbered(3).batch(0, 9, 0))
    assert [sorted(seen[i : i + 3]) for i in (0, 3, 6)] == [[0, 1, 2]] * 3


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_together_see_what_one_process_sees(world: int) -> None:
    source = numbered(7)
    parts = [source.batch(12, 8, 5, rank, world, mirror=True) for rank in range(world)]
    torch.testing.assert_close(torch.cat(parts), source.batch(12, 8, 5, mirror=True), rtol=0, atol=0)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 3"):
        numbered(7).batch(0, 8, 0, 0, 3)


def test_mirroring_flips_about_half_and_keeps_the_order() -> None:
    source = numbered(100, size=4)
    plain, mirrored = source.batch(0, 100, 1), source.batch(0, 100, 1, mirror=True)
    assert numbers(plain) == numbers(mirrored)
    flipped = [torch.equal(m, p.flip(-1)) for m, p in zip(mirrored, plain, strict=True)]
    kept = [torch.equal(m, p) for m, p in zip(mirrored, plain, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 30 < sum(flipped) < 70


def test_values_are_those_of_the_pixels() -> None:
    image = np.array([[[[0, 128, 255]]]], np.uint8)
    batch = ImageSource.from_images(image).batch(0, 1)
    torch.testing.assert_close(batch.flatten(), torch.tensor([-1.0, 128 / 127.5 - 1, 1.0]))


def test_preloaded_images_are_the_same() -> None:
    source, plain = numbered(6), numbered(6)
    source.preload("cpu")
    torch.testing.assert_close(source.batch(4, 6, 2), plain.batch(4, 6, 2), rtol=0, atol=0)


def test_unreadable_images_are_left_out_and_reported(folder: Path) -> None:
    reported: list[tuple[str, str]] = []
    ticks: list[tuple[int, int]] = []
    source = ImageSource.from_folder(
        folder,
        4,
        on_skip=lambda p, r: reported.append((p.name, r)),
        progress=lambda d, n: ticks.append((d, n)),
    )
    assert [p.name for p in source.paths] == ["0.png", "1.png", "2.png", "4.png"]
    assert [name for name, _ in reported] == ["3.png"]
    assert "3.png is not a readable image" in reported[0][1]
    assert [(p.name, r) for p, r in source.skipped] == reported
    assert ticks[-1] == (5, 5)
    reds = ((source.images([0, 1, 2, 3])[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
    assert reds == [0, 40, 80, 160]


def test_the_cache_gives_the_same_images_without_decoding(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = ImageSource.from_folder(folder, 4, cache=cache)
    with monkeypatch.context() as patch:
        patch.setattr("coordgan_core.data.store.read_square", lambda *_: pytest.fail("decoded again"))
        reported: list[Path] = []
        second = ImageSource.from_folder(folder, 4, cache=cache, on_skip=lambda p, _: reported.append(p))
    assert [p.name for p in reported] == ["3.png"]
    torch.testing.assert_close(first.batch(0, 4), second.batch(0, 4), rtol=0, atol=0)
    assert not list(cache.glob("*.tmp"))


def test_the_cache_notices_changes_and_damage(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ImageSource.from_folder(folder, 4, cache=cache)
    Image.new("RGB", (9, 9), (250, 0, 0)).save(folder / "3.png")
    assert len(ImageSource.from_folder(folder, 4, cache=cache)) == 5
    for array in cache.glob("*.npy"):
        array.write_bytes(array.read_bytes()[:-10])
    again = ImageSource.from_folder(folder, 4, cache=cache)
    assert len(again) == 5
    assert round(float((again.images([3])[0, 0, 0, 0] + 1) * 127.5)) == 250


def test_whole_squeezes_and_centre_crops(tmp_path: Path) -> None:
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_square(tmp_path / "a.png", 4, "centre"), np.full((4, 4, 3), 200))
    whole = read_square(tmp_path / "a.png", 3, "whole")
    np.testing.assert_array_equal(whole[:, :, 0], [[0, 200, 0]] * 3)


def test_empty_and_hopeless_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        ImageSource.from_folder(tmp_path, 4)
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match="none of the 1 images"):
        ImageSource.from_folder(tmp_path, 4)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ShapeError):
        ImageSource(np.zeros((2, 4, 4, 3), np.uint8))

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coordgan_core.data.images import (
    image_size,
    is_image,
    list_images,
    near,
    read_image,
    read_near,
    read_reduced,
    resize,
)
from coordgan_core.errors import DataError, ImageError

# a 3 x 2 picture, corner pixels all different: every orientation moves them elsewhere
UPRIGHT = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 255, 255], [255, 0, 255]]], np.uint8
)
# EXIF: what was done to the scene when it was stored, so that orientation n undoes it
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),  # shown after turning 90 degrees clockwise
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)
    return path


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_exif_orientation_comes_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", STORED[orientation], exif=exif(orientation), **options)
    np.testing.assert_array_equal(read_image(path), UPRIGHT)
    assert image_size(path) == (3, 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_also_when_it_is_shrunk_while_decoding(tmp_path: Path, orientation: int) -> None:
    big = {n: np.kron(a, np.ones((64, 64, 1), np.uint8)) for n, a in STORED.items()}
    path = save(tmp_path / "a.jpg", big[orientation], exif=exif(orientation), quality=95)
    assert image_size(path) == (192, 128)
    small = read_image(path, max_side=48)
    assert small.shape == (32, 48, 3)
    np.testing.assert_allclose(small[8::16, 8::16], UPRIGHT, atol=12)


def test_png_orientation_behind_the_pixels_is_found(tmp_path: Path) -> None:
    raw = save(tmp_path / "a.png", STORED[6]).read_bytes()
    late = tmp_path / "late.png"
    late.write_bytes(raw[:-12] + png_chunk(b"eXIf", exif(6).tobytes()[6:]) + raw[-12:])
    assert image_size(late) == (3, 2)
    np.testing.assert_array_equal(read_image(late), UPRIGHT)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([0, 0x1234, 0xFFFF], [0, 0x12, 0xFF]),  # full range: the upper eight bits
        ([0, 2048, 4095], [0, 128, 255]),  # a 12-bit film
        ([0, 100, 255], [0, 100, 255]),  # 8 bits in a 16-bit file
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_images_keep_the_upper_bits_of_their_range(
    tmp_path: Path, stored: list[int], expected: list[int], suffix: str
) -> None:
    path = save(tmp_path / f"a.{suffix}", np.array([stored], np.uint16))
    np.testing.assert_array_equal(read_image(path), np.array([[[v] * 3 for v in expected]]))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 127.4, 255.0], [0, 127, 255]),
        ([-1000.0, 0.0, 1000.0], [0, 128, 255]),
        ([np.nan, 0.0, 1.0], [0, 0, 255]),
    ],
)
def test_float_tiff_ranges(tmp_path: Path, stored: list[float], expected: list[int]) -> None:
    path = save(tmp_path / "a.tif", np.array([stored], np.float32))
    np.testing.assert_array_equal(read_image(path)[0, :, 0], expected)


def test_32_bit_integers_beyond_16_bits_are_stretched(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.array([[-70000, 0, 70000]], np.int32))
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [0, 128, 255])


def test_gray_palette_and_bilevel_become_rgb(tmp_path: Path) -> None:
    gray = save(tmp_path / "gray.png", np.array([[7, 200]], np.uint8))
    np.testing.assert_array_equal(read_image(gray), [[[7] * 3, [200] * 3]])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), [[[10, 20, 30], [40, 50, 60]]])
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png"), [[[255] * 3, [0] * 3]])


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[[200, 0, 0], [255, 255, 255], [204, 204, 204]]]
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", rgba)), expected)
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), [[[255] * 3, [40, 50, 60]]])


def test_cmyk_is_not_inverted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=95)  # no cyan: red
    np.testing.assert_allclose(read_image(path)[4, 4], [255, 0, 0], atol=4)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.full((3, 4, 3), [255, 0, 0]))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif", "gif"])
def test_one_pixel(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", np.full((1, 1, 3), 255, np.uint8))
    assert image_size(path) == (1, 1)
    np.testing.assert_array_equal(read_image(path), np.full((1, 1, 3), 255))


def test_content_counts_not_the_ending(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", UPRIGHT).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(path), UPRIGHT)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9])
def test_cut_off_files_are_image_errors(tmp_path: Path, suffix: str, keep: float) -> None:
    rng = np.random.default_rng(0)
    path = save(tmp_path / f"a.{suffix}", rng.integers(0, 256, (40, 40, 3)).astype(np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(path) in caught.value.found
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(50), bytes(1000)])
def test_other_content_is_an_image_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(ImageError):
            read(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not there"):
        read_image(tmp_path / "no.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError):
        read_image(tmp_path / "folder.png")


def test_pixel_limit_is_checked_before_decoding(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    assert read_image(path, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(ImageError, match="30 x 20"):
        read_image(path, max_pixels=599)


@pytest.mark.parametrize("side", [15_000, 60_000])
def test_decompression_bombs_are_refused(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    body = (
        png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ImageError, match="million"):
        read_image(path)


def test_max_side_keeps_aspect_and_never_enlarges(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((50, 200, 3), 77, np.uint8))
    assert read_image(path, max_side=100).shape == (25, 100, 3)
    assert read_image(path, max_side=1000).shape == (50, 200, 3)
    assert (read_image(path, max_side=10) == 77).all()


def test_reduced_reading_leaves_enough_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", np.full((640, 960, 3), 90, np.uint8), exif=exif(6))
    assert read_reduced(path, width=100, height=150).shape == (240, 160, 3)
    assert read_reduced(path, width=1000, height=1000).shape == (960, 640, 3)


def test_resize_averages_areas() -> None:
    pixels = np.array([[0, 100, 200, 40]], np.uint8)
    np.testing.assert_array_equal(resize(pixels, 2, 1), [[50, 120]])
    np.testing.assert_array_equal(resize(pixels, 2, 3), [[50, 120]] * 3)
    assert resize(pixels, 4, 1) is pixels


def test_listing_is_natural_recursive_and_skips_hidden(tmp_path: Path) -> None:
    names = [
        "b/1.png",
        "10.png",
        "2.JPG",
        "A1.png",
        "a.txt",
        ".hidden.png",
        ".coordlabel/x.png",
        "a/b/c.tiff",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == ["2.JPG", "10.png", "a/b/c.tiff", "A1.png", "b/1.png"]
    assert [path.name for path in list_images(tmp_path, recursive=False)] == ["2.JPG", "10.png", "A1.png"]


def test_symbolic_link_loops_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    save(tmp_path / "real" / "a.png", UPRIGHT)
    (tmp_path / "real" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    assert list_images(tmp_path) == [tmp_path / "real" / "a.png"]


def test_listing_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        list_images(tmp_path / "nowhere")


def test_is_image() -> None:
    assert is_image(Path("x/a.JPEG"))
    assert not is_image(Path("x/a.svg"))
    assert not is_image(Path("x/.a.jpg"))


def test_reading_images_loads_no_torch() -> None:
    code = "import sys, coordgan_core.data.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_reading_near_shrinks_and_tells_the_upright_size(tmp_path: Path, name: str, orientation: int) -> None:
    rows, columns = np.mgrid[:480, :960].astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.stack([rows, columns, rows], -1)).save(tmp_path / name, exif=exif, quality=95)
    whole = read_image(tmp_path / name)
    pixels, size = read_near(tmp_path / name, longest=300, shortest=200)
    assert size == (whole.shape[1], whole.shape[0])
    assert sorted(pixels.shape) == [3, 240, 480]
    assert (pixels.shape[0] > pixels.shape[1]) == (whole.shape[0] > whole.shape[1])
    expected = near(whole, longest=300, shortest=200)
    assert np.abs(pixels.astype(int) - expected.astype(int)).mean() < 2


def test_images_are_shrunk_by_whole_factors_only_and_never_below_the_limits() -> None:
    image = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), np.uint8)
    assert near(image, longest=384, shortest=100).shape == (300, 400, 3)
    assert near(image, longest=384, shortest=256).shape == (300, 400, 3)
    assert near(image, longest=384, shortest=301).shape == (450, 600, 3)
    assert near(image[:899], longest=384, shortest=128).shape == (899, 1200, 3)  # a prime number of rows
    assert near(image, longest=1201, shortest=1) is image
    assert np.allclose(near(image, longest=600, shortest=1)[0, 0], image[:2, :2].mean((0, 1)), atol=1)

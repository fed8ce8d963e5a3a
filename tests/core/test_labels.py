import errno
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from coordgan_core.errors import DiskFullError, LabelError
from coordgan_core.labels import (
    LabelClasses,
    check_labels,
    lookup_table,
    merge_classes,
    read_confidence,
    read_label_map,
    resize_labels,
    resize_soft,
    write_confidence,
    write_label_map,
)
from coordgan_core.palette import default_palette

label_maps = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
few_classes = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 6)
)


@given(label_maps)
@settings(max_examples=40, deadline=None)
def test_a_label_map_comes_back_as_it_was_written(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("labels") / "a.png"
    write_label_map(path, labels)
    assert np.array_equal(read_label_map(path), labels)


def test_written_label_maps_are_palette_png_with_the_given_colours(tmp_path):
    palette = np.array([[0, 0, 0], [10, 20, 30]], np.uint8)
    write_label_map(tmp_path / "a.png", np.array([[0, 1]], np.uint8), palette)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert image.convert("RGB").getpixel((1, 0)) == (10, 20, 30)


def gray_png(path, bits, rows):
    """Write a gray PNG of any bit depth by hand."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") + len(rows).to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    content = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize(
    ("bits", "row", "expected"),
    [
        (1, b"\xa5", [1, 0, 1, 0, 0, 1, 0, 1]),
        (2, b"\x1b\xe4", [0, 1, 2, 3, 3, 2, 1, 0]),
        (4, b"\x01\x23\x45\xff", [0, 1, 2, 3, 4, 5, 15, 15]),
        (8, bytes(range(8)), list(range(8))),
    ],
)
def test_gray_label_maps_of_few_bits_keep_their_ids(tmp_path, bits, row, expected):
    gray_png(tmp_path / "a.png", bits, [row])
    assert read_label_map(tmp_path / "a.png").tolist() == [expected]


@pytest.mark.parametrize(
    ("mode", "word"), [("I;16", "16-bit"), ("RGB", "colours"), ("RGBA", "alpha"), ("LA", "alpha")]
)
def test_label_maps_of_other_kinds_are_refused_with_a_remedy(tmp_path, mode, word):
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(LabelError, match=word) as caught:
        read_label_map(tmp_path / "a.png")
    assert "8-bit" in caught.value.remedy


def test_lossy_missing_and_truncated_label_maps_are_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(LabelError, match="JPEG"):
        read_label_map(tmp_path / "a.jpg")
    with pytest.raises(LabelError, match="no label map"):
        read_label_map(tmp_path / "b.png")
    rng = np.random.default_rng(0)
    write_label_map(tmp_path / "c.png", rng.integers(0, 9, (64, 64), np.uint8))
    content = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(LabelError, match="cannot be read"):
        read_label_map(tmp_path / "c.png")


def test_a_full_disk_leaves_the_old_label_map(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_label_map(path, np.ones((2, 2), np.uint8))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="No space"):
        write_label_map(path, np.zeros((2, 2), np.uint8))
    assert read_label_map(path).tolist() == [[1, 1], [1, 1]]
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_confidence_is_stored_in_255_steps(tmp_path):
    write_confidence(tmp_path / "c.png", np.array([[0.0, 0.5, 1.0, 2.0, np.nan]]))
    assert np.rint(read_confidence(tmp_path / "c.png") * 255).tolist() == [[0, 128, 255, 255, 0]]
    with Image.open(tmp_path / "c.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")


def test_a_confidence_kept_smaller_is_read_at_the_size_of_its_image(tmp_path):
    half = np.repeat([[0.2, 0.8]], 128, axis=0).repeat(128, axis=1)[:64]
    write_confidence(tmp_path / "c.png", half)
    read = read_confidence(tmp_path / "c.png", size=(1000, 250))
    assert read.shape == (250, 1000)
    assert read[:, :480] == pytest.approx(0.2, abs=0.01)
    assert read[:, 520:] == pytest.approx(0.8, abs=0.01)
    assert np.array_equal(
        read_confidence(tmp_path / "c.png", size=(256, 64)), read_confidence(tmp_path / "c.png")
    )


@pytest.mark.parametrize("size", [(250, 1000), (1000, 1000), (128, 32)])
def test_a_confidence_of_another_shape_or_a_larger_one_is_refused(tmp_path, size):
    write_confidence(tmp_path / "c.png", np.ones((64, 256)))
    with pytest.raises(LabelError, match="256 x 64 pixels"):
        read_confidence(tmp_path / "c.png", size=size)


def test_confidence_of_smooth_fields_is_stored_small(tmp_path):
    ramp = np.linspace(0.0, 1.0, 256)[None] * np.linspace(0.0, 1.0, 256)[:, None]
    write_confidence(tmp_path / "c.png", ramp)
    assert (tmp_path / "c.png").stat().st_size < 256 * 256 / 4


@pytest.mark.parametrize(
    ("labels", "options", "word"),
    [
        (np.zeros((3, 4), np.uint8), {"image_size": (3, 4)}, "4 x 3 pixels, its image 3 x 4"),
        (np.full((2, 2), 7, np.uint8), {"known_ids": [0, 1]}, "unknown class ids 7"),
        (np.zeros((2, 2), np.uint8), {"reference": True}, "every pixel is background"),
        (np.zeros((2, 2), np.int64), {}, "int64"),
        (np.zeros((2, 2, 3), np.uint8), {}, "shape"),
    ],
)
def test_label_maps_that_do_not_fit_are_refused(labels, options, word):
    with pytest.raises(LabelError, match=word):
        check_labels(labels, **options)


def test_a_fitting_label_map_passes():
    labels = np.array([[0, 1, 5]], np.uint8)
    check_labels(labels, image_size=(3, 1), known_ids=[1, 5], reference=True)


def test_classes_read_names_and_objects_alike(tmp_path):
    names = LabelClasses.from_names(["background", "nose"])
    objects = LabelClasses.from_json([{"id": 1, "name": "nose", "color": "#0a141e"}])
    assert names.ids == objects.ids == (0, 1)
    assert objects.name(1) == names.name(1) == "nose"
    assert objects.palette()[1].tolist() == [10, 20, 30]
    objects.save(tmp_path / "classes.json")
    assert LabelClasses.load(tmp_path / "classes.json") == objects
    assert json.loads((tmp_path / "classes.json").read_text())[1]["color"] == "#0a141e"


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "abc",
        [{"id": 1}],
        [{"id": 300, "name": "a"}],
        [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}],
        [{"id": 1, "name": "a", "color": "#12"}],
        [{"id": 1, "name": "a", "color": [1, 2]}],
        [{"id": True, "name": "a"}],
    ],
)
def test_malformed_classes_are_refused(value):
    with pytest.raises(LabelError):
        LabelClasses.from_json(value)


def test_classes_merge_by_a_table():
    labels = np.array([[0, 1, 2, 9]], np.uint8)
    assert merge_classes(labels, lookup_table({1: 2, 2: 2})).tolist() == [[0, 2, 2, 0]]
    assert merge_classes(labels, lookup_table({1: 2}, default=None)).tolist() == [[0, 2, 2, 9]]


def test_halving_averages_areas():
    labels = np.array([[1, 1, 0, 2], [1, 0, 2, 2]], np.uint8)
    soft = resize_soft(labels, 2, 1)
    assert soft[:, 0].tolist() == [[0.25, 0.25], [0.75, 0.0], [0.0, 0.75]]
    assert resize_labels(labels, 2, 1).tolist() == [[1, 2]]


@given(few_classes, st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_soft_labels_sum_to_one_and_only_hold_what_was_there(labels, width, height):
    soft = resize_soft(labels, width, height)
    assert soft.shape == (int(labels.max()) + 1, height, width)
    assert np.allclose(soft.sum(0), 1, atol=1e-5)
    assert set(np.unique(resize_labels(labels, width, height))) <= set(np.unique(labels))


@given(label_maps)
@settings(max_examples=30, deadline=None)
def test_enlarging_by_an_odd_factor_and_back_is_the_identity(labels):
    height, width = labels.shape
    large = resize_labels(labels, 3 * width, 3 * height)
    assert np.array_equal(large[1::3, 1::3], labels)


def test_the_palette_is_stable_distinct_and_starts_black():
    palette = default_palette(256)
    assert palette[:3].tolist() == [[0, 0, 0], [230, 159, 0], [86, 180, 233]]
    assert len({tuple(c) for c in palette.tolist()}) == 256
    assert np.array_equal(default_palette(20), palette[:20])

"""Other tools read what we write to the same pixels, and what they write we read (see oracle_tools.py)."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw
from pycocotools import mask as oracle
from pycocotools.coco import COCO

from app.domain.classes import table_from_names
from app.domain.formats import FORMATS, brush, coco_polygons, polygons, rle
from app.domain.formats.base import ExportItem, ExportOptions

GOLDEN = Path(__file__).parent / "golden"
TOOLS = os.environ.get("COORDLABEL_ORACLES", "")
TABLE = table_from_names(["body", "left ear", "right ear"])

sizes = st.one_of(
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.tuples(st.just(1), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.just(1)),
)
masks = sizes.flatmap(lambda size: arrays.arrays(np.bool_, size))
corners = st.lists(st.tuples(st.floats(-9, 40), st.floats(-9, 40)), min_size=3, max_size=9)


def decoded(value: object) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
        return oracle.decode(value).astype(bool)


def examples() -> dict[str, np.ndarray]:
    """Noise of all densities, large shapes with holes and islands, 1 x N and N x 1."""
    draw = np.random.default_rng(7)
    maps = {
        f"noise{i}": draw.choice(4, (17 + i, 23), p=[1 - p, p / 3, p / 3, p / 3]).astype(np.uint8)
        for i, p in enumerate((0.05, 0.5, 0.95))
    }
    large = np.zeros((60, 80), np.uint8)
    cv2.circle(large, (40, 30), 26, 1, -1)
    cv2.circle(large, (40, 30), 15, 0, -1)
    cv2.circle(large, (40, 30), 9, 2, -1)
    cv2.circle(large, (42, 30), 3, 0, -1)
    large[0], large[:, -1] = 3, 2
    maps |= {"large": large, "row": draw.integers(0, 4, (1, 33), np.uint8)}
    return maps | {"column": draw.integers(0, 4, (33, 1), np.uint8), "full": np.full((5, 7), 3, np.uint8)}


def export(name: str, folder: Path, choices: dict[str, str], *, pictures: bool = False) -> Path:
    items = []
    for number, (stem, labels) in enumerate(examples().items()):
        source = folder / "images" / f"{stem}.png"
        source.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", labels.shape[::-1]).save(source)
        score = None if number % 2 else 0.75
        items.append(
            ExportItem(number, f"{stem}.png", stem, source, lambda labels=labels: labels, score)  # type: ignore[misc]
        )
    options = ExportOptions(copy_images=pictures, choices=choices)
    list(FORMATS[name].write(folder / "out", items, TABLE, options))
    return folder / "out"


@given(masks)
def test_every_usual_rasteriser_fills_our_outlines_exactly(mask: np.ndarray) -> None:
    height, width = mask.shape
    ours, cut, drawn = (np.zeros(mask.shape, np.uint8) for _ in range(3))
    rings = polygons.trace(mask)
    for ring in rings:
        polygons.paint(ours, ring, 1)
        cv2.fillPoly(cut, [ring.astype(np.int32)], 1)
        canvas = Image.fromarray(drawn)
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in ring], fill=1, outline=1)
        drawn = np.array(canvas)
    assert np.array_equal(ours > 0, mask)
    assert np.array_equal(cut > 0, mask)
    assert np.array_equal(drawn > 0, mask)
    if rings:
        flat = [ring.ravel().tolist() for ring in rings]
        assert np.array_equal(decoded(oracle.merge(oracle.frPyObjects(flat, height, width))), mask)


@given(masks)
def test_run_lengths_are_those_of_pycocotools(mask: np.ndarray) -> None:
    theirs = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    found = rle.counts_of(mask.astype(np.uint8))
    if not mask.any():
        assert found == {}
        return
    text = rle.to_text(found[1])
    assert text == theirs["counts"].decode()
    assert rle.from_text(text, "x").tolist() == found[1].tolist()
    assert rle.area(found[1]) == int(oracle.area(theirs))
    assert list(rle.bounds(found[1], mask.shape[0])) == oracle.toBbox(theirs).tolist()


@given(corners, st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_polygons_of_others_are_filled_as_pycocotools_fills_them(
    points: list[tuple[float, float]], size: tuple[int, int]
) -> None:
    flat = [float(v) for point in points for v in point]
    labels = np.zeros(size, np.uint8)
    coco_polygons.paint(labels, points, 1)
    assert np.array_equal(labels > 0, decoded(oracle.frPyObjects([flat], *size))[..., 0])


@pytest.mark.parametrize(
    ("name", "values"),
    [("coco", v) for v in itertools.product(("rle", "polygons"), ("class", "piece"), "10")],
)
def test_pycocotools_reads_our_coco_to_the_same_pixels(
    name: str, values: tuple[str, ...], tmp_path: Path
) -> None:
    choices = dict(zip(("segmentation", "instances", "first_id"), values, strict=True))
    out = export(name, tmp_path, choices)
    data = COCO(str(out / "annotations/instances_default.json"))
    names = {c["id"]: TABLE.by_name(c["name"]).id for c in data.loadCats(data.getCatIds())}
    assert list(names) == [1, 2, 3] if values[2] == "1" else [0, 1, 2]
    expected = examples()
    assert len(data.getImgIds()) == len(expected)
    for image in data.loadImgs(data.getImgIds()):
        labels = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in data.loadAnns(data.getAnnIds(imgIds=image["id"])):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                mask = data.annToMask(annotation).astype(bool)
            assert annotation["area"] == mask.sum()
            labels[mask] = names[annotation["category_id"]]
        assert np.array_equal(labels, expected[Path(image["file_name"]).stem])


def by_supervision(out: Path) -> dict[str, dict[int, np.ndarray]]:
    """The mask of each class of each image, as supervision reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tqdm

        tqdm.tqdm.monitor_interval = 0  # it would leave a thread behind
        import supervision

        data = supervision.DetectionDataset.from_coco(
            str(out / "images/default"), str(out / "annotations/instances_default.json"), force_masks=True
        )
        ids = [TABLE.by_name(name).id for name in data.classes]
        return {
            Path(path).stem: {ids[c]: m for m, c in zip(found.mask, found.class_id, strict=True)}
            for path, _, found in data
        }


def test_supervision_reads_our_run_lengths_to_the_same_pixels(tmp_path: Path) -> None:
    read = by_supervision(export("coco", tmp_path, {}, pictures=True))
    for stem, expected in examples().items():
        assert set(read[stem]) == set(np.unique(expected)) - {0}
        assert all(np.array_equal(mask, expected == c) for c, mask in read[stem].items()), stem


def test_supervision_rounds_our_polygons_up_as_the_limits_say(tmp_path: Path) -> None:
    choices = {"segmentation": "polygons"}
    assert "round" in FORMATS["coco"].limits(TABLE, ExportOptions(choices=choices))[0]
    read = by_supervision(export("coco", tmp_path, choices, pictures=True))
    kernel = np.zeros((3, 3), np.uint8)
    kernel[1:, 1:] = 1  # a pixel to the right and down, never to the left or up
    for stem, expected in examples().items():
        for class_id, mask in read[stem].items():
            ours = expected == class_id
            grown = cv2.dilate(ours.astype(np.uint8), kernel[::-1, ::-1]).astype(bool)
            assert (mask[ours]).all()
            assert not (mask & ~grown).any()
    ring = read["large"][1]
    assert 0.85 < (examples()["large"] == 1).sum() / ring.sum() < 1.0


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("labelme", "labelme"),
        ("label-studio", "label-studio"),
        ("datumaro-coco", "coco"),
        ("datumaro-panoptic", "coco-panoptic"),
        ("pycocotools", "coco"),
        ("supervision", "coco"),
    ],
)
def test_what_the_tools_wrote_is_read_to_their_pixels(folder: str, name: str) -> None:
    expected = json.loads((GOLDEN / folder / "expected.txt").read_text())
    source = FORMATS[name].read(GOLDEN / folder)
    assert {item.key for item in source.items} == set(expected)
    for item in source.items:
        assert item.load().tolist() == expected[item.key]
    assert list(source.names.values())[:2] == ["body", "ear"]
    assert FORMATS[name].probe(GOLDEN / folder) == max(f.probe(GOLDEN / folder) for f in FORMATS.values())


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("labelme", {"shapes": "mask"}),
        ("labelme", {"shapes": "polygon"}),
        ("x-anylabeling", {}),
        ("label-studio", {}),
        ("coco", {"segmentation": "rle"}),
        ("coco", {"segmentation": "polygons"}),
        ("coco-panoptic", {}),
    ],
)
@pytest.mark.skipif(not TOOLS, reason="COORDLABEL_ORACLES names no Python with the tools")
def test_the_tools_read_our_files_to_the_same_pixels(
    name: str, choices: dict[str, str], tmp_path: Path
) -> None:
    out = export(name, tmp_path, choices, pictures=True)
    script, result = Path(__file__).parent / "oracle_tools.py", tmp_path / "read.npz"
    done = subprocess.run([TOOLS, script, name, out, result], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(result) as read:
        for stem, labels in examples().items():
            assert np.array_equal(read[stem], labels), stem


@given(masks)
@settings(max_examples=50)
def test_brushes_come_back(mask: np.ndarray) -> None:
    assert np.array_equal(brush.decode(brush.encode(mask), mask.shape, "x"), mask)


def test_brushes_of_long_runs_come_back() -> None:
    mask = np.zeros((300, 700), bool)
    mask[40:220] = True
    assert np.array_equal(brush.decode(brush.encode(mask), mask.shape, "x"), mask)

"""Other tools read our layouts to the same pixels; what they write we read (see oracle_datasets.py)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from app.domain.classes import table_from_names
from app.domain.formats import FORMATS, ExportOptions, guess
from app.domain.formats.base import ExportItem
from app.domain.formats.matching import agreement
from tests.app.domain.test_format_oracles import examples

GOLDEN = Path(__file__).parent / "golden"
TOOLS = os.environ.get("COORDLABEL_ORACLES", "")
TABLE = table_from_names(["body", "left ear", "right ear"])


def golden(folder: str) -> np.ndarray:
    return np.array(json.loads((GOLDEN / folder / "expected.txt").read_text())["cat"], np.uint8)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("datumaro-voc", "cvat-mask"), ("datumaro-cvat", "cvat-images"), ("datumaro-cityscapes", "cityscapes")],
)
def test_what_datumaro_writes_we_read(folder: str, name: str) -> None:
    path = GOLDEN / folder
    assert guess(path / "train.xml" if name == "cvat-images" else path) == name
    source = FORMATS[name].read(path)
    assert [Path(item.key).stem for item in source.items] == ["cat"]
    assert [n for i, n in sorted(source.names.items()) if i][:2] == ["body", "ear"]
    assert np.array_equal(source.items[0].load(), golden(folder))


def test_what_supervision_writes_for_yolo_we_read() -> None:
    path = GOLDEN / "supervision-yolo"
    assert guess(path) == "yolo-seg"
    source = FORMATS["yolo-seg"].read(path)
    assert source.names == {1: "body", 2: "ear"}
    # its outlines run along the centres of the border pixels: half a pixel is lost around
    assert agreement(source.items[0].load(), golden("supervision-yolo")) > 0.75


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("pascal-voc", {}),
        ("cvat-mask", {"pack": "folder"}),
        ("cvat-images", {"shape": "mask"}),
        ("cvat-images", {"shape": "polygon"}),
        ("cityscapes", {}),
        ("yolo-seg", {}),
    ],
)
@pytest.mark.skipif(not TOOLS, reason="COORDLABEL_ORACLES names no Python with the tools")
def test_the_tools_read_our_layouts_to_the_same_pixels(
    name: str, choices: dict[str, str], tmp_path: Path
) -> None:
    items = []
    for number, (stem, labels) in enumerate(examples().items()):
        picture = tmp_path / f"{stem}.png"
        Image.new("RGB", labels.shape[::-1]).save(picture)
        items.append(ExportItem(number, picture.name, stem, picture, lambda labels=labels: labels))  # type: ignore[misc]
    out = tmp_path / "out"
    list(FORMATS[name].write(out, items, TABLE, ExportOptions(copy_images=True, choices=choices)))
    script, result = Path(__file__).parent / "oracle_datasets.py", tmp_path / "read.npz"
    done = subprocess.run([TOOLS, script, name, out, result], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(result) as read:
        for stem, labels in examples().items():
            if name == "yolo-seg":  # corners are rounded: nothing is missing, parts are a little wider
                assert (read[stem][labels > 0] > 0).all(), stem
                assert stem != "large" or agreement(read[stem], labels) > 0.7
            else:
                assert np.array_equal(read[stem], labels), stem


def test_yolo_outlines_are_exact_where_decimals_are_cut_and_the_border_is_drawn(tmp_path: Path) -> None:
    for stem, labels in examples().items():  # the rule by which Ultralytics makes masks for training
        picture = tmp_path / f"{stem}.png"
        Image.new("RGB", labels.shape[::-1]).save(picture)
        item = ExportItem(1, picture.name, stem, picture, lambda labels=labels: labels)  # type: ignore[misc]
        list(FORMATS["yolo-seg"].write(tmp_path / stem, [item], TABLE, ExportOptions()))
        drawn = np.zeros(labels.shape, np.uint8)
        for line in next((tmp_path / stem / "labels").rglob("*.txt")).read_text().splitlines():
            number, *values = line.split()
            corners = np.array(values, np.float32).reshape(-1, 2) * np.array(labels.shape[::-1], np.float32)
            cv2.fillPoly(drawn, [corners.astype(np.int32)], int(number) + 1)
        assert np.array_equal(drawn, labels), stem

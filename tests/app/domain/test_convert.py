from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.classes import table_from_names
from app.domain.formats import FORMATS, ExportOptions, convert, guess
from app.domain.formats.base import ExportItem
from app.domain.palette import voc_palette
from coordgan_core.errors import LabelError
from coordgan_core.labels import read_label_map

LABELS = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4) % 4, np.ones((5, 6), np.uint8))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "voc"
    items = [
        ExportItem(i, f"im{i}.png", f"im{i}", tmp_path, lambda i=i: np.roll(LABELS, i)) for i in range(3)
    ]
    list(
        FORMATS["pascal-voc"].write(
            folder, items, table_from_names(["eye", "nose", "l ear"]), ExportOptions()
        )
    )
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (24, 15)).save(folder / f"im{i}.png")
    return folder


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_there_and_back_every_pixel_is_where_it_was(
    source: Path, tmp_path: Path, images: Path, name: str
) -> None:
    there = list(convert(source, "", tmp_path / "there", name, images=images))
    assert [e.error for e in there] == [""] * len(there)
    checks = [e.iou for e in there if e.phase == "check"]
    assert checks == [1.0] * 3
    back = list(convert(tmp_path / "there", name, tmp_path / "back", "pascal-voc", images=images))
    assert [e.iou for e in back if e.phase == "check"] == [1.0] * 3
    names = (tmp_path / "back/class_names.txt").read_text().splitlines()
    expected = (source / "class_names.txt").read_text().splitlines()
    for i in range(3):
        labels = read_label_map(tmp_path / f"back/SegmentationClass/im{i}.png")
        assert [names[v] for v in labels.ravel()] == [expected[v] for v in np.roll(LABELS, i).ravel()]


def test_phases_and_counts(source: Path, tmp_path: Path) -> None:
    events = list(convert(source, "pascal-voc", tmp_path / "out", "index-png"))
    assert [(e.phase, e.done, e.total) for e in events] == [
        (phase, i, 3) for phase in ("look", "write", "check") for i in (1, 2, 3)
    ]
    assert not [
        e for e in convert(source, "", tmp_path / "o2", "index-png", verify=False) if e.phase == "check"
    ]


def test_losses_are_measured_on_the_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    labels = np.zeros((20, 20), np.uint8)
    labels[:10, :10] = 1
    labels[2:7, 2:7] = 0
    Image.fromarray(labels).save(tmp_path / "in/a.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    options = ExportOptions(choices={"holes": "fill"})
    events = list(convert(tmp_path / "in", "index-png", tmp_path / "out", "yolo-seg", options=options))
    assert events[-1].iou == pytest.approx(0.75)
    assert any("holes are filled" in w for w in events[0].warnings)


def test_a_damaged_label_map_is_told_and_the_rest_goes_on(source: Path, tmp_path: Path) -> None:
    (source / "SegmentationClass/im1.png").write_bytes(b"no png")
    events = list(convert(source, "", tmp_path / "out", "cvat-images"))
    assert [e.key for e in events if e.error] == ["im1.jpg"]
    assert [e.key for e in events if e.phase == "check"] == ["im0.jpg", "im2.jpg"]


def test_void_becomes_background(tmp_path: Path) -> None:
    folder = tmp_path / "voc/SegmentationClass"
    folder.mkdir(parents=True)
    image = Image.fromarray(np.array([[0, 1, 255]], np.uint8))
    image.putpalette(voc_palette().tobytes())
    image.save(folder / "a.png")
    list(convert(tmp_path / "voc", "pascal-voc", tmp_path / "out", "index-png"))
    assert read_label_map(tmp_path / "out/a.png").tolist() == [[0, 1, 0]]


def test_the_images_give_file_names_and_sizes(source: Path, tmp_path: Path, images: Path) -> None:
    list(
        convert(
            source,
            "",
            tmp_path / "out",
            "cvat-images",
            images=images,
            options=ExportOptions(copy_images=True),
        )
    )
    assert 'name="im0.png"' in (tmp_path / "out/annotations.xml").read_text()
    assert (tmp_path / "out/images/im2.png").read_bytes() == (images / "im2.png").read_bytes()
    with pytest.raises(LabelError, match="no images to copy"):
        list(convert(source, "", tmp_path / "o2", "cvat-images", options=ExportOptions(copy_images=True)))


def test_the_source_is_never_the_target(source: Path, tmp_path: Path) -> None:
    for target in (source, source / "below"):
        with pytest.raises(LabelError, match="lies in the source"):
            list(convert(source, "", target, "index-png"))
    with pytest.raises(LabelError, match="looks like no format"):
        guess(tmp_path / "nowhere")
    with pytest.raises(LabelError, match="there is no format"):
        list(convert(source, "bmp", tmp_path / "out", "index-png"))


def test_names_that_lead_out_of_the_target_stay_inside(tmp_path: Path) -> None:
    file = tmp_path / "annotations.xml"
    file.write_text(
        '<annotations><image id="0" name="../../up/a.png" width="4" height="3">'
        '<box label="x" xtl="0" ytl="0" xbr="2" ybr="3"/></image></annotations>'
    )
    list(convert(file, "cvat-images", tmp_path / "deep/out", "index-png"))
    assert read_label_map(tmp_path / "deep/out/a.png").sum() == 6


def test_where_no_images_are_named_labelme_files_say_of_the_image_what_they_said(tmp_path: Path) -> None:
    shape = {"label": "a", "points": [[0, 0], [3, 3]], "shape_type": "rectangle"}
    content = {"imagePath": "../photos/x.jpg", "imageHeight": 6, "imageWidth": 9, "shapes": [shape]}
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "x.json").write_text(json.dumps(content))
    list(convert(tmp_path / "from", "labelme", tmp_path / "same", "labelme"))
    assert json.loads((tmp_path / "same" / "x.json").read_text())["imagePath"] == "../photos/x.jpg"
    list(convert(tmp_path / "from", "labelme", tmp_path / "pngs", "index-png"))
    list(convert(tmp_path / "pngs", "index-png", tmp_path / "back", "labelme"))
    assert json.loads((tmp_path / "back" / "x.json").read_text())["imagePath"] == "x.jpg"

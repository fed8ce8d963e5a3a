"""Damaged and malicious data sets end in an error that says file and remedy; nothing leaves the folder."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.formats import FORMATS
from app.domain.formats import sources as reading
from app.domain.formats.base import KnownImages
from app.domain.formats.sources import Tree, open_tree, read_yaml, xml_elements
from coordgan_core.errors import CoordError, LabelError

GOLDEN = Path(__file__).parent / "golden"
SETS = {
    "cvat-mask": "datumaro-voc",
    "cvat-images": "datumaro-cvat",
    "cityscapes": "datumaro-cityscapes",
    "yolo-seg": "supervision-yolo",
}
SIZES = KnownImages(["cat"], lambda _: (32, 24))


def load_all(name: str, path: Path) -> None:
    for item in FORMATS[name].read(path, SIZES).items:
        labels = item.load()
        assert labels.dtype == np.uint8
        assert labels.ndim == 2


@pytest.mark.parametrize("name", sorted(SETS))
def test_any_byte_may_be_anything(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(GOLDEN / SETS[name], folder)
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != "expected.txt")
    draw = random.Random(5)
    said = []
    for _ in range(250):
        file = draw.choice(files)
        before = file.read_bytes()
        after = bytearray(before)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(after))
            after[place] = draw.choice([draw.randrange(256), *b'09-.,:;"<&'])
        file.write_bytes(bytes(after[: draw.choice([len(after), len(after), draw.randrange(len(after))])]))
        assert 0.0 <= FORMATS[name].probe(folder) <= 1.0
        try:
            load_all(name, folder)
        except CoordError as error:
            said.append(str(error))
        file.write_bytes(before)
    assert said
    load_all(name, folder)


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def png(labels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png", "C:/out.png", "..\\out.png"])
def test_zip_files_with_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "x.zip", {name: b"", "labelmap.txt": b"background:0,0,0::\n"})
    with pytest.raises(LabelError, match="leads out of it"):
        FORMATS["cvat-mask"].read(path)
    assert FORMATS["cvat-mask"].probe(path) == 0.0


def test_zip_files_are_read_in_place_whatever_folder_they_begin_with(tmp_path: Path) -> None:
    colours = np.zeros((3, 4, 3), np.uint8)
    colours[1] = (9, 8, 7)
    files = {
        "task/labelmap.txt": b"# label:color_rgb:parts:actions\nbackground:0,0,0::\near:9,8,7::\n",
        "task/SegmentationClass/sub/a.png": png(colours),
        "__MACOSX/task/._labelmap.txt": b"junk",
    }
    source = FORMATS["cvat-mask"].read(zipped(tmp_path / "x.zip", files))
    assert source.names == {1: "ear"}
    assert source.items[0].key == "sub/a"
    assert source.items[0].load().tolist() == [[0] * 4, [1] * 4, [0] * 4]
    assert sorted(f.name for f in tmp_path.rglob("*")) == ["x.zip"]


def test_a_member_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", b" " * 100_000)
    monkeypatch.setattr(reading, "MAX_MEMBER_BYTES", 50_000)
    with pytest.raises(LabelError, match="unpacks to 100000 bytes"):
        FORMATS["cvat-images"].read(path)


def test_what_is_no_zip_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(LabelError, match=r"x\.zip"):
        open_tree(tmp_path / "x.zip")
    with pytest.raises(LabelError, match="neither a folder nor a zip file"):
        open_tree(tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotations>&x;</annotations>',
            "declares",
        ),
        ('<!DOCTYPE a [<!ENTITY x "1234567890">]><annotations>&x;&x;</annotations>', "declares"),
        ('<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><annotations/>', "declares"),
        ("<annotations>&other;</annotations>", "entity"),
        ("<annotations><image></annotations>", "mismatched"),
        ("", "no element"),
        ('<?xml version="1.0" encoding="latin-1"?><annotations/>', "latin-1"),
        ("<annotations/>", "no images"),
        ('<annotations><track id="0" label="a"/></annotations>', "tracks of a video"),
        ('<annotations><image id="0" name="a"/></annotations>', "without name or size"),
    ],
)
def test_xml_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(LabelError, match=message):
        FORMATS["cvat-images"].read(tmp_path)


SHAPE = '<annotations><image id="0" name="cat.png" width="32" height="24">{}</image></annotations>'
MASK = '<mask label="a" rle="{}" left="{}" top="0" width="{}" height="2"/>'


@pytest.mark.parametrize(
    "shape",
    [
        MASK.format("1, -1", 0, 2),
        MASK.format("1, 99", 0, 2),
        MASK.format("1, x", 0, 2),
        MASK.format("1", 0, -2),
        MASK.format("1", "nan", 2),
        MASK.format("1", 0, 10**12),
        '<mask label="a" rle="1"/>',
        '<polygon label="a" points="1,2;nan,3;4,5"/>',
        '<polygon label="a" points="1;2;3"/>',
        '<box label="a" xtl="0" ytl="0" xbr="inf" ybr="1"/>',
        '<polygon label="a" points="1,2;3,4;5,1" z_order="top"/>',
    ],
)
def test_malformed_shapes_are_refused_by_image(tmp_path: Path, shape: str) -> None:
    (tmp_path / "annotations.xml").write_text(SHAPE.format(shape))
    item = FORMATS["cvat-images"].read(tmp_path).items[0]
    with pytest.raises(LabelError, match=r"annotations\.xml, image cat\.png"):
        item.load()


def test_shapes_of_all_kinds_are_painted_in_their_order(tmp_path: Path) -> None:
    shapes = (
        '<box label="top" xtl="4" ytl="4" xbr="6" ybr="6" z_order="2"/>'
        '<box label="low" xtl="0" ytl="0" xbr="10" ybr="10" z_order="1"/>'
        '<ellipse label="round" cx="20" cy="12" rx="5" ry="3"/>'
        '<box label="turned" xtl="24" ytl="18" xbr="30" ybr="20" rotation="90"/>'
        + MASK.format("0, 4", -1, 2).replace('"a"', '"edge"')
        + '<polyline label="low" points="1,1;5,5"/><tag label="low"/>'
    )
    (tmp_path / "annotations.xml").write_text(SHAPE.format(shapes))
    source = FORMATS["cvat-images"].read(tmp_path)
    labels = source.items[0].load()
    ids = {name: i for i, name in source.names.items()}
    assert (labels[4:6, 4:6] == ids["top"]).all()
    assert int((labels == ids["low"]).sum()) == 96
    assert int((labels == ids["round"]).sum()) == pytest.approx(np.pi * 15, abs=3)
    turned = np.argwhere(labels == ids["turned"])
    assert (turned.min(axis=0).tolist(), turned.max(axis=0).tolist()) == ([16, 26], [21, 27])
    assert sorted(w.split("'")[1] for w in source.warnings) == ["polyline", "tag"]
    assert labels[0, 0] == ids["low"]


def test_xml_positions_hold_for_names_beyond_ascii(tmp_path: Path) -> None:
    text = "".join(
        f'<image id="{i}" name="größe 目 {i}.png" width="4" height="3">'
        f'<box label="é{i}" xtl="0" ytl="0" xbr="1" ybr="1"/></image>'
        for i in range(3)
    )
    (tmp_path / "annotations.xml").write_text(f"<annotations>{text}</annotations>", encoding="utf-8")
    source = FORMATS["cvat-images"].read(tmp_path)
    assert [int(item.load()[0, 0]) for item in source.items] == [1, 2, 3]
    assert [
        e.name for e in xml_elements(io.BytesIO(text[: text.index("</image>") + 8].encode()), "x") if e.opens
    ] == ["image", "box"]


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "- a", "a: [", "\0"])
def test_yaml_is_values_only(text: str) -> None:
    with pytest.raises(LabelError, match=r"data\.yaml"):
        read_yaml(text, "data.yaml")


@pytest.mark.parametrize(
    "line", ["0 0.1", "x 0 0 1 1 0 1", "-1 0 0 1 1 0 1", "255 0 0 1 1 0 1", "0 nan 0 1 1 0 1", "0 0 0 1 1 0"]
)
def test_malformed_lines_of_yolo_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/cat.txt").write_text(f"0 0 0 1 0 1 1\n{line}\n")
    with pytest.raises(LabelError, match=r"labels/cat\.txt, line 2"):
        FORMATS["yolo-seg"].read(tmp_path, SIZES).items[0].load()


def test_boxes_of_yolo_and_sizes_of_turned_photographs(tmp_path: Path) -> None:
    for folder in ("labels/train", "images/train"):
        (tmp_path / folder).mkdir(parents=True)
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (24, 32)).save(tmp_path / "images/train/cat.jpg", exif=exif)
    (tmp_path / "labels/train/cat.txt").write_text("1 0.5 0.5 0.25 0.5\n")
    (tmp_path / "data.yaml").write_text("names: [a, b]\n")
    labels = FORMATS["yolo-seg"].read(tmp_path).items[0].load()
    assert labels.shape == (24, 32)
    assert (labels[6:18, 12:20] == 2).all()
    assert (labels > 0).sum() == 96


def test_masks_of_cvat_that_are_numbers_or_hold_unknown_colours(tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\near:10,20,30::\n")
    file = tmp_path / "SegmentationClass/a.png"
    file.write_bytes(png(np.array([[0, 1, 255]], np.uint8)))
    assert FORMATS["cvat-mask"].read(tmp_path).items[0].load().tolist() == [[0, 1, 0]]
    file.write_bytes(png(np.array([[[224, 224, 192], [10, 20, 30], [0, 0, 0]]], np.uint8)))
    assert FORMATS["cvat-mask"].read(tmp_path).items[0].load().tolist() == [[0, 1, 0]]
    file.write_bytes(png(np.array([[[0, 0, 0], [11, 20, 30]]], np.uint8)))
    with pytest.raises(LabelError, match=r"11, 20, 30 at column 1, row 0"):
        FORMATS["cvat-mask"].read(tmp_path).items[0].load()
    file.write_bytes(png(np.array([[2]], np.uint8)))
    with pytest.raises(LabelError, match="holds the number 2, the label map has 2 lines"):
        FORMATS["cvat-mask"].read(tmp_path).items[0].load()


def test_a_black_class_and_equal_colours_are_told_apart_for_cvat(tmp_path: Path) -> None:
    from app.domain.classes import AddClass, ClassTable
    from app.domain.formats.base import ExportItem, ExportOptions

    table = ClassTable()
    for name, color in (("pupil", (0, 0, 0)), ("iris", (5, 5, 5)), ("lid", (5, 5, 5))):
        table = AddClass(name, color).apply(table)
    labels = np.array([[0, 1, 2, 3]], np.uint8)
    item = ExportItem(1, "a.png", "a", tmp_path, lambda: labels)
    for name in ("cvat-mask", "color-png"):
        assert sum("gets another colour" in text for text in FORMATS[name].limits(table)) == 2
        list(FORMATS[name].write(tmp_path / name, [item], table, ExportOptions()))
        source = FORMATS[name].read(tmp_path / name)
        found = [source.names.get(int(i), "background") for i in source.items[0].load()[0]]
        assert found == ["background", "pupil", "iris", "lid"]


def test_cityscapes_polygons_alone_are_painted(tmp_path: Path) -> None:
    (tmp_path / "gtFine").mkdir()
    text = (
        '{"imgHeight": 9, "imgWidth": 12, "objects": ['
        '{"label": "road", "polygon": [[0,0],[11,0],[11,8],[0,8]]}, '
        '{"label": "kite", "polygon": [[2,2],[4,2],[4,4],[2,4]]}, '
        '{"label": "car", "deleted": 1, "polygon": []}]}'
    )
    (tmp_path / "gtFine/a_gtFine_polygons.json").write_text(text)
    source = FORMATS["cityscapes"].read(tmp_path)
    labels = source.items[0].load()
    assert source.names[7] == "road"
    assert {source.names[int(i)]: int((labels == i).sum()) for i in np.unique(labels)} == {
        "road": 99,
        "kite": 9,
    }


def test_masks_of_celeba_are_merged_in_their_order_and_enlarged(tmp_path: Path) -> None:
    folder = tmp_path / "CelebAMask-HQ-mask-anno/0"
    folder.mkdir(parents=True)
    skin, eye = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    skin[1:7], eye[2:4, 2:4] = 255, 255
    Image.fromarray(skin).convert("RGB").save(folder / "00012_skin.png")
    Image.fromarray(eye).save(folder / "00012_l_eye.png")
    source = FORMATS["part-masks"].read(
        tmp_path, KnownImages(["12"], lambda name: (16, 16) if name == "12" else None)
    )
    labels = source.items[0].load()
    ids = {name: i for i, name in source.names.items()}
    assert source.items[0].key == "12"
    assert labels.shape == (16, 16)
    assert (labels[4:8, 4:8] == ids["l_eye"]).all()
    assert int((labels == ids["skin"]).sum()) == 6 * 8 * 4 - 16


def test_names_of_files_are_those_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    tree = Tree(tmp_path)
    assert tree.names() == ["a/b.txt"]
    assert tree.text("a/b.txt") == "x"
    with pytest.raises(LabelError, match="missing"):
        tree.read("missing")

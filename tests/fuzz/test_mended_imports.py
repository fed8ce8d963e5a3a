"""What odd imports once did: crash, hang, or leave a project that does not open again. Built by hand."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.formats import FORMATS, convert, import_labels
from app.domain.formats.matching import loaded
from app.domain.project import Project
from app.domain.propagated import PropagatedFolder, take_propagated
from coordgan_core.errors import CoordError, LabelError
from coordgan_core.labels import LabelClasses, write_confidence, write_label_map
from tests.fuzz.mutate import dumped
from tests.fuzz.odd import HEIGHT, WIDTH, chunk
from tests.fuzz.odd_imports import KNOWN, a_project

DEEP: list[object] = []
for _ in range(3000):
    DEEP = [DEEP]


def load_all(name: str, path: Path) -> list[np.ndarray]:
    return [loaded(item, None) for item in FORMATS[name].read(path, KNOWN).items]


def zipped(path: Path, names: list[bytes]) -> Path:
    """A zip file of YOLO with members of these names; ``zipfile`` itself writes no such names."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels/image0.txt", "0 0 0 1 0 1 1\n")
        for number, _ in enumerate(names):
            archive.writestr(f"{number}".rjust(8, "N"), "x")
    content = path.read_bytes()
    for number, name in enumerate(names):
        content = content.replace(f"{number}".rjust(8, "N").encode(), name.ljust(8, b"\0"))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", [b"", b".", b"./.", b"..", b"C:a", b"\\"])
def test_a_member_of_an_archive_that_names_no_file_below_is_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(LabelError, match=r"s\.zip holds the path") as error:
        load_all("yolo-seg", zipped(tmp_path / "s.zip", [name]))
    assert "do not trust" in error.value.remedy
    assert FORMATS["yolo-seg"].probe(tmp_path / "s.zip") == 0


def test_members_that_are_packed_in_ways_that_fail_are_named(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    for kind in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("labels/image0.txt", random.Random(1).randbytes(3000).hex(), kind)
        content = bytearray(path.read_bytes())
        content[300:1300] = b"\xff" * 1000
        path.write_bytes(content)
        with pytest.raises(LabelError, match=r"labels/image0\.txt cannot be read"):
            load_all("yolo-seg", path)


def test_the_name_of_a_member_that_is_not_what_it_says_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", [])
    content = bytearray(path.read_bytes())
    content[6:8] = struct.pack("<H", 0x800)  # says UTF-8, before a name that is none
    content[30:32] = b"\xff\xfe"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"labels/image0\.txt cannot be read"):
        load_all("yolo-seg", path)


@pytest.mark.parametrize("runs", [[2**62] * 4, [2**63 - 1, 2**63 - 1, 2], [9, 2**62, 2**62, 2**63 - 1, 1]])
def test_runs_whose_sum_wraps_around_write_nowhere(tmp_path: Path, runs: list[int]) -> None:
    text = ", ".join(map(str, runs))
    mask = f'<mask label="a" rle="{text}" left="0" top="0" width="6" height="6" z_order="0"/>'
    image = f'<image id="0" name="image0.png" width="{WIDTH}" height="{HEIGHT}">{mask}</image>'
    (tmp_path / "annotations.xml").write_text(f"<annotations>{image}</annotations>")
    with pytest.raises(LabelError, match=r"annotations\.xml, image image0\.png .*runs that do not fit"):
        load_all("cvat-images", tmp_path)


def test_json_that_nests_without_end_is_told_wherever_it_is_read(tmp_path: Path) -> None:
    deep = dumped(DEEP)
    (tmp_path / "classes.json").write_text(deep)
    with pytest.raises(LabelError, match=r"classes\.json"):
        LabelClasses.load(tmp_path / "classes.json")
    Image.new("RGB", (4, 4)).save(tmp_path / "image0.png")
    (tmp_path / "gtFine").mkdir()
    polygons = tmp_path / "gtFine/image0_gtFine_polygons.json"
    polygons.write_text("{}")
    for name in ("color-png", "cityscapes", "index-png"):
        with pytest.raises(LabelError, match=r"classes\.json"):
            load_all(name, tmp_path)
    (tmp_path / "classes.json").unlink()
    polygons.write_text(deep)
    with pytest.raises(LabelError, match=r"_polygons\.json cannot be read"):
        load_all("cityscapes", tmp_path)


def coco(folder: Path, category: str = "nose", **more: object) -> Path:
    image = {"id": 1, "file_name": "image0.png", "width": WIDTH, "height": HEIGHT, **more}
    counts = [5, 20, WIDTH * HEIGHT - 25]
    drawn = {"image_id": 1, "category_id": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}}
    categories = [{"id": 1, "name": category}]
    content = {"images": [image], "annotations": [drawn], "categories": categories}
    (folder / "instances.json").write_text(dumped(content))
    return folder / "instances.json"


def test_halves_of_characters_are_replaced_before_anything_is_written(tmp_path: Path) -> None:
    file = coco(tmp_path, "beak \ud83d", licence="\ude00", **{"\udcff": 1})
    with Project.open(a_project(tmp_path)) as project:
        (event,) = import_labels(project, "coco", file)
        assert event.taken
        assert not event.error
        assert project.classes.by_name("beak \ufffd") is not None
    done = list(convert(file, "coco", tmp_path / "out", "label-studio"))
    assert not any(event.error for event in done)


def test_kept_keys_that_nest_too_deeply_are_told_before_anything_is_changed(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    file = coco(tmp_path, more=deep)
    with Project.open(a_project(tmp_path)) as project:
        (event,) = import_labels(project, "coco", file)
        assert not event.taken
        assert "nest" in event.error
        assert not project.labels(event.image_id).any()
    (done,) = convert(file, "coco", tmp_path / "out", "coco")
    assert "nest" in done.error


@pytest.mark.parametrize(
    "names",
    [
        "names: {.inf: a}",
        "names: [!!bool x]",
        "names: [!!timestamp x]",
        'names: [!!int ""]',
        "names: {0: 2001-99-99}",
        "a: &a [x, x]\nnames: [*a]",
        "a: &a {x: 1}\nnames: {<<: [*a, *a]}",
        "names: " + "[" * 500,
        "names: [a]\n#" + "x" * (1 << 22),
    ],
    ids=range(9),
)
def test_lists_of_classes_in_yaml_that_are_none_are_refused(tmp_path: Path, names: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/image0.txt").write_text("0 0 0 1 0 1 1\n")
    (tmp_path / "data.yaml").write_text(names)
    with pytest.raises(LabelError, match=r"data\.yaml cannot be read"):
        load_all("yolo-seg", tmp_path)


def test_a_list_of_classes_may_lie_among_the_labels(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/image0.txt").write_text("0 0 0 1 0 1 1\n")
    (tmp_path / "labels/data.yaml").write_text("names: [nose]")
    source = FORMATS["yolo-seg"].read(tmp_path, KNOWN)
    assert [item.key for item in source.items] == ["image0"]


def damaged_png() -> bytes:
    """A PNG whose sums are right and whose chunks are too short: foreign errors of its decoder."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress((b"\0" + b"\1" * WIDTH) * HEIGHT))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"iCCP", b"") + chunk(b"gAMA", b"") + rows + chunk(b"IEND", b"")
    )


def test_pngs_whose_chunks_are_cut_short_are_named(tmp_path: Path) -> None:
    for folder in ("SegmentationClass", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "image0_nose.png").write_bytes(damaged_png())
    (tmp_path / "labelmap.txt").write_text("nose:1,1,1::\n")
    for name in ("cvat-mask", "color-png", "part-masks", "pascal-voc", "index-png"):
        assert 0 <= FORMATS[name].probe(tmp_path) <= 1
        with pytest.raises(LabelError, match=r"image0_nose\.png"):
            load_all(name, tmp_path)
    mask = base64.b64encode(damaged_png()).decode()
    corners = [[0, 0], [WIDTH - 1, HEIGHT - 1]]
    shape = {"label": "nose", "shape_type": "mask", "points": corners, "mask": mask}
    content = {"imageWidth": WIDTH, "imageHeight": HEIGHT, "imagePath": "", "shapes": [shape]}
    (tmp_path / "labelme").mkdir()
    (tmp_path / "labelme/image0.json").write_text(json.dumps(content))
    with pytest.raises(LabelError, match=r"image0\.json, shape 1 holds a mask that is no PNG"):
        load_all("labelme", tmp_path / "labelme")


def test_a_program_called_a_mask_is_opened_by_nothing_that_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import EpsImagePlugin

    ran: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **more: ran.append(given))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "image0_nose.png").write_bytes(script)
    for each in FORMATS.values():
        each.probe(tmp_path)
    with pytest.raises(LabelError, match=r"image0_nose\.png"):
        load_all("part-masks", tmp_path)
    assert not ran


def test_digits_that_are_no_numbers_are_names(tmp_path: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT), 255).save(tmp_path / "\u00b2_nose.png")
    (item,) = FORMATS["part-masks"].read(tmp_path, KNOWN).items
    assert item.key == "\u00b2"


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "name", ["part-masks", "pascal-voc", "color-png", "cvat-mask", "cityscapes", "labelme"]
)
def test_a_pipe_called_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    for file in (
        "masks/image0_nose.png",
        "SegmentationClass/image0.png",
        "image0_gtFine_labelIds.png",
        "a.json",
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        os.mkfifo(tmp_path / file)
    (tmp_path / "labelmap.txt").write_text("nose:1,1,1::\n")
    assert 0 <= FORMATS[name].probe(tmp_path) <= 1
    with pytest.raises(CoordError):
        load_all(name, tmp_path)


def test_addresses_that_are_none_are_names(tmp_path: Path) -> None:
    task = {"data": {"image": "http://[::1"}, "annotations": [{"result": []}]}
    (tmp_path / "tasks.json").write_text(json.dumps([task, {**task, "data": {"image": "image0.png"}}]))
    assert len(FORMATS["label-studio"].read(tmp_path / "tasks.json", KNOWN).items) == 2


def test_lines_of_csv_that_no_reader_takes_are_told(tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "image0.png")
    (tmp_path / "class_dict.csv").write_text('name,r,g,b\n"' + "x" * 140_000 + '",1,2,3\n')
    with pytest.raises(LabelError, match=r"class_dict\.csv cannot be read"):
        load_all("color-png", tmp_path)


@pytest.mark.parametrize("score", ["high", "0.5", [], {}, 10**30, float("nan"), True, -1])
def test_a_propagated_folder_cannot_spoil_the_project(tmp_path: Path, score: object) -> None:
    images, folder = a_project(tmp_path), tmp_path / "propagated"
    labels = np.ones((HEIGHT, WIDTH), np.uint8)
    for name, size in (("image0", 1), ("image1", 2)):
        write_label_map(folder / f"labels/{name}.png.png", labels)
        write_confidence(folder / f"confidence/{name}.png.png", np.ones((HEIGHT * size, WIDTH)))
    LabelClasses.from_names(["background", "nose \ud800"]).save(folder / "classes.json")
    told = {f"{name}.png": {"key": "k", "score": score, "written": None} for name in ("image0", "image1")}
    for name, entry in told.items():
        from coordgan_core.manifest import stamp

        entry["written"] = stamp(folder / f"labels/{name}.png")
    content = {"format": 1, "key": "k", "model": float("nan"), "images": told}
    (folder / "propagation.json").write_text(json.dumps(content))
    source = PropagatedFolder.find(folder)
    assert source is not None
    with Project.open(images) as project:
        taken = {event.path: event for event in take_propagated(project, source)}
        assert taken["image0.png"].taken
        assert "image1.png.png has" in taken["image1.png"].error
    with Project.open(images) as project:
        assert project.labels(project.find("image0.png") or 0).all()

"""Damaged and malicious files end in an error that names file, finding and remedy; never in anything else."""

from __future__ import annotations

import copy
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.domain.formats import FORMATS
from coordgan_core.errors import CoordError, LabelError

GOLDEN = Path(__file__).parent / "golden"
PLACES = {
    "coco": "pycocotools/instances.json",
    "coco-panoptic": "datumaro-panoptic/annotations/panoptic_train.json",
    "labelme": "labelme/cat.json",
    "x-anylabeling": "labelme/cat.json",
    "label-studio": "label-studio/project.json",
}
WEIRD = [
    None, True, -1, 0, 10**30, 10**9, 1e300, math.nan, -math.inf, "", "x", "../../x.png", "/etc/hostname", [],
    {}, [[]], [None], {"size": [1, 1], "counts": "0"}, [-5, 3], [1, 2, 3, 4, 5, 6], "\0", "1" * 500,
]  # fmt: skip


def copied(name: str, folder: Path) -> tuple[Path, Any]:
    """A copy of the golden data set of a format, and what is in its JSON."""
    top, *rest = Path(PLACES[name]).parts
    shutil.copytree(GOLDEN / top, folder / top)
    file = folder.joinpath(top, *rest)
    return file, json.loads(file.read_text())


def load_all(name: str, path: Path) -> None:
    for item in FORMATS[name].read(path).items:
        item.extras()
        labels = item.load()
        assert labels.ndim == 2
        assert ".." not in Path(item.key).parts
        assert not Path(item.key).is_absolute()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, each in inner for p in places(each, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.deepcopy(value)
    at = result
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return result


@pytest.mark.parametrize("name", sorted(PLACES))
def test_any_value_may_be_anything(name: str, tmp_path: Path) -> None:
    file, content = copied(name, tmp_path)
    draw = random.Random(3)
    chosen = places(content)
    survived, said = 0, []
    for _ in range(250):
        changed = replaced(content, draw.choice(chosen), draw.choice(WEIRD))
        file.write_text(json.dumps(changed))
        assert 0.0 <= FORMATS[name].probe(file) <= 1.0
        try:
            load_all(name, file)
            survived += 1
        except CoordError as error:
            said.append(error.remedy)
    assert 0 < survived < 250
    assert all(said)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_file_that_is_cut_off_is_named(name: str, tmp_path: Path) -> None:
    file, _ = copied(name, tmp_path)
    text = file.read_bytes()
    for length in (0, 1, len(text) // 3, len(text) - 2):
        file.write_bytes(text[:length])
        with pytest.raises(LabelError, match=file.name) as caught:
            load_all(name, file)
        assert "xport" in caught.value.remedy


def test_a_nest_without_end_is_no_crash(tmp_path: Path) -> None:
    file = tmp_path / "deep.json"
    file.write_text("[" * 200_000)
    for name in PLACES:
        with pytest.raises(LabelError):
            load_all(name, file)


def coco(change: Callable[[dict[str, Any]], None]) -> Callable[[Any], None]:
    return lambda content: change(content["annotations"][0])


def first_image(key: str, value: Any) -> Callable[[Any], None]:
    return lambda content: content["images"][0].update({key: value})


def counts(value: Any, size: tuple[int, ...] = (24, 32)) -> Callable[[Any], None]:
    return coco(lambda a: a.update(segmentation={"size": list(size), "counts": value}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (counts([3, 4]), "7 pixels in all, not 768"),
        (counts([800, -32]), "negative"),
        (counts([0, 10**30]), "beyond all sizes"),
        (counts([True, 767]), "neither text nor whole numbers"),
        (counts("T0o"), "run lengths"),
        (counts("nnnnnnnnnnnn0"), "beyond all sizes"),
        (counts("0é"), "ASCII"),
        (counts("Z"), "cut off"),
        (counts([768], (24, 31)), "size"),
        (coco(lambda a: a.update(segmentation={"size": 1e300, "counts": [768]})), "size"),
        (coco(lambda a: a.update(segmentation=[[1, 2, 3, 4]])), "three or more points"),
        (coco(lambda a: a.update(segmentation=[[1, 2, 3, 4, 5, 1e300]])), "finite"),
        (coco(lambda a: a.update(segmentation=[["1", 2, 3, 4, 5, 6]])), "no list of numbers"),
        (coco(lambda a: a.update(category_id=77)), "the category 77"),
        (first_image("width", -32), "-32 x 24 pixels"),
        (first_image("height", 10**9), "at most 200 million"),
        (first_image("width", "32"), "'32' as 'width'"),
    ],
)
def test_coco_says_what_is_wrong(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    file, content = copied("coco", tmp_path)
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(LabelError, match="instances.json") as caught:
        load_all("coco", file)
    assert message in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["../../cat.png", "/cat.png", "C:\\cat.png", "..\\cat.png"])
def test_names_that_lead_out_of_the_folder_are_no_paths(name: str, tmp_path: Path) -> None:
    file, content = copied("coco", tmp_path)
    content["images"][0]["file_name"] = name
    file.write_text(json.dumps(content))
    assert FORMATS["coco"].read(file).items[0].key == "cat"
    file, content = copied("coco-panoptic", tmp_path)
    content["annotations"][0]["file_name"] = name
    file.write_text(json.dumps(content))
    with pytest.raises(LabelError, match="nothing outside of the folder is opened|Nothing outside"):
        load_all("coco-panoptic", file)


def test_panoptic_refuses_other_pngs(tmp_path: Path) -> None:
    file, _ = copied("coco-panoptic", tmp_path)
    png = file.with_suffix("") / "cat.png"
    before = png.read_bytes()
    for content in (b"", before[:60], before[:-40]):
        png.write_bytes(content)
        with pytest.raises(LabelError, match="cat"):
            load_all("coco-panoptic", file)
    Image.new("RGB", (31, 24)).save(png)
    with pytest.raises(LabelError, match="31 x 24"):
        load_all("coco-panoptic", file)
    Image.new("RGB", (32, 24), (9, 0, 0)).save(png)
    with pytest.raises(LabelError, match="segments 9"):
        load_all("coco-panoptic", file)
    Image.new("L", (32, 24)).save(png)
    with pytest.raises(LabelError, match="without colours"):
        load_all("coco-panoptic", file)
    png.unlink()
    with pytest.raises(LabelError, match=r"cat\.png"):
        load_all("coco-panoptic", file)


@pytest.mark.parametrize(
    ("shape", "more", "message"),
    [
        (0, {"points": [[0, 0], [1, 1]]}, "a polygon of 2 points"),
        (0, {"points": [[0, 0], [1, 1], [1e9, 1]]}, "far outside"),
        (0, {"points": [[0, 0], [1, 1], [True, 1]]}, "no pair of numbers"),
        (0, {"label": 3}, "3 as 'label'"),
        (3, {"mask": "!"}, "no PNG"),
        (3, {"mask": "QUJD"}, "no PNG"),
        (3, {"mask": None}, "None as 'mask'"),
        (3, {"points": [[0, 0], [5, 5]]}, "not that of its box"),
        (3, {"points": [[0, 0], [-7, -7]]}, "not that of its box"),
    ],
)
def test_labelme_says_which_shape_is_wrong(shape: int, more: Any, message: str, tmp_path: Path) -> None:
    file, content = copied("labelme", tmp_path)
    content["shapes"][shape].update(more)
    file.write_text(json.dumps(content))
    with pytest.raises(LabelError, match=rf"cat\.json, shape {shape + 1}") as caught:
        load_all("labelme", file.parent)
    assert message in str(caught.value)


def test_one_damaged_file_of_labelme_spoils_no_other(tmp_path: Path) -> None:
    file, _ = copied("labelme", tmp_path)
    (file.parent / "bad.json").write_text('{"shapes": [')
    items = {item.key: item for item in FORMATS["labelme"].read(file.parent).items}
    assert items["cat"].load().any()
    with pytest.raises(LabelError, match=r"bad\.json"):
        items["bad"].load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["value"].update(rle=r["value"]["rle"][:-3]), "cut off"),
        (lambda r: r["value"].update(rle=[256]), "no list of bytes"),
        (lambda r: r["value"].update(rle=[]), "cut off"),
        (lambda r: r["value"].update(rle=[255] * 40), "values of"),
        (lambda r: r.update(original_width=31), "31 x 24"),
        (lambda r: r.update(original_width=0), "0 x 24 pixels"),
        (lambda r: r.update(original_height=10**8), "at most 200 million"),
        (lambda r: r.update(image_rotation=90), "turned by 90"),
    ],
)
def test_label_studio_says_which_result_is_wrong(
    change: Callable[[Any], None], message: str, tmp_path: Path
) -> None:
    file, content = copied("label-studio", tmp_path)
    change(content[0]["annotations"][1]["result"][0])
    file.write_text(json.dumps(content))
    with pytest.raises(LabelError, match=r"project\.json, task 1") as caught:
        load_all("label-studio", file)
    assert message in str(caught.value)


def test_a_configuration_that_declares_entities_is_refused(tmp_path: Path) -> None:
    file, _ = copied("label-studio", tmp_path)
    config = '<!DOCTYPE v [<!ENTITY a "b">]><View><BrushLabels><Label value="&a;"/></BrushLabels></View>'
    (file.parent / "labeling_config.xml").write_text(config)
    with pytest.raises(LabelError, match="labeling_config"):
        FORMATS["label-studio"].read(file.parent)

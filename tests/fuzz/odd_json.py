"""Odd files of the formats that are JSON."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.odd import (
    CLASS_IDS,
    COLORS,
    HEIGHT,
    HEIGHTS,
    IMAGES,
    NAMES,
    ODD_NUMBERS,
    ODD_TEXTS,
    ODD_VALUES,
    REAL,
    STEM_NAMES,
    STEMS,
    WHOLE,
    WIDTH,
    WIDTHS,
    Files,
    json_file,
    listed_classes,
    members,
    mostly,
    numbered,
    png,
    points,
    text_file,
)

_PIXELS = WIDTH * HEIGHT
_RUNS = st.one_of(
    st.just([10, 20, _PIXELS - 30]),
    st.lists(mostly(st.integers(0, 200), ODD_NUMBERS), max_size=6),
    st.just([2**62] * 4),
    st.text(st.characters(min_codepoint=45, max_codepoint=115), max_size=12),
    ODD_VALUES,
)
_IDS = mostly(st.integers(1, 3), ODD_VALUES)


def _flat(pairs: list[Any]) -> list[Any]:
    return [value for pair in pairs if isinstance(pair, list) for value in pair]


def _dataset(annotations: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    images = members(id=_IDS, file_name=IMAGES, width=WIDTHS, height=HEIGHTS)
    category = members(name=NAMES, supercategory=NAMES)
    categories = mostly(numbered(category), st.lists(members(id=_IDS, name=NAMES, color=COLORS), max_size=3))
    content = members(
        images=mostly(st.lists(images, min_size=1, max_size=3), ODD_VALUES),
        annotations=mostly(st.lists(annotations, min_size=1, max_size=4), ODD_VALUES),
        categories=mostly(categories, ODD_VALUES),
    )
    return mostly(content, ODD_VALUES)


def coco() -> st.SearchStrategy[Files]:
    """Return instances of COCO."""
    size = mostly(st.just([HEIGHT, WIDTH]), ODD_VALUES)
    segmentation = st.one_of(
        members(size=size, counts=_RUNS),
        st.lists(points().map(_flat), max_size=2),
        points().map(_flat),
        ODD_VALUES,
    )
    entry = members(
        id=_IDS, image_id=_IDS, category_id=mostly(st.just(1), CLASS_IDS), segmentation=segmentation
    )
    return json_file(_dataset(entry)).map(lambda file: {"annotations/instances_default.json": file})


def coco_panoptic() -> st.SearchStrategy[Files]:
    """Return panoptic segmentations of COCO, with PNGs beside them."""
    segment = members(
        id=mostly(st.integers(1, 4).map(lambda v: 0x10101 * v), WHOLE), category_id=mostly(st.just(1), _IDS)
    )
    entry = members(
        image_id=_IDS,
        file_name=mostly(STEM_NAMES.map(lambda stem: f"{stem}.png"), IMAGES),
        segments_info=mostly(st.lists(segment, min_size=3, max_size=6), ODD_VALUES),
    )
    folder = "annotations/panoptic_default"
    pictures = mostly(png(kinds=(2,)).map(lambda p: dict.fromkeys(STEMS, p)), st.just({}))
    both = st.tuples(json_file(_dataset(entry)), pictures)
    return both.map(
        lambda b: {f"{folder}.json": b[0]} | {f"{folder}/{stem}.png": p for stem, p in b[1].items()}
    )


def labelme(more: dict[str, st.SearchStrategy[Any]] | None = None) -> st.SearchStrategy[Files]:
    """Return files of labelme with shapes of all kinds."""
    kinds = ["polygon", "rectangle", "circle", "mask", "oriented_rectangle", "rotation", "point", "line"]
    masks = st.one_of(
        png(kinds=(0,)).map(lambda p: base64.b64encode(p).decode()),
        st.sampled_from(["", "!!", "AAAA"]),
        ODD_VALUES,
    )
    shape = members(
        label=mostly(NAMES, ODD_VALUES),
        points=mostly(points(), st.just([[0, 0], [WIDTH - 1, HEIGHT - 1]])),
        shape_type=mostly(st.sampled_from(kinds), ODD_VALUES),
        mask=masks,
        group_id=ODD_VALUES,
    )
    content = members(
        version=st.just("5.0.0"),
        shapes=mostly(st.lists(shape, max_size=4), ODD_VALUES),
        imagePath=IMAGES,
        imageData=mostly(st.none(), ODD_VALUES),
        imageWidth=WIDTHS,
        imageHeight=HEIGHTS,
        **(more or {}),
    )
    files = st.dictionaries(STEM_NAMES, json_file(mostly(content, ODD_VALUES)), min_size=1, max_size=2)
    beside = st.tuples(files, st.booleans(), listed_classes(), text_file(NAMES))

    def tree(found: tuple[dict[str, bytes], bool, bytes, bytes]) -> Files:
        lists = {"classes.json": found[2]} if found[1] else {"labels.txt": found[3]}
        return lists | {f"{stem}.json": file for stem, file in found[0].items()}

    return beside.map(tree)


def x_anylabeling() -> st.SearchStrategy[Files]:
    """Return files of X-AnyLabeling."""
    return labelme({"checked": ODD_VALUES, "chat_history": ODD_VALUES, "score": ODD_NUMBERS})


def label_studio() -> st.SearchStrategy[Files]:
    """Return tasks of Label Studio, with a labeling configuration."""
    values = st.one_of(
        members(format=st.just("rle"), rle=mostly(_brushes(), ODD_VALUES), brushlabels=_labels()),
        members(points=points(), polygonlabels=_labels()),
        members(x=REAL, y=REAL, width=REAL, height=REAL, rotation=REAL, rectanglelabels=_labels()),
        members(x=REAL, y=REAL, radiusX=REAL, radiusY=REAL, rotation=REAL, ellipselabels=_labels()),
        ODD_VALUES,
    )
    result = members(
        original_width=WIDTHS,
        original_height=HEIGHTS,
        image_rotation=mostly(st.just(0), ODD_VALUES),
        value=values,
    )
    made = members(
        result=mostly(st.lists(mostly(result, ODD_VALUES), max_size=3), ODD_VALUES),
        score=ODD_NUMBERS,
        was_cancelled=mostly(st.just(False), ODD_VALUES),  # noqa: FBT003
    )
    several = mostly(st.lists(mostly(made, ODD_VALUES), max_size=2), ODD_VALUES)
    data = mostly(members(image=mostly(IMAGES, ODD_VALUES), width=WIDTHS, height=HEIGHTS), ODD_VALUES)
    task = members(id=ODD_NUMBERS, data=data, annotations=several, predictions=several)
    config = st.tuples(
        ODD_TEXTS, st.sampled_from(["#ff0000", "red", "", "#\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2"])
    ).map(_config)
    both = st.tuples(json_file(mostly(st.lists(task, min_size=1, max_size=3), task)), config)
    return both.map(lambda b: {"label_studio.json": b[0], "labeling_config.xml": b[1]})


def _labels() -> st.SearchStrategy[Any]:
    return mostly(st.lists(NAMES, min_size=1, max_size=2), ODD_VALUES)


def _brushes() -> st.SearchStrategy[list[Any]]:
    """Return brushes that begin as they must, and go on with anything."""
    head = [*(4 * _PIXELS).to_bytes(4), 0x39, 0x1B, 0xF8]
    return st.lists(mostly(st.integers(0, 255), ODD_VALUES), max_size=20).map(lambda rest: head + rest)


def _config(given: tuple[str, str]) -> bytes:
    from xml.sax.saxutils import quoteattr

    label = f"<Label value={quoteattr(given[0])} background={quoteattr(given[1])}/>"
    inner = f'<Image name="image" value="$image"/><BrushLabels name="l" toName="image">{label}</BrushLabels>'
    return f"<View>{inner}</View>".encode("utf-8", "surrogatepass")

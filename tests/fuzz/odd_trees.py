"""Odd folders and archives of the formats that are pictures, text or XML; `FORMATS` holds those of all."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from typing import Any
from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st

from tests.fuzz import odd_json
from tests.fuzz.odd import (
    CLASS_IDS,
    COLORS,
    HEIGHTS,
    IMAGES,
    NAMES,
    ODD_NUMBERS,
    ODD_TEXTS,
    REAL,
    STEM_NAMES,
    WHOLE,
    WIDTHS,
    Files,
    csv_line,
    json_file,
    listed_classes,
    members,
    mostly,
    png,
    points,
    shown,
    text_file,
)

_LABELS = "SegmentationClass"


def _pictures(folder: str, kinds: tuple[int, ...], ending: str = ".png") -> st.SearchStrategy[Files]:
    found = st.dictionaries(STEM_NAMES, png(kinds=kinds), min_size=1, max_size=3)
    return found.map(lambda each: {f"{folder}{stem}{ending}": picture for stem, picture in each.items()})


def _joined(*parts: st.SearchStrategy[Files]) -> st.SearchStrategy[Files]:
    return st.tuples(*parts).map(lambda each: {name: file for part in each for name, file in part.items()})


def _one(name: str, file: st.SearchStrategy[bytes]) -> st.SearchStrategy[Files]:
    return mostly(file.map(lambda content: {name: content}), st.just({}))


def _color_lines() -> st.SearchStrategy[Files]:
    """Return one of the maps from colours to names."""
    fields = st.tuples(NAMES, COLORS.map(lambda c: c if isinstance(c, list) else [c]))
    colons = fields.map(lambda f: f"{f[0]}:{','.join(map(shown, f[1]))}:parts:{f[0]}")
    spaces = fields.map(lambda f: f"{' '.join(map(shown, f[1]))} {f[0]}")
    commas = fields.map(lambda f: csv_line([f[0].replace("\ud800", "?"), *f[1]]))
    long = st.just('"' + "x" * 140_000 + '",1,2,3')
    return st.one_of(
        _one("labelmap.txt", text_file(mostly(colons, ODD_TEXTS))),
        _one("label_colors.txt", text_file(mostly(spaces, ODD_TEXTS))),
        _one("class_dict.csv", text_file(mostly(commas, long))),
        _one("classes.json", listed_classes()),
    )


def pascal_voc() -> st.SearchStrategy[Files]:
    """Return the layout of Pascal VOC."""
    return _joined(_pictures(f"{_LABELS}/", (0, 3)), _one("class_names.txt", text_file(NAMES)))


def index_png() -> st.SearchStrategy[Files]:
    """Return index PNGs."""
    return _joined(_pictures("", (0, 3)), _one("classes.json", listed_classes()))


def color_png() -> st.SearchStrategy[Files]:
    """Return colour PNGs with a map."""
    return _joined(_pictures("", (2,)), _color_lines())


def cvat_mask() -> st.SearchStrategy[Files]:
    """Return masks of CVAT with their label map."""
    kinds = st.sampled_from([(0,), (2,)])
    lines = st.tuples(NAMES, COLORS).map(lambda f: f"{f[0]}:{shown(f[1])[1:-1]}:parts:")
    maps = mostly(text_file(lines).map(lambda file: {"labelmap.txt": file}), _color_lines())
    return _joined(kinds.flatmap(lambda kind: _pictures(f"{_LABELS}/", kind)), maps)


def part_masks() -> st.SearchStrategy[Files]:
    """Return masks of parts."""
    part = mostly(
        st.sampled_from(["nose", "eye_g", "\u00b2"]), ODD_TEXTS.map(lambda t: t.replace("/", "_")[:40])
    )
    names = st.tuples(STEM_NAMES, part).map(lambda both: f"{both[0][:80]}_{both[1]}")
    masks = st.dictionaries(names, png(kinds=(0, 3), highest=255), min_size=1, max_size=4)
    folder = st.sampled_from(["masks/", "", "masks/0/"])
    below = st.tuples(masks, folder).map(lambda both: {f"{both[1]}{n}.png": p for n, p in both[0].items()})
    return _joined(
        below, _one("classes.json", listed_classes()), mostly(st.just({}), _pictures("index/", (0,)))
    )


def cityscapes() -> st.SearchStrategy[Files]:
    """Return ids and polygons of Cityscapes."""
    thing = members(label=NAMES, polygon=points(), deleted=mostly(st.just(0), ODD_NUMBERS))
    drawn = json_file(members(imgHeight=HEIGHTS, imgWidth=WIDTHS, objects=st.lists(thing, max_size=4)))
    polygons = st.dictionaries(STEM_NAMES, drawn, max_size=2).map(
        lambda each: {f"gtFine/train/c/{stem}_gtFine_polygons.json": file for stem, file in each.items()}
    )
    maps = _pictures("gtFine/train/c/", (0,), "_gtFine_labelIds.png")
    return _joined(
        st.one_of(polygons, maps), polygons, mostly(_one("classes.json", listed_classes()), _color_lines())
    )


def yolo_seg() -> st.SearchStrategy[Files]:
    """Return outlines of YOLO, with lists of classes as YAML writes them."""
    field = mostly(st.floats(0, 1, width=32), ODD_NUMBERS)
    corners = st.lists(st.tuples(field, field), min_size=2, max_size=5).map(
        lambda f: [v for pair in f for v in pair]
    )
    fields = mostly(corners, st.lists(field, max_size=9))
    line = st.tuples(CLASS_IDS, fields).map(lambda f: " ".join(map(shown, [f[0], *f[1]])))
    texts = st.dictionaries(STEM_NAMES, text_file(mostly(line, ODD_TEXTS)), min_size=1, max_size=2)
    folder = st.sampled_from(["labels/train/", "labels/", "x/labels/"])
    below = st.tuples(texts, folder).map(lambda both: {f"{both[1]}{n}.txt": t for n, t in both[0].items()})
    place = mostly(
        st.just("data.yaml"), st.sampled_from(["x/data.yaml", "labels/data.yaml", "x/labels/data.yaml"])
    )
    return _joined(below, st.tuples(place, _yaml()).map(lambda both: {both[0]: both[1]}))


def _yaml() -> st.SearchStrategy[bytes]:
    names = st.one_of(st.lists(NAMES, max_size=5), st.dictionaries(CLASS_IDS, NAMES, max_size=5))
    plain = names.map(lambda value: "names: " + json.dumps(value, skipkeys=True) + "\n")
    tags = st.sampled_from(
        ["!!bool x", "!!timestamp x", '!!int ""', "!!float .", "!!binary '\u00e9'", "!!null x", "!!set x"]
    )
    odd = st.sampled_from(
        [
            "names: {.inf: a}",
            "names: {.nan: a, ? [1] : b}",
            "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]",
            "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nnames: {<<: [*b, *b]}",
            "names: " + "[" * 2000,
            "names: {0: 0001-01-01T00:00:00+23:00, 1: 2001-99-99}",
            "names: !!python/object/apply:os.system [true]",
            "%YAML 9.9\n---\nnames: [a]",
            "names: [a]\n---\nnames: [b]",
            "--- \t",
        ]
    )
    return mostly(plain, st.one_of(odd, tags.map(lambda tag: f"names: [{tag}]"), ODD_TEXTS)).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )


def cvat_images() -> st.SearchStrategy[Files]:
    """Return the XML of CVAT with shapes of all kinds."""
    runs = st.lists(mostly(st.integers(0, 90), ODD_NUMBERS), max_size=5).map(
        lambda r: ", ".join(map(shown, r))
    )
    wrapped = st.sampled_from([", ".join([str(2**62)] * 4), ", ".join([str(2**63 - 1)] * 2 + ["5"]), ",,"])
    corners = points().map(lambda pairs: ";".join(",".join(map(shown, p)) for p in pairs))
    kinds = {
        "mask": {"rle": mostly(runs, wrapped), "left": WHOLE, "top": WHOLE, "width": WHOLE, "height": WHOLE},
        "polygon": {"points": corners},
        "box": {"xtl": REAL, "ytl": REAL, "xbr": REAL, "ybr": REAL},
        "ellipse": {"cx": REAL, "cy": REAL, "rx": REAL, "ry": REAL},
        "polyline": {"points": corners},
    }
    common = {"label": NAMES, "z_order": mostly(st.just(0), ODD_NUMBERS)}
    shape = st.sampled_from(sorted(kinds)).flatmap(
        lambda kind: members(**common, **kinds[kind], rotation=mostly(st.just(0), REAL)).map(
            lambda a: _tag(kind, a)
        )
    )
    frame = members(id=WHOLE, name=IMAGES, width=WIDTHS, height=HEIGHTS)
    image = st.tuples(frame, st.lists(shape, max_size=3)).map(lambda b: _tag("image", b[0], "".join(b[1])))
    label = st.tuples(NAMES, mostly(st.just("#ff0000"), ODD_TEXTS)).map(
        lambda b: f"<label><name>{_escaped(b[0])}</name><color>{_escaped(b[1])}</color></label>"
    )
    body = st.tuples(st.lists(label, max_size=3), st.lists(image, max_size=3)).map(
        lambda b: (
            f"<annotations><meta><task><labels>{''.join(b[0])}</labels></task></meta>{''.join(b[1])}</annotations>"
        )
    )
    heads = mostly(
        st.just('<?xml version="1.0" encoding="utf-8"?>\n'),
        st.sampled_from(
            ["", '<?xml version="1.0" encoding="utf-16"?>', '<!DOCTYPE a [<!ENTITY b "c">]>', "<image/>"]
        ),
    )
    whole = st.tuples(heads, body).map(lambda b: (b[0] + b[1]).encode("utf-8", "surrogatepass"))
    return whole.map(lambda xml: {"annotations.xml": xml})


def _escaped(text: Any) -> str:
    return quoteattr(shown(text))[1:-1]


def _tag(name: str, attributes: dict[str, Any], inside: str = "") -> str:
    plain = {key: value for key, value in attributes.items() if key.isidentifier() and key.isascii()}
    return f"<{name} {' '.join(f'{k}={quoteattr(shown(v))}' for k, v in plain.items())}>{inside}</{name}>"


FORMATS: dict[str, st.SearchStrategy[Files]] = {
    "coco": odd_json.coco(),
    "coco-panoptic": odd_json.coco_panoptic(),
    "labelme": odd_json.labelme(),
    "x-anylabeling": odd_json.x_anylabeling(),
    "label-studio": odd_json.label_studio(),
    "pascal-voc": pascal_voc(),
    "index-png": index_png(),
    "color-png": color_png(),
    "cvat-mask": cvat_mask(),
    "cvat-images": cvat_images(),
    "part-masks": part_masks(),
    "cityscapes": cityscapes(),
    "yolo-seg": yolo_seg(),
}
"""Odd files of every format of the registry, by its name."""

PACKED = frozenset({"cvat-mask", "cvat-images", "yolo-seg", "cityscapes", "color-png"})
"""The formats that are read out of archives too."""


@st.composite
def archive(draw: st.DrawFn, files: Files) -> bytes:
    """Return a zip file of a folder with members that are packed, named or marked in an odd way."""
    stream = io.BytesIO()
    kinds = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(stream, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, content in files.items():
            name = draw(
                mostly(st.just(name), st.sampled_from(["X", "X" * 9, f"./{name}", f"{name}/", f"a\\{name}"]))
            )
            packed.writestr(name.encode("utf-8", "replace").decode(), content, draw(kinds))
    content = bytearray(stream.getvalue())
    for old in (b"X" * 9, b"X"):
        if draw(st.integers(0, 3)) == 3:
            new = draw(st.sampled_from([b"\0", b".", b"/", b"..", b"\xff", b"C:", b"\\"]))
            content = bytearray(bytes(content).replace(old, new.ljust(len(old), b"\0")[: len(old)]))
    for _ in range(draw(mostly(st.just(0), st.integers(1, 4)))):
        _mark(draw, content)
    return bytes(content)


def _mark(draw: st.DrawFn, content: bytearray) -> None:
    """Change one field of a local or central header: flags, kind of packing, sizes, place, name."""
    magic, fields = draw(
        st.sampled_from([(b"PK\x03\x04", (6, 8, 18, 22, 26, 28)), (b"PK\1\2", (8, 10, 20, 24, 28, 30, 42))])
    )
    at = bytes(content).find(magic)
    place = at + draw(st.sampled_from(fields))
    if at >= 0 and place + 4 < len(content):
        value = draw(st.sampled_from([0, 1, 0x800, 9, 14, 98, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF]))
        struct.pack_into("<I" if value > 0xFFFF else "<H", content, place, value)
